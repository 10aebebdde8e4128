//! Writing. A sink borrows a staged batch and answers for every record of it; a retry sends the very same bytes under
//! the same keys.

mod answer;
mod api;
mod jsonl;
mod postgres;
mod redact;
mod request;
mod segments;
mod waves;

pub use api::ApiSink;
pub use jsonl::JsonlSink;
pub use postgres::{PostgresSink, TableConfig};

use crate::{
    model::{BoxFuture, Checkpoint, Fault, Mark, Verdict},
    store::Staged,
};

/// How a sink becomes durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// An API: the batch lives in our outbox from stage to commit.
    Outbox,
    /// A database or a file: it keeps records and checkpoint together, so no copy is needed.
    Atomic,
}

/// Something that can be written to. A sink is used by one run at a time.
pub trait Sink: Send + Sync {
    fn durability(&self) -> Durability;

    /// Makes sink and store agree on where they stand, and returns where to go on: a file is cut back to the checkpoint's
    /// mark, a database returns the checkpoint it holds. An API returns what it is given.
    fn resume(&self, known: Option<Checkpoint>) -> BoxFuture<'_, Result<Option<Checkpoint>, Fault>>;

    /// Writes a batch and returns one verdict per item, in their order. An error means that the whole batch has no
    /// verdict yet: it stays staged, and may be written again. For an atomic sink the batch is durable when `seal`
    /// returns, not before, except that a database may store records and the batch's checkpoint at once.
    fn write<'a>(&'a self, batch: &'a Staged) -> BoxFuture<'a, Result<Vec<Verdict>, Fault>>;

    /// Makes all that was written durable and returns the mark that the next checkpoint must carry. Nothing for sinks
    /// without one.
    fn seal(&self) -> BoxFuture<'_, Result<Option<Mark>, Fault>>;
}
