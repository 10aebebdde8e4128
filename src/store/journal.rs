//! The outcome journal: what became of writes that must not be sent twice.
//!
//! | a write is | the journal holds | after a crash it |
//! |---|---|---|
//! | not sent | nothing | is sent |
//! | on its way | its intent, durable before a byte leaves | is uncertain |
//! | answered | its verdict, from the next sync on | has its verdict; before that sync it is uncertain |
//! | known to have had no effect | nothing again, from the next sync on | is sent; before that sync it is uncertain |
//!
//! The rows of a batch leave in the commit that settles it, so none outlives the numbers that name it.
//!
//! The hard idea is the group: a durable commit takes milliseconds, and many writes are in flight. Whoever comes while a commit
//! is under way waits for the next one, which carries the intents of all who wait, and the verdicts that came in meanwhile for
//! free. Nobody waits for a verdict: where no commit is under way that could take it along, it sets one going.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Op, State, Tree, records::StreamId};
use crate::model::{Fault, Verdict};

/// What the journal knows of one write.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Noted {
    /// It may have left at this time or later.
    Intent(DateTime<Utc>),
    /// It was answered.
    Answered(Verdict),
}

/// One stream's way to note its writes. Clones are the same.
#[derive(Clone)]
pub struct Journal {
    state: State,
    stream: Arc<StreamId>,
}

impl Journal {
    pub(super) fn new(state: State, stream: StreamId) -> Self {
        Self { state, stream: Arc::new(stream) }
    }

    /// Notes that the items at these places of a batch are about to be sent. Durable when it resolves.
    pub async fn intend(&self, batch: u64, places: &[usize], now: DateTime<Utc>) -> Result<(), Fault> {
        let ops = places.iter().map(|at| self.put(batch, *at, &Noted::Intent(now))).collect::<Result<Vec<_>, _>>()?;
        let round = self.state.notes.intend(&self.stream, batch, places, ops);
        self.state.commit_notes(round).await
    }

    /// Remembers the verdict of a sent item. Nobody has to wait until it is durable.
    pub fn answered(&self, batch: u64, at: usize, verdict: &Verdict) -> Result<(), Fault> {
        let op = self.put(batch, at, &Noted::Answered(verdict.clone()))?;
        self.state.remember(&self.stream, batch, &[at], vec![op]);
        Ok(())
    }

    /// Forgets the intent of items that are known to have had no effect. Becomes durable like a verdict.
    pub fn stayed(&self, batch: u64, places: &[usize]) {
        let delete = |at: &usize| Op::Delete { tree: Tree::Journal, key: row_key(&self.stream, batch, *at) };
        self.state.remember(&self.stream, batch, places, places.iter().map(delete).collect());
    }

    fn put(&self, batch: u64, at: usize, noted: &Noted) -> Result<Op, Fault> {
        self.state.put(Tree::Journal, row_key(&self.stream, batch, at), noted)
    }
}

/// What waits for the next commit, and which rows there are. One per store: streams share their commits.
#[derive(Default)]
pub(super) struct Notes {
    queue: Mutex<Queue>,
    /// Held by whoever commits for all. Tokio's mutex is fair.
    turn: tokio::sync::Mutex<()>,
}

type BatchId = (Arc<StreamId>, u64);

#[derive(Default)]
struct Queue {
    intents: Vec<(BatchId, Op)>,
    /// What became of earlier intents.
    outcomes: Vec<(BatchId, Op)>,
    /// Somebody waits for a commit, which will be followed by whatever came meanwhile.
    busy: bool,
    /// Commits begun so far; what waits goes with the next one.
    begun: u64,
    /// Everything up to this commit is durable, or failed.
    ended: u64,
    /// The last commit that failed, with the first one that it spoke for.
    failed: Option<(u64, u64, Fault)>,
    /// Rows that are or may be in the store.
    rows: BTreeMap<BatchId, BTreeSet<usize>>,
}

