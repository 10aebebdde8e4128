//! What refusals teach about a limit that was declared too high. A server that says nothing but «too many» is asked at half
//! the pace, so any limit down to an eighth of the declared one is met within three refusals. Slowly the pace comes back,
//! because the server may have had a bad hour.
//!
//! The hard idea is to tell a limit from chance. Where a whole `per` was taken at our pace, the limit is not lower than our
//! pace: the refusal speaks of a longer quota, or of nothing, and waiting is all that helps. Any other is about the pace.
//! Stray refusals (`strays.rs`) do not come here.

use std::time::Duration;

/// What is left of the declared pace at the least.
const SHARE_MIN: f64 = 0.01;
/// The pace grows by a quarter in this time.
const RECOVERY: Duration = Duration::from_secs(300);
const GROWTH: f64 = 1.25;

/// The share of a declared pace that is used.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Caution {
    pub share: f64,
    pub at_ms: i64,
    /// The first call since the last refusal.
    since_ms: Option<i64>,
}

impl Caution {
    pub fn new(share: f64, at_ms: i64) -> Self {
        Self { share, at_ms, since_ms: None }
    }

    pub fn none() -> Self {
        Self::new(1.0, 0)
    }

    pub fn share(&self, now_ms: i64) -> f64 {
        if self.share >= 1.0 {
            return 1.0;
        }
        let passed = now_ms.saturating_sub(self.at_ms).max(0) as f64;
        (self.share * GROWTH.powf(passed / RECOVERY.as_millis() as f64)).min(1.0)
    }

    pub fn call(&mut self, now_ms: i64) {
        self.since_ms.get_or_insert(now_ms);
    }

    /// A call was refused. `taken` is the share of what is declared that the server certainly took within `per`.
    pub fn refused(&mut self, now_ms: i64, per: Duration, taken: f64) {
        let per_ms = i64::try_from(per.as_millis()).unwrap_or(i64::MAX);
        let went_well = self.since_ms.take().is_some_and(|since| now_ms.saturating_sub(since) >= per_ms);
        if went_well {
            return;
        }
        let share = self.share(now_ms);
        *self = Self::new((share / 2.0).max(taken.min(share)).max(SHARE_MIN), now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_refusal_before_a_whole_window_went_well_halves_the_pace_but_not_below_what_was_taken() {
        let mut caution = Caution::none();
        caution.call(0);
        caution.refused(500, SECOND, 0.0);
        assert_eq!(caution.share(500), 0.5);
        caution.call(600);
        caution.refused(1_500, SECOND, 0.4);
        assert_eq!(caution.share(1_500), 0.4);
        caution.refused(1_600, SECOND, 0.9);
        assert!((0.4..0.401).contains(&caution.share(1_600)), "never up");
        (0..20).for_each(|_| caution.refused(1_600, SECOND, 0.0));
        assert_eq!(caution.share(1_600), SHARE_MIN);
    }

    #[test]
    fn refusals_after_a_whole_window_that_went_well_change_nothing_however_many_there_are() {
        let mut caution = Caution::none();
        for round in 0..1_000 {
            caution.call(round * 1_000);
            caution.call(round * 1_000 + 500);
            caution.refused(round * 1_000 + 1_000, SECOND, 0.0);
        }
        assert_eq!(caution.share(1_000_000), 1.0);
        caution.call(1_000_000);
        caution.refused(1_000_300, SECOND, 0.0);
        assert_eq!(caution.share(1_000_300), 0.5, "the next one came too soon");
    }

    #[test]
    fn the_pace_comes_back_slowly_and_not_beyond_what_is_declared() {
        let mut caution = Caution::none();
        caution.refused(0, SECOND, 0.0);
        assert_eq!(caution.share(300_000), 0.625);
        assert_eq!(caution.share(3_600_000), 1.0);
        assert_eq!(caution.share(-5), 0.5, "a clock that was set back gives nothing");
    }
}
