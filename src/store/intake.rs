//! Records that were pushed here: durable from the moment they are accepted until their verdict is, and their verdicts for as long
//! as somebody may ask.
//!
//! One row per record, under the number of its slip. A row waits; the pipeline reads waiting rows as a stream whose cursor is that
//! number; and the very commit that gives a record its verdict puts the verdict in the place of the row. So there is no moment at
//! which an accepted record is neither waiting nor staged nor answered for.
//!
//! The hard idea is the order. Numbers are given out by one caller of [`State::accept`] at a time, in the order of its commits, so
//! whoever has read number n has read, or will never see, everything below it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::{Notify, oneshot};

use super::{
    Op, State, Tree,
    answers::{AnswerName, Remembered},
    batch::{Batch, Settled, fields, raw},
    records::StreamId,
    state::{SCAN_LIMIT, not_json},
};
use crate::model::{Fault, Fields, Key, Overlap, Record, Slip, Verdict, Version};

/// What became of a record that was pushed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Told {
    pub slip: Slip,
    pub verdict: Verdict,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink_id: Option<String>,
}

/// A record that is to be accepted, with its personal fields protected.
#[derive(Clone, Debug)]
pub struct Pushed {
    pub key: Key,
    pub version: Option<Version>,
    pub gone: bool,
    pub fields: Fields,
}

/// Records that one request brought.
#[derive(Debug)]
pub struct Accepting {
    pub stream: StreamId,
    pub records: Vec<Pushed>,
    /// Chance for their slips.
    pub tag: u32,
    /// What is remembered of the request under its key.
    pub remember: Option<(AnswerName, Remembered)>,
    /// The span of the request, as a `traceparent`, where it is collected.
    pub origin: Option<String>,
}

/// A record that is durable here, and where its verdict comes.
#[derive(Debug)]
pub struct Accepted {
    pub slip: Slip,
    pub verdict: oneshot::Receiver<Told>,
}

/// Where a record stands that was pushed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    Waits,
    Ended(Told),
}

/// Records that wait, in their order.
#[derive(Debug, Default)]
pub struct Waiting {
    pub records: Vec<Record>,
    /// Everything up to this number was looked at.
    pub up_to: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Row {
    Waiting(RowPushed),
    Ended { at: DateTime<Utc>, told: Told },
}

#[derive(Serialize, Deserialize)]
struct RowPushed {
    tag: u32,
    key: Key,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<Version>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    gone: bool,
    /// The span of the request that brought it. Rows of before there were spans have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    fields: Box<RawValue>,
}

impl RowPushed {
    fn record(self, number: u64) -> Record {
        let (slip, fields) = (Some(Slip::new(number, self.tag)), fields(self.fields));
        let Self { key, version, gone, .. } = self;
        Record { key, version, overlap: Overlap::default(), gone, fields, slip }
    }
}

/// What is in memory of all streams that records are pushed to.
#[derive(Default)]
pub(super) struct Intake(Mutex<BTreeMap<StreamId, Board>>);

#[derive(Default)]
struct Board {
    next: u64,
    waiting: usize,
    /// Who waits for which number.
    asked: BTreeMap<u64, oneshot::Sender<Told>>,
    came: Arc<Notify>,
    /// Delivery met a fault or was too slow, and nothing was told since.
    is_stuck: bool,
}

impl Intake {
    fn boards(&self) -> MutexGuard<'_, BTreeMap<StreamId, Board>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who wait for verdicts that are durable now.
    pub fn tell(&self, stream: &StreamId, told: Vec<Told>) {
        if told.is_empty() {
            return;
        }
        if let Some(board) = self.boards().get_mut(stream) {
            board.waiting = board.waiting.saturating_sub(told.len());
            board.is_stuck = false;
            for one in told {
                if let Some(asked) = board.asked.remove(&one.slip.number()) {
                    // Whoever asked may have gone.
                    asked.send(one).ok();
                }
            }
        }
    }
}

impl Batch {
    /// Notes the verdict of a record that is decided, for whoever pushed it.
    pub fn tell(&mut self, slip: Option<Slip>, verdict: Verdict, sink_id: Option<String>) {
        self.told.extend(slip.map(|slip| Told { slip, verdict, sink_id }));
    }
}

impl Settled {
    /// What became of those of its records that were pushed.
    pub(super) fn told(&self) -> impl Iterator<Item = Told> {
        let written = self.outcomes().filter_map(|(item, verdict)| {
            let own = match verdict {
                Verdict::Created(id) | Verdict::Updated(id) => id.clone(),
                _ => None,
            };
            Some(Told { slip: item.slip?, verdict: verdict.clone(), sink_id: own.or_else(|| item.sink_id.clone()) })
        });
        let refused = self.staged.rejects().iter().filter_map(|reject| {
            Some(Told { slip: reject.slip?, verdict: Verdict::Rejected(reject.reason.clone()), sink_id: None })
        });
        self.staged.batch.told.iter().cloned().chain(written).chain(refused)
    }
}

impl State {
    /// Learns what waits of a stream. Records of it may be accepted from here on.
    pub async fn open_intake(&self, stream: &StreamId) -> Result<(), Fault> {
        let cursor = self.checkpoint(stream).await?.and_then(|checkpoint| checkpoint.cursor);
        let delivered = match cursor {
            Some(crate::model::Cursor::Integer(number)) => u64::try_from(number).unwrap_or_default(),
            _ => 0,
        };
        let rows: Vec<(Vec<u8>, Row)> = self.rows(Tree::Intake, &stream.prefix()).await?;
        let last = rows.last().map_or(0, |(key, _)| number_of(key));
        let waiting = rows.iter().filter(|(_, row)| matches!(row, Row::Waiting(_))).count();
        let mut boards = self.intake.boards();
        let board = boards.entry(stream.clone()).or_default();
        // One that is open counts for itself.
        if board.next == 0 {
            board.next = last.max(delivered) + 1;
            board.waiting = waiting;
        }
        Ok(())
    }

