//! The one thread that works on the disk. It takes all calls that wait, makes the commits among them durable together,
//! answers them, and then answers the reads: so commits that wait share a sync, and a read sees whole, durable commits only.
//! What nobody waits for is kept beside the calls, and goes with the next one, or by itself when none comes for a moment.
//!
//! An acknowledgement needs, in this order: redb's durable commit, HEAD. HEAD comes after the data, so it never promises a
//! commit that a power cut could take back.

use std::{
    fs, mem,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
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
/// How long changes that nobody waits for wait for a call that takes them along.
const LINGER: Duration = Duration::from_millis(5);

type Reply<T> = Sender<Result<T, Error>>;

/// What the thread is asked to do.
pub(super) enum Call {
    /// Without a reply where nobody waits for it.
    Commit {
        ops: Vec<Op>,
        bytes: usize,
        reply: Option<Reply<u64>>,
    },
    Get {
        tree: Tree,
        keys: Vec<Vec<u8>>,
        reply: Reply<Vec<Option<Vec<u8>>>>,
    },
    Scan {
        tree: Tree,
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
        limit: usize,
        reply: Reply<Entries>,
    },
    /// There is something that nobody waits for.
    Soon,
    Close {
        reply: Sender<()>,
    },
}

/// What a handle and its thread have in common.
#[derive(Default, Debug)]
pub(super) struct Shared {
    /// Changes that nobody waits for. Whoever asks for something takes them along in front of it.
    soon: Mutex<Vec<Op>>,
    /// Rounds that were made durable.
    pub syncs: AtomicU64,
    /// Why the handle ended, once it did.
    pub ended: OnceLock<String>,
}

impl Shared {
    pub fn soon(&self) -> MutexGuard<'_, Vec<Op>> {
        self.soon.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Writer {
    db: Db,
    head: Head,
    layout: Layout,
    disk_bytes_max: u64,
    /// The file may hold much that is free: nobody looked since it was opened, or since something was only deleted.
    may_shrink: bool,
    shared: Arc<Shared>,
    _lock: Lock,
}

impl Writer {
    /// Opens the store: first what only reads, then the lock, then what writes.
    pub fn open(options: &RedbOptions, shared: Arc<Shared>) -> Result<Self, Error> {
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
        let disk_bytes_max = options.disk_bytes_max;
        let mut writer = Self { db, head, layout, disk_bytes_max, may_shrink: true, shared, _lock: lock };
        match writer.db.last_commit() {
            // The numbers of the commits that are gone are never given out again.
            found if found < expected => writer.make_durable(vec![(expected + 1, Vec::new())])?,
            found if found > expected => writer.advance_head()?,
            _ => {}
        }
        Ok(writer)
    }

    /// Answers calls until the last sender is gone, `Close` comes, or an error ends the handle.
    pub fn run(mut self, waiting: &Receiver<Call>) {
        let mut closing = None;
        let mut soon = false;
        while closing.is_none()
            && let Some(calls) = self.next_round(waiting, soon)
        {
            soon = calls.iter().any(|call| matches!(call, Call::Soon));
            match self.round(calls) {
                Ok(close) => closing = close,
                Err(error) => {
                    drop(self.shared.ended.set(error.to_string()));
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

    /// The calls that are there, or come first. Nothing when no more can come.
    fn next_round(&self, waiting: &Receiver<Call>, soon: bool) -> Option<Vec<Call>> {
        let first = match soon {
            true => waiting.recv_timeout(LINGER),
            false => waiting.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match first {
            Ok(first) => Some(take_round(first, waiting)),
            Err(RecvTimeoutError::Timeout) => {
                // Nothing, where a call of the last round took it along.
                let ops = Some(mem::take(&mut *self.shared.soon())).filter(|ops| !ops.is_empty());
                Some(ops.into_iter().map(|ops| Call::Commit { ops, bytes: 0, reply: None }).collect())
            }
            Err(RecvTimeoutError::Disconnected) => None,
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
                Call::Commit { .. } | Call::Soon => {}
            }
        }
        Ok(closing)
    }

    /// Makes the commits durable in their order, and acknowledges them. When that fails, nobody knows what the disk holds of
    /// any of them, so none is acknowledged.
    fn commit_all(&mut self, commits: Vec<(Vec<Op>, Option<Reply<u64>>)>) -> Result<(), Error> {
        if commits.is_empty() {
            return Ok(());
        }
        let over_budget = self.over_budget(commits.iter().any(|(ops, _)| puts(ops)))?;
        let mut number = self.db.last_commit();
        let (mut accepted, mut waiting) = (Vec::with_capacity(commits.len()), Vec::with_capacity(commits.len()));
        for (ops, reply) in commits {
            match &over_budget {
                Some(error) if puts(&ops) => acknowledge(reply, Err(error.clone())),
                _ => {
                    number += 1;
                    self.may_shrink |= !puts(&ops);
                    accepted.push((number, ops));
                    waiting.push((number, reply));
                }
            }
        }
        let failure = if accepted.is_empty() { None } else { self.make_durable(accepted).err() };
        for (number, reply) in waiting {
            acknowledge(reply, failure.clone().map_or(Ok(number), Err));
        }
        failure.map_or(Ok(()), Err)
    }

    fn make_durable(&mut self, commits: Vec<(u64, Vec<Op>)>) -> Result<(), Error> {
        self.db.commit(commits)?;
        self.advance_head()?;
        self.shared.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn advance_head(&mut self) -> Result<(), Error> {
        let written = self.head.advance(self.db.last_commit());
        written.map_err(|source| self.layout.io("write", &self.layout.head, source))
    }

    /// Keeps the budget. Commits that only delete pass, so that a full store can be emptied; what they freed goes back to
    /// the disk when the next one asks for room. That takes seconds, so it is done only where it can have become worth it.
    fn over_budget(&mut self, asks_for_room: bool) -> Result<Option<Error>, Error> {
        let bytes_max = self.disk_bytes_max;
        let mut bytes = self.db.disk_bytes()?;
        if asks_for_room && bytes >= bytes_max && self.may_shrink {
            self.may_shrink = false;
            self.db.compact()?;
            bytes = self.db.disk_bytes()?;
        }
        Ok((bytes >= bytes_max).then(|| Error::OverBudget { dir: self.layout.dir.clone(), bytes, bytes_max }))
    }
}

fn puts(ops: &[Op]) -> bool {
    ops.iter().any(|op| matches!(op, Op::Put { .. }))
}

fn acknowledge(reply: Option<Reply<u64>>, outcome: Result<u64, Error>) {
    if let Some(reply) = reply {
        drop(reply.send(outcome));
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
    while calls.len() < ROUND_CALLS_MAX
        && bytes < ROUND_BYTES_MAX
        && let Ok(call) = waiting.try_recv()
    {
        bytes += size(&call);
        calls.push(call);
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
        let shared = Arc::new(Shared::default());
        let mut writer = Writer::open(&RedbOptions::new(dir.path()), Arc::clone(&shared)).unwrap();
        let (calls, waiting) = mpsc::channel();
        let mut answers = Vec::new();
        for n in 0..20u8 {
            let (reply, answer) = oneshot::channel();
            calls.send(Call::Commit { ops: vec![put(Tree::Meta, "key", [n])], bytes: 4, reply: Some(reply) }).unwrap();
            answers.push(answer);
        }
        let first = waiting.recv().unwrap();
        writer.round(take_round(first, &waiting)).unwrap();
        assert_eq!(shared.syncs.load(Ordering::Relaxed), 1);
        for (n, mut answer) in (1..).zip(answers) {
            assert_eq!(answer.try_recv().unwrap().unwrap(), n);
        }
        assert_eq!(writer.db.get_many(Tree::Meta, &[b"key".to_vec()]).unwrap(), [Some(vec![19])]);
    }

    #[test]
    fn a_round_ends_when_its_commits_are_large() {
        let (calls, waiting) = mpsc::channel();
        for _ in 0..10 {
            calls.send(Call::Commit { ops: Vec::new(), bytes: ROUND_BYTES_MAX / 2, reply: None }).unwrap();
        }
        let first = waiting.recv().unwrap();
        assert_eq!(take_round(first, &waiting).len(), 2);
    }
}
