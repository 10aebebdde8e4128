//! One pause per connection. When the server asks one caller to slow down, everybody on the connection waits, once:
//! requests that were already under way when the pause began get their own 429s, and those are the same episode.
//!
//! Except for a stray refusal (`strays.rs`): then only the refused call waits.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::strays::Strays;

/// The pause after a refusal that names no time, if no other came before it since a call was taken; and the wait after a stray one.
const SHORT: Duration = Duration::from_millis(100);
/// The pause after the next one, doubled while the server keeps asking.
const UNASKED: Duration = Duration::from_secs(1);
/// No pause that we choose ourselves is longer.
const UNASKED_MAX: Duration = Duration::from_secs(60);
/// What is added to a time the server named, doubled while it keeps asking: `Retry-After: 0` must not spin.
const ASKED_EXTRA: Duration = Duration::from_millis(50);

#[derive(Default)]
pub struct Pause(Mutex<State>);

/// What an answer that asked us to slow down led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Paused {
    /// When the pause ends.
    pub until: Instant,
    /// It is nobody's business but the call's own.
    pub is_stray: bool,
    /// It began with this answer; other answers to requests that were under way belong to the same pause.
    pub is_new: bool,
}

#[derive(Default)]
struct State {
    began: Option<Instant>,
    until: Option<Instant>,
    /// Pauses and stray refusals in a row without an accepted answer between them.
    episodes: u32,
    strays: Strays,
}

impl Pause {
    /// Makes everybody wait, after an answer to a request sent at `sent`. `share` in 0.0..1.0 spreads the ends a little.
    pub fn begin(&self, sent: Instant, after: Option<Duration>, share: f64) -> Paused {
        let mut state = self.lock();
        let now = Instant::now();
        let is_new = state.began.is_none_or(|began| sent >= began);
        if is_new && after.is_none() && state.strays.refused() {
            state.episodes += 1;
            return Paused { until: now + SHORT.mul_f64(1.0 + share / 10.0), is_new: false, is_stray: true };
        }
        if is_new {
            state.episodes += 1;
            state.began = Some(now);
        } else if after.is_none() {
            return Paused { until: state.until.unwrap_or(now), is_new, is_stray: false };
        }
        let doubled =
            |time: Duration, times: u32| time.saturating_mul(1 << times.saturating_sub(1).min(16)).min(UNASKED_MAX);
        let wait = match after {
            Some(after) => after + doubled(ASKED_EXTRA, state.episodes).mul_f64(0.5 + share / 2.0),
            None if state.episodes <= 1 => SHORT.mul_f64(1.0 + share / 10.0),
            None => doubled(UNASKED, state.episodes - 1).mul_f64(1.0 + share / 10.0),
        };
        let until = state.until.map_or(now + wait, |until| until.max(now + wait));
        state.until = Some(until);
        Paused { until, is_new, is_stray: false }
    }

    /// Goes on with a pause that an earlier process was asked for.
    pub fn resume(&self, until: Instant) {
        let mut state = self.lock();
        state.began = Some(Instant::now());
        state.until = Some(until);
    }

    /// An answer came that did not ask us to slow down, to a request sent at `sent`.
    pub fn over(&self, sent: Instant) {
        let mut state = self.lock();
        state.strays.taken();
        if state.until.is_none_or(|until| sent >= until) {
            *state = State { strays: state.strays, ..State::default() };
        }
    }

    /// The end of the pause, while it lasts.
    pub fn until(&self) -> Option<Instant> {
        self.lock().until.filter(|until| *until > Instant::now())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn requests_under_way_share_one_pause_and_the_longest_time_asked_wins() {
        let pause = Pause::default();
        assert!(pause.begin(Instant::now(), None, 0.0).is_stray);
        let sent = Instant::now();
        advance(SECOND).await;
        let first = pause.begin(sent, None, 0.0);
        assert_eq!(first, Paused { until: Instant::now() + UNASKED, is_new: true, is_stray: false });
        let same = Paused { is_new: false, ..first };
        assert_eq!(pause.begin(sent, None, 0.0), same, "the same episode does not grow");
        let longer = pause.begin(sent, Some(5 * SECOND), 1.0).until;
        assert_eq!(longer, Instant::now() + 5 * SECOND + 2 * ASKED_EXTRA);
        assert_eq!(pause.begin(sent, Some(SECOND), 0.0).until, longer, "a shorter wish does not shorten it");
        advance(6 * SECOND).await;
        assert_eq!(pause.until(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_while_the_server_keeps_asking_and_an_accepted_answer_ends_that() {
        let pause = Pause::default();
        for expected in [100, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000] {
            let until = pause.begin(Instant::now(), None, 0.0).until;
            assert_eq!((until - Instant::now()).as_millis(), expected);
            advance(until - Instant::now()).await;
        }
        pause.over(Instant::now());
        assert_eq!(pause.begin(Instant::now(), None, 0.0).until - Instant::now(), SHORT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_among_many_calls_that_are_taken_holds_up_nobody_else_and_the_third_in_a_row_everybody() {
        let pause = Pause::default();
        let taken = |count: usize| (0..count).for_each(|_| pause.over(Instant::now()));
        for _ in 0..1_000 {
            taken(99);
            let alone = pause.begin(Instant::now(), None, 0.0);
            assert_eq!((alone.is_stray, alone.until - Instant::now(), pause.until()), (true, SHORT, None));
        }
        taken(99);
        let strays = (0..3).map(|_| pause.begin(Instant::now(), None, 0.0).is_stray);
        assert_eq!(strays.collect::<Vec<_>>(), [true, true, false]);
        assert!(pause.until().is_some());
        let pause = Pause::default();
        (0..100).for_each(|_| pause.over(Instant::now()));
        assert!(!pause.begin(Instant::now(), Some(SECOND), 0.0).is_stray, "it names a time");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_to_a_request_from_before_the_pause_does_not_end_it() {
        let pause = Pause::default();
        let sent = Instant::now();
        pause.begin(sent, Some(5 * SECOND), 0.0);
        pause.over(sent);
        assert!(pause.until().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_retry_after_zero_for_ever_is_asked_less_and_less() {
        let pause = Pause::default();
        let waits: Vec<u128> = (0..4)
            .map(|_| (pause.begin(Instant::now(), Some(Duration::ZERO), 1.0).until - Instant::now()).as_millis())
            .collect();
        assert_eq!(waits, [50, 100, 200, 400]);
    }
}
