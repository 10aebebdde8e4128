//! A batch's stages of life. Each step consumes the one before, and only the store makes [`Staged`] and [`Settled`], so
//! no step can be skipped or done twice:
//!
//! ```text
//!   Batch --State::stage--> Staged --settle(verdicts)--> Settled --State::commit--> the checkpoint moved
//! ```

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    history::{Hop, Passed},
    intake::Told,
    journal::Noted,
    link::{Keeps, Link},
};
use crate::model::{
    Blame, Checkpoint, Code, ContentHash, Counts, Fault, Fields, Key, KeyHash, Overlap, Reason, Reject, Slip, Verdict,
    Version,
};

/// Mapped records that travel with the checkpoint move they justify.
#[derive(Debug, Default)]
pub struct Batch {
    /// Records to be written, in source order.
    pub items: Vec<Item>,
    /// Records that already have their verdict: skipped by a step, or unchanged by their link.
    pub decided: Counts,
    /// Records that a step or the source refused.
    pub rejects: Vec<Reject>,
    /// Records of this batch that may have a dead letter. It goes with the batch's commit, unless they are refused again.
    pub open: Vec<Key>,
    /// Which dead letter a record of this batch comes from, in a replay.
    pub replayed: BTreeMap<Key, String>,
    /// What the links of this batch keep.
    pub keeps: Keeps,
    /// Links of unchanged records that have something new to tell.
    pub touched: Vec<(Key, Link)>,
    /// Records that the source has shown, where a sweep needs to know.
    pub seen: Vec<KeyHash>,
    /// Records of `decided`, for the history. Nothing where none is kept.
    pub passed: Passed,
    /// Records of `decided` that were pushed.
    pub told: Vec<Told>,
    /// When the first of its pages was read.
    pub read_at: Option<DateTime<Utc>>,
    /// The checkpoint that holds once every record of the batch has a verdict.
    pub next: Checkpoint,
}

impl Batch {
    /// Records that were read for this batch.
    pub fn read(&self) -> u64 {
        self.items.len() as u64 + self.decided.verdicts() + self.rejects.len() as u64
    }
}

/// What a write is to do with the record at the sink.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// Bring it there, or bring it up to date.
    #[default]
    Write,
    /// Bring it there again: its deletion was delivered, and it is back at the source.
    Again,
    /// Take it away, or archive it: it is gone at the source.
    Delete,
}

impl Deed {
    pub(super) fn is_write(&self) -> bool {
        *self == Self::Write
    }
}

/// One record on its way to the sink.
#[derive(Clone, Debug)]
pub struct Item {
    pub deed: Deed,
    /// The source's key.
    pub key: Key,
    /// What names the record at the sink, where the pipeline says that it is another name than the source's.
    pub sink_key: Option<Key>,
    pub version: Option<Version>,
    pub overlap: Overlap,
    /// The record as it was read, for dead letters. The same slice as `fields` where no step touched it.
    pub source: Fields,
    /// What the sink gets.
    pub fields: Fields,
    /// Names `fields`. Absent where nobody needs it: an atomic sink, outside any overlap.
    pub content: Option<ContentHash>,
    /// How many states of this record the sink has been sent before.
    pub generation: u32,
    /// The record's id at the sink, if an earlier write learned it.
    pub sink_id: Option<String>,
    /// An earlier write of this record has an unknown outcome, and may have created it: that of this very content, or of
    /// another one.
    pub doubt: Option<Doubt>,
    /// The name of this write, for outbox sinks.
    pub idempotency_key: String,
    /// Of a record that was pushed.
    pub slip: Option<Slip>,
}

impl Item {
    /// A record that is to be written as it was read, and of which nothing else is known.
    pub fn new(key: Key, fields: Fields) -> Self {
        Self {
            deed: Deed::Write,
            key,
            sink_key: None,
            version: None,
            overlap: Overlap::default(),
            source: fields.clone(),
            fields,
            content: None,
            generation: 0,
            sink_id: None,
            doubt: None,
            idempotency_key: String::new(),
            slip: None,
        }
    }

    /// What names the record at the sink. Order is kept per value.
    pub fn sink_key(&self) -> &Key {
        self.sink_key.as_ref().unwrap_or(&self.key)
    }
}

/// What a write with an unknown outcome would have written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    SameContent,
    OtherContent,
}

/// A batch that may be sent: durable in the outbox, or guarded by its atomic sink.
#[derive(Debug)]
pub struct Staged {
    pub(super) seq: u64,
    pub(super) staged_at: DateTime<Utc>,
    pub(super) in_outbox: bool,
    /// The store's epoch when an earlier run staged it. If the store went back since, the vendor may repeat an old answer
    /// about a record that has moved on, so the links of this batch are in doubt too.
    pub(super) resumed_from: Option<u32>,
    /// The run that staged it, where that was an earlier one and the row says so.
    pub(super) read_by: Option<String>,
    /// What the journal holds, by place.
    pub(super) noted: BTreeMap<usize, Noted>,
    pub(super) batch: Batch,
}

