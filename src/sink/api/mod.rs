//! Writes batches to an API: which operation an item takes, what leaves at the same time, and the verdicts in the order of the
//! items. What happens to one item is decided in `../repeat.rs` and done in `deliver.rs`; one request is sent in `send.rs` by way
//! of `exchange.rs`; what an answer leads to is decided in `meaning.rs`, and what it says of each record is read in
//! `../answer.rs`.
//!
//! The hard idea: two items of one name are never under way together, so a batch goes in waves (`../waves.rs`), and after a
//! fault nothing further leaves while everything that left is heard out.

mod deliver;
mod exchange;
mod foresee;
mod meaning;
mod send;
mod trail;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};

use self::{deliver::Way, trail::Trail};
use super::{
    Ask, Durability, Foresight, Sink,
    clear::{Clear, Opened, held_back},
    repeat::Left,
    request::Ready,
    waves::waves,
};
use crate::{
    config::plan::{Api, Changed, Deletes, Makes, Operation},
    http::Client,
    model::{Blame, BoxFuture, Checkpoint, Clock, Code, Fault, Mark, Reason, Verdict},
    store::{Deed, Item, Journal, Noted, Sendings, Staged},
};

/// One operation of one connection, with the one that is sent for records that changed after they were created.
pub struct ApiSink {
    api: Arc<Api>,
    operation: Arc<Operation>,
    changed: Changed,
    /// What is sent for records that are gone at the source.
    deletes: Option<Arc<Deletes>>,
    client: Client,
    clock: Arc<dyn Clock>,
    journal: Journal,
    clear: Clear,
    /// Whatever an earlier process sent, it sent before this.
    since: DateTime<Utc>,
    trail: Trail,
}

/// A verdict with its item's place in the batch.
type Placed = (usize, Verdict);

/// A batch on its way.
struct Trip<'a> {
    batch: &'a Staged,
    /// Its items as they are sent.
    opened: Opened<'a>,
    /// A fault was met: nothing further leaves.
    failed: AtomicBool,
}

impl Sink for ApiSink {
    fn durability(&self) -> Durability {
        Durability::Outbox
    }

    fn resume(&self, known: Option<Checkpoint>) -> BoxFuture<'_, Result<Option<Checkpoint>, Fault>> {
        Box::pin(async move { Ok(known) })
    }

    fn write<'a>(&'a self, batch: &'a Staged) -> BoxFuture<'a, Result<Vec<Verdict>, Fault>> {
        Box::pin(self.write_batch(batch))
    }

    fn sent(&self, batch: u64) -> Sendings {
        self.trail.take(batch)
    }

    fn records_per_write(&self) -> usize {
        let changed = match &self.changed {
            Changed::Operation(operation) => Some(operation),
            Changed::Same | Changed::Skip => None,
        };
        let deletes = self.deletes.as_ref().map(|deletes| &deletes.operation);
        let batches =
            [Some(&self.operation), changed, deletes].into_iter().flatten().filter_map(|of| of.batch.as_ref());
        batches.map(|batch| batch.size).max().unwrap_or(1)
    }

    fn seal(&self) -> BoxFuture<'_, Result<Option<Mark>, Fault>> {
        Box::pin(async { Ok(None) })
    }

    fn foresee<'a>(&'a self, item: &'a Item, ask: Ask) -> BoxFuture<'a, Result<Foresight, Fault>> {
        Box::pin(self.foreseen(item, ask))
    }
}

impl ApiSink {
    /// A sink for one run. `journal` is that of the stream whose batches it writes.
    pub fn new(
        api: Arc<Api>,
        operation: Arc<Operation>,
        changed: Changed,
        client: Client,
        clock: Arc<dyn Clock>,
        journal: Journal,
    ) -> Self {
        let since = clock.now();
        let (clear, trail) = (Clear::default(), Trail::default());
        Self { api, operation, changed, deletes: None, client, clock, journal, clear, since, trail }
    }

    pub fn with_deletes(self, deletes: Option<Arc<Deletes>>) -> Self {
        Self { deletes, ..self }
    }

    /// The same, with some personal fields in the clear.
    pub fn clear(self, clear: Clear) -> Self {
        Self { clear, ..self }
    }

    async fn write_batch(&self, batch: &Staged) -> Result<Vec<Verdict>, Fault> {
        // Of an earlier attempt at it.
        self.trail.take(batch.seq());
        let trip = Trip { batch, opened: self.clear.open(batch.items()), failed: AtomicBool::new(false) };
        let items = trip.opened.items();
        let mut verdicts: Vec<Option<Verdict>> = vec![None; items.len()];
        for wave in waves(items.iter().map(|item| (item.key.as_str(), item.sink_key().as_str()))) {
            for (at, verdict) in self.write_wave(&trip, &wave).await? {
                verdicts[at] = Some(verdict);
            }
        }
        let all: Option<Vec<Verdict>> = verdicts.into_iter().collect();
        all.ok_or_else(|| {
            Fault::halt(Code::Bug, Blame::Bug, "an item of a batch was sent nowhere")
                .help("Nothing is lost: the batch stays staged. This is a mistake in renkei; please report it.")
        })
    }

