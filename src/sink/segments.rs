//! The files of one output: `<name>.000000.jsonl`, `<name>.000001.jsonl`, ... All calls here block.
//!
//! The hard idea: the files belong to the checkpoint, not to whoever wrote last. [`Segments::agree`] makes them what the
//! mark says they are: what lies behind the mark was never committed and goes; what the mark counts and is not there is
//! an error, because those records are delivered and cannot be read again by going on.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::model::{Blame, Code, Fault, Mark};

/// Where the files are, and the lock that keeps a second writer out for as long as this value lives.
#[derive(Debug)]
pub struct Segments {
    folder: PathBuf,
    name: String,
    ending: &'static str,
    _lock: File,
}

impl Segments {
    /// Makes the folder if it is not there, and takes the lock.
    pub fn lock(folder: &Path, name: &str, ending: &'static str) -> Result<Self, Fault> {
        fs::create_dir_all(folder).map_err(|error| io_fault("make the folder", folder, &error))?;
        let path = folder.join(format!(".{name}.lock"));
        let lock = OpenOptions::new().create(true).append(true).open(&path);
        let lock = lock.map_err(|error| io_fault("open the lock file", &path, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_owned(), name: name.to_owned(), ending, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(locked(folder, name, &path)),
            Err(TryLockError::Error(error)) => Err(io_fault("lock", &path, &error)),
        }
    }

    /// The path of one segment.
    pub fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(format!("{}.{segment:06}.{}", self.name, self.ending))
    }

    /// Makes the files agree with the mark: later segments go, the marked one is cut back. Without a mark nothing may be
    /// there, for nobody knows whose it is. Returns where to go on.
    pub fn agree(&self, mark: Option<Mark>) -> Result<Mark, Fault> {
        let present = self.present()?;
        let Some(mark) = mark else {
            return match present.iter().find(|(_, bytes)| *bytes > 0) {
                None => Ok(Mark::default()),
                Some((segment, _)) => Err(self.unknown_output(*segment)),
            };
        };
        // The marked segment is checked before anything is removed: an error must leave all files as they were.
        self.check(mark)?;
        for (segment, _) in present.into_iter().filter(|(segment, _)| *segment > mark.segment) {
            let path = self.path(segment);
            fs::remove_file(&path).map_err(|error| io_fault("remove", &path, &error))?;
        }
        self.cut(mark)?;
        Ok(mark)
    }