impl Notes {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts intents into the next commit and returns its number.
    fn intend(&self, stream: &Arc<StreamId>, batch: u64, places: &[usize], ops: Vec<Op>) -> u64 {
        let mut queue = self.queue();
        let id = (Arc::clone(stream), batch);
        queue.rows.entry(id.clone()).or_default().extend(places);
        queue.intents.extend(ops.into_iter().map(|op| (id.clone(), op)));
        queue.begun + 1
    }

    /// Learns the rows of an earlier process.
    pub(super) fn learn(&self, stream: &Arc<StreamId>, batch: u64, places: impl Iterator<Item = usize>) {
        self.queue().rows.entry((Arc::clone(stream), batch)).or_default().extend(places);
    }

    /// The end of a batch: what still waits of it is dropped, and its rows are to be deleted in the commit that settles it.
    /// `commit` is begun before anybody else can note anything.
    pub(super) fn leave<T>(&self, stream: &StreamId, batches: &[u64], commit: impl FnOnce(Vec<Op>) -> T) -> T {
        let mut queue = self.queue();
        let mut ops = Vec::new();
        for batch in batches {
            let id = (Arc::new(stream.clone()), *batch);
            queue.intents.retain(|(of, _)| *of != id);
            queue.outcomes.retain(|(of, _)| *of != id);
            let places = queue.rows.remove(&id).unwrap_or_default();
            ops.extend(places.iter().map(|at| Op::Delete { tree: Tree::Journal, key: row_key(stream, *batch, *at) }));
        }
        commit(ops)
    }
}

impl State {
    /// The journal of a stream.
    pub fn journal(&self, stream: &StreamId) -> Journal {
        Journal::new(self.clone(), stream.clone())
    }

    /// Puts outcomes into the next commit, and sets one going if nobody else will soon.
    fn remember(&self, stream: &Arc<StreamId>, batch: u64, places: &[usize], ops: Vec<Op>) {
        let mut queue = self.notes.queue();
        let id = (Arc::clone(stream), batch);
        queue.rows.entry(id.clone()).or_default().extend(places);
        queue.outcomes.extend(ops.into_iter().map(|op| (id.clone(), op)));
        self.set_going(&mut queue);
    }

    fn set_going(&self, queue: &mut Queue) {
        if !queue.busy && queue.intents.is_empty() && !queue.outcomes.is_empty() {
            let ops = std::mem::take(&mut queue.outcomes).into_iter().map(|(_, op)| op).collect();
            // The call sets the commit going. If it fails, the next intent or the batch's own commit fails too.
            drop(self.store.commit(ops));
        }
    }

    /// Resolves when the notes of a commit are durable, by committing them if nobody did.
    async fn commit_notes(&self, round: u64) -> Result<(), Fault> {
        let _turn = self.notes.turn.lock().await;
        let (first, number, commit) = {
            let mut queue = self.notes.queue();
            if queue.ended >= round {
                let failed = queue.failed.as_ref().filter(|(first, last, _)| (*first..=*last).contains(&round));
                return failed.map_or(Ok(()), |(_, _, fault)| Err(fault.clone()));
            }
            queue.begun += 1;
            queue.busy = true;
            let (outcomes, intents) = (std::mem::take(&mut queue.outcomes), std::mem::take(&mut queue.intents));
            // Outcomes first: the same item may be sent again after one.
            let ops = outcomes.into_iter().chain(intents).map(|(_, op)| op).collect();
            // Begun under the lock, so that notes and the commits that settle their batches keep their order.
            (queue.ended + 1, queue.begun, self.store.commit(ops))
        };
        let outcome = commit.await.map(drop).map_err(Fault::from);
        let mut queue = self.notes.queue();
        queue.ended = number;
        queue.busy = !queue.intents.is_empty();
        self.set_going(&mut queue);
        if let Err(fault) = &outcome {
            queue.failed = Some((first, number, fault.clone()));
        }
        outcome
    }
}

