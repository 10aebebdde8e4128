//! The store on disk: redb 4, with rules of ours around it.
//!
//! redb keeps what it acknowledged, through kills and power cuts. The rules for what it does not promise, and where each one
//! lives:
//!
//! | rule | where |
//! |---|---|
//! | a new store is built aside, synced, renamed into place and then marked | `layout` |
//! | one thread makes every call; a panic inside redb is caught | `writer`, `db` |
//! | an acknowledgement follows the durable commit; waiting commits share it | `writer` |
//! | what a killed process wrote is synced before it is believed, and all pages are checked against their sums | `db` |
//! | an error ends the handle | `writer` |
//! | every value carries checksum, format and commit number; HEAD holds the last acknowledged one | `envelope`, `head` |
//! | reads run between commits, never beside one | `writer` |
//! | one process at a time, and the message says which | `lock` |
//! | a disk budget | `writer` |
//!
//! ```text
//!   state/            the directory a person names
//!     owner           locked by the process that works here; holds its id
//!     format          the marker, written last when the store was made
//!     HEAD            number of the last acknowledged commit
//!     redb/           what redb keeps; built as redb.new
//! ```

mod db;
mod envelope;
mod head;
mod layout;
mod lock;
mod writer;

use std::{
    mem,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::Ordering,
        mpsc::{self, SyncSender},
    },
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

use self::{
    layout::Layout,
    writer::{Call, Shared, Writer},
};
use super::{Entries, Error, Op, StateStore, Tree, check_sizes};
use crate::model::BoxFuture;

/// Calls that may wait for the writer thread. A caller that meets a full queue blocks its thread until one call is
/// done, which needs nothing of the async runtime.
const CALLS_WAITING_MAX: usize = 1024;

/// The name of the thread that makes every call into redb.
const THREAD: &str = "renkei-store";

/// How to open a store on disk.
#[derive(Clone, Debug)]
pub struct RedbOptions {
    /// The state directory. It is made when it is missing.
    pub path: PathBuf,
    /// Commits that add data are refused once the store's files hold this many bytes.
    pub disk_bytes_max: u64,
    /// Goes on with a store that lost acknowledged commits, or whose HEAD is gone, where opening would refuse.
    pub accept_older: bool,
}

impl RedbOptions {
    pub const DISK_BYTES_MAX: u64 = 10 << 30;

    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), disk_bytes_max: Self::DISK_BYTES_MAX, accept_older: false }
    }
}

/// A handle on a store on disk. Dropping it waits until the calls under way are done and the lock is free.
#[derive(Debug)]
pub struct RedbStore {
    calls: Mutex<Option<SyncSender<Call>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
    layout: Layout,
}

impl RedbStore {
    /// Opens the store, or makes it. Blocks for the disk, so call it off the async threads.
    pub fn open(options: RedbOptions) -> Result<Self, Error> {
        let (calls, waiting) = mpsc::sync_channel(CALLS_WAITING_MAX);
        let (opened, outcome) = mpsc::sync_channel(1);
        let shared = Arc::new(Shared::default());
        let threads = Arc::clone(&shared);
        let (path, layout) = (options.path.clone(), Layout::new(&options.path));
        let thread = thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || match Writer::open(&options, threads) {
                Ok(writer) => {
                    if opened.send(Ok(())).is_ok() {
                        writer.run(&waiting);
                    }
                }
                Err(error) => drop(opened.send(Err(error))),
            })
            .map_err(|source| Error::io(&path, "start the thread of", &path, source))?;
        match outcome.recv() {
            Ok(Ok(())) => {
                let (calls, thread) = (Mutex::new(Some(calls)), Mutex::new(Some(thread)));
                Ok(Self { calls, thread, shared, layout })
            }
            Ok(Err(error)) => {
                drop(thread.join());
                Err(error)
            }
            Err(_) => Err(Error::Damaged { dir: path, what: "its thread ended while opening".to_owned() }),
        }
    }

    /// Ends the handle when every earlier call is done. Resolves when another process could open the store. Calling it
    /// twice is harmless.
    pub async fn close(&self) {
        let (reply, done) = oneshot::channel();
        if self.queue(Call::Close { reply }) {
            drop(self.calls.lock().unwrap_or_else(PoisonError::into_inner).take());
            drop(done.await);
        }
    }

    /// How often it made commits durable. Commits that waited at the same time were made so together.
    pub fn syncs(&self) -> u64 {
        self.shared.syncs.load(Ordering::Relaxed)
    }

    /// What it takes on disk, as far as the system tells. Blocks for the disk.
    pub fn bytes(&self) -> Option<u64> {
        db::disk_bytes(&self.layout).ok()
    }

    fn closed(&self) -> Error {
        let why = self.shared.ended.get().cloned().unwrap_or_else(|| "it was closed".to_owned());
        Error::Closed { why }
    }

    /// Queues a call at once, so that calls keep their order, behind what nobody waits for.
    fn queue(&self, call: Call) -> bool {
        let mut soon = self.shared.soon();
        let ops = mem::take(&mut *soon);
        (ops.is_empty() || self.send(Call::Commit { ops, bytes: 0, reply: None })) && self.send(call)
    }

    fn send(&self, call: Call) -> bool {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.as_ref().is_some_and(|calls| calls.send(call).is_ok())
    }

    /// Queues a call and returns the future of its answer.
    fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Call,
    ) -> BoxFuture<'_, Result<T, Error>> {
        let (reply, answer) = oneshot::channel();
        let queued = self.queue(call(reply));
        Box::pin(async move {
            if !queued {
                return Err(self.closed());
            }
            answer.await.unwrap_or_else(|_| Err(self.closed()))
        })
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        let (reply, _) = oneshot::channel();
        self.queue(Call::Close { reply });
        drop(self.calls.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            drop(thread.join());
        }
    }
}

impl StateStore for RedbStore {
    fn commit(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<u64, Error>> {
        match check_sizes(&ops) {
            Ok(bytes) => self.call(|reply| Call::Commit { ops, bytes, reply: Some(reply) }),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn commit_soon(&self, ops: Vec<Op>) -> Result<(), Error> {
        check_sizes(&ops)?;
        let mut soon = self.shared.soon();
        let is_told = !soon.is_empty();
        soon.extend(ops);
        if is_told || self.send(Call::Soon) { Ok(()) } else { Err(self.closed()) }
    }

    fn get<'a>(&'a self, tree: Tree, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>> {
        let found = self.get_many(tree, vec![key.to_vec()]);
        Box::pin(async move { Ok(found.await?.pop().flatten()) })
    }

    fn get_many(&self, tree: Tree, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>, Error>> {
        self.call(|reply| Call::Get { tree, keys, reply })
    }

    fn scan<'a>(
        &'a self,
        tree: Tree,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Entries, Error>> {
        let (prefix, after) = (prefix.to_vec(), after.map(<[u8]>::to_vec));
        self.call(|reply| Call::Scan { tree, prefix, after, limit, reply })
    }
}

#[cfg(test)]
mod tests;
