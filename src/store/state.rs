//! The typed layer: what a commit means. Checkpoint, outbox, links, dead letters and the run's counts move together in
//! one commit or not at all.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::OnceCell;

use super::{
    Op, Seal, StateStore, Tree,
    batch::{Batch, Row, Settled, Staged},
    expected::forget_drift,
    history::HistoryRule,
    intake::{Intake, Told},
    journal::{Noted, Notes, place_of},
    letters::Letters,
    link::{Link, link_ops},
    open::OpenLetters,
    records::{DeadLetter, Run, StreamId},
    seen::seen_op,
};
use crate::model::{Blame, Checkpoint, Code, Fault, Key, Mark};

pub(super) const SCAN_LIMIT: usize = 1_000;

/// The state of all streams of a workspace.
#[derive(Clone)]
pub struct State {
    pub(super) store: Arc<dyn StateStore>,
    pub(super) notes: Arc<Notes>,
    pub(super) open: Arc<OpenLetters>,
    pub(super) intake: Arc<Intake>,
    /// Seals what holds records: the outbox, dead letters, and the history.
    pub(super) seal: Arc<Seal>,
    pub(super) history: HistoryRule,
    order: Arc<Mutex<BTreeMap<StreamId, Order>>>,
    /// Links of an earlier epoch are in doubt.
    epoch: Arc<OnceCell<u32>>,
    /// Who it is to others.
    pub(super) worker: Arc<OnceCell<String>>,
}

/// Where the epoch stands among what the store remembers about itself.
const EPOCH: &[u8] = b"link-epoch";

/// Which batches of a stream are staged and which is next to settle.
#[derive(Clone, Copy, Default)]
struct Order {
    next_to_stage: u64,
    next_to_commit: u64,
}

impl State {
    pub fn new(store: Arc<dyn StateStore>, seal: Arc<Seal>) -> Self {
        let (notes, open, order, epoch) = (Arc::default(), Arc::default(), Arc::default(), Arc::default());
        let (intake, worker) = (Arc::default(), Arc::default());
        Self { store, notes, open, intake, seal, history: HistoryRule::OFF, order, epoch, worker }
    }

    /// The same, with a history of what became of its records.
    pub fn with_history(self, history: HistoryRule) -> Self {
        Self { history, ..self }
    }

    /// Whether there is a history to write for.
    pub fn keeps_history(&self) -> bool {
        !self.history.is_off()
    }

    /// How far a stream is delivered.
    pub async fn checkpoint(&self, stream: &StreamId) -> Result<Option<Checkpoint>, Fault> {
        self.read(Tree::Checkpoints, &stream.prefix()).await
    }

    /// Every stream that has a checkpoint.
    pub async fn checkpoints(&self) -> Result<Vec<(StreamId, Checkpoint)>, Fault> {
        let rows: Vec<(Vec<u8>, Checkpoint)> = self.rows(Tree::Checkpoints, &[]).await?;
        Ok(rows.into_iter().filter_map(|(key, value)| Some((StreamId::from_prefix(&key)?, value))).collect())
    }

    /// Batches that were staged and not settled, oldest first. A run delivers them before it reads anything. Batches of
    /// this stream are numbered from here on.
    pub async fn outbox(&self, stream: &StreamId) -> Result<Vec<Staged>, Fault> {
        let rows: Vec<(Vec<u8>, Row)> = self.rows(Tree::Outbox, &stream.prefix()).await?;
        let mut noted = self.noted(stream).await?;
        self.learn_letters(stream).await?;
        let staged: Vec<Staged> = rows.into_iter().map(|(key, row)| row.staged(seq_of(&key), &mut noted)).collect();
        let order = match (staged.first(), staged.last()) {
            (Some(first), Some(last)) => Order { next_to_commit: first.seq, next_to_stage: last.seq + 1 },
            _ => Order::default(),
        };
        self.order().insert(stream.clone(), order);
        Ok(staged)
    }