    /// How many records of a stream wait for their verdict.
    pub fn waiting(&self, stream: &StreamId) -> usize {
        self.intake.boards().get(stream).map_or(0, |board| board.waiting)
    }

    /// Nothing was found that waits.
    pub fn none_waits(&self, stream: &StreamId) {
        self.intake.boards().entry(stream.clone()).or_default().waiting = 0;
    }

    /// Whether delivery of a stream met a fault or let somebody wait in vain, and nothing was told since: whoever waits for a
    /// verdict waits long.
    pub fn is_stuck(&self, stream: &StreamId) -> bool {
        self.intake.boards().get(stream).is_some_and(|board| board.is_stuck)
    }

    pub fn set_stuck(&self, stream: &StreamId) {
        self.intake.boards().entry(stream.clone()).or_default().is_stuck = true;
    }

    /// Rings whenever records of the stream were accepted.
    pub fn came(&self, stream: &StreamId) -> Arc<Notify> {
        self.intake.boards().entry(stream.clone()).or_default().came.clone()
    }

    /// Accepts what several requests brought in one durable commit. Only one call may be under way at a time.
    pub async fn accept(&self, requests: Vec<Accepting>) -> Result<Vec<Vec<Accepted>>, Fault> {
        let (mut ops, mut all) = (Vec::new(), Vec::with_capacity(requests.len()));
        for request in &requests {
            let accepted = self.number(request);
            for (pushed, Accepted { slip, .. }) in request.records.iter().zip(&accepted) {
                let (key, version) = (pushed.key.clone(), pushed.version.clone());
                let fields = raw(&pushed.fields).map_err(not_json)?;
                let (tag, origin) = (slip.tag, request.origin.clone());
                let row = Row::Waiting(RowPushed { tag, key, version, gone: pushed.gone, origin, fields });
                ops.push(self.put(Tree::Intake, request.stream.outbox_key(slip.number()), &row)?);
            }
            if let Some((name, remembered)) = &request.remember {
                let slips = accepted.iter().map(|accepted| accepted.slip).collect();
                ops.push(self.remember_op(name, &Remembered { slips, ..remembered.clone() })?);
            }
            all.push(accepted);
        }
        self.commit_ops(ops).await?;
        let mut boards = self.intake.boards();
        for (request, accepted) in requests.iter().zip(&all) {
            let board = boards.entry(request.stream.clone()).or_default();
            board.waiting += accepted.len();
            // Of whoever gave up: nobody is asked to remember them.
            board.asked.retain(|_, asked| !asked.is_closed());
            board.came.notify_waiters();
        }
        drop(boards);
        Ok(all)
    }

