//! The time of a case: it begins when the case says, and passes only while all that is played waits.

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use crate::model::Clock;

/// A clock that is driven by the runtime's.
pub struct CaseClock {
    start: DateTime<Utc>,
    began: Instant,
}

impl CaseClock {
    pub fn new(start: DateTime<Utc>) -> Self {
        Self { start, began: Instant::now() }
    }
}

impl Clock for CaseClock {
    fn now(&self) -> DateTime<Utc> {
        self.start + TimeDelta::from_std(self.began.elapsed()).unwrap_or_default()
    }
}

/// Runs something on a runtime of its own whose time stands still while anything can go on. The error is the system's, which gives
/// no runtime.
pub fn standing_still<T>(what: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(what))
}
