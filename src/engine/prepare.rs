//! From a page to batches: steps, mapping, change detection, and the name of every write.
//!
//! The one hard rule: **no key is in two staged batches at a time.** A link tells what the sink holds only once the
//! write before is committed, so a record whose key is still under way waits for it. That keeps the order per key, makes
//! "unchanged" true, and lets a changed record find the id that its creation is still waiting for. For the same reason a
//! page that names a key twice is cut before the second one.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{
    model::{Checkpoint, Code, ContentHash, Fault, Fields, Key, Page, Path, Reason, Record, Reject, idempotency_key},
    sink::Durability,
    store::{Batch, Item, Link, Settled, State, StreamId},
    transform::{Mapping, Outcome, Transform},
};

/// How a route's writes are named and which of them are needed.
#[derive(Debug)]
pub struct Writes {
    pub connection: String,
    pub operation: String,
    pub durability: Durability,
    /// The mapped field that names the record at the sink.
    pub key: Option<Path>,
    /// A record that this route created is left alone when it changes.
    pub skip_changed: bool,
    /// The sink cannot take a second state of one record inside one pass without a ledger: a file.
    pub remember_overlap: bool,
}

/// Keys that are staged and not committed.
#[derive(Default)]
pub struct UnderWay {
    keys: Mutex<Keys>,
    changed: Notify,
}

#[derive(Default)]
struct Keys {
    names: HashSet<(Side, Key)>,
    /// Nobody commits any more, so what is under way stays so.
    closed: bool,
}

/// Whose name for the record it is. Two source records may share one key at the sink.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    Source,
    Sink,
}

impl UnderWay {
    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks a batch's records as under way.
    pub fn begin(&self, items: &[Item]) {
        self.keys().names.extend(names_of(items));
    }

    /// The names of a settled batch, to be given to `end` once it is committed.
    pub fn names_of(settled: &Settled) -> Vec<(Side, Key)> {
        names_of(settled.outcomes().map(|(item, _)| item)).collect()
    }

    /// Their verdicts are committed.
    pub fn end(&self, names: Vec<(Side, Key)>) {
        let mut keys = self.keys();
        for name in &names {
            keys.names.remove(name);
        }
        drop(keys);
        self.changed.notify_waiters();
    }

    /// Nobody commits any more: whoever waits gives up.
    pub fn close(&self) {
        self.keys().closed = true;
        self.changed.notify_waiters();
    }

    /// Whether any of the records must wait.
    pub fn meets(&self, drafted: &Drafted) -> bool {
        let keys = self.keys();
        !keys.names.is_empty()
            && drafted.drafts.iter().any(|draft| draft.names().any(|name| keys.names.contains(&name)))
    }

    /// Waits until none of the records' keys is under way. False: nobody commits any more.
    async fn clear_of(&self, drafted: &Drafted) -> bool {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.meets(drafted) {
                return true;
            }
            if self.keys().closed {
                return false;
            }
            changed.await;
        }
    }
}

fn names_of<'a>(items: impl IntoIterator<Item = &'a Item>) -> impl Iterator<Item = (Side, Key)> {
    let named = items.into_iter().filter(|item| item.content.is_some());
    named.flat_map(|item| [(Side::Source, item.key.clone()), (Side::Sink, item.sink_key.clone())])
}

/// A mapped record that is not yet compared with its link.
struct Draft {
    record: Record,
    sink_key: Key,
    fields: Fields,
    content: Option<ContentHash>,
}

impl Draft {
    fn names(&self) -> impl Iterator<Item = (Side, Key)> {
        let named = self.content.is_some();
        [(Side::Source, self.record.key.clone()), (Side::Sink, self.sink_key.clone())]
            .into_iter()
            .filter(move |_| named)
    }
}

/// The steps and rules of a route, applied to pages.
pub struct Preparer<'a> {
    pub stream: &'a StreamId,
    pub transform: &'a Transform,
    pub mapping: &'a Mapping,
    pub writes: &'a Writes,
    pub state: &'a State,
    pub under_way: &'a UnderWay,
}

