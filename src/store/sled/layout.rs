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
pub(super) const FORMAT: u32 = 1;

/// Paths inside a state directory.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub dir: PathBuf,
    pub sled: PathBuf,
    pub head: PathBuf,
    marker: PathBuf,
    building: PathBuf,
}

impl Layout {
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            sled: dir.join("sled"),
            head: dir.join("HEAD"),
            marker: dir.join("format"),
            building: dir.join("sled.new"),
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
            _ => Err(self.damaged("its format file cannot be understood")),
        }
    }

    /// Makes the directory itself. Its name is durable when it returns.
    pub fn make_dir(&self) -> Result<(), Error> {
        files::make_dir(&self.dir).map_err(|source| self.io("make", &self.dir, source))
    }

    /// Makes the store where no marker says that there is one. A store without its marker is either one whose making
    /// was interrupted, which nobody wrote to yet, or one that lost its marker.
    pub fn make_store(&self) -> Result<(), Error> {
        if self.sled.exists() {
            if self.head.exists() && Head::open(&self.head).ok().flatten().is_none_or(|(_, commit)| commit > 0) {
                return Err(self.damaged("its format file is missing"));
            }
            self.clear_leftovers()?;
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
        fs::rename(&self.building, &self.sled).and_then(|()| files::sync_dir(&self.dir)).map_err(failed)
    }

    /// Removes what an interrupted snapshot left behind: sled never opens again beside it. Only called under the lock,
    /// because a snapshot may be under way in the process that holds it.
    pub fn clear_leftovers(&self) -> Result<(), Error> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => self.damaged("its directory sled is missing"),
            _ => self.io("read", &self.sled, source),
        };
        for entry in fs::read_dir(&self.sled).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with("snap.") && name.ends_with(".generating") {
                fs::remove_file(&path).map_err(|source| self.io("remove", &path, source))?;
            }
        }
        Ok(())
    }
}
