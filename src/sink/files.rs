//! Files: one record, one line of JSON or one row of CSV, in the order of delivery. Rotated by size between batches.
//!
//! The hard idea is that the file's length is part of the checkpoint. `write` only has to get bytes on their way, `seal`
//! makes them durable and names the length, and after a crash `resume` cuts the files back to the length that was
//! committed. So a line is there exactly once, and a half line never survives.

use std::{fs::File, path::PathBuf, sync::Arc};

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{
    Ask, Clear, Durability, Foreseen, Foresight, Sink,
    clear::held_back,
    file_form::FileForm,
    segments::{Segments, append, not_resumed},
};
use crate::{
    model::{Blame, BoxFuture, Checkpoint, Code, Fault, Mark, Verdict},
    store::{Item, Staged},
};

/// Lines are collected up to this size before they go to the system: fewer calls, and never a whole run in memory.
const BUFFER_BYTES: usize = 256 * 1024;

/// Writes records to `<name>.000000.jsonl`, `<name>.000001.jsonl`, ... in one folder, or to such files of another form.
#[derive(Debug)]
pub struct FileSink {
    folder: PathBuf,
    name: String,
    rotate_bytes: u64,
    form: FileForm,
    clear: Clear,
    /// Locked by blocking calls until they end, even when nobody waits for them any more.
    writer: Arc<Mutex<Option<Writer>>>,
}

#[derive(Debug)]
struct Writer {
    segments: Segments,
    file: Option<File>,
    /// Bytes on their way to `at.segment`; `at.bytes` counts them already.
    buffer: Vec<u8>,
    at: Mark,
    /// What the last seal or resume vouched for.
    sealed: Mark,
    /// A segment was made whose name may not be durable yet.
    is_folder_dirty: bool,
    /// A batch is half written: only `resume` helps.
    is_torn: bool,
}

impl FileSink {
    /// A segment that reached `rotate_bytes` is closed, and the next batch begins another.
    pub fn new(folder: PathBuf, name: String, rotate_bytes: u64) -> Self {
        Self { folder, name, rotate_bytes, form: FileForm::JsonLines, clear: Clear::default(), writer: Arc::default() }
    }

    /// The same in another form.
    pub fn form(self, form: FileForm) -> Self {
        Self { form, ..self }
    }

    /// The same, with some personal fields in the clear.
    pub fn clear(self, clear: Clear) -> Self {
        Self { clear, ..self }
    }

    async fn agree(&self, known: Option<Checkpoint>) -> Result<Option<Checkpoint>, Fault> {
        let (folder, name, form) = (self.folder.clone(), self.name.clone(), self.form.clone());
        let mark = known.as_ref().and_then(|checkpoint| checkpoint.mark);
        let guard = self.writer.clone().lock_owned().await;
        let (_, at) = blocking(guard, move |slot| {
            // The writer goes first: its lock is this process's own.
            let segments = match slot.take() {
                Some(writer) => writer.segments,
                None => Segments::lock(&folder, &name, form.ending())?,
            };
            let at = segments.agree(mark)?;
            // Rows of other columns go into a file of their own.
            let at = match segments.begins_with(at, &form.head())? {
                true => at,
                false => Mark { segment: at.segment + 1, bytes: 0 },
            };
            *slot = Some(Writer::at(segments, at));
            Ok(at)
        })
        .await?;
        Ok(Some(Checkpoint { mark: Some(at), ..known.unwrap_or_default() }))
    }

    async fn write_batch(&self, batch: &Staged) -> Result<Vec<Verdict>, Fault> {
        let mut guard = self.writer.clone().lock_owned().await;
        let rotate_bytes = self.rotate_bytes;
        let writer = ready(&mut guard)?;
        writer.is_torn = true;
        if writer.at.bytes >= rotate_bytes {
            (guard, ()) = blocking(guard, |slot| resumed(slot)?.rotate()).await?;
        }
        let opened = self.clear.open(batch.items());
        let mut verdicts = Vec::with_capacity(batch.items().len());
        for (at, item) in opened.items().iter().enumerate() {
            if let Some(reason) = opened.held(at) {
                verdicts.push(held_back(reason.clone()));
                continue;
            }
            let writer = resumed(&mut guard)?;
            let before = writer.buffer.len();
            if writer.at.bytes == 0 {
                writer.buffer.extend(self.form.head());
            }
            self.form.push(&mut writer.buffer, &item.fields);
            verdicts.push(Verdict::Created(None));
            writer.at.bytes += (writer.buffer.len() - before) as u64;
            if writer.buffer.len() >= BUFFER_BYTES {
                (guard, ()) = blocking(guard, |slot| resumed(slot)?.spill()).await?;
            }
        }
        resumed(&mut guard)?.is_torn = false;
        Ok(verdicts)
    }

