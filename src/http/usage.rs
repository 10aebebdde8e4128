//! What a connection's requests cost so far. Runs record it, and the progress line shows it.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Counts since the client was made.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Usage {
    /// Attempts sent, retries included.
    pub requests: u64,
    pub retries: u64,
    /// Answers that asked us to slow down.
    pub throttled: u64,
    /// Time calls spent waiting for quota, added up over all calls.
    pub waited: Duration,
}

#[derive(Default)]
pub struct Meter {
    requests: AtomicU64,
    retries: AtomicU64,
    throttled: AtomicU64,
    waited_ms: AtomicU64,
}

impl Meter {
    pub fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub fn retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub fn throttled(&self) {
        self.throttled.fetch_add(1, Relaxed);
    }

    pub fn waited(&self, time: Duration) {
        self.waited_ms.fetch_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    pub fn snapshot(&self) -> Usage {
        Usage {
            requests: self.requests.load(Relaxed),
            retries: self.retries.load(Relaxed),
            throttled: self.throttled.load(Relaxed),
            waited: Duration::from_millis(self.waited_ms.load(Relaxed)),
        }
    }
}
