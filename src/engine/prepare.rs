//! From a page to batches: steps, mapping, change detection, and the name of every write.
//!
//! The one hard rule: **no key is in two staged batches at a time.** A link tells what the sink holds only once the
//! write before is committed, so a record whose key is still under way waits for it. That keeps the order per key, makes
//! "unchanged" true, and lets a changed record find the id that its creation is still waiting for. For the same reason a
//! page that names a key twice is cut before the second one.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{
    deletes::{Brake, Deletes},
    lookups::Lookups,
    steps::Stepped,
};
use crate::{
    model::{
        Checkpoint, Code, Fault, Fields, Key, KeyHash, Overlap, Page, Path, Reason, Record, Reject, Skip, Verdict,
        idempotency_key,
    },
    sink::Durability,
    store::{Batch, Deed, Doubt, Item, Keeps, Link, NAMELESS, Settled, State, StreamId, Why},
    transform::{Mapping, Memory, Outcome, Transform},
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
    /// A state that is older than the one that was read last is not written: it comes from two sides, and one may be late.
    pub newest_only: bool,
    /// What the route's links keep besides contents and ids.
    pub keeps: Keeps,
}

impl Writes {
    /// Names where the records go.
    pub fn target(&self) -> String {
        format!("{}/{}", self.connection, self.operation)
    }
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

    /// A pass begins: somebody commits from now on.
    pub fn open(&self) {
        self.keys().closed = false;
    }

    /// Nobody commits any more: whoever waits gives up.
    pub fn close(&self) {
        self.keys().closed = true;
        self.changed.notify_waiters();
    }

    /// Whether any of the records must wait.
    pub fn meets(&self, drafted: &Drafted) -> bool {
        let keys = self.keys();
        !keys.names.is_empty() && drafted.items.iter().any(|item| names(item).any(|name| keys.names.contains(&name)))
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
    items.into_iter().flat_map(names)
}

/// What an item is known by at both ends. Nothing for an item without a content: nobody compares it with anything.
fn names(item: &Item) -> impl Iterator<Item = (Side, Key)> {
    let both = || [(Side::Source, item.key.clone()), (Side::Sink, item.sink_key().clone())];
    item.content.is_some().then(both).into_iter().flatten()
}

/// The steps and rules of a route, applied to pages.
#[derive(Clone, Copy)]
pub struct Preparer<'a> {
    pub stream: &'a StreamId,
    pub transform: &'a Transform,
    pub mapping: &'a Mapping,
    pub writes: &'a Writes,
    pub state: &'a State,
    pub under_way: &'a UnderWay,
    pub replayed: &'a Replayed,
    /// Nothing: records that are gone stay at the sink.
    pub deletes: Option<&'a Deletes>,
    pub brake: Option<&'a Brake<'a>>,
    pub reads: Reads,
    /// Fetches what steps look up, in the order of these.
    pub lookups: &'a [Lookups],
    /// What steps remember of the pages before.
    pub memory: &'a Mutex<Memory>,
}

/// What a page is a list of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reads {
    /// Records of the route's stream.
    Records,
    /// Records that are gone.
    Tombstones,
    /// Records that exist. That they do is all that is asked.
    Existing,
}

/// What a replay knows of its records besides their pages. Nothing of it in any other run.
#[derive(Default, Debug)]
pub struct Replayed {
    /// The dead letter that each comes from.
    pub letters: BTreeMap<Key, String>,
    /// A person looked at the sink: what is in doubt is sent again.
    pub accept_doubt: bool,
}

