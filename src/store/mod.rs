//! Everything durable. A commit is all or nothing, and durable when it resolves: power may fail the moment after.
//!
//! Keys and values are bytes here; what they mean is the typed layer's business. Two implementations pass one contract
//! suite: [`Memory`], which loses power on demand, and `RedbStore`, which wraps the embedded database in the rules that
//! make it keep this promise.

mod answers;
pub mod audit;
mod batch;
#[cfg(test)]
mod contract;
mod error;
mod expected;
mod files;
mod history;
mod history_rows;
mod intake;
mod journal;
mod ledger;
mod letters;
mod link;
mod memory;
mod naming;
mod open;
mod records;
mod redb;
mod schedules;
mod seal;
mod seen;
mod slices;
mod standing;
mod state;
mod trace;
mod worker;

pub use answers::{AnswerName, Answered, Remembered};
pub use batch::{Batch, Deed, Doubt, Item, Settled, Staged};
pub use error::Error;
pub use history::{About, Asks, HistoryRule, Hop, Passed, Sending, Sendings, Why};
pub use intake::{Accepted, Accepting, Pushed, Standing, Told, Waiting};
pub use journal::{Journal, Noted};
pub use ledger::Imported;
pub use link::{Keeps, Link};
pub use memory::{Memory, PowerLoss, Snapshot};
pub use naming::{Named, Naming};
pub use open::Retention;
pub use records::{DeadLetter, Run, RunFault, RunState, StreamId};
pub use redb::{RedbOptions, RedbStore};
pub use schedules::{Backfill, PausedBy, Scheduled, Wait};
pub use seal::{Seal, SealKey};
pub use seen::{NAMELESS, Shown, Unseen, UnseenPage};
pub use slices::SliceCursors;
pub use standing::StagedNow;
pub use state::State;
pub use trace::{Cause, Pass, Trace};

use crate::model::BoxFuture;

/// A named, ordered map of keys to values. All of them live in one store, and one commit may touch several.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Tree {
    Checkpoints,
    Outbox,
    Links,
    DeadLetters,
    Runs,
    Tokens,
    /// Intents and outcomes of writes that must not be sent twice.
    Journal,
    /// Which dead letters there are, by record.
    OpenLetters,
    /// What a whole listing has shown so far.
    Seen,
    /// What became of records, batch by batch.
    History,
    /// Cursors of slices.
    Slices,
    /// Where schedules and backfills stand.
    Schedules,
    /// Records that were pushed, and what became of them.
    Intake,
    /// What callers were answered, by the key that they gave.
    Answers,
    Meta,
}

impl Tree {
    pub const ALL: [Tree; 15] = [
        Tree::Checkpoints,
        Tree::Outbox,
        Tree::Links,
        Tree::DeadLetters,
        Tree::Runs,
        Tree::Tokens,
        Tree::Journal,
        Tree::OpenLetters,
        Tree::Seen,
        Tree::History,
        Tree::Slices,
        Tree::Schedules,
        Tree::Intake,
        Tree::Answers,
        Tree::Meta,
    ];

    /// The tree's name on disk. It never changes its meaning.
    pub fn name(self) -> &'static str {
        match self {
            Tree::Checkpoints => "checkpoints",
            Tree::Outbox => "outbox",
            Tree::Links => "links",
            Tree::DeadLetters => "dead_letters",
            Tree::Runs => "runs",
            Tree::Tokens => "tokens",
            Tree::Meta => "meta",
            Tree::Journal => "journal",
            Tree::OpenLetters => "open_letters",
            Tree::Seen => "seen",
            Tree::History => "history",
            Tree::Slices => "slices",
            Tree::Schedules => "schedules",
            Tree::Intake => "intake",
            Tree::Answers => "answers",
        }
    }
}

/// One change of a commit. Within one commit a later change of the same key wins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    Put { tree: Tree, key: Vec<u8>, value: Vec<u8> },
    Delete { tree: Tree, key: Vec<u8> },
}

/// Keys are short, because a database keeps many of them in one page; a long name goes in as its hash.
pub const KEY_BYTES_MAX: usize = 256;
/// All keys and values of one commit together.
pub const COMMIT_BYTES_MAX: usize = 64 << 20;

/// Refuses what no store has to take; otherwise the size of the commit.
fn check_sizes(ops: &[Op]) -> Result<usize, Error> {
    let mut bytes = 0;
    for op in ops {
        let (key, value) = match op {
            Op::Put { key, value, .. } => (key, value.len()),
            Op::Delete { key, .. } => (key, 0),
        };
        if key.len() > KEY_BYTES_MAX {
            return Err(Error::TooLarge { what: "key", bytes: key.len(), bytes_max: KEY_BYTES_MAX });
        }
        bytes += key.len() + value;
    }
    if bytes > COMMIT_BYTES_MAX {
        return Err(Error::TooLarge { what: "commit", bytes, bytes_max: COMMIT_BYTES_MAX });
    }
    Ok(bytes)
}

/// Keys with their values, in key order.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Keeps what must survive a crash. No reader ever sees half a commit.
///
/// A commit that is refused for its size or for the disk budget changes nothing, and the handle goes on. Any other error
/// ends the handle: what follows is [`Error::Closed`], because after a failed write nobody knows what a reader would
/// see. Opening again is the way on.
pub trait StateStore: Send + Sync {
    /// Applies all changes or none; durable when it resolves, with the number of the commit. Commits take effect in the
    /// order of their calls. The call itself sets the commit going: dropping the future does not take it back.
    fn commit(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<u64, Error>>;

    /// As `commit`, for what nobody waits for: it takes its place among the commits, every later read sees it, and it is
    /// durable with whatever is asked for next, or a moment later by itself. It is lost only together with all that came after.
    fn commit_soon(&self, ops: Vec<Op>) -> Result<(), Error>;

    fn get<'a>(&'a self, tree: Tree, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>>;

    /// The values of several keys, in the order of the keys, all as of one moment between two commits.
    fn get_many(&self, tree: Tree, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>, Error>>;

    /// Entries whose key begins with `prefix`, in key order, at most `limit`, strictly after `after`.
    fn scan<'a>(
        &'a self,
        tree: Tree,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Entries, Error>>;
}