    /// Gives the records of a request their slips, and notes that their verdicts are waited for.
    fn number(&self, request: &Accepting) -> Vec<Accepted> {
        let mut boards = self.intake.boards();
        let board = boards.entry(request.stream.clone()).or_default();
        let one = |_: &Pushed| {
            let slip = Slip::new(board.next, request.tag);
            board.next += 1;
            let (asked, verdict) = oneshot::channel();
            board.asked.insert(slip.number(), asked);
            Accepted { slip, verdict }
        };
        request.records.iter().map(one).collect()
    }

    /// Records that wait beyond a number, at most `max`.
    pub async fn read_waiting(&self, stream: &StreamId, after: u64, max: usize) -> Result<Waiting, Fault> {
        let mut waiting = Waiting { records: Vec::new(), up_to: after };
        loop {
            let after = stream.outbox_key(waiting.up_to);
            let page = self.store.scan(Tree::Intake, &stream.prefix(), Some(&after), max).await?;
            let is_last = page.len() < max;
            for (key, bytes) in page {
                waiting.up_to = number_of(&key);
                if let Row::Waiting(row) = self.decode(Tree::Intake, &key, &bytes)? {
                    waiting.records.push(row.record(waiting.up_to));
                }
            }
            if is_last || !waiting.records.is_empty() {
                return Ok(waiting);
            }
        }
    }

    /// Where a record stands. Nothing: there is none of this slip, or it ended longer ago than is kept.
    pub async fn standing(&self, stream: &StreamId, slip: Slip) -> Result<Option<Standing>, Fault> {
        let row: Option<Row> = self.read(Tree::Intake, &stream.outbox_key(slip.number())).await?;
        Ok(match row {
            Some(Row::Waiting(row)) if row.tag == slip.tag => Some(Standing::Waits),
            Some(Row::Ended { told, .. }) if told.slip == slip => Some(Standing::Ended(told)),
            _ => None,
        })
    }

    /// The spans of the requests that brought records which still wait for their verdict.
    pub async fn origins(
        &self,
        stream: &StreamId,
        slips: impl Iterator<Item = Slip>,
    ) -> Result<BTreeSet<String>, Fault> {
        let mut origins = BTreeSet::new();
        for slip in slips {
            if let Some(Row::Waiting(row)) = self.read(Tree::Intake, &stream.outbox_key(slip.number())).await? {
                origins.extend(row.origin);
            }
        }
        Ok(origins)
    }

    pub(super) fn told_ops(&self, stream: &StreamId, told: &[Told], at: DateTime<Utc>) -> Result<Vec<Op>, Fault> {
        let one = |told: &Told| {
            let row = Row::Ended { at, told: told.clone() };
            self.put(Tree::Intake, stream.outbox_key(told.slip.number()), &row)
        };
        told.iter().map(one).collect()
    }

    /// Forgets verdicts of before `before`, and all but the newest `max`. What waits stays.
    pub async fn sweep_intake(&self, stream: &StreamId, before: DateTime<Utc>, max: u64) -> Result<u64, Fault> {
        let next = self.intake.boards().get(stream).map_or(0, |board| board.next);
        let (mut after, mut swept): (Option<Vec<u8>>, u64) = (None, 0);
        loop {
            let page = self.scan(Tree::Intake, &stream.prefix(), after.as_deref()).await?;
            let is_last = page.len() < SCAN_LIMIT;
            after = page.last().map(|(key, _)| key.clone());
            let mut ops = Vec::new();
            for (key, bytes) in page {
                if let Row::Ended { at, .. } = self.decode(Tree::Intake, &key, &bytes)?
                    && (at < before || number_of(&key) + max < next)
                {
                    ops.push(Op::Delete { tree: Tree::Intake, key });
                }
            }
            let gone = ops.len() as u64;
            if gone > 0 {
                self.commit_ops(ops).await?;
            }
            swept += gone;
            // Later rows ended later, give or take what waits.
            if is_last || gone == 0 {
                return Ok(swept);
            }
        }
    }
}

fn number_of(key: &[u8]) -> u64 {
    key.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
#[path = "intake_tests.rs"]
mod tests;
