//! Finds and reads the files of a workspace. A file that cannot be read is a problem like any other, and the rest is
//! still checked.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{diagnostic::Problem, source::Sources, source::Span, yaml::FILE_BYTES_MAX};
use crate::model::Code;

/// Reads a file into `sources`; nothing when it cannot be read, which is reported.
pub fn read(base: &Path, path: &Path, sources: &mut Sources, problems: &mut Vec<Problem>) -> Option<u32> {
    let shown = path.strip_prefix(base).unwrap_or(path).to_path_buf();
    match text(path) {
        Ok(text) => Some(sources.add(shown, text)),
        Err((code, message, help)) => {
            let file = sources.add(shown, String::new());
            problems.push(Problem::new(code, Span::new(file, 0, 0), message).help(help));
            None
        }
    }
}

/// The text of a file, or why it cannot be used and what to do.
pub fn text(path: &Path) -> Result<String, (Code, String, &'static str)> {
    let failed = |message: String, help| (Code::ConfigFile, message, help);
    if path.is_dir() {
        return Err(failed(
            "this is a directory, not a file".to_owned(),
            "write the settings into a file of this name",
        ));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)).map_err(|error| {
        let help = match error.kind() {
            io::ErrorKind::NotFound => "create the file, or remove what refers to it",
            _ => "make it a file that this user can read",
        };
        failed(format!("the file cannot be read: {error}"), help)
    })?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let message = format!("the file is larger than {FILE_BYTES_MAX} bytes");
        return Err((Code::YamlBudget, message, "split it; no configuration needs that much"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        failed(format!("the file is not UTF-8 text: line {line} holds other bytes"), "save it as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The names in a folder, sorted; none when there is no such folder.
pub fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')));
    paths.sort();
    Ok(paths)
}
