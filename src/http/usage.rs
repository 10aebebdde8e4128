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
    /// How long the quota held the connection back. Calls that wait side by side count once.
    pub waited: Duration,
}

#[derive(Default)]
pub struct Meter {
    requests: AtomicU64,
    retries: AtomicU64,
    throttled: AtomicU64,
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

    /// The counts, with what the budget says about waiting.
    pub fn usage(&self, waited: Duration) -> Usage {
        Usage {
            requests: self.requests.load(Relaxed),
            retries: self.retries.load(Relaxed),
            throttled: self.throttled.load(Relaxed),
            waited,
        }
    }
}