impl Preparer<'_> {
    /// Applies the steps to a page and cuts it into parts in which no key stands twice. Every part but the last leaves
    /// the checkpoint where it is, at `at`: after a crash the page is read again, and what was delivered is unchanged.
    /// What needs no write goes with the last part, so that it is counted once.
    pub async fn draft(&self, page: Page, at: &Checkpoint) -> Result<Vec<Drafted>, Fault> {
        let (seen, keeps) = (self.seen(&page), self.writes.keeps);
        if self.reads == Reads::Existing {
            return Ok(vec![Drafted { items: Vec::new(), batch: Batch { seen, next: page.next, ..Batch::default() } }]);
        }
        let mut batch = Batch { rejects: page.rejects, next: page.next, seen, keeps, ..Batch::default() };
        batch.rejects.iter_mut().for_each(|reject| reject.gone |= self.reads == Reads::Tombstones);
        let mut parts = Vec::new();
        let mut part = Vec::with_capacity(page.records.len());
        let mut seen: HashSet<(Side, Key)> = HashSet::new();
        let mut skipped = Vec::new();
        for skip in page.skipped {
            skipped.push(self.skip(&mut batch, skip));
        }
        let records = self.hold_read(page.records, &mut batch.rejects)?;
        for stepped in self.steps(records).await? {
            let mapped = match stepped {
                Stepped::Gone(record) => self.bury(record),
                Stepped::Live { source, outcome } => self.map(source, outcome),
            };
            match mapped {
                Ok(Mapped::Item(item)) => {
                    let item = match self.hold_sent(item)? {
                        Ok(item) => item,
                        Err(reject) => {
                            batch.rejects.push(reject);
                            continue;
                        }
                    };
                    if item.content.is_some() {
                        if names(&item).any(|name| seen.contains(&name)) {
                            parts.push(std::mem::take(&mut part));
                            seen.clear();
                        }
                        seen.extend(names(&item));
                    }
                    part.push(item);
                }
                Ok(Mapped::Skipped(skip)) => skipped.push(self.skip(&mut batch, skip)),
                Err(reject) => batch.rejects.push(reject),
            }
        }
        let rejected = batch.rejects.iter().filter_map(|reject| reject.key.as_ref());
        rejected.for_each(|key| self.state.expect_letter(self.stream, key));
        batch.open = self.open(skipped.iter());
        let last = Drafted { items: part, batch };
        Ok(parts.into_iter().map(|items| Drafted::at(items, at, keeps)).chain([last]).collect())
    }

    /// Counts a record that does not go on.
    fn skip(&self, batch: &mut Batch, skip: Skip) -> Key {
        batch.decided.skipped += 1;
        self.pass(batch, &Why::Filtered(skip.by), &skip.key);
        batch.tell(skip.slip, Verdict::Skipped, None);
        skip.key
    }

    /// What a sweep needs to know of a page: which records exist. A listing that is under way misses those that the stream
    /// shows meanwhile, so they count too.
    fn seen(&self, page: &Page) -> Vec<KeyHash> {
        if !self.writes.keeps.key || self.reads == Reads::Tombstones || !self.replayed.letters.is_empty() {
            return Vec::new();
        }
        let rejected = page.rejects.iter().map(|reject| reject.key.as_ref().map_or(NAMELESS, KeyHash::of));
        page.records.iter().map(|record| KeyHash::of(&record.key)).chain(rejected).collect()
    }

    /// Compares drafted records with their links, once nothing of theirs is under way. Nothing: nobody commits any more.
    pub async fn compare(&self, drafted: Drafted) -> Result<Option<Batch>, Fault> {
        if !self.under_way.clear_of(&drafted).await {
            return Ok(None);
        }
        let Drafted { items, mut batch } = drafted;
        let open = self.open(items.iter().map(|item| &item.key));
        batch.open.extend(open);
        if !self.replayed.letters.is_empty() {
            let rejected = batch.rejects.iter().filter_map(|reject| reject.key.as_ref());
            let of = |key: &Key| self.replayed.letters.get(key).map(|id| (key.clone(), id.clone()));
            batch.replayed = batch.open.iter().chain(rejected).filter_map(of).collect();
        }
        let keys: Vec<Key> = items.iter().filter(|item| item.content.is_some()).map(|item| item.key.clone()).collect();
        if keys.is_empty() {
            batch.items = items;
            return Ok(Some(batch));
        }
        let mut links = self.state.links(self.stream, &keys).await?.into_iter();
        for item in items {
            let link = if item.content.is_some() { links.next().flatten() } else { None };
            let link = link.map(|link| if self.replayed.accept_doubt { link.without_doubt() } else { link });
            if item.deed == Deed::Delete {
                self.compare_gone(item, link, &mut batch).await?;
                continue;
            }
            match &link {
                Some(link)
                    if !link.uncertain && !link.gone && link.content.is_some() && link.content == item.content =>
                {
                    batch.decided.unchanged += 1;
                    batch.touched.extend(self.touched(&item, link));
                    self.pass(&mut batch, &Why::Unchanged, &item.key);
                    batch.tell(item.slip, Verdict::Unchanged, link.sink_id.clone());
                }
                Some(link) if self.writes.skip_changed && !link.uncertain && !link.gone => {
                    batch.decided.skipped += 1;
                    self.pass(&mut batch, &Why::LeftAlone, &item.key);
                    batch.tell(item.slip, Verdict::Skipped, link.sink_id.clone());
                }
                Some(link) if self.writes.newest_only && is_older(&item, link) => {
                    batch.decided.unchanged += 1;
                    self.pass(&mut batch, &Why::Superseded, &item.key);
                    batch.tell(item.slip, Verdict::Unchanged, link.sink_id.clone());
                }
                _ => batch.items.push(self.named(item, link)),
            }
        }
        Ok(Some(batch))
    }

    /// The link of an unchanged record, where it has something new to tell.
    fn touched(&self, item: &Item, link: &Link) -> Option<(Key, Link)> {
        let Keeps { key, version } = self.writes.keeps;
        let names = key && link.key.is_none();
        let is_late = self.writes.newest_only && is_older(item, link);
        let is_newer = version && item.version.is_some() && item.version != link.version && !is_late;
        let link = Link {
            key: Some(item.key.clone()).filter(|_| key),
            version: item.version.clone().filter(|_| version),
            ..link.clone()
        };
        (names || is_newer).then(|| (item.key.clone(), link))
    }

    /// Tells the history of a record that is decided.
    pub(super) fn pass(&self, batch: &mut Batch, why: &Why, key: &Key) {
        if self.state.keeps_history() {
            batch.passed.add(why, key);
        }
    }

    /// Those of the records whose dead letters may go with this batch.
    fn open<'k>(&self, keys: impl Iterator<Item = &'k Key> + Clone) -> Vec<Key> {
        let mut open = self.state.with_letters(self.stream, keys.clone());
        if !self.replayed.letters.is_empty() {
            // A letter without a key got one by being mended.
            open =
                keys.filter(|key| self.replayed.letters.contains_key(*key) || open.contains(*key)).cloned().collect();
        }
        open
    }

    /// Maps a record that went through the steps.
    fn map(&self, source: Fields, outcome: Outcome) -> Result<Mapped, Reject> {
        let Record { key, version, overlap, fields, slip, .. } = match outcome {
            Outcome::Kept(record) => record,
            Outcome::Skipped(skip) => return Ok(Mapped::Skipped(skip)),
            // A dead letter holds the record as it was read, because a replay begins there.
            Outcome::Rejected(reject) => return Err(Reject { fields: source, ..reject }),
        };
        let refuse = |reason| Reject { key: Some(key.clone()), gone: false, fields: source.clone(), reason, slip };
        let fields = self.mapping.apply(fields).map_err(refuse)?;
        let sink_key = self.writes.key.as_ref().map(|path| sink_key(&fields, path)).transpose().map_err(refuse)?;
        let content = self.needs_content(overlap).then(|| self.mapping.content(&fields));
        Ok(Mapped::Item(Item {
            deed: Deed::Write,
            key,
            sink_key,
            version,
            overlap,
            source,
            fields,
            content,
            generation: 0,
            doubt: None,
            sink_id: None,
            idempotency_key: String::new(),
            slip,
        }))
    }

    fn needs_content(&self, overlap: Overlap) -> bool {
        match self.writes.durability {
            Durability::Outbox => true,
            // The table's key sees to it.
            Durability::Transaction => false,
            // A file cannot take a second state of one record without a ledger.
            Durability::Mark => overlap.before || overlap.after,
        }
    }

    /// The item with what its link knows, and with the name of its write.
    pub(super) fn named(&self, item: Item, link: Option<Link>) -> Item {
        let generation = link.as_ref().map_or(0, |link| link.generation);
        let doubt = link.as_ref().and_then(|link| doubt(link, &item));
        let deed = match &link {
            Some(link) if item.deed == Deed::Write && link.gone && link.sink_id.is_none() => Deed::Again,
            _ => item.deed,
        };
        let operation = match (deed, self.deletes) {
            (Deed::Delete, Some(deletes)) => &deletes.operation,
            _ => &self.writes.operation,
        };
        let idempotency_key = match (self.writes.durability, &item.content) {
            (Durability::Outbox, Some(content)) => {
                let state = match &item.version {
                    Some(version) => format!("v{}", version.as_str()),
                    None => format!("g{generation}"),
                };
                idempotency_key(&self.writes.connection, operation, &item.key, content, &state)
            }
            _ => String::new(),
        };
        Item { deed, generation, doubt, sink_id: link.and_then(|link| link.sink_id), idempotency_key, ..item }
    }
}