pub(super) fn row_key(stream: &StreamId, batch: u64, at: usize) -> Vec<u8> {
    let place = u32::try_from(at).unwrap_or(u32::MAX);
    stream.key(&[&batch.to_be_bytes()[..], &place.to_be_bytes()[..]].concat())
}

/// The batch and the place that a row's key names.
pub(super) fn place_of(key: &[u8]) -> Option<(u64, usize)> {
    let (rest, place) = key.split_last_chunk::<4>()?;
    let batch = rest.last_chunk::<8>()?;
    Some((u64::from_be_bytes(*batch), u32::from_be_bytes(*place) as usize))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures_util::future::join_all;

    use super::*;
    use crate::{
        model::{BoxFuture, Checkpoint, Clock, Code, ContentHash, Fields, Key, Overlap, SystemClock},
        store::{Batch, Deed, Entries, Error, Item, Memory, PowerLoss, Run, Seal, StateStore},
    };

    fn stream() -> StreamId {
        StreamId::new("p", "s")
    }

    fn run() -> Run {
        Run::begin("run", &stream(), now())
    }

    fn item(id: &str) -> Item {
        let fields = Fields::parse(format!("{{\"id\":\"{id}\"}}").as_bytes()).unwrap();
        Item {
            deed: Deed::Write,
            key: Key::new(id),
            sink_key: None,
            version: None,
            overlap: Overlap::default(),
            source: fields.clone(),
            content: Some(ContentHash::of(&fields)),
            fields,
            generation: 0,
            sink_id: None,
            doubt: None,
            idempotency_key: id.to_owned(),
        }
    }

    fn state(memory: &Memory) -> State {
        State::new(Arc::new(memory.clone()), Arc::new(Seal::plain()))
    }

    fn now() -> DateTime<Utc> {
        SystemClock.now()
    }

    async fn staged(state: &State, count: usize) -> crate::store::Staged {
        let items = (0..count).map(|at| item(&at.to_string())).collect();
        let batch = Batch { items, next: Checkpoint::default(), ..Batch::default() };
        state.stage(&stream(), batch, now(), &mut run()).await.unwrap()
    }

    async fn after_a_crash(memory: &Memory, places: usize) -> Vec<Option<Noted>> {
        let state = state(&memory.reopen());
        let left = state.outbox(&stream()).await.unwrap();
        (0..places).map(|at| left[0].noted(at).cloned()).collect()
    }

    #[tokio::test]
    async fn an_intent_survives_a_crash_and_so_does_what_became_of_it() {
        let memory = Memory::new();
        let state = state(&memory);
        let batch = staged(&state, 4).await;
        let journal = state.journal(&stream());
        let at = now();
        journal.intend(batch.seq(), &[0, 1], at).await.unwrap();
        let intent = Some(Noted::Intent(at));
        assert_eq!(after_a_crash(&memory, 4).await, [intent.clone(), intent.clone(), None, None]);
        let state = self::state(&memory.reopen());
        state.outbox(&stream()).await.unwrap();
        let journal = state.journal(&stream());
        journal.answered(batch.seq(), 0, &Verdict::Deleted).unwrap();
        journal.stayed(batch.seq(), &[1]);
        journal.intend(batch.seq(), &[2], at).await.unwrap();
        let answered = Some(Noted::Answered(Verdict::Deleted));
        assert_eq!(after_a_crash(&memory, 4).await, [answered.clone(), None, intent, None]);
        // Nothing else is sent, so nobody waits for a commit: the verdict goes by itself.
        let state = self::state(&memory.reopen());
        state.outbox(&stream()).await.unwrap();
        state.journal(&stream()).answered(batch.seq(), 2, &Verdict::Deleted).unwrap();
        assert_eq!(after_a_crash(&memory, 4).await, [answered.clone(), None, answered, None]);
    }

    #[tokio::test]
    async fn the_commit_that_settles_a_batch_takes_all_its_notes_along() {
        let memory = Memory::new();
        let state = state(&memory);
        let batch = staged(&state, 2).await;
        let journal = state.journal(&stream());
        journal.intend(batch.seq(), &[0, 1], now()).await.unwrap();
        journal.answered(batch.seq(), 0, &Verdict::Deleted).unwrap();
        let settled = batch.settle(vec![Verdict::Deleted, Verdict::Deleted]).unwrap();
        state.commit(&stream(), vec![settled], None, now(), &mut run()).await.unwrap();
        // Something else is noted: the verdict that still waited must not come back under the old number.
        journal.intend(7, &[0], now()).await.unwrap();
        let rows = memory.scan(Tree::Journal, b"", None, 10).await.unwrap();
        let places: Vec<_> = rows.iter().map(|(key, _)| place_of(key).unwrap()).collect();
        assert_eq!(places, [(7, 0)]);
    }

    #[tokio::test]
    async fn the_notes_of_an_earlier_process_leave_with_their_batch_too() {
        let memory = Memory::new();
        let first = state(&memory);
        let batch = staged(&first, 1).await;
        first.journal(&stream()).intend(batch.seq(), &[0], now()).await.unwrap();
        let second = state(&memory.reopen());
        let left = second.outbox(&stream()).await.unwrap().pop().unwrap();
        let settled = left.settle(vec![Verdict::Deleted]).unwrap();
        second.commit(&stream(), vec![settled], None, now(), &mut run()).await.unwrap();
        assert!(memory.reopen().scan(Tree::Journal, b"", None, 10).await.unwrap().is_empty());
    }

    /// A store whose commits take a moment, and are counted.
    struct Slow(Memory, AtomicU64);

    impl StateStore for Slow {
        fn commit(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<u64, Error>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            let committed = self.0.commit(ops);
            Box::pin(async move {
                tokio::task::yield_now().await;
                committed.await
            })
        }

        fn get<'a>(&'a self, tree: Tree, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>> {
            self.0.get(tree, key)
        }

        fn get_many(&self, tree: Tree, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>, Error>> {
            self.0.get_many(tree, keys)
        }

        fn scan<'a>(
            &'a self,
            tree: Tree,
            prefix: &'a [u8],
            after: Option<&'a [u8]>,
            limit: usize,
        ) -> BoxFuture<'a, Result<Entries, Error>> {
            self.0.scan(tree, prefix, after, limit)
        }
    }

    #[tokio::test]
    async fn writes_in_flight_share_a_commit() {
        let slow = Arc::new(Slow(Memory::new(), AtomicU64::new(0)));
        let state = State::new(slow.clone(), Arc::new(Seal::plain()));
        let journal = state.journal(&stream());
        let all = (0..64usize).map(|at| {
            let journal = journal.clone();
            async move { journal.intend(0, &[at], now()).await }
        });
        assert!(join_all(all).await.into_iter().all(|noted| noted.is_ok()));
        // The first goes alone or with those that came before it was polled; all others share the next.
        assert!(slow.1.load(Ordering::Relaxed) <= 2, "{:?}", slow.1);
        assert_eq!(slow.0.scan(Tree::Journal, b"", None, 100).await.unwrap().len(), 64);
    }

    #[tokio::test]
    async fn an_intent_that_is_not_durable_is_told_to_everybody_who_waits_for_it() {
        let memory = Memory::new();
        memory.lose_power_at(1, PowerLoss::Before);
        let journal = state(&memory).journal(&stream());
        let all = (0..3usize).map(|at| {
            let journal = journal.clone();
            async move { journal.intend(0, &[at], now()).await }
        });
        for noted in join_all(all).await {
            assert_eq!(noted.unwrap_err().code, Code::StoreClosed);
        }
    }
}