    /// What the journal holds of a stream's batches, by batch and place.
    async fn noted(&self, stream: &StreamId) -> Result<BTreeMap<u64, BTreeMap<usize, Noted>>, Fault> {
        let rows: Vec<(Vec<u8>, Noted)> = self.rows(Tree::Journal, &stream.prefix()).await?;
        let mut noted: BTreeMap<u64, BTreeMap<usize, Noted>> = BTreeMap::new();
        for (key, row) in rows {
            let (batch, at) = place_of(&key).ok_or_else(|| damaged(Tree::Journal))?;
            noted.entry(batch).or_default().insert(at, row);
        }
        let stream = Arc::new(stream.clone());
        noted.iter().for_each(|(batch, rows)| self.notes.learn(&stream, *batch, rows.keys().copied()));
        Ok(noted)
    }

    /// Makes a batch durable in the outbox. Only then may any of it be sent.
    pub async fn stage(
        &self,
        stream: &StreamId,
        batch: Batch,
        now: DateTime<Utc>,
        run: &mut Run,
    ) -> Result<Staged, Fault> {
        let row = Row::of(&batch, now, self.epoch().await?, &run.id).map_err(not_json)?;
        let seq = self.take_seq(stream);
        run.counts.read += batch.read();
        let ops = vec![self.put(Tree::Outbox, stream.outbox_key(seq), &row)?, self.put_run(run)?];
        self.commit_ops(ops).await?;
        Ok(Staged::now(seq, now, true, batch))
    }

    /// Takes a batch for an atomic sink, which keeps records and checkpoint together: no copy is needed.
    pub fn guard(&self, stream: &StreamId, batch: Batch, now: DateTime<Utc>) -> Staged {
        let seq = self.take_seq(stream);
        Staged::now(seq, now, false, batch)
    }

    /// Moves the checkpoint over settled batches: checkpoint, outbox, links, dead letters, history and counts in one commit.
    /// They must be the oldest ones of the stream, in order; anything else is a bug and moves nothing.
    pub async fn commit(
        &self,
        stream: &StreamId,
        mut settled: Vec<Settled>,
        mark: Option<Mark>,
        now: DateTime<Utc>,
        run: &mut Run,
    ) -> Result<Checkpoint, Fault> {
        let Some(next) = settled.last().map(|last| last.staged.batch.next.clone()) else {
            return Err(bug("a commit of nothing"));
        };
        self.learn_letters(stream).await?;
        let ledger = stream.ledger();
        let mut letters = Letters::new(&ledger);
        for batch in &settled {
            letters.take(batch, run, now).map_err(not_json)?;
        }
        let earlier = self.read_many(Tree::DeadLetters, letters.keys()).await?;
        let epoch = self.epoch().await?;
        let history = self.history_ops(stream, &mut settled, &run.id, now).await?;
        // From here on nothing waits before the commit is under way, so a caller that gives up leaves no half counted run.
        self.check_prefix(stream, &settled)?;
        let checkpoint = Checkpoint { mark: mark.or(next.mark), slice_cursors: Vec::new(), ..next };
        let mut ops = vec![self.put(Tree::Checkpoints, stream.prefix(), &checkpoint)?];
        ops.extend(self.letter_ops(letters, earlier)?);
        ops.extend(history);
        for batch in &settled {
            if batch.staged.in_outbox {
                ops.push(Op::Delete { tree: Tree::Outbox, key: stream.outbox_key(batch.seq()) });
            } else {
                run.counts.read += batch.read;
            }
            if batch.staged.resumed() {
                run.counts.resumed += batch.read;
            }
            let counts = batch.counts();
            run.counts.merge(&counts);
            if let Some(read_at) = batch.staged.read_at() {
                run.latency.add((now - read_at).to_std().unwrap_or_default(), counts.verdicts());
            }
            let epoch = batch.staged.resumed_from.unwrap_or(epoch);
            ops.extend(link_ops(stream, batch, checkpoint.mark.filter(|_| !batch.staged.in_outbox), epoch));
            ops.extend(seen_op(stream, run, batch.seq(), &batch.staged.batch.seen));
            ops.extend(self.slice_ops(stream, batch.staged.next())?);
        }
        ops.push(self.put_run(run)?);
        let told: Vec<Told> = settled.iter().flat_map(Settled::told).collect();
        ops.extend(self.told_ops(stream, &told, now)?);
        let batches: Vec<u64> = settled.iter().map(Settled::seq).collect();
        let commit = self.notes.leave(stream, &batches, |notes| {
            ops.extend(notes);
            self.store.commit(ops)
        });
        commit.await?;
        self.intake.tell(stream, told);
        Ok(checkpoint)
    }

