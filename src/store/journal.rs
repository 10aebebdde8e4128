//! The outcome journal: what became of writes that must not be sent twice, and of requests that were cut.
//!
//! | a write is | the journal holds | after a crash it |
//! |---|---|---|
//! | not sent | nothing | is sent |
//! | on its way | its intent, durable before a byte leaves | is uncertain |
//! | answered | its verdict, from the next sync on | has its verdict; before that sync it is uncertain |
//! | known to have had no effect | nothing again, from the next sync on | is sent; before that sync it is uncertain |
//! | cut from a request that was refused whole | its part, durable before a part leaves | is sent with its part only |
//!
//! The rows of a batch leave in the commit that settles it, so none outlives the numbers that name it.
//!
//! The hard idea is that a sync takes milliseconds, and many writes are in flight. Intents that wait at the same time share one,
//! which is the store's business; nobody waits for a verdict, so it asks for no sync of its own and goes with the next one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
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
    /// It leaves only together with the items of the same number. A request that carried more was refused as a whole: what
    /// the vendor says of that one later must not count on top of what it said of the parts.
    Part(usize),
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
        let ops = places.iter().map(|at| self.put(batch, *at, &Noted::Intent(now))).collect::<Result<_, _>>()?;
        let commit = self.state.notes.add(&self.stream, batch, places, || self.state.store.commit(ops));
        Ok(commit.await.map(drop)?)
    }

    /// Notes that the items of a refused request leave in these parts from now on. Durable when it resolves.
    pub async fn cut(&self, batch: u64, parts: &[Vec<usize>]) -> Result<(), Fault> {
        let mut ops = Vec::new();
        for (number, at) in parts.iter().flat_map(|part| part.iter().map(|at| (part[0], *at))) {
            ops.push(self.put(batch, at, &Noted::Part(number))?);
        }
        let commit = self.state.notes.add(&self.stream, batch, &parts.concat(), || self.state.store.commit(ops));
        Ok(commit.await.map(drop)?)
    }

    /// Remembers the verdict of a sent item. Nobody has to wait until it is durable.
    pub fn answered(&self, batch: u64, at: usize, verdict: &Verdict) -> Result<(), Fault> {
        let op = self.put(batch, at, &Noted::Answered(verdict.clone()))?;
        self.remember(batch, &[at], vec![op])
    }

    /// Forgets the intent of items that are known to have had no effect. Becomes durable like a verdict.
    pub fn stayed(&self, batch: u64, places: &[usize]) {
        let delete = |at: &usize| Op::Delete { tree: Tree::Journal, key: row_key(&self.stream, batch, *at) };
        // A store that fails here fails the next call too, and a write whose intent is still there is in doubt: that is safe.
        drop(self.remember(batch, places, places.iter().map(delete).collect()));
    }

    fn remember(&self, batch: u64, places: &[usize], ops: Vec<Op>) -> Result<(), Fault> {
        Ok(self.state.notes.add(&self.stream, batch, places, || self.state.store.commit_soon(ops))?)
    }

    fn put(&self, batch: u64, at: usize, noted: &Noted) -> Result<Op, Fault> {
        self.state.put(Tree::Journal, row_key(&self.stream, batch, at), noted)
    }
}

/// The rows that are or may be in the store, by batch.
#[derive(Default)]
pub(super) struct Notes(Mutex<BTreeMap<BatchId, BTreeSet<usize>>>);

type BatchId = (Arc<StreamId>, u64);

impl Notes {
    /// Adds rows. `commit` is begun before anybody else can note anything, as in all functions here.
    fn add<T>(&self, stream: &Arc<StreamId>, batch: u64, places: &[usize], commit: impl FnOnce() -> T) -> T {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.entry((Arc::clone(stream), batch)).or_default().extend(places);
        commit()
    }

    /// Learns the rows of an earlier process.
    pub(super) fn learn(&self, stream: &Arc<StreamId>, batch: u64, places: impl Iterator<Item = usize>) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.entry((Arc::clone(stream), batch)).or_default().extend(places);
    }

    /// The end of batches: their rows are to be deleted in the commit that settles them.
    pub(super) fn leave<T>(&self, stream: &StreamId, batches: &[u64], commit: impl FnOnce(Vec<Op>) -> T) -> T {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ops = Vec::new();
        for batch in batches {
            let places = rows.remove(&(Arc::new(stream.clone()), *batch)).unwrap_or_default();
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
    use futures_util::future::join_all;

    use super::*;
    use crate::{
        model::{Checkpoint, Clock, Code, ContentHash, Fields, Key, SystemClock},
        store::{Batch, Item, Memory, PowerLoss, Run, Seal, StateStore},
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
            content: Some(ContentHash::of(&fields)),
            idempotency_key: id.to_owned(),
            ..Item::new(Key::new(id), fields)
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
        assert_eq!(after_a_crash(&memory, 4).await, [answered.clone(), None, intent.clone(), None]);
        // Until the next sync a verdict can be lost, and then the write is in doubt. It is never taken for one that was not sent.
        let state = self::state(&memory.reopen());
        state.outbox(&stream()).await.unwrap();
        let journal = state.journal(&stream());
        journal.answered(batch.seq(), 2, &Verdict::Deleted).unwrap();
        assert_eq!(after_a_crash(&memory, 4).await, [answered.clone(), None, intent, None]);
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
