//! Writing. A sink borrows a staged batch and answers for every record of it; a retry sends the very same bytes under
//! the same keys.

mod answer;
mod api;
mod clear;
mod csv;
mod file_form;
mod files;
mod folder;
mod job;
mod kinds;
mod lookup;
mod matching;
mod mysql;
mod number;
mod postgres;
mod progress;
mod redact;
mod repeat;
mod request;
mod segments;
mod sqlite;
mod waves;
mod whole;

pub use api::ApiSink;
pub use clear::Clear;
pub use csv::rows as csv_rows;
pub use file_form::FileForm;
pub use files::FileSink;
pub use folder::{Folder, look_at_folder};
pub use lookup::covers;
pub use mysql::{MysqlConfig, MysqlSink, Server, look_at_server};
pub use postgres::{Database, PostgresSink, Rights, TableConfig, look_at_database};
pub use sqlite::{SqliteConfig, SqliteSink, look_at_file};
pub use whole::{BucketPlace, Shelf, WholeForm, WholeSink, look_at_bucket};

use std::time::Duration;

use serde_json::Value;

use crate::{
    model::{BoxFuture, Checkpoint, Fault, Mark, Reason, Verdict},
    store::{Item, Sendings, Staged},
};

/// What a write would lead to, as far as it is known before it is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Foreseen {
    Create,
    Update,
    /// Only the sink knows whether it has the record.
    CreateOrUpdate,
    Delete,
    Reject(Reason),
}

/// What may be asked of the sink to foresee a write. Nothing changes by being asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    Nothing,
    /// Where only the sink knows whether the record is to be created.
    WhetherItIsThere,
    /// Also where that is known.
    WhatItHolds,
}

/// What a write would lead to, and what it would change.
#[derive(Clone, PartialEq, Debug)]
pub struct Foresight {
    pub does: Foreseen,
    pub held: Held,
    /// A request left for it.
    pub asked: bool,
}

/// What the sink holds of a record before it is written.
#[derive(Clone, PartialEq, Debug)]
pub enum Held {
    /// It was not asked, or cannot be.
    Unasked,
    /// Both sides, as JSON objects: what would be sent, and what is there.
    Fields {
        sent: Value,
        /// As `sent`, with personal fields protected: where it differs, nothing of the field may be shown.
        protected: Value,
        there: Value,
    },
    /// It has no such record.
    Gone,
    /// It was asked, and this is why it did not tell.
    Unreadable(Reason),
}

impl From<Foreseen> for Foresight {
    fn from(does: Foreseen) -> Self {
        Self { does, held: Held::Unasked, asked: false }
    }
}

/// How a sink becomes durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// An API: the batch lives in our outbox from stage to commit.
    Outbox,
    /// A database: rows and checkpoint move in one transaction, so no copy is needed.
    Transaction,
    /// A file: its length is part of the checkpoint, and what lies behind it is cut off. No copy is needed either.
    Mark,
}

/// How much a sink makes durable at once, if it can choose. The first bound that is reached counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Worth {
    pub records: u64,
    /// Of records as they were read, as far as they are still held.
    pub bytes: u64,
    /// How long what could be durable waits for more.
    pub patience: Duration,
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

    /// Takes what left for the items of a batch since its writing began. Nothing for sinks that send no requests.
    fn sent(&self, _batch: u64) -> Sendings {
        Sendings::new()
    }

    /// How many records leave in one request at the most: fewer wait for more of them, for a while. One: each travels alone.
    fn records_per_write(&self) -> usize {
        1
    }

    /// Makes all that was written durable and returns the mark that the next checkpoint must carry. Nothing for sinks
    /// without one.
    fn seal(&self) -> BoxFuture<'_, Result<Option<Mark>, Fault>>;

    /// What is worth making durable at once, where each time costs more than a sync. Nothing: a sync is all it costs.
    fn worth(&self) -> Option<Worth> {
        None
    }

    /// As much was written since the last seal as should be made durable at once, by the sink's own measure.
    fn is_full(&self) -> bool {
        false
    }

    /// What writing an item would lead to. Nothing is written; the sink may be asked as much as `_ask` says.
    fn foresee<'a>(&'a self, _item: &'a Item, _ask: Ask) -> BoxFuture<'a, Result<Foresight, Fault>> {
        Box::pin(async { Ok(Foreseen::CreateOrUpdate.into()) })
    }
}