impl Staged {
    /// One of this run.
    pub(super) fn now(seq: u64, staged_at: DateTime<Utc>, in_outbox: bool, batch: Batch) -> Self {
        Self { seq, staged_at, in_outbox, resumed_from: None, read_by: None, noted: BTreeMap::new(), batch }
    }

    /// The batch's place in its stream's order.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    pub fn items(&self) -> &[Item] {
        &self.batch.items
    }

    /// Records that were refused before they were mapped.
    pub fn rejects(&self) -> &[Reject] {
        &self.batch.rejects
    }

    pub fn staged_at(&self) -> DateTime<Utc> {
        self.staged_at
    }

    /// When the first of its pages was read, where that is known.
    pub fn read_at(&self) -> Option<DateTime<Utc>> {
        self.batch.read_at
    }

    /// The earlier run that staged it, where that is known.
    pub fn read_by(&self) -> Option<&str> {
        self.read_by.as_deref()
    }

    /// An earlier run staged it, so parts of it may have been sent already.
    pub fn resumed(&self) -> bool {
        self.resumed_from.is_some()
    }

    /// What an earlier run noted of the item at this place.
    pub fn noted(&self, at: usize) -> Option<&Noted> {
        self.noted.get(&at)
    }

    /// Names the part of a refused request with which the item at this place leaves, if an earlier run cut one.
    pub fn part(&self, at: usize) -> Option<usize> {
        match self.noted(at)? {
            Noted::Part(part) => Some(*part),
            Noted::Intent(_) | Noted::Answered(_) => None,
        }
    }

    /// The checkpoint that holds once this batch is settled.
    pub fn next(&self) -> &Checkpoint {
        &self.batch.next
    }

    /// Takes one verdict per item, in their order. Refuses when a record is unanswered.
    pub fn settle(self, verdicts: Vec<Verdict>) -> Result<Settled, Fault> {
        if verdicts.len() == self.batch.items.len() {
            return Ok(Settled::new(self, verdicts));
        }
        let message = format!("{} verdicts for {} records", verdicts.len(), self.batch.items.len());
        Err(Fault::halt(Code::Unanswered, Blame::Bug, message)
            .help("nothing is lost: the batch stays in the outbox and the next run sends it again under the same keys"))
    }
}

/// A batch every record of which has a verdict. It keeps the items that a commit has something to write about, and of the
/// others their number: a file's pages wait here for the sync that covers many of them.
#[derive(Debug)]
pub struct Settled {
    pub(super) staged: Staged,
    pub(super) verdicts: Vec<Verdict>,
    pub(super) read: u64,
    counts: Counts,
    /// What the history keeps of its items.
    pub(super) hops: Vec<(KeyHash, Hop)>,
}

impl Settled {
    fn new(mut staged: Staged, mut verdicts: Vec<Verdict>) -> Self {
        let read = staged.batch.read();
        let mut counts = staged.batch.decided;
        counts.rejected += staged.batch.rejects.len() as u64;
        verdicts.iter().for_each(|verdict| counts.add(verdict));
        let matters = |item: &Item, verdict: &Verdict| {
            item.content.is_some()
                || item.slip.is_some()
                || matches!(verdict, Verdict::Rejected(_) | Verdict::Parked(_))
        };
        let items = std::mem::take(&mut staged.batch.items);
        // Where nothing matters, as is usual with files and tables, nothing is moved either.
        if items.iter().zip(&verdicts).any(|(item, verdict)| matters(item, verdict)) {
            let pairs = items.into_iter().zip(verdicts);
            (staged.batch.items, verdicts) = pairs.filter(|(item, verdict)| matters(item, verdict)).unzip();
        } else {
            verdicts = Vec::new();
        }
        Self { staged, verdicts, read, counts, hops: Vec::new() }
    }

    /// With what the history keeps of the items: hops of some, and others that only passed.
    pub fn with_history(mut self, hops: Vec<(KeyHash, Hop)>, passed: Passed) -> Self {
        self.hops = hops;
        self.staged.batch.passed.merge(passed);
        self
    }

    pub fn seq(&self) -> u64 {
        self.staged.seq
    }

    /// The items that a link or a dead letter is about, with their verdicts.
    pub fn outcomes(&self) -> impl Iterator<Item = (&Item, &Verdict)> {
        self.staged.batch.items.iter().zip(&self.verdicts)
    }

    /// The verdicts of all records of the batch, those decided before staging included.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What is still held in memory of its records.
    pub fn bytes(&self) -> usize {
        self.staged.batch.items.iter().map(|item| item.source.len()).sum()
    }
}

