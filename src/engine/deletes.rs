//! What a route does about records that are gone at the source: which listings tell of them, what is sent for each, and how
//! many are too many.
//!
//! | told by | read | while |
//! |---|---|---|
//! | a flag in the record | with the stream itself | the record is read |
//! | tombstones | after the stream, with a cursor of their own | each run |
//! | a sweep | a whole listing, then the links that it did not show | the stream is listed whole, or the time has come |
//!
//! Whatever tells, a deletion is a write like any other: compared with its link, staged, sent under its name, and the link stays
//! behind as gone. The hard idea is the brake. A run cannot know beforehand how many tombstones it will meet, so the brake
//! stays on once it was touched: else each run of a schedule would delete its share.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::OnceCell;

use crate::{
    config::plan,
    model::{Blame, Code, Disposition, Fault, Path},
    source::Source,
    store::{State, StreamId},
    transform::Mapping,
};

/// Up to here the share of the brake does not count: of five records one is a fifth.
const FREE: u64 = 10;

/// How deletions reach a route, and what they become.
pub struct Deletes {
    /// Names the operation that is sent.
    pub operation: String,
    pub mapping: Mapping,
    pub brake: plan::Brake,
    pub tombstones: Option<Box<dyn Source>>,
    pub sweep: Option<Sweep>,
}

/// The listing that shows everything that exists.
pub struct Sweep {
    /// Nothing: the route's own stream.
    pub listing: Option<Box<dyn Source>>,
    pub every: chrono::TimeDelta,
    /// The fields of the stream's key, from which a missing record's tombstone is made.
    pub key: Vec<Path>,
}

/// Whether a run may delete one more record.
pub struct Brake<'a> {
    pub state: &'a State,
    pub stream: &'a StreamId,
    pub rule: plan::Brake,
    /// A person allowed this many for this run.
    pub allowed: Option<u64>,
    /// An earlier run was stopped by it.
    pub braked: bool,
    begun: AtomicU64,
    live: OnceCell<u64>,
}

impl<'a> Brake<'a> {
    pub fn new(state: &'a State, stream: &'a StreamId, rule: plan::Brake) -> Self {
        let (begun, live) = (AtomicU64::new(0), OnceCell::new());
        Self { state, stream, rule, allowed: None, braked: false, begun, live }
    }

    /// Takes one deletion more, or says that it is one too many.
    pub async fn take(&self) -> Result<(), Fault> {
        let wanted = self.begun.load(Relaxed) + 1;
        self.allows(wanted, false).await?;
        self.begun.store(wanted, Relaxed);
        Ok(())
    }

    /// Says whether so many deletions more, and no others, would be too many.
    pub async fn check(&self, more: u64) -> Result<(), Fault> {
        self.allows(self.begun.load(Relaxed) + more, true).await
    }

    async fn allows(&self, wanted: u64, exactly: bool) -> Result<(), Fault> {
        let live = self.live().await?;
        match wanted <= limit(self.rule, self.allowed, self.braked, live) {
            true => Ok(()),
            false => Err(braked(self.stream, wanted, exactly, live)),
        }
    }

    /// How many records the sink held when the first deletion came.
    async fn live(&self) -> Result<u64, Fault> {
        self.live.get_or_try_init(|| self.state.live_links(self.stream)).await.copied()
    }
}

/// How many records one run may delete.
fn limit(rule: plan::Brake, allowed: Option<u64>, braked: bool, live: u64) -> u64 {
    match allowed {
        Some(allowed) => allowed,
        None if braked => 0,
        None => rule.max.min(FREE.max((rule.share * live as f64) as u64)),
    }
}

fn braked(stream: &StreamId, wanted: u64, exactly: bool, live: u64) -> Fault {
    let StreamId { pipeline, .. } = stream;
    let at_least = if exactly { "" } else { "at least " };
    let message = format!("{at_least}{wanted} of {live} records would be deleted, more than the pipeline allows");
    Fault::halt(Code::DeletesBraked, Blame::Record, message).with(Disposition::Park).help(format!(
        "These records stay, here and at the sink, and nothing of them is lost. No run of {pipeline} deletes anything until this is \
         decided. Look what would go with renkei plan {pipeline}. If it is right, allow it once: renkei run {pipeline} --allow-deletes \
         {wanted}{}. If it is always right, raise `share` or `max` under `deletes` of the pipeline.",
        if exactly { "" } else { ", or more" }
    ))
}

/// The listing of a sweep that tells nothing about what is gone.
pub fn untold(stream: &StreamId, why: &str) -> Fault {
    Fault::halt(Code::SweepUntold, Blame::Remote, format!("the sweep of {stream} deleted nothing: {why}"))
        .with(Disposition::Park)
        .help(
            "What was read is delivered, and nothing was deleted. Look at the listing at the source and run again. Where records have \
             no key, see renkei dead-letters list.",
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_may_delete_a_share_of_what_is_there_and_a_few_in_any_case() {
        let rule = plan::Brake { share: 0.1, max: 1_000 };
        assert_eq!([0, 50, 150, 50_000].map(|live| limit(rule, None, false, live)), [10, 10, 15, 1_000]);
        assert_eq!(limit(plan::Brake { share: 0.1, max: 3 }, None, false, 50), 3);
    }

    #[test]
    fn once_braked_nothing_goes_until_a_person_allows_a_number() {
        let rule = plan::Brake { share: 1.0, max: 1_000 };
        assert_eq!(limit(rule, None, true, 50), 0);
        assert_eq!(limit(rule, Some(7), true, 50), 7);
    }
}
