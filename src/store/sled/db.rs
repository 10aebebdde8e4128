//! The only file that knows sled. Everything here runs on the store's one thread; a panic inside sled is caught and
//! reported as damage, because that is what makes it panic.
//!
//! A transaction's closure replays prepared changes and calls nothing else: sled holds one lock for the whole process
//! while it runs, and any other call would wait for it for ever.

use std::{
    any::Any,
    collections::BTreeMap,
    fs::{File, TryLockError},
    io,
    ops::Bound,
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::Once,
    thread,
};

use ::sled::{
    Config, IVec, Transactional,
    transaction::{ConflictableTransactionResult, TransactionError},
};

use super::{
    super::{Entries, Error, Op, Tree},
    envelope::{self, Kind},
    layout::Layout,
    parts::{self, Parts},
};

/// Pages kept in memory. sled's own default is a gigabyte.
const CACHE_BYTES: u64 = 8 << 20;

/// Holds one entry, whose envelope carries the number of the last commit.
const HEAD_TREE: &str = "head";
const HEAD_KEY: &[u8] = b"commit";

/// An open database.
pub(super) struct Db {
    layout: Layout,
    /// Those of [`Tree::ALL`] in their order, then the parts, then the head.
    trees: Vec<::sled::Tree>,
    db: ::sled::Db,
    /// Our own handle of sled's file: sled's flush leaves its size and its blocks to the next power cut.
    file: File,
    last_commit: u64,
}

/// One prepared change: the place of its tree, its key, and its bytes or nothing.
type Change = (usize, IVec, Option<IVec>);

const PARTS: usize = Tree::ALL.len();
const HEAD: usize = PARTS + 1;

impl Db {
    /// Makes an empty database with all its trees at `path`. What it wrote is not yet synced.
    pub fn create(layout: &Layout, path: &Path) -> Result<(), Error> {
        guarded(layout, || {
            let (db, trees) = open_trees(path)?;
            trees[HEAD].insert(HEAD_KEY, envelope::wrap(HEAD_TREE, HEAD_KEY, Kind::Whole, 0, b""))?;
            db.flush().map(drop)
        })?;
        let path = path.join("db");
        File::open(&path).and_then(|file| file.lock()).map_err(|source| layout.io("lock", &path, source))
    }

