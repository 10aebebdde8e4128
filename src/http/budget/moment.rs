//! Now, on both clocks. Waits are counted on tokio's, which tests pause and nobody sets back; what outlives the process is
//! kept in time of day. The distance between the two is taken once, when the process begins, so a clock that is set while
//! we run moves no limit.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

/// The distance between the two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    began: Instant,
    began_ms: i64,
}

/// One moment, on both.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub at: Instant,
    pub unix_ms: i64,
    clocks: Clocks,
}

impl Clocks {
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { began: Instant::now(), began_ms: now.timestamp_millis() }
    }

    pub fn now(&self) -> Moment {
        let at = Instant::now();
        let passed = i64::try_from((at - self.began).as_millis()).unwrap_or(i64::MAX);
        Moment { at, unix_ms: self.began_ms.saturating_add(passed), clocks: *self }
    }
}

impl Moment {
    /// The same instant on the clock that waits are counted on; now, if it passed. Whenever it is asked for, an instant
    /// that lies ahead is the same one, to the nanosecond.
    pub fn instant(&self, unix_ms: i64) -> Instant {
        let since = u64::try_from(unix_ms.saturating_sub(self.clocks.began_ms)).unwrap_or(0);
        // An instant too far to be told is as good as never; callers compare it with their patience.
        let at = self.clocks.began.checked_add(Duration::from_millis(since)).unwrap_or(self.at + FAR);
        at.max(self.at)
    }

    /// The same instant as time of day.
    pub fn unix_ms_of(&self, at: Instant) -> i64 {
        let since = i64::try_from(at.saturating_duration_since(self.clocks.began).as_millis()).unwrap_or(i64::MAX);
        self.clocks.began_ms.saturating_add(since)
    }
}

const FAR: Duration = Duration::from_secs(86_400 * 365);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn an_instant_ahead_is_the_same_one_whenever_it_is_asked_for() {
        let clocks = Clocks::new(DateTime::UNIX_EPOCH);
        let ahead = clocks.now().instant(5);
        for _ in 0..12 {
            advance(Duration::from_micros(333)).await;
            let now = clocks.now();
            assert_eq!(
                (now.instant(5), now.unix_ms_of(ahead)),
                (ahead, 5),
                "or who waits for it would be woken for nothing"
            );
        }
        advance(Duration::from_millis(9)).await;
        let now = clocks.now();
        assert_eq!((now.instant(5), now.instant(-7)), (now.at, now.at));
        assert!(now.instant(i64::MAX) > now.at);
    }
}