/// The outbox's row. Written once at staging; the items' bytes are what every attempt sends.
#[derive(Serialize, Deserialize)]
pub(super) struct Row {
    staged_at: DateTime<Utc>,
    /// The store's epoch when it was staged. A row that does not say is in doubt once the store went back.
    #[serde(default)]
    epoch: u32,
    /// The run that staged it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    run: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    read_at: Option<DateTime<Utc>>,
    next: Checkpoint,
    decided: Counts,
    #[serde(default, skip_serializing_if = "Passed::is_empty")]
    passed: Passed,
    items: Vec<RowItem>,
    rejects: Vec<RowReject>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    open: Vec<Key>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    replayed: BTreeMap<Key, String>,
    #[serde(default, skip_serializing_if = "Keeps::nothing")]
    keeps: Keeps,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    touched: Vec<(Key, Link)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    seen: Vec<KeyHash>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    told: Vec<Told>,
}

#[derive(Serialize, Deserialize)]
struct RowItem {
    #[serde(default, skip_serializing_if = "Deed::is_write")]
    deed: Deed,
    key: Key,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sink_key: Option<Key>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<Version>,
    source: Box<RawValue>,
    /// Absent where it is the source's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fields: Option<Box<RawValue>>,
    content: Option<ContentHash>,
    generation: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sink_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doubt: Option<Doubt>,
    idempotency_key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slip: Option<Slip>,
}

#[derive(Serialize, Deserialize)]
struct RowReject {
    key: Option<Key>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    gone: bool,
    fields: Box<RawValue>,
    reason: Reason,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    slip: Option<Slip>,
}

impl Row {
    pub(super) fn of(
        batch: &Batch,
        staged_at: DateTime<Utc>,
        epoch: u32,
        run: &str,
    ) -> Result<Self, serde_json::Error> {
        let items = batch.items.iter().map(RowItem::of).collect::<Result<_, _>>()?;
        let rejects = batch.rejects.iter().map(RowReject::of).collect::<Result<_, _>>()?;
        Ok(Self {
            staged_at,
            epoch,
            run: run.to_owned(),
            read_at: batch.read_at,
            next: batch.next.clone(),
            decided: batch.decided,
            passed: batch.passed.clone(),
            items,
            rejects,
            open: batch.open.clone(),
            replayed: batch.replayed.clone(),
            keeps: batch.keeps,
            touched: batch.touched.clone(),
            seen: batch.seen.clone(),
            told: batch.told.clone(),
        })
    }

    pub(super) fn staged(self, seq: u64, noted: &mut BTreeMap<u64, BTreeMap<usize, Noted>>) -> Staged {
        let batch = Batch {
            items: self.items.into_iter().map(RowItem::item).collect(),
            decided: self.decided,
            rejects: self.rejects.into_iter().map(RowReject::reject).collect(),
            open: self.open,
            replayed: self.replayed,
            keeps: self.keeps,
            touched: self.touched,
            seen: self.seen,
            told: self.told,
            passed: self.passed,
            read_at: self.read_at,
            next: self.next,
        };
        let noted = noted.remove(&seq).unwrap_or_default();
        let resumed_from = Some(self.epoch);
        let read_by = (!self.run.is_empty()).then_some(self.run);
        Staged { seq, staged_at: self.staged_at, in_outbox: true, resumed_from, read_by, noted, batch }
    }
}

impl RowItem {
    fn of(item: &Item) -> Result<Self, serde_json::Error> {
        let fields = if item.fields == item.source { None } else { Some(raw(&item.fields)?) };
        Ok(Self {
            deed: item.deed,
            key: item.key.clone(),
            sink_key: item.sink_key.clone(),
            version: item.version.clone(),
            source: raw(&item.source)?,
            fields,
            content: item.content,
            generation: item.generation,
            sink_id: item.sink_id.clone(),
            doubt: item.doubt,
            idempotency_key: item.idempotency_key.clone(),
            slip: item.slip,
        })
    }

    fn item(self) -> Item {
        let source = fields(self.source);
        Item {
            deed: self.deed,
            sink_key: self.sink_key,
            key: self.key,
            version: self.version,
            overlap: Overlap::default(),
            fields: self.fields.map_or_else(|| source.clone(), fields),
            source,
            content: self.content,
            generation: self.generation,
            sink_id: self.sink_id,
            doubt: self.doubt,
            idempotency_key: self.idempotency_key,
            slip: self.slip,
        }
    }
}

impl RowReject {
    fn of(reject: &Reject) -> Result<Self, serde_json::Error> {
        Ok(Self {
            key: reject.key.clone(),
            gone: reject.gone,
            fields: raw(&reject.fields)?,
            reason: reject.reason.clone(),
            slip: reject.slip,
        })
    }

    fn reject(self) -> Reject {
        Reject { key: self.key, gone: self.gone, fields: fields(self.fields), reason: self.reason, slip: self.slip }
    }
}

pub(super) fn raw(fields: &Fields) -> Result<Box<RawValue>, serde_json::Error> {
    RawValue::from_string(fields.as_str().to_owned())
}

pub(super) fn fields(raw: Box<RawValue>) -> Fields {
    Fields::from_object(String::from(Box::<str>::from(raw)).into())
}