    /// The same for segments that are written whole: the marked one is the next to be written, so it goes too.
    pub fn agree_whole(&self, mark: Option<Mark>) -> Result<Mark, Fault> {
        let mark = self.agree(mark)?;
        let path = self.path(mark.segment);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_fault("remove", &path, &error)),
            _ => Ok(mark),
        }
    }

    /// Writes a segment whole: it is there with all its bytes, durably, or not at all.
    pub fn put_whole(&self, segment: u64, bytes: &[u8]) -> Result<(), Fault> {
        let path = self.path(segment);
        let draft = self.folder.join(format!(".{}.{segment:06}.{}.part", self.name, self.ending));
        let mut file = File::create(&draft).map_err(|error| io_fault("make", &draft, &error))?;
        append(&mut file, &draft, bytes)?;
        file.sync_all().map_err(|error| io_fault("sync", &draft, &error))?;
        fs::rename(&draft, &path).map_err(|error| io_fault("name", &path, &error))?;
        self.sync_folder()
    }

    /// Whether a segment has this head, or nothing yet.
    pub fn begins_with(&self, at: Mark, head: &[u8]) -> Result<bool, Fault> {
        if at.bytes == 0 || head.is_empty() {
            return Ok(true);
        }
        let path = self.path(at.segment);
        let mut found = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(head.len() as u64).read_to_end(&mut found));
        read.map_err(|error| io_fault("read", &path, &error))?;
        Ok(found == head)
    }

    /// Opens a segment to write at its end, and says whether it is a new file.
    pub fn open(&self, segment: u64) -> Result<(File, bool), Fault> {
        let path = self.path(segment);
        let is_new = !path.exists();
        let file = OpenOptions::new().create(true).append(true).open(&path);
        Ok((file.map_err(|error| io_fault("open", &path, &error))?, is_new))
    }

    /// Makes the names of new segments durable.
    pub fn sync_folder(&self) -> Result<(), Fault> {
        let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| io_fault("sync the folder", &self.folder, &error))
    }

    /// Segments on disk with their lengths, in order.
    fn present(&self) -> Result<Vec<(u64, u64)>, Fault> {
        let failed = |error: io::Error| io_fault("list", &self.folder, &error);
        let mut present = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let Some(segment) = entry.file_name().to_str().and_then(|file| self.number_of(file)) {
                present.push((segment, entry.metadata().map_err(failed)?.len()));
            }
        }
        present.sort_unstable();
        Ok(present)
    }

    /// The number of a segment's file name; nothing for any other file.
    fn number_of(&self, file: &str) -> Option<u64> {
        let digits = file.strip_prefix(&self.name)?.strip_prefix('.')?;
        let digits = digits.strip_suffix(self.ending)?.strip_suffix('.')?;
        let written_by_us = digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| written_by_us)
    }

    /// Refuses a segment that lost bytes, or whose marked end is not the end of a line.
    fn check(&self, mark: Mark) -> Result<(), Fault> {
        if mark.bytes == 0 {
            return Ok(());
        }
        let path = self.path(mark.segment);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(self.changed(mark, "it is gone")),
            Err(error) => return Err(io_fault("open", &path, &error)),
        };
        let failed = |error: io::Error| io_fault("read", &path, &error);
        let found = file.metadata().map_err(failed)?.len();
        if found < mark.bytes {
            return Err(self.changed(mark, &format!("it has {found}")));
        }
        let mut last = [0];
        file.seek(SeekFrom::Start(mark.bytes - 1)).map_err(failed)?;
        file.read_exact(&mut last).map_err(failed)?;
        if last != *b"\n" {
            return Err(self.changed(mark, "no line ends there, so somebody edited it"));
        }
        Ok(())
    }

    fn cut(&self, mark: Mark) -> Result<(), Fault> {
        let path = self.path(mark.segment);
        match OpenOptions::new().write(true).open(&path) {
            Ok(file) => file.set_len(mark.bytes).map_err(|error| io_fault("cut back", &path, &error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && mark.bytes == 0 => Ok(()),
            Err(error) => Err(io_fault("open", &path, &error)),
        }
    }

    fn changed(&self, mark: Mark, found: &str) -> Fault {
        let path = self.path(mark.segment);
        let message = format!("{} must hold at least {} bytes, and {found}", path.display(), mark.bytes);
        Fault::halt(Code::FileChanged, Blame::Host, message).help(format!(
            "Nothing was changed. The records of the missing part were delivered, so going on would leave a hole. Put \
             the file back as it was; or start over: move {}/{}.*.{} away, then renkei state reset the pipeline and \
             run it again.",
            self.folder.display(),
            self.name,
            self.ending
        ))
    }

    fn unknown_output(&self, segment: u64) -> Fault {
        let path = self.path(segment);
        let message = format!("{} is there, but no checkpoint knows of it", path.display());
        Fault::halt(Code::FileChanged, Blame::Host, message).help(format!(
            "Nothing was changed: renkei neither overwrites nor continues a file it does not know. Another pipeline may \
             own it, or the state it was written with is gone. Move {}/{}.*.{} away, give the pipeline another file \
             name, or put the state directory back, and run again.",
            self.folder.display(),
            self.name,
            self.ending
        ))
    }
}

fn locked(folder: &Path, name: &str, path: &Path) -> Fault {
    let message = format!("another process is writing {name} in {}", folder.display());
    Fault::halt(Code::FileSink, Blame::Host, message).help(format!(
        "Nothing was changed. Two writers of one output would mix their lines: wait until the other one is done, or give \
         one of the pipelines another file name. To find it: fuser -v {}",
        path.display()
    ))
}

/// What a sink says that was never made to agree with its checkpoint, or stopped half way.
pub fn not_resumed() -> Fault {
    Fault::halt(Code::FileSink, Blame::Host, "the output files stopped at an earlier error, or were never resumed")
        .help("Everything that was committed is safe. The first error of this run says why; run again when it is gone.")
}

/// Sorts a failed call by what a person has to do about it.
pub fn io_fault(action: &str, path: &Path, error: &io::Error) -> Fault {
    let message = format!("failed to {action} {}: {error}", path.display());
    let kept =
        "Everything that was committed is safe; an unfinished batch is cut off and written again by the next run.";
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Fault::halt(Code::DiskFull, Blame::Host, message)
                .help(format!("{kept} Free space on the disk of {}, and run again.", path.display()))
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Fault::halt(Code::FileSink, Blame::Host, message).help(format!(
                "{kept} Give this user the right to write there (ls -ld {} shows the owner), or name another folder in \
                 renkei.yaml.",
                path.display()
            ))
        }
        _ => Fault::halt(Code::FileSink, Blame::Host, message)
            .help(format!("{kept} Look at the path and at the system's log for disk errors, and run again.")),
    }
}

/// Writes all of `bytes`; on an error some of them may be in the file, which [`Segments::agree`] cuts off.
pub fn append(file: &mut File, path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    file.write_all(bytes).map_err(|error| io_fault("write", path, &error))
}
