//! Now, on both clocks. Waits are counted on tokio's, which tests pause and nobody sets back; what outlives the process is
//! kept in time of day. The distance between the two is taken once, when the process begins, so a clock that is set while
//! we run moves no limit.

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
}

impl Clocks {
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { began: Instant::now(), began_ms: now.timestamp_millis() }
    }

    pub fn now(&self) -> Moment {
        let at = Instant::now();
        let passed = i64::try_from((at - self.began).as_millis()).unwrap_or(i64::MAX);
        Moment { at, unix_ms: self.began_ms.saturating_add(passed) }
    }
}

impl Moment {
    /// The same instant on the clock that waits are counted on; now, if it passed.
    pub fn instant(&self, unix_ms: i64) -> Instant {
        let ahead = u64::try_from(unix_ms.saturating_sub(self.unix_ms)).unwrap_or(0);
        // An instant too far to be told is as good as never; callers compare it with their patience.
        self.at.checked_add(std::time::Duration::from_millis(ahead)).unwrap_or(self.at + FAR)
    }

    /// The same instant as time of day.
    pub fn unix_ms_of(&self, at: Instant) -> i64 {
        let ahead = i64::try_from(at.saturating_duration_since(self.at).as_millis()).unwrap_or(i64::MAX);
        let behind = i64::try_from(self.at.saturating_duration_since(at).as_millis()).unwrap_or(i64::MAX);
        self.unix_ms.saturating_add(ahead).saturating_sub(behind)
    }
}

const FAR: std::time::Duration = std::time::Duration::from_secs(86_400 * 365);
