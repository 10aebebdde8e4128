//! Numbers that are kept up to date for whoever shows them: of a pipeline, since the process began.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{slo::Vitals, slow_down::SlowDown};
use crate::model::Counts;

#[derive(Default, Debug)]
pub struct Progress {
    read: AtomicU64,
    pages: AtomicU64,
    /// In the order of [`Progress::settled`].
    settled: [AtomicU64; 7],
    /// What its objectives are held to.
    pub vitals: Vitals,
    /// How much it rests between its reads and writes.
    pub slow_down: SlowDown,
}

impl Progress {
    pub fn page(&self, records: u64) {
        self.pages.fetch_add(1, Relaxed);
        self.read.fetch_add(records, Relaxed);
    }

    /// Takes the verdicts of a commit.
    pub fn settle(&self, counts: &Counts) {
        let Counts { created, updated, unchanged, deleted, skipped, rejected, parked, .. } = *counts;
        let verdicts = [created, updated, unchanged, deleted, skipped, rejected, parked];
        for (sum, more) in self.settled.iter().zip(verdicts) {
            sum.fetch_add(more, Relaxed);
        }
    }

    /// Records read, those resumed from the outbox not included.
    pub fn records_read(&self) -> u64 {
        self.read.load(Relaxed)
    }

    /// Records with a committed verdict.
    pub fn records_settled(&self) -> u64 {
        self.settled().iter().map(|(_, count)| count).sum()
    }

    /// Records with a committed verdict, by verdict.
    pub fn settled(&self) -> [(&'static str, u64); 7] {
        let names = ["created", "updated", "unchanged", "deleted", "skipped", "rejected", "parked"];
        std::array::from_fn(|at| (names[at], self.settled[at].load(Relaxed)))
    }

    pub fn pages_read(&self) -> u64 {
        self.pages.load(Relaxed)
    }
}