    /// The links of several source keys, in their order.
    pub async fn links(&self, stream: &StreamId, keys: &[Key]) -> Result<Vec<Option<Link>>, Fault> {
        let keys = keys.iter().map(|key| stream.link_key(key)).collect();
        let values = self.store.get_many(Tree::Links, keys).await?;
        let epoch = self.epoch().await?;
        values.into_iter().map(|value| value.map(|bytes| decode_link(&bytes, epoch)).transpose()).collect()
    }

    /// Puts the content of all links in doubt, because the store was taken back to an earlier state: the sinks may hold
    /// what it never heard of, so the next time each record is written, whether it looks changed or not.
    pub async fn doubt_links(&mut self) -> Result<(), Fault> {
        let next = self.epoch().await? + 1;
        let op = Op::Put { tree: Tree::Meta, key: EPOCH.to_vec(), value: next.to_be_bytes().to_vec() };
        self.commit_ops(vec![op]).await?;
        self.epoch = Arc::new(OnceCell::new_with(Some(next)));
        Ok(())
    }

    pub(super) async fn epoch(&self) -> Result<u32, Fault> {
        let read = async || match self.store.get(Tree::Meta, EPOCH).await? {
            None => Ok(0),
            Some(bytes) => bytes.try_into().map(u32::from_be_bytes).map_err(|_| damaged(Tree::Meta)),
        };
        self.epoch.get_or_try_init(read).await.copied()
    }

    /// Forgets cursor, scan and links of a stream, so that the next run reads all of it again. Refuses while batches are
    /// staged: their writes may have happened, and only delivering them gives them a verdict. Cut off half way, it is safe
    /// to do again.
    pub async fn reset(&self, stream: &StreamId, forget_links: bool) -> Result<(), Fault> {
        self.refuse_while_staged(stream).await?;
        // An empty checkpoint, not none: a sink that keeps one of its own must learn that a person chose the start.
        let start = self.put(Tree::Checkpoints, stream.prefix(), &Checkpoint::default())?;
        self.commit_ops(vec![start, forget_drift(stream)]).await?;
        self.forget_seen(stream).await?;
        self.forget_slices(stream).await?;
        if !forget_links {
            return Ok(());
        }
        self.forget_all(Tree::Links, stream).await?;
        self.forget_naming(stream).await
    }

