//! A store without a disk, for the simulation: every future is ready when it is returned, and power fails exactly where
//! a history says.
//!
//! The hard idea: the durable state is shared, a handle is not. Losing power, reopening and restoring begin a new age of
//! the state, and a handle of an earlier age gets [`Error::Closed`] for ever, as a process that is dead.

use std::{
    collections::BTreeMap,
    future::ready,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Entries, Error, Op, StateStore, Tree, check_sizes};
use crate::model::BoxFuture;

/// Where in a commit the power fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PowerLoss {
    /// The commit takes no effect.
    Before,
    /// The commit is durable, but its caller never hears of it.
    After,
    /// Only the first `ops` changes become durable. A store must never do this: it is here so that a test can show that
    /// it would notice.
    Torn { ops: usize },
}

/// All that is durable at one moment.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Snapshot {
    entries: BTreeMap<(Tree, Vec<u8>), Vec<u8>>,
    commit: u64,
}

/// One handle over a durable state in memory. Clones are the same handle.
#[derive(Clone, Debug)]
pub struct Memory {
    disk: Arc<Mutex<Disk>>,
    age: u64,
}

#[derive(Default, Debug)]
struct Disk {
    durable: Snapshot,
    age: u64,
    operations: u64,
    armed: Option<(u64, PowerLoss)>,
    /// What becomes durable with whatever is asked for next, and is lost with the power.
    soon: Vec<Op>,
}

impl Disk {
    fn keep(&mut self, ops: impl IntoIterator<Item = Op>) {
        for op in ops {
            match op {
                Op::Put { tree, key, value } => self.durable.entries.insert((tree, key), value),
                Op::Delete { tree, key } => self.durable.entries.remove(&(tree, key)),
            };
        }
    }
}

impl Memory {
    pub fn new() -> Self {
        Self { disk: Arc::default(), age: 0 }
    }

    /// Power fails at the `operation`-th durable operation of this state, counted from its birth over all handles and
    /// beginning with 1. It fails once.
    pub fn lose_power_at(&self, operation: u64, how: PowerLoss) {
        self.lock().armed = Some((operation, how));
    }

    /// Nothing fails any more.
    pub fn disarm(&self) {
        self.lock().armed = None;
    }

    /// How many durable operations were tried so far, over all handles.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// Whether this handle still works.
    pub fn is_open(&self) -> bool {
        self.lock().age == self.age
    }

    /// A new handle over what is durable. Earlier handles are dead from now on.
    pub fn reopen(&self) -> Self {
        let mut disk = self.lock();
        disk.age += 1;
        disk.soon.clear();
        Self { disk: Arc::clone(&self.disk), age: disk.age }
    }

