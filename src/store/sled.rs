//! The store on disk: sled 0.34, wrapped in the rules that make it keep the store's promise.
//!
//! Bare, sled loses acknowledged commits in a power cut, may never open again after a kill, and returns to an earlier
//! state in silence when its file is damaged. The rules against that, and where each one lives:
//!
//! | rule | where |
//! |---|---|
//! | a new store is built aside, synced, renamed into place and then marked | `layout` |
//! | leftovers of an interrupted snapshot go before opening; a panic while opening is caught | `layout`, `db` |
//! | one thread makes every call; a transaction only replays prepared changes | `writer`, `db` |
//! | an acknowledgement follows the transaction, the flush and a sync of our own; waiting commits share it | `writer` |
//! | no entry over 4 KB reaches sled; larger ones are cut into parts | `parts` |
//! | an error ends the handle and drops everything that holds sled's lock | `writer` |
//! | every value carries checksum, format and commit number; HEAD holds the last acknowledged one | `envelope`, `head` |
//! | reads run between commits, never beside one | `writer` |
//! | one process at a time | `lock` |
//! | a disk budget | `writer` |
//!
//! ```text
//!   state/            the directory a person names
//!     owner           locked by the process that works here; holds its id
//!     format          the marker, written last when the store was made
//!     HEAD            number of the last acknowledged commit
//!     sled/           what sled keeps; built as sled.new
//! ```

mod db;
mod envelope;
mod head;
mod layout;
mod lock;
mod parts;
mod writer;

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{self, SyncSender},
    },
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

use self::writer::{Call, Writer};
use super::{Entries, Error, Op, StateStore, Tree, check_sizes};
use crate::model::BoxFuture;

/// Calls that may wait for the writer thread. A caller that meets a full queue blocks its thread until one call is
/// done, which needs nothing of the async runtime.
const CALLS_WAITING_MAX: usize = 1024;

/// The name of the thread that makes every call into sled.
const THREAD: &str = "renkei-store";

/// How to open a store on disk.
#[derive(Clone, Debug)]
pub struct SledOptions {
    /// The state directory. It is made when it is missing.
    pub path: PathBuf,
    /// Commits that add data are refused once the store's files hold this many bytes.
    pub disk_bytes_max: u64,
    /// Goes on with a store that lost acknowledged commits, or whose HEAD is gone, where opening would refuse.
    pub accept_older: bool,
}

impl SledOptions {
    pub const DISK_BYTES_MAX: u64 = 10 << 30;

    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), disk_bytes_max: Self::DISK_BYTES_MAX, accept_older: false }
    }
}

/// A handle on a store on disk. Dropping it waits until the calls under way are done and the lock is free.
#[derive(Debug)]
pub struct SledStore {
    calls: Mutex<Option<SyncSender<Call>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Why the handle ended, once it did.
    ended: Arc<OnceLock<String>>,
}

impl SledStore {
    /// Opens the store, or makes it. Blocks for the disk, so call it off the async threads.
    pub fn open(options: SledOptions) -> Result<Self, Error> {
        let (calls, waiting) = mpsc::sync_channel(CALLS_WAITING_MAX);
        let (opened, outcome) = mpsc::sync_channel(1);
        let ended = Arc::new(OnceLock::new());
        let why = Arc::clone(&ended);
        let path = options.path.clone();
        let thread = thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || match Writer::open(&options) {
                Ok(writer) => {
                    if opened.send(Ok(())).is_ok() {
                        writer.run(&waiting, &why);
                    }
                }
                Err(error) => drop(opened.send(Err(error))),
            })
            .map_err(|source| Error::io(&path, "start the thread of", &path, source))?;
        match outcome.recv() {
            Ok(Ok(())) => Ok(Self { calls: Mutex::new(Some(calls)), thread: Mutex::new(Some(thread)), ended }),
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
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner).take();
        if calls.is_some_and(|calls| calls.send(Call::Close { reply }).is_ok()) {
            drop(done.await);
        }
    }

    fn closed(&self) -> Error {
        let why = self.ended.get().cloned().unwrap_or_else(|| "it was closed".to_owned());
        Error::Closed { why }
    }

    /// Queues a call at once, so that calls keep their order, and returns the future of its answer.
    fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Call,
    ) -> BoxFuture<'_, Result<T, Error>> {
        let (reply, answer) = oneshot::channel();
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queued = calls.is_some_and(|calls| calls.send(call(reply)).is_ok());
        Box::pin(async move {
            if !queued {
                return Err(self.closed());
            }
            answer.await.unwrap_or_else(|_| Err(self.closed()))
        })
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        drop(self.calls.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            drop(thread.join());
        }
    }
}

impl StateStore for SledStore {
    fn commit(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<u64, Error>> {
        match check_sizes(&ops) {
            Ok(bytes) => self.call(|reply| Call::Commit { ops, bytes, reply }),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
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