    /// Opens the database that is there. What a killed process wrote is synced first, so that nothing is served, and
    /// no snapshot is made, of bytes that a power cut could still take back.
    pub fn open(layout: &Layout) -> Result<Self, Error> {
        let path = layout.sled.join("db");
        let file = File::options().read(true).write(true).open(&path);
        let file = file.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => layout.damaged("its file sled/db is missing"),
            _ => layout.io("open", &path, source),
        })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Locked { dir: layout.dir.clone(), pid: None }),
            Err(TryLockError::Error(source)) => return Err(layout.io("lock", &path, source)),
        }
        let ready = file.sync_data().and_then(|()| file.unlock());
        ready.map_err(|source| layout.io("sync", &path, source))?;
        let (db, trees) = guarded(layout, || open_trees(&layout.sled))?;
        let mut opened = Self { layout: layout.clone(), trees, db, file, last_commit: 0 };
        match opened.read_last_commit() {
            Ok(last_commit) => {
                opened.last_commit = last_commit;
                Ok(opened)
            }
            Err(error) => {
                drop(opened.close());
                Err(error)
            }
        }
    }

    pub fn last_commit(&self) -> u64 {
        self.last_commit
    }

    fn read_last_commit(&self) -> Result<u64, Error> {
        let entry = guarded(&self.layout, || self.trees[HEAD].get(HEAD_KEY))?;
        let entry = entry.ok_or_else(|| self.layout.damaged("its last commit's number is missing"))?;
        let opened = envelope::open(HEAD_TREE, HEAD_KEY, &entry);
        Ok(opened.map_err(|what| self.layout.damaged(what))?.commit)
    }

    /// Applies all changes in one transaction. Not yet durable: see [`Db::sync`].
    pub fn apply(&mut self, ops: Vec<Op>, commit: u64) -> Result<(), Error> {
        guarded(&self.layout, || {
            let changes = self.prepare(ops, commit)?;
            let replay = |views: &Vec<::sled::transaction::TransactionalTree>| {
                for (tree, key, value) in &changes {
                    match value {
                        Some(value) => views[*tree].insert(key, value)?,
                        None => views[*tree].remove(key)?,
                    };
                }
                ConflictableTransactionResult::<(), ()>::Ok(())
            };
            match self.trees.as_slice().transaction(replay) {
                Ok(()) | Err(TransactionError::Abort(())) => Ok(()),
                Err(TransactionError::Storage(error)) => Err(error),
            }
        })?;
        self.last_commit = commit;
        Ok(())
    }

    /// Turns ops into what is stored, with the parts of replaced values removed and the commit's number on top. Reading
    /// the old values here is safe, because nobody else writes.
    fn prepare(&self, ops: Vec<Op>, commit: u64) -> ::sled::Result<Vec<Change>> {
        let mut last = BTreeMap::new();
        for op in ops {
            match op {
                Op::Put { tree, key, value } => last.insert((tree, key), Some(value)),
                Op::Delete { tree, key } => last.insert((tree, key), None),
            };
        }
        let mut changes: Vec<Change> = Vec::with_capacity(last.len() + 1);
        for (number, ((tree, key), value)) in (0..).zip(last) {
            if let Some(old) = self.trees[place(tree)].get(&key)?
                && let Ok(opened) = envelope::open(tree.name(), &key, &old)
                && let Some(parts) = Parts::of(&opened)
            {
                changes.extend(parts.keys().map(|key| (PARTS, IVec::from(key), None)));
            }
            let entry = value.map(|value| {
                let cut = parts::cut(tree.name(), &key, &value, commit, number);
                changes.extend(cut.parts.into_iter().map(|(key, bytes)| (PARTS, key.into(), Some(bytes.into()))));
                cut.entry.into()
            });
            changes.push((place(tree), key.into(), entry));
        }
        let head = envelope::wrap(HEAD_TREE, HEAD_KEY, Kind::Whole, commit, b"");
        changes.push((HEAD, HEAD_KEY.into(), Some(head.into())));
        Ok(changes)
    }

    /// Makes everything applied so far durable.
    pub fn sync(&self) -> Result<(), Error> {
        guarded(&self.layout, || self.db.flush())?;
        self.file.sync_data().map_err(|source| self.layout.io("sync", &self.layout.sled.join("db"), source))
    }

    pub fn disk_bytes(&self) -> Result<u64, Error> {
        let meta = self.file.metadata();
        Ok(meta.map_err(|source| self.layout.io("read", &self.layout.sled.join("db"), source))?.len())
    }

    pub fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let entry = guarded(&self.layout, || self.trees[place(tree)].get(key))?;
        entry.map(|entry| self.value(tree, key, &entry)).transpose()
    }

    pub fn scan(&self, tree: Tree, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Entries, Error> {
        let begin = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let found = guarded(&self.layout, || {
            let entries = self.trees[place(tree)].range::<&[u8], _>((begin, Bound::Unbounded));
            let within = |entry: &::sled::Result<(IVec, IVec)>| match entry {
                Ok((key, _)) => key.starts_with(prefix),
                Err(_) => true,
            };
            entries.take_while(within).take(limit).collect::<::sled::Result<Vec<_>>>()
        })?;
        found.into_iter().map(|(key, entry)| Ok((key.to_vec(), self.value(tree, &key, &entry)?))).collect()
    }

    fn value(&self, tree: Tree, key: &[u8], entry: &[u8]) -> Result<Vec<u8>, Error> {
        let opened = envelope::open(tree.name(), key, entry).map_err(|what| self.layout.damaged(what))?;
        if opened.commit > self.last_commit {
            return Err(self.layout.damaged("a value is of a commit that is not there"));
        }
        if opened.kind == Kind::Whole {
            return Ok(opened.body.to_vec());
        }
        let parts = Parts::of(&opened).ok_or_else(|| self.layout.damaged("a list of parts cannot be read"))?;
        let stored = guarded(&self.layout, || {
            parts.keys().map(|key| self.trees[PARTS].get(key)).collect::<::sled::Result<Vec<_>>>()
        })?;
        parts.join(&stored).map_err(|what| self.layout.damaged(what))
    }

    /// Drops everything that holds sled's lock, and returns when sled's own threads have let go of it too.
    pub fn close(self) -> Result<(), Error> {
        let Self { layout, trees, db, file, .. } = self;
        guarded(&layout, || {
            drop((trees, db));
            Ok(())
        })?;
        file.lock().map_err(|source| layout.io("lock", &layout.sled.join("db"), source))
    }
}

