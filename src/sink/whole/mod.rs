//! Files that are written whole, one for each commit: Parquet files, and files of any form in a bucket. Nothing can be added to them
//! later.
//!
//! ```text
//!   value   a JSON value as a cell of Parquet (pure)      sheet   a Parquet file on its way
//!   draft   records on their way to one file              shelf   where files are put: a folder, or a bucket (bucket)
//! ```
//!
//! The hard idea is that a file's name is the number that the checkpoint has reached. The mark says which is the next to be written;
//! a file is written before its mark is committed, so after a crash the marked one may be there, and goes. What lies before the mark is
//! never looked at again: whoever reads the files may take them away.

mod bucket;
mod draft;
mod sheet;
mod shelf;
mod value;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::sync::Mutex;

use self::draft::Draft;
pub use self::{
    bucket::{BucketPlace, look_at_bucket},
    draft::WholeForm,
    shelf::Shelf,
};
use super::{
    Ask, Clear, Durability, Foreseen, Foresight, Sink, Worth,
    clear::{Opened, held_back},
    segments::not_resumed,
};
use crate::{
    model::{Blame, BoxFuture, Checkpoint, Code, Fault, Mark, Verdict},
    store::{Item, Staged},
};

/// A file of more records would take more memory for what is known of them than for themselves.
const RECORDS_MAX: u64 = 20_000;
/// How long records wait for more of them: a file costs a request and a name for good.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes records to files of one name, each with its number.
pub struct WholeSink {
    shelf: Shelf,
    form: WholeForm,
    full_bytes: u64,
    /// What the records of the file under way are, in bytes.
    bytes: AtomicU64,
    clear: Clear,
    /// Taken out while something is written: what was left half way begins anew with `resume`.
    open: Mutex<Option<Open>>,
}

/// Where the sink stands.
struct Open {
    /// The number of the file that is written next.
    next: u64,
    draft: Draft,
}

impl WholeSink {
    /// A file ends with the batch that makes its records `full_bytes` large.
    pub fn new(shelf: Shelf, form: WholeForm, full_bytes: u64) -> Self {
        Self { shelf, form, full_bytes, bytes: AtomicU64::new(0), clear: Clear::default(), open: Mutex::new(None) }
    }

    /// The same, with some personal fields in the clear.
    pub fn clear(self, clear: Clear) -> Self {
        Self { clear, ..self }
    }

    async fn agree(&self, known: Option<Checkpoint>) -> Result<Option<Checkpoint>, Fault> {
        let mut slot = self.open.lock().await;
        *slot = None;
        let next = self.shelf.agree(known.as_ref().and_then(|checkpoint| checkpoint.mark)).await?;
        *slot = Some(self.begin(next));
        Ok(Some(Checkpoint { mark: Some(mark(next)), ..known.unwrap_or_default() }))
    }

    async fn write_batch(&self, batch: &Staged) -> Result<Vec<Verdict>, Fault> {
        let mut slot = self.open.lock().await;
        let mut open = slot.take().ok_or_else(not_resumed)?;
        let opened = self.clear.open(batch.items());
        let verdict = |(at, item): (usize, &Item)| written(&mut open.draft, &opened, at, item);
        let verdicts = opened.items().iter().enumerate().map(verdict).collect();
        let bytes: usize = opened.items().iter().map(|item| item.fields.as_bytes().len()).sum();
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        *slot = Some(open);
        Ok(verdicts)
    }

    async fn put(&self) -> Result<Option<Mark>, Fault> {
        let mut slot = self.open.lock().await;
        let Open { next, draft } = slot.take().ok_or_else(not_resumed)?;
        let next = match draft.is_empty() {
            true => next,
            false => {
                let bytes = tokio::task::spawn_blocking(|| draft.finish()).await;
                let bytes =
                    bytes.map_err(|_| Fault::halt(Code::Bug, Blame::Bug, "putting a file together panicked"))??;
                self.shelf.put(next, bytes).await?;
                next + 1
            }
        };
        *slot = Some(self.begin(next));
        Ok(Some(mark(next)))
    }

    fn begin(&self, next: u64) -> Open {
        self.bytes.store(0, Ordering::Relaxed);
        Open { next, draft: self.form.draft() }
    }
}

fn written(draft: &mut Draft, opened: &Opened<'_>, at: usize, item: &Item) -> Verdict {
    match opened.held(at) {
        Some(reason) => held_back(reason.clone()),
        None => draft.push(&item.fields).map_or_else(Verdict::Rejected, |()| Verdict::Created(None)),
    }
}

fn mark(next: u64) -> Mark {
    Mark { segment: next, bytes: 0 }
}

impl Sink for WholeSink {
    /// Each delivered state is a record of its own.
    fn foresee<'a>(&'a self, _: &'a Item, _: Ask) -> BoxFuture<'a, Result<Foresight, Fault>> {
        Box::pin(async { Ok(Foreseen::Create.into()) })
    }

    fn durability(&self) -> Durability {
        Durability::Mark
    }

    fn worth(&self) -> Option<Worth> {
        Some(Worth { records: RECORDS_MAX, bytes: self.full_bytes, patience: PATIENCE })
    }

    fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= self.full_bytes
    }

    fn resume(&self, known: Option<Checkpoint>) -> BoxFuture<'_, Result<Option<Checkpoint>, Fault>> {
        Box::pin(self.agree(known))
    }

    fn write<'a>(&'a self, batch: &'a Staged) -> BoxFuture<'a, Result<Vec<Verdict>, Fault>> {
        Box::pin(self.write_batch(batch))
    }

    fn seal(&self) -> BoxFuture<'_, Result<Option<Mark>, Fault>> {
        Box::pin(self.put())
    }
}
