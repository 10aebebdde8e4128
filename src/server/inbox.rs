//! Requests from other processes of the same state directory: files that appear in its folder `asked/`. The process that holds the
//! store is the only one that can do anything with it, so who wants a backfill beside a running service leaves a note here.
//!
//! A note is written whole or not at all (under another name, then renamed), and removed once what it asks for is durable. Asking
//! twice is harmless: the second backfill finds everything unchanged.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{
    model::{Blame, Code, Fault},
    store::Backfill,
};

/// A larger note is no note.
const BYTES_MAX: u64 = 64 << 10;
/// Notes that are taken at a time.
const NOTES_MAX: usize = 100;

fn folder(state: &Path) -> PathBuf {
    state.join("asked")
}

/// Makes the folder, which tells others that a service looks here.
pub fn open(state: &Path) -> io::Result<()> {
    fs::create_dir_all(folder(state))
}

fn door(state: &Path) -> PathBuf {
    state.join("admin")
}

/// Leaves a word about where the admin API of the service that holds the directory listens, or that there is none.
pub fn announce(state: &Path, address: Option<SocketAddr>) {
    // It is for people, and they have the log and the configuration too.
    let _ = match address {
        Some(address) => fs::write(door(state), address.to_string()),
        None => fs::remove_file(door(state)),
    };
}

/// Where a service that holds the state directory says that its admin API listens.
pub fn announced(state: &Path) -> Option<SocketAddr> {
    fs::read_to_string(door(state)).ok()?.trim().parse().ok()
}

/// Leaves a note for the service that holds the state directory. False: no service has ever looked for notes here.
pub fn ask_for_backfill(state: &Path, backfill: &Backfill) -> Result<bool, Fault> {
    let folder = folder(state);
    if !folder.is_dir() {
        return Ok(false);
    }
    let failed = |error: io::Error| {
        let message = format!("{} cannot be written: {error}", folder.display());
        Fault::halt(Code::StoreIo, Blame::Host, message)
            .help("nothing was asked for; give this user the right to write there")
    };
    let text = serde_json::to_string(backfill).map_err(|error| failed(error.into()))?;
    let name = backfill.stream.replace(['/', '\\'], "_");
    let (new, note) = (folder.join(format!(".{name}.new")), folder.join(format!("{name}.json")));
    fs::write(&new, text).and_then(|()| fs::rename(&new, &note)).map_err(failed)?;
    Ok(true)
}

/// The notes that are there, each with its file. What is no note is removed and told.
pub fn look(state: &Path) -> Vec<(PathBuf, Backfill)> {
    let Ok(entries) = fs::read_dir(folder(state)) else { return Vec::new() };
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let notes = paths.filter(|path| path.extension().is_some_and(|ending| ending == "json")).take(NOTES_MAX);
    notes.filter_map(|path| read(&path).map(|backfill| (path, backfill))).collect()
}

fn read(path: &Path) -> Option<Backfill> {
    let is_small = fs::metadata(path).is_ok_and(|file| file.len() <= BYTES_MAX);
    let text = if is_small { fs::read(path).ok() } else { None };
    let note = text.and_then(|text| serde_json::from_slice(&text).ok());
    if note.is_none() {
        tracing::warn!(file = %path.display(), "not a request that can be read; it is removed");
        remove(path);
    }
    note
}

/// What a note asked for is durable.
pub fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(file = %path.display(), %error, "cannot be removed; it will be heard again");
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::model::Cursor;

    #[test]
    fn a_note_is_heard_once_and_rubbish_never() {
        let state = tempfile::tempdir().unwrap();
        let (from, to) = (Cursor::Integer(1), Cursor::Integer(2));
        let asked_at = DateTime::from_timestamp(0, 0).unwrap();
        let backfill = Backfill { pipeline: "p".to_owned(), stream: "s~1".to_owned(), from, to, asked_at };
        assert!(!ask_for_backfill(state.path(), &backfill).unwrap(), "nobody would hear it");
        assert!(look(state.path()).is_empty());
        open(state.path()).unwrap();
        assert!(ask_for_backfill(state.path(), &backfill).unwrap());
        for (name, text) in [("half.json", "{\"pipeline\":"), ("large.json", &"x".repeat(70_000)), (".s~2.new", "{}")] {
            fs::write(state.path().join("asked").join(name), text).unwrap();
        }
        let notes = look(state.path());
        assert_eq!(notes.iter().map(|(_, note)| note).collect::<Vec<_>>(), [&backfill]);
        remove(&notes[0].0);
        assert!(look(state.path()).is_empty());
        assert_eq!(fs::read_dir(state.path().join("asked")).unwrap().count(), 1, "what is being written is left alone");
    }
}