    /// A copy of what is durable.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().durable.clone()
    }

    /// Puts an earlier state back, as a restored backup does, and opens it. Earlier handles are dead from now on.
    pub fn restore(&self, snapshot: &Snapshot) -> Self {
        self.lock().durable = snapshot.clone();
        self.reopen()
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Result<MutexGuard<'_, Disk>, Error> {
        let disk = self.lock();
        if disk.age == self.age { Ok(disk) } else { Err(Error::Closed { why: "the power was lost".to_owned() }) }
    }

    /// What a reader sees.
    fn read(&self) -> Result<MutexGuard<'_, Disk>, Error> {
        let mut disk = self.open()?;
        let soon = std::mem::take(&mut disk.soon);
        disk.keep(soon);
        Ok(disk)
    }

    fn apply(&self, ops: Vec<Op>) -> Result<u64, Error> {
        check_sizes(&ops)?;
        let mut disk = self.open()?;
        disk.operations += 1;
        let loss = match disk.armed {
            Some((operation, how)) if operation == disk.operations => Some(how),
            _ => None,
        };
        let lasting = match loss {
            None | Some(PowerLoss::After) => ops.len(),
            Some(PowerLoss::Before) => 0,
            Some(PowerLoss::Torn { ops }) => ops,
        };
        let soon = std::mem::take(&mut disk.soon);
        if loss != Some(PowerLoss::Before) {
            disk.durable.commit += 1;
            disk.keep(soon);
        }
        disk.keep(ops.into_iter().take(lasting));
        if loss.is_some() {
            disk.armed = None;
            disk.age += 1;
            return Err(Error::Closed { why: "the power was lost".to_owned() });
        }
        Ok(disk.durable.commit)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl StateStore for Memory {
    fn commit(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<u64, Error>> {
        Box::pin(ready(self.apply(ops)))
    }

    fn commit_soon(&self, ops: Vec<Op>) -> Result<(), Error> {
        check_sizes(&ops)?;
        self.open()?.soon.extend(ops);
        Ok(())
    }

    fn get<'a>(&'a self, tree: Tree, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>> {
        let found = self.read().map(|disk| disk.durable.entries.get(&(tree, key.to_vec())).cloned());
        Box::pin(ready(found))
    }

    fn get_many(&self, tree: Tree, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>, Error>> {
        let found = self.read().map(|disk| {
            keys.into_iter().map(|key| disk.durable.entries.get(&(tree, key)).cloned()).collect::<Vec<_>>()
        });
        Box::pin(ready(found))
    }

    fn scan<'a>(
        &'a self,
        tree: Tree,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Entries, Error>> {
        let found = self.read().map(|disk| {
            let begin = match after {
                Some(after) if after >= prefix => Bound::Excluded((tree, after.to_vec())),
                _ => Bound::Included((tree, prefix.to_vec())),
            };
            let entries = disk.durable.entries.range((begin, Bound::Unbounded));
            entries
                .take_while(|((of, key), _)| *of == tree && key.starts_with(prefix))
                .take(limit)
                .map(|((_, key), value)| (key.clone(), value.clone()))
                .collect::<Entries>()
        });
        Box::pin(ready(found))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::{super::contract, *};

    fn put(key: &str, value: &str) -> Op {
        Op::Put { tree: Tree::Meta, key: key.into(), value: value.into() }
    }

    fn commit(store: &Memory, ops: Vec<Op>) -> Result<u64, Error> {
        store.commit(ops).now_or_never().expect("futures of the memory store are ready")
    }

    fn keys(store: &Memory) -> Vec<String> {
        let entries = store.scan(Tree::Meta, b"", None, 100).now_or_never().unwrap().unwrap();
        entries.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect()
    }

    #[tokio::test]
    async fn the_store_in_memory_keeps_the_contract() {
        contract::every_rule(|| Arc::new(Memory::new())).await;
    }

    #[test]
    fn power_lost_before_a_commit_leaves_nothing_of_it() {
        let store = Memory::new();
        store.lose_power_at(2, PowerLoss::Before);
        assert_eq!(commit(&store, vec![put("a", "1")]).unwrap(), 1);
        assert!(matches!(commit(&store, vec![put("b", "2")]), Err(Error::Closed { .. })));
        assert_eq!(keys(&store.reopen()), ["a"]);
    }

    #[test]
    fn power_lost_after_a_commit_keeps_it_although_nobody_heard() {
        let store = Memory::new();
        store.lose_power_at(1, PowerLoss::After);
        assert!(commit(&store, vec![put("a", "1")]).is_err());
        let store = store.reopen();
        assert_eq!(keys(&store), ["a"]);
        assert_eq!(commit(&store, vec![put("b", "2")]).unwrap(), 2);
    }

    #[test]
    fn a_torn_commit_keeps_only_its_first_changes() {
        let store = Memory::new();
        store.lose_power_at(1, PowerLoss::Torn { ops: 1 });
        assert!(commit(&store, vec![put("a", "1"), put("b", "2")]).is_err());
        assert_eq!(keys(&store.reopen()), ["a"]);
    }

    #[test]
    fn a_handle_from_before_the_power_loss_stays_dead() {
        let store = Memory::new();
        store.lose_power_at(1, PowerLoss::Before);
        assert!(commit(&store, vec![]).is_err());
        let second = store.reopen();
        assert!(!store.is_open());
        assert!(second.is_open());
        assert!(matches!(commit(&store, vec![put("a", "1")]), Err(Error::Closed { .. })));
        assert!(matches!(store.get(Tree::Meta, b"a").now_or_never().unwrap(), Err(Error::Closed { .. })));
        assert!(keys(&second).is_empty());
        assert_eq!(second.operations(), 1);
    }

    #[test]
    fn a_restored_snapshot_forgets_what_came_after_it() {
        let store = Memory::new();
        commit(&store, vec![put("a", "1")]).unwrap();
        let earlier = store.snapshot();
        commit(&store, vec![put("b", "2")]).unwrap();
        let store = store.restore(&earlier);
        assert_eq!(keys(&store), ["a"]);
        assert_eq!(store.operations(), 2);
    }
}
