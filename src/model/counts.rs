//! What a run did, in records and requests. The sums are a promise: see [`Counts::balance`].

use serde::{Deserialize, Serialize};

use super::Verdict;

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Counts {
    /// Records read from the source and durably taken over by this run.
    pub read: u64,
    /// Records that an earlier run had staged and left without a verdict.
    pub resumed: u64,
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub deleted: u64,
    pub skipped: u64,
    pub rejected: u64,
    pub parked: u64,
}

impl Counts {
    pub fn add(&mut self, verdict: &Verdict) {
        let slot = match verdict {
            Verdict::Created(_) => &mut self.created,
            Verdict::Updated(_) => &mut self.updated,
            Verdict::Unchanged => &mut self.unchanged,
            Verdict::Deleted => &mut self.deleted,
            Verdict::Skipped => &mut self.skipped,
            Verdict::Rejected(_) => &mut self.rejected,
            Verdict::Parked(_) => &mut self.parked,
        };
        *slot += 1;
    }

    /// Adds another count's numbers.
    pub fn merge(&mut self, more: &Self) {
        self.read += more.read;
        self.resumed += more.resumed;
        self.created += more.created;
        self.updated += more.updated;
        self.unchanged += more.unchanged;
        self.deleted += more.deleted;
        self.skipped += more.skipped;
        self.rejected += more.rejected;
        self.parked += more.parked;
    }

    /// Records that got a verdict in this run.
    pub fn verdicts(&self) -> u64 {
        self.created + self.updated + self.unchanged + self.deleted + self.skipped + self.rejected + self.parked
    }

    /// Records taken over and still without a verdict. They are staged in the outbox, and the next run resumes them.
    pub fn balance(&self) -> i64 {
        (self.read + self.resumed) as i64 - self.verdicts() as i64
    }

    /// Verdicts that left a dead letter.
    pub fn dead_letters(&self) -> u64 {
        self.rejected + self.parked
    }
}
