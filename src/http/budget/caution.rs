//! What a refusal teaches about a limit that was declared too high. A server that says nothing but «too many» is asked at
//! half the pace, or at the pace it last took, if that is known and lower; so any limit down to an eighth of the declared
//! one is met within three refusals. Slowly the pace comes back, because the server may have had a bad hour.

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
}

impl Caution {
    pub fn none() -> Self {
        Self { share: 1.0, at_ms: 0 }
    }

    pub fn share(&self, now_ms: i64) -> f64 {
        if self.share >= 1.0 {
            return 1.0;
        }
        let passed = now_ms.saturating_sub(self.at_ms).max(0) as f64;
        (self.share * GROWTH.powf(passed / RECOVERY.as_millis() as f64)).min(1.0)
    }

    /// A call was refused. `taken` is the share of the declared pace that the server took lately, where that is known.
    pub fn refused(&mut self, now_ms: i64, taken: Option<f64>) {
        let share = self.share(now_ms);
        let next = taken.filter(|taken| *taken < share * 0.95).unwrap_or(share / 2.0);
        *self = Self { share: next.max(SHARE_MIN), at_ms: now_ms };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_halves_the_pace_or_takes_the_one_that_the_server_took() {
        let mut caution = Caution::none();
        caution.refused(0, None);
        assert_eq!(caution.share(0), 0.5);
        caution.refused(0, Some(0.4));
        assert_eq!(caution.share(0), 0.4);
        caution.refused(0, Some(0.39));
        assert_eq!(caution.share(0), 0.2, "what it took was refused");
        (0..20).for_each(|_| caution.refused(0, None));
        assert_eq!(caution.share(0), SHARE_MIN);
    }

    #[test]
    fn the_pace_comes_back_slowly_and_not_beyond_what_is_declared() {
        let mut caution = Caution::none();
        caution.refused(0, None);
        assert_eq!(caution.share(300_000), 0.625);
        assert_eq!(caution.share(3_600_000), 1.0);
        assert_eq!(caution.share(-5), 0.5, "a clock that was set back gives nothing");
    }
}