    async fn write_wave(&self, trip: &Trip<'_>, wave: &[usize]) -> Result<Vec<Placed>, Fault> {
        let mut done = Vec::with_capacity(wave.len());
        let mut ways: Vec<BoxFuture<'_, Result<Vec<Placed>, Fault>>> = Vec::new();
        let mut together: Vec<(&Operation, Vec<Ready<'_>>)> = Vec::new();
        for &at in wave {
            let item = &trip.opened.items()[at];
            let operation = self.operation_for(item);
            let is_single = operation.batch.is_none();
            match self.decided(trip, operation, at, item) {
                Some(verdict) => done.push((at, verdict)),
                None if is_single => {
                    let way = Way::new(operation, at, item, self.known(trip.batch, operation, at, item));
                    ways.push(Box::pin(self.unless_failed(trip, self.deliver(trip, way))));
                }
                None => match Ready::new(&self.api, operation, at, item) {
                    Ok(ready) => match together.iter_mut().find(|(of, _)| of.name == operation.name) {
                        Some((_, ready_of)) => ready_of.push(ready),
                        None => together.push((operation, vec![ready])),
                    },
                    Err(reason) => done.push((at, Verdict::Rejected(reason))),
                },
            }
        }
        for (operation, part) in
            together.into_iter().flat_map(|(operation, ready)| send::parts(trip.batch, operation, ready))
        {
            ways.push(Box::pin(self.unless_failed(trip, self.deliver_part(trip, operation, part))));
        }
        // After a fault no further request leaves, but those under way are heard out: a request that is hung up on may
        // still be running at the server when it is sent again.
        let places = self.api.budget.concurrency.max(1) as usize;
        let answered: Vec<Result<Vec<Placed>, Fault>> = stream::iter(ways).buffer_unordered(places).collect().await;
        for placed in answered {
            done.extend(placed?);
        }
        Ok(done)
    }

    fn operation_for(&self, item: &Item) -> &Operation {
        if let (Deed::Delete, Some(deletes)) = (item.deed, &self.deletes) {
            return &deletes.operation;
        }
        match (&self.changed, item.generation) {
            (Changed::Operation(operation), 1..)
                if item.deed == Deed::Write && (item.sink_id.is_some() || self.operation.look_up().is_none()) =>
            {
                operation
            }
            _ => &self.operation,
        }
    }

    /// The verdict of an item that needs no request any more, or must not be sent.
    fn decided(&self, trip: &Trip<'_>, operation: &Operation, at: usize, item: &Item) -> Option<Verdict> {
        let batch = trip.batch;
        if let Some(Noted::Answered(verdict)) = batch.noted(at) {
            return Some(verdict.clone());
        }
        if let Some(reason) = trip.opened.held(at) {
            let is_safe = operation.outlives_doubt() || self.known(batch, operation, at, item).left == Left::No;
            let doubt = || format!("an earlier attempt may have taken effect, and {}", reason.message);
            return Some(match is_safe {
                true => held_back(reason.clone()),
                false => Verdict::Parked(Reason::new(Code::Uncertain, doubt())),
            });
        }
        if self.is_changed_create(operation, item) {
            let message = "it was created before and has changed since, and the operation only creates";
            return Some(Verdict::Rejected(Reason::new(Code::ChangedCreate, message)));
        }
        let by_id = self.deletes.as_ref().is_some_and(|deletes| deletes.by_id);
        if item.deed == Deed::Delete && by_id && item.sink_id.is_none() {
            let message = "it is gone at the source and may exist at the sink, under an id that is not known";
            return Some(Verdict::Parked(Reason::new(Code::Uncertain, message)));
        }
        match operation.batch.is_some() {
            true => self.held_back(operation, &self.known(batch, operation, at, item)),
            false => None,
        }
    }

    /// It was created before, and nothing can change it.
    fn is_changed_create(&self, operation: &Operation, item: &Item) -> bool {
        let changes_nothing = matches!(self.changed, Changed::Same) && operation.look_up().is_none();
        let is_there = item.generation > 0 && item.deed == Deed::Write;
        operation.makes == Makes::Create && is_there && changes_nothing
    }

    async fn unless_failed(
        &self,
        trip: &Trip<'_>,
        way: impl Future<Output = Result<Vec<Placed>, Fault>>,
    ) -> Result<Vec<Placed>, Fault> {
        if trip.failed() {
            return Ok(Vec::new());
        }
        let placed = way.await;
        if placed.is_err() {
            trip.failed.store(true, Ordering::Relaxed);
        }
        placed
    }
}

impl Trip<'_> {
    fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}
