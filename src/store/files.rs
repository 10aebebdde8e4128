//! Files and directories that are durable when a function returns.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// For everybody whom the directory lets in.
pub(super) const SHARED: u32 = 0o644;
/// For the owner only.
pub(super) const PRIVATE: u32 = 0o600;

/// Replaces a file as a whole: a power cut leaves the old one or the new one.
pub(super) fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let building = path.with_extension("new");
    // A leftover of an interrupted write keeps the mode it was made with, so it goes first.
    match fs::remove_file(&building) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&building)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&building, path)?;
    sync_dir(parent(path))
}

/// Makes a directory and those above it, each one's name durable in the one above.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    make_dir(parent(dir))?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_dir(parent(dir))
}

/// Makes the names in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

/// Makes a directory and everything in it durable.
pub(super) fn sync_all_under(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_all_under(&path)?;
        } else {
            fs::File::open(&path)?.sync_all()?;
        }
    }
    sync_dir(dir)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) => Path::new("."),
        None => Path::new("/"),
    }
}
