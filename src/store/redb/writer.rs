//! The one thread that works on the disk. It takes all calls that wait, applies the commits among them one by one, makes
//! them durable with one sync, answers them, and then answers the reads: so commits that wait share a sync, and a read
//! sees whole, durable commits only.
//!
//! An acknowledgement needs, in this order: the transaction, redb's durable commit, HEAD. HEAD comes after the data, so it never promises a commit that a power cut could take back.

use std::{
    fs,
    sync::{
        OnceLock,
        mpsc::{Receiver, TryRecvError},
    },
};

use tokio::sync::oneshot::Sender;

use super::{
    super::{Entries, Error, Op, Tree},
    RedbOptions,
    db::Db,
    head::Head,
    layout::Layout,
    lock::Lock,
};

/// Calls answered in one round, so that an early caller does not wait for a crowd that came later.
const ROUND_CALLS_MAX: usize = 256;
/// Bytes of commits after which a round is made durable.
const ROUND_BYTES_MAX: usize = 8 << 20;

type Reply<T> = Sender<Result<T, Error>>;

/// What the thread is asked to do.
pub(super) enum Call {
    Commit { ops: Vec<Op>, bytes: usize, reply: Reply<u64> },
    Get { tree: Tree, keys: Vec<Vec<u8>>, reply: Reply<Vec<Option<Vec<u8>>>> },
    Scan { tree: Tree, prefix: Vec<u8>, after: Option<Vec<u8>>, limit: usize, reply: Reply<Entries> },
    Close { reply: Sender<()> },
}

pub(super) struct Writer {
    db: Db,
    head: Head,
    layout: Layout,
    disk_bytes_max: u64,
    /// The file may hold much that is free: nobody looked since it was opened, or since something was only deleted.
    may_shrink: bool,
    _lock: Lock,
}

impl Writer {
    /// Opens the store: first what only reads, then the lock, then what writes.
    pub fn open(options: &RedbOptions) -> Result<Self, Error> {
        let layout = Layout::new(&options.path);
        if !layout.check_format()? {
            layout.make_dir()?;
        }
        let lock = Lock::take(&layout.dir)?;
        // Asked again under the lock: another process may have made the store in between.
        if !layout.check_format()? {
            layout.make_store()?;
        }
        let db = Db::open(&layout)?;
        let (head, expected) = match open_head(&layout, db.last_commit(), options.accept_older) {
            Ok(opened) => opened,
            Err(error) => {
                drop(db.close());
                return Err(error);
            }
        };
        let mut writer =
            Self { db, head, layout, disk_bytes_max: options.disk_bytes_max, may_shrink: true, _lock: lock };
        if writer.db.last_commit() < expected {
            // The numbers of the commits that are gone are never given out again.
            writer.db.apply(Vec::new(), expected + 1)?;
        }
        if writer.db.last_commit() != expected {
            writer.make_durable()?;
        }
        Ok(writer)
    }

    /// Answers calls until the last sender is gone, `Close` comes, or an error ends the handle.
    pub fn run(mut self, waiting: &Receiver<Call>, ended: &OnceLock<String>) {
        let mut closing = None;
        while closing.is_none()
            && let Ok(first) = waiting.recv()
        {
            match self.round(take_round(first, waiting)) {
                Ok(close) => closing = close,
                Err(error) => {
                    drop(ended.set(error.to_string()));
                    // Dropping the database writes nothing more after a failed write; waiting for its lock could hang.
                    return;
                }
            }
        }
        // Every acknowledged commit is durable already, so a failure to close loses nothing.
        drop(self.db.close());
        drop(self._lock);
        if let Some(reply) = closing {
            let _ = reply.send(());
        }
    }

    fn round(&mut self, calls: Vec<Call>) -> Result<Option<Sender<()>>, Error> {
        let mut commits = Vec::new();
        let mut rest = Vec::new();
        for call in calls {
            match call {
                Call::Commit { ops, reply, .. } => commits.push((ops, reply)),
                other => rest.push(other),
            }
        }
        self.commit_all(commits)?;
        let mut closing = None;
        for call in rest {
            match call {
                Call::Get { tree, keys, reply } => {
                    answer(reply, self.db.get_many(tree, &keys))?;
                }
                Call::Scan { tree, prefix, after, limit, reply } => {
                    answer(reply, self.db.scan(tree, &prefix, after.as_deref(), limit))?;
                }
                Call::Close { reply } => closing = Some(reply),
                Call::Commit { .. } => {}
            }
        }
        Ok(closing)
    }

    /// Applies the commits in their order and acknowledges them after one sync. When one fails, nobody knows what the
    /// disk holds of any of them, so none is acknowledged.
    fn commit_all(&mut self, commits: Vec<(Vec<Op>, Reply<u64>)>) -> Result<(), Error> {
        let mut applied = Vec::with_capacity(commits.len());
        let mut failure = None;
        for (ops, reply) in commits {
            let outcome = match &failure {
                Some(error) => Err(Error::clone(error)),
                None => self.make_room(&ops).and_then(|()| self.apply(ops)),
            };
            match outcome {
                Ok(commit) => applied.push((commit, reply)),
                Err(error) => {
                    if !matches!(error, Error::OverBudget { .. }) {
                        failure = Some(error.clone());
                    }
                    drop(reply.send(Err(error)));
                }
            }
        }
        if failure.is_none() && !applied.is_empty() {
            failure = self.make_durable().err();
        }
        for (commit, reply) in applied {
            drop(reply.send(failure.clone().map_or(Ok(commit), Err)));
        }
        failure.map_or(Ok(()), Err)
    }