fn place(tree: Tree) -> usize {
    tree as usize
}

fn open_trees(path: &Path) -> ::sled::Result<(::sled::Db, Vec<::sled::Tree>)> {
    // Without a flusher of its own, sled writes only when this thread asks it to.
    let db = Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None).open()?;
    let names = Tree::ALL.map(Tree::name).into_iter().chain([parts::TREE, HEAD_TREE]);
    let trees = names.map(|name| db.open_tree(name)).collect::<::sled::Result<_>>()?;
    Ok((db, trees))
}

/// Makes a call into sled: what it reports and what it panics with become errors of the store.
fn guarded<T>(layout: &Layout, call: impl FnOnce() -> ::sled::Result<T>) -> Result<T, Error> {
    silence_panics();
    match panic::catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(::sled::Error::Io(source))) => Err(layout.io("work on", &layout.sled, source)),
        Ok(Err(::sled::Error::Corruption { .. })) => Err(layout.damaged("sled read corrupted data")),
        Ok(Err(
            error @ (::sled::Error::Unsupported(_)
            | ::sled::Error::ReportableBug(_)
            | ::sled::Error::CollectionNotFound(_)),
        )) => Err(layout.damaged(error.to_string())),
        Err(payload) => Err(layout.damaged(format!("sled gave up: {}", panic_text(payload.as_ref())))),
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    text.and_then(|text| text.lines().next()).unwrap_or("it did not say why")
}

/// The store's thread reports its panics as errors, so they are not also printed.
fn silence_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if thread::current().name() != Some(super::THREAD) {
                print(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        SledOptions, SledStore,
        contract::{delete, put},
    };

    fn open(dir: &Path) -> Db {
        drop(SledStore::open(SledOptions::new(dir)).unwrap());
        Db::open(&Layout::new(dir)).unwrap()
    }

    #[test]
    fn a_replaced_or_deleted_value_leaves_no_parts_behind() {
        let dir = tempfile::tempdir().unwrap();
        let mut db = open(dir.path());
        let sizes = [50_000, 9_000, 10, 20_000];
        let parts = sizes.map(|size| {
            let ops = vec![put(Tree::Outbox, "key", vec![7; size]), put(Tree::Runs, "key", "whole")];
            db.apply(ops, db.last_commit() + 1).unwrap();
            db.trees[PARTS].len()
        });
        assert_eq!(parts, [13, 3, 0, 5]);
        db.apply(vec![delete(Tree::Outbox, "key")], db.last_commit() + 1).unwrap();
        assert_eq!(db.trees[PARTS].len(), 0);
    }

    #[test]
    fn a_value_of_a_commit_that_is_not_there_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let mut db = open(dir.path());
        db.apply(vec![put(Tree::Links, "key", "value")], 1).unwrap();
        db.last_commit = 0;
        assert!(matches!(db.get(Tree::Links, b"key"), Err(Error::Damaged { .. })));
        assert!(matches!(db.scan(Tree::Links, b"", None, 1), Err(Error::Damaged { .. })));
    }

    #[test]
    fn a_panic_inside_sled_becomes_damage_and_does_not_end_the_thread() {
        let layout = Layout::new(Path::new("state"));
        let caught = guarded::<()>(&layout, || panic!("a broken page\nwith details"));
        assert_eq!(caught.unwrap_err().to_string(), "the store in state is damaged: sled gave up: a broken page");
    }
}