    async fn seal_files(&self) -> Result<Option<Mark>, Fault> {
        let guard = self.writer.clone().lock_owned().await;
        let (_, mark) = blocking(guard, |slot| ready(slot)?.seal()).await?;
        Ok(Some(mark))
    }
}

impl Sink for FileSink {
    /// Each delivered state is a line of its own.
    fn foresee<'a>(&'a self, _: &'a Item, _: Ask) -> BoxFuture<'a, Result<Foresight, Fault>> {
        Box::pin(async { Ok(Foreseen::Create.into()) })
    }

    fn durability(&self) -> Durability {
        Durability::Mark
    }

    fn resume(&self, known: Option<Checkpoint>) -> BoxFuture<'_, Result<Option<Checkpoint>, Fault>> {
        Box::pin(self.agree(known))
    }

    fn write<'a>(&'a self, batch: &'a Staged) -> BoxFuture<'a, Result<Vec<Verdict>, Fault>> {
        Box::pin(self.write_batch(batch))
    }

    fn seal(&self) -> BoxFuture<'_, Result<Option<Mark>, Fault>> {
        Box::pin(self.seal_files())
    }
}

impl Writer {
    fn at(segments: Segments, at: Mark) -> Self {
        Self { segments, file: None, buffer: Vec::new(), at, sealed: at, is_folder_dirty: false, is_torn: false }
    }

    /// Hands the buffer to the system.
    fn spill(&mut self) -> Result<(), Fault> {
        let written = self.try_spill();
        if written.is_err() {
            self.is_torn = true;
            // Readers of the files should not meet half a batch while somebody frees space. Failing at it is no loss:
            // the next resume does the same.
            self.file = None;
            drop(self.segments.agree(Some(self.sealed)));
        }
        written
    }

    fn try_spill(&mut self) -> Result<(), Fault> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let path = self.segments.path(self.at.segment);
        let mut file = match self.file.take() {
            Some(file) => file,
            None => {
                let (file, is_new) = self.segments.open(self.at.segment)?;
                self.is_folder_dirty |= is_new;
                file
            }
        };
        append(&mut file, &path, &self.buffer)?;
        self.buffer.clear();
        // One huge record must not keep its room for the rest of the run.
        self.buffer.shrink_to(2 * BUFFER_BYTES);
        self.file = Some(file);
        Ok(())
    }

    /// Closes the segment, durable, and begins the next one.
    fn rotate(&mut self) -> Result<(), Fault> {
        self.sync()?;
        self.file = None;
        self.at = Mark { segment: self.at.segment + 1, bytes: 0 };
        Ok(())
    }

    fn seal(&mut self) -> Result<Mark, Fault> {
        self.sync()?;
        self.sealed = self.at;
        Ok(self.at)
    }

    fn sync(&mut self) -> Result<(), Fault> {
        self.spill()?;
        if let Some(file) = &self.file {
            let path = self.segments.path(self.at.segment);
            file.sync_data().map_err(|error| super::segments::io_fault("sync", &path, &error))?;
        }
        if self.is_folder_dirty {
            self.segments.sync_folder()?;
            self.is_folder_dirty = false;
        }
        Ok(())
    }
}

/// The writer, if `resume` made one and no batch was left half written.
fn ready(slot: &mut Option<Writer>) -> Result<&mut Writer, Fault> {
    match slot {
        Some(writer) if !writer.is_torn => Ok(writer),
        _ => Err(not_resumed()),
    }
}

fn resumed(slot: &mut Option<Writer>) -> Result<&mut Writer, Fault> {
    slot.as_mut().ok_or_else(not_resumed)
}

/// Runs file calls off the asynchronous threads. The guard goes along, so nobody else touches the files meanwhile.
async fn blocking<T: Send + 'static>(
    mut guard: OwnedMutexGuard<Option<Writer>>,
    call: impl FnOnce(&mut Option<Writer>) -> Result<T, Fault> + Send + 'static,
) -> Result<(OwnedMutexGuard<Option<Writer>>, T), Fault> {
    let joined = tokio::task::spawn_blocking(move || {
        let result = call(&mut guard);
        (guard, result)
    })
    .await;
    let (guard, result) = joined.map_err(|error| {
        Fault::halt(Code::Bug, Blame::Bug, format!("a file call did not end: {error}"))
            .help("Everything that was committed is safe; please report this.")
    })?;
    Ok((guard, result?))
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "csv_file_tests.rs"]
mod csv_tests;