/// What steps and mapping make of a record.
pub(super) enum Mapped {
    Item(Item),
    Skipped(Skip),
}

/// Part of a page after its steps.
pub struct Drafted {
    /// Mapped, and not yet compared with their links.
    items: Vec<Item>,
    batch: Batch,
}

impl Drafted {
    /// The first items, which leave the checkpoint at `at`, and the rest with all that belongs to the page; or all of it.
    pub fn cut(mut self, items: usize, at: &Checkpoint) -> (Self, Option<Self>) {
        if self.items.len() <= items {
            return (self, None);
        }
        let rest = self.items.split_off(items);
        let first = Self::at(self.items, at, self.batch.keeps);
        (first, Some(Self { items: rest, batch: self.batch }))
    }

    fn at(items: Vec<Item>, checkpoint: &Checkpoint, keeps: Keeps) -> Self {
        Self { items, batch: Batch { next: checkpoint.clone(), keeps, ..Batch::default() } }
    }
}

/// A newer state of the record was read before this one.
fn is_older(item: &Item, link: &Link) -> bool {
    matches!((&item.version, &link.version), (Some(this), Some(newest)) if this.is_before(newest))
}

/// What is in doubt about a record. Of one that exists, another state is another write; of one that may not exist, every state
/// may be the second creation. To a deletion only an earlier one of the same is in doubt.
fn doubt(link: &Link, item: &Item) -> Option<Doubt> {
    match link.uncertain {
        true if link.content.is_some() && link.content == item.content => Some(Doubt::SameContent),
        true if link.generation == 0 && item.deed != Deed::Delete => Some(Doubt::OtherContent),
        _ => None,
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