impl Preparer<'_> {
    /// Applies the steps to a page and cuts it into parts in which no key stands twice. Every part but the last leaves
    /// the checkpoint where it is, at `at`: after a crash the page is read again, and what was delivered is unchanged.
    /// What needs no write goes with the last part, so that it is counted once.
    pub fn draft(&self, page: Page, at: &Checkpoint) -> Vec<Drafted> {
        let mut batch = Batch { rejects: page.rejects, next: page.next, ..Batch::default() };
        let mut parts = Vec::new();
        let mut part = Vec::with_capacity(page.records.len());
        let mut seen: HashSet<(Side, Key)> = HashSet::new();
        for record in page.records {
            match self.map(record) {
                Ok(Some(draft)) => {
                    if draft.names().any(|name| seen.contains(&name)) {
                        parts.push(std::mem::take(&mut part));
                        seen.clear();
                    }
                    seen.extend(draft.names());
                    part.push(draft);
                }
                Ok(None) => batch.decided.skipped += 1,
                Err(reject) => batch.rejects.push(reject),
            }
        }
        let last = Drafted { drafts: part, batch };
        parts.into_iter().map(|drafts| Drafted::at(drafts, at)).chain([last]).collect()
    }

    /// Compares drafted records with their links, once nothing of theirs is under way. Nothing: nobody commits any more.
    pub async fn compare(&self, drafted: Drafted) -> Result<Option<Batch>, Fault> {
        if !self.under_way.clear_of(&drafted).await {
            return Ok(None);
        }
        let Drafted { drafts, mut batch } = drafted;
        let keys: Vec<Key> =
            drafts.iter().filter(|draft| draft.content.is_some()).map(|d| d.record.key.clone()).collect();
        let mut links = match keys.is_empty() {
            true => Vec::new(),
            false => self.state.links(self.stream, &keys).await?,
        }
        .into_iter();
        for draft in drafts {
            let link = if draft.content.is_some() { links.next().flatten() } else { None };
            match &link {
                Some(link) if link.content.is_some() && link.content == draft.content => batch.decided.unchanged += 1,
                Some(_) if self.writes.skip_changed => batch.decided.skipped += 1,
                _ => batch.items.push(self.item(draft, link)),
            }
        }
        Ok(Some(batch))
    }

    fn map(&self, record: Record) -> Result<Option<Draft>, Reject> {
        let source = record.fields.clone();
        let record = match self.transform.apply(record) {
            Outcome::Kept(record) => record,
            Outcome::Skipped => return Ok(None),
            Outcome::Rejected(reject) => return Err(reject),
        };
        let refuse = |key: &Key, reason| Reject { key: Some(key.clone()), fields: source.clone(), reason };
        let fields = self.mapping.apply(&record).map_err(|reason| refuse(&record.key, reason))?;
        let sink_key = match &self.writes.key {
            Some(path) => sink_key(&fields, path).map_err(|reason| refuse(&record.key, reason))?,
            None => record.key.clone(),
        };
        let content = self.needs_content(&record).then(|| ContentHash::of(&fields));
        let record = Record { fields: source, ..record };
        Ok(Some(Draft { record, sink_key, fields, content }))
    }

    fn needs_content(&self, record: &Record) -> bool {
        match self.writes.durability {
            Durability::Outbox => true,
            Durability::Atomic => self.writes.remember_overlap && (record.overlap.before || record.overlap.after),
        }
    }

    fn item(&self, draft: Draft, link: Option<Link>) -> Item {
        let Draft { record, sink_key, fields, content } = draft;
        let generation = link.as_ref().map_or(0, |link| link.generation);
        let idempotency_key = match (self.writes.durability, &content) {
            (Durability::Outbox, Some(content)) => {
                let state = match &record.version {
                    Some(version) => format!("v{}", version.as_str()),
                    None => format!("g{generation}"),
                };
                idempotency_key(&self.writes.connection, &self.writes.operation, &record.key, content, &state)
            }
            _ => String::new(),
        };
        Item {
            key: record.key,
            sink_key,
            version: record.version,
            overlap: record.overlap,
            source: record.fields,
            fields,
            content,
            generation,
            sink_id: link.and_then(|link| link.sink_id),
            idempotency_key,
        }
    }
}

/// Part of a page after its steps.
pub struct Drafted {
    drafts: Vec<Draft>,
    batch: Batch,
}

impl Drafted {
    fn at(drafts: Vec<Draft>, checkpoint: &Checkpoint) -> Self {
        Self { drafts, batch: Batch { next: checkpoint.clone(), ..Batch::default() } }
    }
}

fn sink_key(fields: &Fields, path: &Path) -> Result<Key, Reason> {
    let missing =
        || Reason::new(Code::MissingSinkKey, format!("the field {path} that names it at the sink is missing"));
    let raw = fields.get(path).ok_or_else(missing)?.get();
    match raw.as_bytes().first() {
        Some(b'"') => {
            serde_json::from_str::<String>(raw).ok().filter(|text| !text.is_empty()).map(Key::new).ok_or_else(missing)
        }
        Some(b'-' | b'0'..=b'9') => Ok(Key::new(raw)),
        _ => Err(missing()),
    }
}