    fn apply(&mut self, ops: Vec<Op>) -> Result<u64, Error> {
        let commit = self.db.last_commit() + 1;
        self.db.apply(ops, commit).map(|()| commit)
    }

    fn make_durable(&mut self) -> Result<(), Error> {
        self.db.sync()?;
        let written = self.head.advance(self.db.last_commit());
        written.map_err(|source| self.layout.io("write", &self.layout.head, source))
    }

    /// Keeps the budget. Commits that only delete pass, so that a full store can be emptied; what they freed goes back to
    /// the disk when the next one asks for room. That takes seconds, so it is done only where it can have become worth it.
    fn make_room(&mut self, ops: &[Op]) -> Result<(), Error> {
        if !ops.iter().any(|op| matches!(op, Op::Put { .. })) {
            self.may_shrink = true;
            return Ok(());
        }
        let mut bytes = self.db.disk_bytes()?;
        if bytes >= self.disk_bytes_max && self.may_shrink {
            self.may_shrink = false;
            self.db.compact()?;
            bytes = self.db.disk_bytes()?;
        }
        if bytes >= self.disk_bytes_max {
            return Err(Error::OverBudget { dir: self.layout.dir.clone(), bytes, bytes_max: self.disk_bytes_max });
        }
        Ok(())
    }
}

/// Sends an answer; an error also ends the handle.
fn answer<T>(reply: Reply<T>, outcome: Result<T, Error>) -> Result<(), Error> {
    let failure = outcome.as_ref().err().cloned();
    drop(reply.send(outcome));
    failure.map_or(Ok(()), Err)
}

/// The first call and those that wait behind it, within the bounds of a round.
fn take_round(first: Call, waiting: &Receiver<Call>) -> Vec<Call> {
    let size = |call: &Call| if let Call::Commit { bytes, .. } = call { *bytes } else { 0 };
    let mut bytes = size(&first);
    let mut calls = vec![first];
    while calls.len() < ROUND_CALLS_MAX && bytes < ROUND_BYTES_MAX {
        match waiting.try_recv() {
            Ok(call) => {
                bytes += size(&call);
                calls.push(call);
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
        }
    }
    calls
}

/// Opens HEAD and reads its number. Refuses a database that holds less, unless a person accepted that.
fn open_head(layout: &Layout, found: u64, accept_older: bool) -> Result<(Head, u64), Error> {
    let failed = |source| layout.io("open", &layout.head, source);
    match fs::exists(&layout.head).map_err(failed)?.then(|| Head::open(&layout.head)).transpose().map_err(failed)? {
        Some(Some((_, expected))) if found < expected && !accept_older => {
            Err(Error::WentBack { dir: layout.dir.clone(), expected, found })
        }
        Some(Some((head, expected))) => Ok((head, expected)),
        None | Some(None) if accept_older => Ok((Head::create(&layout.head, found).map_err(failed)?, found)),
        None => Err(layout.damaged("its HEAD file is missing")),
        Some(None) => Err(layout.damaged("its HEAD file does not match its checksums")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::oneshot;

    use super::*;
    use crate::store::contract::put;

    #[test]
    fn commits_that_wait_share_one_sync_and_keep_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(&RedbOptions::new(dir.path())).unwrap();
        let (calls, waiting) = mpsc::channel();
        let mut answers = Vec::new();
        for n in 0..20u8 {
            let (reply, answer) = oneshot::channel();
            calls.send(Call::Commit { ops: vec![put(Tree::Meta, "key", [n])], bytes: 4, reply }).unwrap();
            answers.push(answer);
        }
        let syncs = writer.head.syncs();
        let first = waiting.recv().unwrap();
        writer.round(take_round(first, &waiting)).unwrap();
        assert_eq!(writer.head.syncs() - syncs, 1);
        for (n, mut answer) in (1..).zip(answers) {
            assert_eq!(answer.try_recv().unwrap().unwrap(), n);
        }
        assert_eq!(writer.db.get_many(Tree::Meta, &[b"key".to_vec()]).unwrap(), [Some(vec![19])]);
    }

    #[test]
    fn a_round_ends_when_its_commits_are_large() {
        let (calls, waiting) = mpsc::channel();
        for _ in 0..10 {
            let (reply, _) = oneshot::channel();
            calls.send(Call::Commit { ops: Vec::new(), bytes: ROUND_BYTES_MAX / 2, reply }).unwrap();
        }
        let first = waiting.recv().unwrap();
        assert_eq!(take_round(first, &waiting).len(), 2);
    }
}
