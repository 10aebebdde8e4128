//! The time of day is a seam. Timers are tokio's, which tests pause; only the wall clock needs a trait.

use chrono::{DateTime, Utc};

/// Tells the time of day. Waiting is `tokio::time`, so a paused runtime drives both.
pub trait Clock: Send + Sync {
    fn now(&self) -> DateTime<Utc>;
}

/// The machine's clock.
#[derive(Clone, Copy, Default, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
        Utc::now()
    }
}
