//! The only file that knows redb. Everything here runs on the store's one thread; a panic inside redb is caught and
//! reported as damage, because that is what makes it panic.

use std::{
    any::Any,
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufReader},
    ops::Bound,
    os::unix::fs::MetadataExt,
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::Once,
    thread,
};

use ::redb::{Database, Durability, ReadableDatabase, TableDefinition, TableHandle};

use super::{
    super::{Entries, Error, Op, Tree},
    envelope,
    layout::Layout,
};

/// Pages kept in memory. redb's own default is a gigabyte.
const CACHE_BYTES: usize = 8 << 20;

/// The unit in which a file system tells what a file takes.
const BLOCK_BYTES: u64 = 512;

/// How much is read at a time where the whole file is read.
const READ_BYTES: usize = 1 << 20;

/// Holds one entry, whose envelope carries the number of the last commit.
const HEAD_TREE: &str = "head";
const HEAD_KEY: &[u8] = b"commit";

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

const HEAD: Table = TableDefinition::new(HEAD_TREE);

/// An open database.
pub(super) struct Db {
    layout: Layout,
    db: Database,
    last_commit: u64,
}

impl Db {
    /// Makes an empty database with all its trees in a new directory. Its names are not yet synced.
    pub fn create(layout: &Layout, path: &Path) -> Result<(), Error> {
        fs::create_dir(path).map_err(|source| layout.io("make", path, source))?;
        guarded(layout, || {
            let db = Database::builder().set_cache_size(CACHE_BYTES).create(path.join("db"))?;
            let transaction = db.begin_write()?;
            for tree in Tree::ALL {
                transaction.open_table(table(tree))?;
            }
            transaction.open_table(HEAD)?.insert(HEAD_KEY, &*envelope::wrap(HEAD_TREE, HEAD_KEY, 0, b""))?;
            Ok(transaction.commit()?)
        })
    }

