//! The files of a state directory: how they come to be so that a power cut at any moment leaves a store that opens or
//! none at all, and in which order they are looked at.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    super::{Error, files},
    db::Db,
    head::Head,
};

/// The format of everything in a state directory.
pub(super) const FORMAT: u32 = 2;

/// Paths inside a state directory.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub dir: PathBuf,
    pub redb: PathBuf,
    pub head: PathBuf,
    marker: PathBuf,
    building: PathBuf,
}

impl Layout {
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            redb: dir.join("redb"),
            head: dir.join("HEAD"),
            marker: dir.join("format"),
            building: dir.join("redb.new"),
        }
    }

    pub fn io(&self, action: &'static str, path: &Path, source: io::Error) -> Error {
        Error::io(&self.dir, action, path, source)
    }

    pub fn damaged(&self, what: impl Into<String>) -> Error {
        Error::Damaged { dir: self.dir.clone(), what: what.into() }
    }

    /// Reads the marker without touching anything. `false` where there is none.
    pub fn check_format(&self) -> Result<bool, Error> {
        let text = match fs::read_to_string(&self.marker) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(self.damaged("its format file is no text"));
            }
            Err(error) => return Err(self.io("read", &self.marker, error)),
        };
        match text.trim().strip_prefix("renkei state, format ").and_then(|number| number.parse::<u32>().ok()) {
            Some(FORMAT) => Ok(true),
            Some(found) if found > FORMAT => Err(Error::NewerFormat { dir: self.dir.clone(), found, known: FORMAT }),
            Some(found) => Err(self.damaged(format!("it has format {found}, of a version before the first release"))),
            None => Err(self.damaged("its format file cannot be understood")),
        }
    }

    /// Makes the directory itself. Its name is durable when it returns.
    pub fn make_dir(&self) -> Result<(), Error> {
        files::make_dir(&self.dir).map_err(|source| self.io("make", &self.dir, source))
    }

    /// Makes the store where no marker says that there is one. A store without its marker is either one whose making
    /// was interrupted, which nobody wrote to yet, or one that lost its marker.
    pub fn make_store(&self) -> Result<(), Error> {
        if self.redb.exists() {
            if self.head.exists() && Head::open(&self.head).ok().flatten().is_none_or(|(_, commit)| commit > 0) {
                return Err(self.damaged("its format file is missing"));
            }
            let db = Db::open(self)?;
            let last_commit = db.last_commit();
            db.close()?;
            if last_commit > 0 {
                return Err(self.damaged("its format file and HEAD are missing"));
            }
        } else {
            self.build()?;
        }
        Head::create(&self.head, 0).map_err(|source| self.io("write", &self.head, source))?;
        let text = format!("renkei state, format {FORMAT}\n");
        files::write_atomically(&self.marker, text.as_bytes(), files::SHARED)
            .map_err(|source| self.io("write", &self.marker, source))
    }

    fn build(&self) -> Result<(), Error> {
        let failed = |source| self.io("make", &self.building, source);
        if self.building.exists() {
            fs::remove_dir_all(&self.building).map_err(failed)?;
        }
        Db::create(self, &self.building)?;
        files::sync_all_under(&self.building).map_err(failed)?;
        fs::rename(&self.building, &self.redb).and_then(|()| files::sync_dir(&self.dir)).map_err(failed)
    }
}
