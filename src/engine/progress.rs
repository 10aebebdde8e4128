//! Numbers that a run keeps up to date for whoever shows them.

use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Default, Debug)]
pub struct Progress {
    read: AtomicU64,
    settled: AtomicU64,
    pages: AtomicU64,
}

impl Progress {
    pub fn page(&self, records: u64) {
        self.pages.fetch_add(1, Ordering::Relaxed);
        self.read.fetch_add(records, Ordering::Relaxed);
    }

    pub fn settle(&self, records: u64) {
        self.settled.fetch_add(records, Ordering::Relaxed);
    }

    /// Records read, those resumed from the outbox not included.
    pub fn records_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Records with a committed verdict.
    pub fn records_settled(&self) -> u64 {
        self.settled.load(Ordering::Relaxed)
    }

    pub fn pages_read(&self) -> u64 {
        self.pages.load(Ordering::Relaxed)
    }
}