    /// Opens the database that is there. What a killed process wrote is synced first, so that nothing is served of bytes
    /// that a power cut could still take back.
    pub fn open(layout: &Layout) -> Result<Self, Error> {
        let path = layout.redb.join("db");
        sync_and_read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => layout.damaged("its file redb/db is missing"),
            _ => layout.io("open", &path, source),
        })?;
        let db = guarded(layout, || {
            let mut db = Database::builder().set_cache_size(CACHE_BYTES).open(&path)?;
            // Otherwise redb believes its pages, and a damaged one could hide a key that nobody would miss.
            db.check_integrity()?;
            add_new_trees(&db)?;
            Ok(db)
        })?;
        let mut opened = Self { layout: layout.clone(), db, last_commit: 0 };
        opened.last_commit = opened.read_last_commit()?;
        Ok(opened)
    }

    pub fn last_commit(&self) -> u64 {
        self.last_commit
    }

    fn read_last_commit(&self) -> Result<u64, Error> {
        let entry = guarded(&self.layout, || {
            let head = self.db.begin_read()?.open_table(HEAD)?;
            Ok(head.get(HEAD_KEY)?.map(|entry| entry.value().to_vec()))
        })?;
        let entry = entry.ok_or_else(|| self.layout.damaged("its last commit's number is missing"))?;
        let opened = envelope::open(HEAD_TREE, HEAD_KEY, &entry);
        Ok(opened.map_err(|what| self.layout.damaged(what))?.commit)
    }

    /// Makes numbered commits durable, all of them or none.
    pub fn commit(&mut self, commits: Vec<(u64, Vec<Op>)>) -> Result<(), Error> {
        let last = commits.last().map_or(self.last_commit, |(number, _)| *number);
        guarded(&self.layout, || {
            let mut transaction = self.db.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            for (tree, changes) in by_tree(commits) {
                let mut rows = transaction.open_table(table(tree))?;
                for (key, (number, value)) in changes {
                    match value {
                        Some(value) => rows.insert(&*key, &*envelope::wrap(tree.name(), &key, number, &value))?,
                        None => rows.remove(&*key)?,
                    };
                }
            }
            let head = envelope::wrap(HEAD_TREE, HEAD_KEY, last, b"");
            transaction.open_table(HEAD)?.insert(HEAD_KEY, &*head)?;
            Ok(transaction.commit()?)
        })?;
        self.last_commit = last;
        Ok(())
    }

    /// What the file takes of the disk. Its length says nothing, because redb doubles it ahead of need.
    pub fn disk_bytes(&self) -> Result<u64, Error> {
        disk_bytes(&self.layout).map_err(|source| self.layout.io("read", &self.layout.redb, source))
    }

    /// Gives what is free inside the file back to the disk. It reads all of the file and moves pages in commits of its own,
    /// so where it is cut off nothing is lost.
    pub fn compact(&mut self) -> Result<(), Error> {
        guarded(&self.layout, || self.db.compact().map(drop).map_err(::redb::Error::from))
    }

    /// What is durable of several keys, in their order.
    pub fn get_many(&self, tree: Tree, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let found = guarded(&self.layout, || {
            let rows = self.db.begin_read()?.open_table(table(tree))?;
            let get = |key: &Vec<u8>| Ok(rows.get(&**key)?.map(|entry| entry.value().to_vec()));
            keys.iter().map(get).collect::<Result<Vec<_>, ::redb::Error>>()
        })?;
        let values = keys.iter().zip(found);
        values.map(|(key, entry)| entry.map(|entry| self.value(tree, key, &entry)).transpose()).collect()
    }

    pub fn scan(&self, tree: Tree, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Entries, Error> {
        let begin = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let found = guarded(&self.layout, || {
            let rows = self.db.begin_read()?.open_table(table(tree))?;
            let mut found = Entries::new();
            for entry in rows.range::<&[u8]>((begin, Bound::Unbounded))? {
                let (key, value) = entry?;
                if found.len() == limit || !key.value().starts_with(prefix) {
                    break;
                }
                found.push((key.value().to_vec(), value.value().to_vec()));
            }
            Ok(found)
        })?;
        let opened = |(key, entry): (Vec<u8>, Vec<u8>)| self.value(tree, &key, &entry).map(|value| (key, value));
        found.into_iter().map(opened).collect()
    }

    fn value(&self, tree: Tree, key: &[u8], entry: &[u8]) -> Result<Vec<u8>, Error> {
        let opened = envelope::open(tree.name(), key, entry).map_err(|what| self.layout.damaged(what))?;
        if opened.commit > self.last_commit {
            return Err(self.layout.damaged("a value is of a commit that is not there"));
        }
        Ok(opened.body.to_vec())
    }

    /// Lets go of the files.
    pub fn close(self) -> Result<(), Error> {
        let Self { layout, db, .. } = self;
        guarded(&layout, || {
            drop(db);
            Ok(())
        })
    }
}

/// As [`Db::disk_bytes`], for whoever has the store's place only.
pub fn disk_bytes(layout: &Layout) -> io::Result<u64> {
    Ok(fs::metadata(layout.redb.join("db"))?.blocks() * BLOCK_BYTES)
}

/// Makes the file durable, and reads it from its beginning to its end: the check that follows goes through it page by page in
/// the order of its trees, and a disk that was not asked before would answer each of them on its own.
fn sync_and_read(path: &Path) -> io::Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    file.sync_all()?;
    io::copy(&mut BufReader::with_capacity(READ_BYTES, file), &mut io::sink()).map(drop)
}

fn table(tree: Tree) -> Table {
    TableDefinition::new(tree.name())
}

/// A store of an earlier version has no tree for what came later.
fn add_new_trees(db: &Database) -> Result<(), ::redb::Error> {
    let there: Vec<String> = db.begin_read()?.list_tables()?.map(|table| table.name().to_owned()).collect();
    if Tree::ALL.iter().all(|tree| there.iter().any(|name| name == tree.name())) {
        return Ok(());
    }
    let transaction = db.begin_write()?;
    for tree in Tree::ALL {
        transaction.open_table(table(tree))?;
    }
    Ok(transaction.commit()?)
}

/// What changes of each tree, by key, with the number of the commit that says so last.
type Changes = BTreeMap<Tree, BTreeMap<Vec<u8>, (u64, Option<Vec<u8>>)>>;

