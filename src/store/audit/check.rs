//! Reads a whole log and says whether it holds together, and where it does not. Nothing is written.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::line::{Head, Line, START};

/// A longer line is none.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// A log that holds together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Verified {
    pub entries: u64,
    pub first: u64,
    pub last: u64,
    pub last_at: Option<DateTime<Utc>>,
    /// Of the last line. Noted elsewhere, it tells later that nothing before it was taken back.
    pub hash: String,
    /// A crash cut its last line short, which was never acknowledged.
    pub cut_short: bool,
}

/// Where a log does not hold together.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Broken {
    pub file: PathBuf,
    /// From 1; 0: the file as a whole.
    pub line: u64,
    pub what: String,
}

/// The files of a log, the oldest first.
pub fn files_of(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    let mut files: Vec<PathBuf> = paths.into_iter().filter(|path| first_of(path).is_some()).collect();
    files.sort();
    Ok(files)
}

/// The number of the first entry of a file, as its name tells.
pub fn first_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".jsonl")?;
    (name.len() == 12).then(|| name.parse().ok()).flatten()
}

/// The last whole line of a file, and where it ends.
pub fn last_line(path: &Path) -> io::Result<(Option<Line>, u64)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(2 * LINE_BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let Some(end) = tail.iter().rposition(|byte| *byte == b'\n') else { return Ok((None, from)) };
    let start = tail[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let line = String::from_utf8_lossy(&tail[start..end]).into_owned();
    Ok((Some(Line(line)), from + end as u64 + 1))
}

/// Goes through a log from its first line to its last. `noted`: the hash of a line that it held earlier and must hold still.
pub fn verify(state: &Path, public: &[u8], noted: Option<&str>) -> io::Result<Result<Option<Verified>, Broken>> {
    let dir = state.join("audit");
    let files = files_of(&dir)?;
    let head_file = dir.join("head");
    let broken = |what: String| Broken { file: head_file.clone(), line: 0, what };
    let head = match Head::read(&dir, public) {
        Ok(head) => head,
        Err(error) => return Ok(Err(broken(error.to_string()))),
    };
    let Some(head) = head else {
        // A crash may come before the first head, and then there is one entry at the most.
        return Ok(match files.is_empty() {
            true => Ok(None),
            false => Err(broken("it is missing, and there are entries".to_owned())),
        });
    };
    let mut reading = Reading { public, noted, expected: head.first, before: None, told: None, cut_short: false };
    for (at, file) in files.iter().enumerate() {
        if let Err(broken) = reading.file(file, at + 1 == files.len())? {
            return Ok(Err(broken));
        }
    }
    let last = reading.expected - 1;
    if last < head.last {
        let what =
            format!("entries {} to {} are missing at the end: the head tells of them", reading.expected, head.last);
        return Ok(Err(Broken { file: files.last().cloned().unwrap_or(head_file), line: 0, what }));
    }
    let hash = reading.before.unwrap_or_else(|| START.to_owned());
    if last == head.last && hash != head.hash {
        return Ok(Err(broken("it tells of another last entry".to_owned())));
    }
    if reading.noted.is_some() {
        return Ok(Err(broken("the log does not hold the noted entry: it was taken back, or begun anew".to_owned())));
    }
    let (entries, cut_short) = (reading.expected - head.first, reading.cut_short);
    Ok(Ok(Some(Verified { entries, first: head.first, last, last_at: reading.told, hash, cut_short })))
}

struct Reading<'k> {
    public: &'k [u8],
    /// Nothing: nobody noted one, or it was found.
    noted: Option<&'k str>,
    /// The number of the next line.
    expected: u64,
    /// The hash of the line before; nothing: what stood before was removed for its age.
    before: Option<String>,
    told: Option<DateTime<Utc>>,
    cut_short: bool,
}

impl Reading<'_> {
    fn file(&mut self, file: &Path, is_last: bool) -> io::Result<Result<(), Broken>> {
        let broken = |line, what: String| Ok(Err(Broken { file: file.to_owned(), line, what }));
        if first_of(file).is_none_or(|first| first > self.expected) {
            let what = format!("entry {} should stand before it and is missing", self.expected);
            return broken(0, what);
        }
        // One that was to go for its age, and a crash came between.
        if first_of(file).is_some_and(|first| first < self.expected) && self.before.is_none() {
            return Ok(Ok(()));
        }
        let mut reader = BufReader::new(File::open(file)?);
        for number in 1.. {
            let mut text = Vec::new();
            let bytes = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut text)?;
            if bytes == 0 {
                return Ok(Ok(()));
            }
            if text.pop() != Some(b'\n') {
                if is_last && bytes < LINE_BYTES_MAX as usize {
                    self.cut_short = true;
                    return Ok(Ok(()));
                }
                return broken(number, "it has no end".to_owned());
            }
            if let Err(what) = self.line(Line(String::from_utf8_lossy(&text).into_owned())) {
                return broken(number, what);
            }
        }
        Ok(Ok(()))
    }

    fn line(&mut self, line: Line) -> Result<(), String> {
        let checked = line.checked(self.public).map_err(|error| error.to_string())?;
        let expected = self.expected;
        if checked.n > expected {
            return Err(match checked.n - expected {
                1 => format!("it is entry {}, and entry {expected} before it is missing", checked.n),
                _ => format!(
                    "it is entry {}, and entries {expected} to {} before it are missing",
                    checked.n,
                    checked.n - 1
                ),
            });
        }
        if checked.n < expected {
            return Err(format!("it is entry {}, which does not belong behind entry {}", checked.n, expected - 1));
        }
        if self.before.as_ref().is_some_and(|before| *before != checked.before) {
            return Err(format!(
                "it is entry {expected}, which followed another entry {} than the one before it",
                expected - 1
            ));
        }
        if self.noted == Some(checked.hash.as_str()) {
            self.noted = None;
        }
        (self.expected, self.before, self.told) = (expected + 1, Some(checked.hash), Some(checked.at));
        Ok(())
    }
}

/// All lines as they stand, and the head as the last one, for somebody who keeps them elsewhere.
pub fn export(state: &Path, mut take: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
    let dir = state.join("audit");
    let head = fs::read_to_string(dir.join("head"))?;
    for file in files_of(&dir)? {
        for line in BufReader::new(File::open(file)?).lines() {
            take(&line?)?;
        }
    }
    take(head.trim_end())
}