    /// Forgets what a tree holds of a stream, of any size, a bounded commit at a time. Where this is cut off, doing it again
    /// forgets the rest.
    pub(super) async fn forget_all(&self, tree: Tree, stream: &StreamId) -> Result<(), Fault> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.scan(tree, &stream.prefix(), after.as_deref()).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            let ops = page.into_iter().map(|(key, _)| Op::Delete { tree, key });
            self.commit_ops(ops.collect()).await?;
        }
    }

    /// Replaces a stream's checkpoint where the sink is the one who knows (an atomic sink at resume).
    pub async fn adopt(&self, stream: &StreamId, checkpoint: &Option<Checkpoint>) -> Result<(), Fault> {
        let Some(checkpoint) = checkpoint else {
            return self.commit_ops(vec![Op::Delete { tree: Tree::Checkpoints, key: stream.prefix() }]).await;
        };
        let mut ops = self.slice_ops(stream, checkpoint)?;
        let stored = Checkpoint { slice_cursors: Vec::new(), ..checkpoint.clone() };
        ops.push(self.put(Tree::Checkpoints, stream.prefix(), &stored)?);
        self.commit_ops(ops).await
    }

    /// Takes an atomic sink's stream back to `start`, whose mark lies in the past: what came after it is read again, so
    /// links that were written after it go.
    pub async fn rewind(&self, stream: &StreamId, start: &Checkpoint) -> Result<(), Fault> {
        let epoch = self.epoch().await?;
        let mut ops = vec![self.put(Tree::Checkpoints, stream.prefix(), start)?];
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.scan(Tree::Links, &stream.prefix(), after.as_deref()).await?;
            after = page.last().map(|(key, _)| key.clone());
            for (key, bytes) in &page {
                if decode_link(bytes, epoch)?.mark() > start.mark {
                    ops.push(Op::Delete { tree: Tree::Links, key: key.clone() });
                }
            }
            if page.len() < SCAN_LIMIT {
                return self.commit_ops(ops).await;
            }
        }
    }

    /// Writes a run's record as it stands.
    pub async fn save_run(&self, run: &Run) -> Result<(), Fault> {
        self.commit_ops(vec![self.put_run(run)?]).await
    }

    /// All runs, oldest first (their ids sort by time).
    pub async fn runs(&self) -> Result<Vec<Run>, Fault> {
        Ok(self.rows(Tree::Runs, &[]).await?.into_iter().map(|(_, run)| run).collect())
    }

    /// Dead letters of a pipeline, or of all, in the order of their names.
    pub async fn dead_letters(&self, pipeline: Option<&str>) -> Result<Vec<DeadLetter>, Fault> {
        let prefix = pipeline.map(|name| [name.as_bytes(), b"\0"].concat()).unwrap_or_default();
        Ok(self.rows(Tree::DeadLetters, &prefix).await?.into_iter().map(|(_, letter)| letter).collect())
    }

    /// How many dead letters a pipeline has, for `status`.
    pub async fn dead_letter_count(&self, pipeline: &str) -> Result<usize, Fault> {
        self.count(Tree::DeadLetters, &[pipeline.as_bytes(), b"\0"].concat()).await
    }

    /// How many batches of a stream are staged, for `status`.
    pub async fn outbox_depth(&self, stream: &StreamId) -> Result<usize, Fault> {
        self.count(Tree::Outbox, &stream.prefix()).await
    }

    fn order(&self) -> MutexGuard<'_, BTreeMap<StreamId, Order>> {
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_seq(&self, stream: &StreamId) -> u64 {
        let mut orders = self.order();
        let order = orders.entry(stream.clone()).or_default();
        order.next_to_stage += 1;
        order.next_to_stage - 1
    }

    fn check_prefix(&self, stream: &StreamId, settled: &[Settled]) -> Result<(), Fault> {
        let mut orders = self.order();
        let order = orders.entry(stream.clone()).or_default();
        let in_order = settled.iter().enumerate().all(|(i, batch)| batch.seq() == order.next_to_commit + i as u64);
        if !in_order {
            return Err(bug("a commit that is not the oldest settled prefix"));
        }
        order.next_to_commit += settled.len() as u64;
        Ok(())
    }

    pub(super) async fn commit_ops(&self, ops: Vec<Op>) -> Result<(), Fault> {
        Ok(self.store.commit(ops).await.map(drop)?)
    }

    fn put_run(&self, run: &Run) -> Result<Op, Fault> {
        self.put(Tree::Runs, run.id.clone().into_bytes(), run)
    }

    pub(super) fn put<T: Serialize>(&self, tree: Tree, key: Vec<u8>, value: &T) -> Result<Op, Fault> {
        let mut value_bytes = format_of(tree).to_be_bytes().to_vec();
        serde_json::to_writer(&mut value_bytes, value).map_err(not_json)?;
        let value = if is_sealed(tree) { self.seal.close(tree, &key, &value_bytes)? } else { value_bytes };
        Ok(Op::Put { tree, key, value })
    }

    pub(super) fn decode<T: DeserializeOwned>(&self, tree: Tree, key: &[u8], bytes: &[u8]) -> Result<T, Fault> {
        let opened = if is_sealed(tree) { Cow::Owned(self.seal.open(tree, key, bytes)?) } else { Cow::Borrowed(bytes) };
        let (format, text) = opened.split_at_checked(4).ok_or_else(|| damaged(tree))?;
        match format.try_into().map(u32::from_be_bytes) {
            Ok(format) if format > format_of(tree) => Err(newer(tree, format)),
            // Fields that an earlier format did not have say themselves what stands for them.
            Ok(1..) => serde_json::from_slice(text).map_err(|_| damaged(tree)),
            _ => Err(damaged(tree)),
        }
    }

    pub(super) async fn read<T: DeserializeOwned>(&self, tree: Tree, key: &[u8]) -> Result<Option<T>, Fault> {
        let value = self.store.get(tree, key).await?;
        value.map(|bytes| self.decode(tree, key, &bytes)).transpose()
    }

    /// The values of several keys, in their order.
    pub(super) async fn read_many<T: DeserializeOwned>(
        &self,
        tree: Tree,
        keys: Vec<Vec<u8>>,
    ) -> Result<Vec<Option<T>>, Fault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let values = self.store.get_many(tree, keys.clone()).await?;
        let decoded = keys.iter().zip(values).map(|(key, value)| value.map(|bytes| self.decode(tree, key, &bytes)));
        decoded.map(Option::transpose).collect()
    }

    pub(super) async fn rows<T: DeserializeOwned>(
        &self,
        tree: Tree,
        prefix: &[u8],
    ) -> Result<Vec<(Vec<u8>, T)>, Fault> {
        let mut all = Vec::new();
        loop {
            let after = all.last().map(|(key, _): &(Vec<u8>, T)| key.clone());
            let page = self.scan(tree, prefix, after.as_deref()).await?;
            let full = page.len() == SCAN_LIMIT;
            for (key, bytes) in page {
                let value = self.decode(tree, &key, &bytes)?;
                all.push((key, value));
            }
            if !full {
                return Ok(all);
            }
        }
    }

    /// How many keys there are under a prefix.
    pub(super) async fn count(&self, tree: Tree, prefix: &[u8]) -> Result<usize, Fault> {
        let mut count = 0;
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.scan(tree, prefix, after.as_deref()).await?;
            count += page.len();
            after = page.last().map(|(key, _)| key.clone());
            if page.len() < SCAN_LIMIT {
                return Ok(count);
            }
        }
    }

    pub(super) async fn scan(&self, tree: Tree, prefix: &[u8], after: Option<&[u8]>) -> Result<super::Entries, Fault> {
        Ok(self.store.scan(tree, prefix, after, SCAN_LIMIT).await?)
    }
}