fn by_tree(commits: Vec<(u64, Vec<Op>)>) -> Changes {
    let mut changes = Changes::new();
    for (number, ops) in commits {
        for op in ops {
            let (tree, key, value) = match op {
                Op::Put { tree, key, value } => (tree, key, Some(value)),
                Op::Delete { tree, key } => (tree, key, None),
            };
            changes.entry(tree).or_default().insert(key, (number, value));
        }
    }
    changes
}

/// Makes a call into redb: what it reports and what it panics with become errors of the store.
fn guarded<T>(layout: &Layout, call: impl FnOnce() -> Result<T, ::redb::Error>) -> Result<T, Error> {
    use ::redb::Error as Reported;
    silence_panics();
    match panic::catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Reported::Io(source))) => match source.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                Err(layout.damaged(format!("redb read corrupted data: {source}")))
            }
            _ => Err(layout.io("work on", &layout.redb, source)),
        },
        Ok(Err(Reported::DatabaseAlreadyOpen)) => Err(Error::Locked { dir: layout.dir.clone(), pid: None }),
        Ok(Err(Reported::Corrupted(what))) => Err(layout.damaged(format!("redb read corrupted data: {what}"))),
        Ok(Err(error)) => Err(layout.damaged(error.to_string())),
        Err(payload) => Err(layout.damaged(format!("redb gave up: {}", panic_text(payload.as_ref())))),
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
        RedbOptions, RedbStore,
        contract::{delete, put},
    };

    fn open(dir: &Path) -> Db {
        drop(RedbStore::open(RedbOptions::new(dir)).unwrap());
        Db::open(&Layout::new(dir)).unwrap()
    }

    #[test]
    fn commits_that_are_made_durable_together_count_each_and_the_last_change_of_a_key_stays() {
        let dir = tempfile::tempdir().unwrap();
        let mut db = open(dir.path());
        let (first, second) = (put(Tree::Links, "a", "first"), put(Tree::Links, "a", "second"));
        db.commit(vec![(1, vec![first, put(Tree::Links, "b", "")]), (2, vec![second])]).unwrap();
        db.commit(vec![(3, vec![delete(Tree::Links, "b")])]).unwrap();
        db.close().unwrap();
        let db = Db::open(&Layout::new(dir.path())).unwrap();
        let rows = db.scan(Tree::Links, b"", None, 9).unwrap();
        assert_eq!((db.last_commit(), rows), (3, vec![(b"a".to_vec(), b"second".to_vec())]));
    }

    #[test]
    fn a_value_of_a_commit_that_is_not_there_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let mut db = open(dir.path());
        db.commit(vec![(1, vec![put(Tree::Links, "key", "value")])]).unwrap();
        db.last_commit = 0;
        assert!(matches!(db.get_many(Tree::Links, &[b"key".to_vec()]), Err(Error::Damaged { .. })));
        assert!(matches!(db.scan(Tree::Links, b"", None, 1), Err(Error::Damaged { .. })));
    }

    #[test]
    fn a_panic_inside_redb_becomes_damage_and_does_not_end_the_thread() {
        let layout = Layout::new(Path::new("state"));
        let caught = guarded::<()>(&layout, || panic!("a broken page\nwith details"));
        assert_eq!(caught.unwrap_err().to_string(), "the store in state is damaged: redb gave up: a broken page");
    }

    #[test]
    fn a_store_of_an_earlier_version_gets_the_trees_that_it_does_not_have_and_keeps_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let (layout, mut db) = (Layout::new(dir.path()), open(dir.path()));
        db.commit(vec![(1, vec![put(Tree::Links, "key", "link")])]).unwrap();
        let transaction = db.db.begin_write().unwrap();
        transaction.delete_table(table(Tree::History)).unwrap();
        transaction.commit().unwrap();
        assert!(db.scan(Tree::History, b"", None, 1).is_err());
        db.close().unwrap();

        let db = Db::open(&layout).unwrap();
        assert!(db.scan(Tree::History, b"", None, 1).unwrap().is_empty());
        assert_eq!(db.get_many(Tree::Links, &[b"key".to_vec()]).unwrap(), [Some(b"link".to_vec())]);
    }
}
