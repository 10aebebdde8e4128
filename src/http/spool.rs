//! Where the body of a large answer goes instead of memory: an unnamed file, which is gone with the process.
//!
//! The hard idea is that the request path stays one: a call that brings a spool is admitted, signed, judged and retried like
//! any other. Only a body that was accepted and is longer than [`IN_MEMORY_BYTES_MAX`] goes into the file. A shorter one,
//! such as an error in an accepted answer, is judged by all rules.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::config::plan::Large;

/// Longer bodies go into the file.
pub const IN_MEMORY_BYTES_MAX: usize = 256 << 10;

/// The place for one call's body. Clones share it.
#[derive(Clone, Debug)]
pub struct Spool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    bounds: Large,
    kept: Mutex<Option<Spooled>>,
}

/// A body in a file that has no name.
#[derive(Debug)]
pub struct Spooled {
    pub file: File,
    pub bytes: u64,
    /// SHA-256 of the bytes.
    pub digest: [u8; 32],
}

impl Spool {
    /// Files are made in `dir`, which must exist.
    pub fn new(dir: &Path, bounds: &Large) -> Self {
        Self(Arc::new(Inner { dir: dir.to_owned(), bounds: bounds.clone(), kept: Mutex::default() }))
    }

    /// The body of the last attempt, if it was too long for memory.
    pub fn take(&self) -> Option<Spooled> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn keep(&self, spooled: Option<Spooled>) {
        *self.0.kept.lock().unwrap_or_else(PoisonError::into_inner) = spooled;
    }

    pub(super) fn dir(&self) -> &Path {
        &self.0.dir
    }

    pub(super) fn bytes_max(&self) -> u64 {
        self.0.bounds.bytes_max
    }

    pub(super) fn silence_max(&self) -> Duration {
        self.0.bounds.silence_max
    }

    pub(super) fn time_max(&self) -> Duration {
        self.0.bounds.time_max
    }
}
