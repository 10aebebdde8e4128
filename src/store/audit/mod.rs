//! What people did, in a log that tells when somebody changed it afterwards.
//!
//! ```text
//!   audit/000000000001.jsonl   entries 1, 2, 3 ...: one JSON object a line, synced before what it tells of is done
//!   audit/000000004217.jsonl   the next file, named by its first entry
//!   audit/head                 which entries there are, signed; replaced with each entry
//! ```
//!
//! An entry holds its number, the hash of the line before, and a signature (Ed25519) over itself, so it can neither be changed, nor
//! removed, nor put elsewhere, nor be made by somebody without the key. The head tells of entries that are missing at either end. The key
//! is derived from the key that seals the store; where that comes from `RENKEI_KEY`, nothing in the state directory can sign.
//!
//! The hard idea is what a crash may leave: a line that is cut short, or one that the head does not tell of yet. Both are told from
//! tampering, because a line without its end was never acknowledged, and one beyond the head is signed all the same. What nothing in the
//! directory can tell is that all of it was taken back to an earlier state; a head that was noted elsewhere can.

mod check;
mod line;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use serde_json::Value;

pub use self::check::{Broken, Verified, export, verify};
pub use self::line::{AuditKey, Entry, Via};
use self::{
    check::{files_of, last_line},
    line::Head,
};
use super::files;
use crate::model::{Blame, Code, Fault, SecretKey};

/// A file that reached this size is closed and the next one begun; and so many are kept, the oldest of more goes.
const BOUNDS: (u64, usize) = (4 << 20, 16);
/// A longer entry is cut: it tells what was done, not with what.
const DETAIL_BYTES_MAX: usize = 16 << 10;

/// The log of a state directory. Only the process that holds the directory's lock writes to it.
pub struct Audit {
    /// Why it cannot be written to, where it could not be taken up.
    log: Arc<Mutex<Result<Log, Fault>>>,
}

struct Log {
    dir: PathBuf,
    key: AuditKey,
    head: Head,
    /// The file that is written to, and its size; nothing: the next entry begins one.
    open: Option<(File, u64)>,
    /// A file's size, and how many there are.
    bounds: (u64, usize),
    /// After a failed write nobody knows what the file holds.
    failed: bool,
}

impl Audit {
    /// Takes up the log below a state directory, or begins one with the first entry. Blocks for the disk. A log that is damaged is told
    /// of by the first entry that it refuses, because nothing but entries depends on it.
    pub fn take_up(state: &Path, key: &SecretKey) -> Self {
        let dir = state.join("audit");
        let key = AuditKey::of(key).ok_or_else(|| io::Error::other("its key cannot be used"));
        let log = key.and_then(|key| Log::open(dir.clone(), key)).map_err(|error| unwritable(&dir, &error));
        Self { log: Arc::new(Mutex::new(log)) }
    }

    /// Writes an entry. It is durable when this resolves, and what it tells of may only be done then.
    pub async fn append(&self, entry: Entry, at: DateTime<Utc>) -> Result<(), Fault> {
        let log = self.log.clone();
        let written = tokio::task::spawn_blocking(move || {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            let log = log.as_mut().map_err(|fault| fault.clone())?;
            log.append(entry, at).map_err(|error| unwritable(&log.dir, &error))
        });
        written.await.unwrap_or_else(|_| Err(unwritable(Path::new("audit"), &io::Error::other("writing panicked"))))
    }

    /// How many entries there were.
    pub fn count(&self) -> u64 {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, |log| log.head.last)
    }
}

impl Log {
    fn open(dir: PathBuf, key: AuditKey) -> io::Result<Self> {
        let head = Head::read(&dir, &key.public())?;
        let Some(newest) = files_of(&dir)?.pop() else {
            return match head {
                None => Ok(Self { dir, key, head: Head::empty(), open: None, bounds: BOUNDS, failed: false }),
                Some(_) => Err(io::Error::other("its entries are gone, and its head is there")),
            };
        };
        let (line, whole_bytes) = last_line(&newest)?;
        // The part of a line that a crash left was never acknowledged.
        let file = OpenOptions::new().append(true).open(&newest)?;
        if file.metadata()?.len() > whole_bytes {
            file.set_len(whole_bytes)?;
            file.sync_all()?;
        }
        let head = match (line, head) {
            (Some(line), head) => {
                let last = line.checked(&key.public())?;
                let head = head.unwrap_or_else(|| Head { first: last.n, ..Head::empty() });
                if last.n < head.last || (last.n == head.last && last.hash != head.hash) {
                    return Err(io::Error::other(format!(
                        "it ends with entry {}, and its head tells of {}",
                        last.n, head.last
                    )));
                }
                Head { last: last.n, hash: last.hash, ..head }
            }
            // A crash may leave a file that was just begun.
            (None, Some(head)) => head,
            (None, None) => Head::empty(),
        };
        Ok(Self { dir, key, head, open: Some((file, whole_bytes)), bounds: BOUNDS, failed: false })
    }

    fn append(&mut self, mut entry: Entry, at: DateTime<Utc>) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier write failed; the service has to be restarted"));
        }
        if entry.details.to_string().len() > DETAIL_BYTES_MAX {
            entry.details = Value::String("too long to be kept".to_owned());
        }
        let n = self.head.last + 1;
        let (line, hash) = self.key.line(n, at, &entry, &self.head.hash);
        self.failed = true;
        self.room(n)?;
        if let Some((file, bytes)) = &mut self.open {
            file.write_all(line.as_bytes())?;
            file.sync_data()?;
            *bytes += line.len() as u64;
        }
        self.head = Head { last: n, hash, ..self.head.clone() };
        self.write_head()?;
        self.failed = false;
        Ok(())
    }

    /// Sees that there is a file with room for one more line, and that there are not too many.
    fn room(&mut self, n: u64) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|(_, bytes)| *bytes < self.bounds.0) {
            return Ok(());
        }
        files::make_dir(&self.dir)?;
        let path = self.dir.join(format!("{n:012}.jsonl"));
        let file = OpenOptions::new().append(true).create(true).mode(files::PRIVATE).open(&path)?;
        files::sync_dir(&self.dir)?;
        self.open = Some((file, 0));
        if self.head.last == 0 {
            self.head.first = n;
        }
        let files = files_of(&self.dir)?;
        let over = files.len().saturating_sub(self.bounds.1);
        if let Some(first) = files.get(over).and_then(|path| check::first_of(path)).filter(|_| over > 0) {
            // The head first: it says from where on entries must be there.
            self.head.first = first;
            self.write_head()?;
            for old in &files[..over] {
                fs::remove_file(old)?;
            }
        }
        Ok(())
    }

    fn write_head(&self) -> io::Result<()> {
        files::write_atomically(&self.dir.join("head"), self.key.head(&self.head).as_bytes(), files::PRIVATE)
    }
}

fn unwritable(dir: &Path, error: &io::Error) -> Fault {
    Fault::halt(
        Code::AuditUnwritable,
        Blame::Host,
        format!("the audit log {} cannot be written: {error}", dir.display()),
    )
    .help("what was asked for was not done; make room or look at `renkei audit verify`")
}

#[cfg(test)]
mod tests;