/// The format that values of a tree are written in; those of earlier ones can be read.
fn format_of(tree: Tree) -> u32 {
    match tree {
        // 2: a letter tells how often it was met. 3: it goes when its record is accepted.
        Tree::DeadLetters => 3,
        // 2: a row may tell the part of a request that was cut.
        Tree::Journal => 2,
        _ => 1,
    }
}

fn is_sealed(tree: Tree) -> bool {
    matches!(tree, Tree::Outbox | Tree::DeadLetters | Tree::Intake | Tree::Answers)
}

pub(super) fn decode_link(bytes: &[u8], epoch: u32) -> Result<Link, Fault> {
    Link::decode(bytes, epoch).ok_or_else(|| damaged(Tree::Links))
}

fn seq_of(key: &[u8]) -> u64 {
    key.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

pub(super) fn damaged(tree: Tree) -> Fault {
    Fault::halt(Code::StoreDamaged, Blame::Host, format!("a value in {} cannot be read", tree.name()))
        .help("nothing was changed and the sinks are untouched; restore the state directory from a copy, or move it away and run again: writes are repeated under the same names")
}

fn newer(tree: Tree, format: u32) -> Fault {
    Fault::halt(Code::NewerFormat, Blame::Host, format!("a value in {} has format {format}", tree.name()))
        .help("nothing was changed; use the renkei that wrote this state, or a newer one")
}

pub(super) fn not_json(error: serde_json::Error) -> Fault {
    bug(&format!("a record that is no JSON reached the store: {error}"))
}

fn bug(message: &str) -> Fault {
    Fault::halt(Code::Bug, Blame::Bug, message).help("nothing was changed; please report it with the lines above")
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
