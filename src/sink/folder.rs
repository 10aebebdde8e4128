//! Whether files can be written into a folder, found out by writing one.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::segments::io_fault;
use crate::model::{Blame, Code, Fault};

/// A folder as it is now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Folder {
    pub path: PathBuf,
    /// It is there already; else the first run makes it, and the folder above it can be written.
    pub is_there: bool,
}

/// Writes an empty file into the folder, or into the nearest one above it that is there, and takes it away again.
pub async fn look_at_folder(folder: &Path) -> Result<Folder, Fault> {
    let path = folder.to_owned();
    let looked = tokio::task::spawn_blocking(move || try_out(&path)).await;
    looked.unwrap_or_else(|_| Err(Fault::halt(Code::Bug, Blame::Bug, "looking at a folder ended early")))
}

fn try_out(path: &Path) -> Result<Folder, Fault> {
    let mut nearest = path;
    let mut is_there = true;
    while let Err(error) = fs::metadata(nearest) {
        let above = nearest.parent().filter(|_| error.kind() == io::ErrorKind::NotFound);
        let Some(above) = above else { return Err(io_fault("look at", nearest, &error)) };
        // A relative path ends here.
        nearest = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        is_there = false;
    }
    // No segment and no lock has such a name.
    let probe = nearest.join(format!(".renkei-doctor.{}", std::process::id()));
    let written = OpenOptions::new().write(true).create_new(true).open(&probe).and_then(|mut file: File| {
        let written = file.write_all(b"\n").and_then(|()| file.sync_all());
        written.and(fs::remove_file(&probe))
    });
    written.map_err(|error| io_fault("write into the folder", nearest, &error))?;
    Ok(Folder { path: nearest.to_owned(), is_there })
}
