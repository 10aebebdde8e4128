//! What can go wrong with everything durable, with what is safe and what to type next.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::model::{Blame, Code, Fault};

/// Why the store cannot do what was asked. One failed disk write may answer many waiting commits, so it can be cloned.
#[derive(thiserror::Error, Clone, Debug)]
pub enum Error {
    #[error("{} holds the state directory {}", Holder(*.pid), .dir.display())]
    Locked { dir: PathBuf, pid: Option<u32> },
    #[error("the store in {} is damaged: {what}", .dir.display())]
    Damaged { dir: PathBuf, what: String },
    #[error("the store in {} holds commit {found}, but commit {expected} was acknowledged", .dir.display())]
    WentBack { dir: PathBuf, expected: u64, found: u64 },
    #[error("the state in {} has format {found}, and this version reads formats up to {known}", .dir.display())]
    NewerFormat { dir: PathBuf, found: u32, known: u32 },
    #[error("no space is left for the state directory {}", .dir.display())]
    DiskFull {
        dir: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    #[error("the state directory {} holds {bytes} bytes, and its budget is {bytes_max}", .dir.display())]
    OverBudget { dir: PathBuf, bytes: u64, bytes_max: u64 },
    #[error("the state directory {} cannot be written", .dir.display())]
    ReadOnly {
        dir: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    #[error("failed to {action} {}", .path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    #[error("sealed data cannot be opened: {what}")]
    SealKey { what: String },
    #[error("a {what} of {bytes} bytes is over the store's limit of {bytes_max}")]
    TooLarge { what: &'static str, bytes: usize, bytes_max: usize },
    #[error("the store is closed: {why}")]
    Closed { why: String },
}

/// `process 7`, or `another process` where its number is not known.
struct Holder(Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}

impl Error {
    /// Sorts a failed call by what a person has to do about it.
    pub fn io(dir: &Path, action: &'static str, path: &Path, source: io::Error) -> Self {
        let (dir, source) = (dir.to_owned(), Arc::new(source));
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::DiskFull { dir, source }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { dir, source },
            _ => Self::Io { action, path: path.to_owned(), source },
        }
    }

    pub fn code(&self) -> Code {
        match self {
            Self::Locked { .. } => Code::AlreadyRunning,
            Self::Damaged { .. } => Code::StoreDamaged,
            Self::WentBack { .. } => Code::StoreWentBack,
            Self::NewerFormat { .. } => Code::NewerFormat,
            Self::DiskFull { .. } | Self::OverBudget { .. } => Code::DiskFull,
            Self::ReadOnly { .. } => Code::ReadOnly,
            Self::Io { .. } => Code::StoreIo,
            Self::SealKey { .. } => Code::SealKey,
            Self::TooLarge { .. } => Code::Bug,
            Self::Closed { .. } => Code::StoreClosed,
        }
    }

    /// What is safe, and what to do next.
    fn help(&self) -> String {
        match self {
            Self::Locked { dir, pid } => locked_help(dir, *pid),
            Self::Damaged { dir, .. } => damaged_help(dir),
            Self::WentBack { .. } => "Some acknowledged commits are gone, for instance because an old backup was put \
                back or the disk dropped writes. Nothing was deleted and the sinks are untouched. Records are re-read \
                from the older cursor and written under the same idempotency keys, because keys are made from content, \
                so going on is safe where the sinks honour them; writes parked since then are parked again. To go on \
                from the older state: renkei state reset --accept-older"
                .to_owned(),
            Self::NewerFormat { dir, .. } => format!(
                "Nothing was changed. Use the newer renkei that wrote it, or move {} away to start from an empty state.",
                dir.display()
            ),
            Self::DiskFull { dir, .. } => format!(
                "Every acknowledged commit is safe; the one that failed is there as a whole or not at all. Free space \
                 on the disk of {} and run again.",
                dir.display()
            ),
            Self::OverBudget { .. } => "Every acknowledged commit is safe; nothing was written for this one. Raise \
                disk_max under store: in renkei.yaml, or settle dead letters (renkei dead-letters list), and run again."
                .to_owned(),
            Self::ReadOnly { dir, .. } => format!(
                "Nothing was changed. Give this user the right to write in {} (ls -ld shows its owner), or name another \
                 directory under store: in renkei.yaml.",
                dir.display()
            ),
            Self::Io { .. } => "Every acknowledged commit is safe. Look at the system's log for disk errors, and run \
                again when the cause is gone."
                .to_owned(),
            Self::SealKey { .. } => {
                "Nothing was changed. Set RENKEI_KEY to the key this state was sealed with, or put \
                the state directory's key file back. Without it, sealed tokens and payloads stay unreadable: sign in \
                again and start from an empty state."
                    .to_owned()
            }
            Self::TooLarge { .. } => "Nothing was written. This is a mistake in renkei, because keys and batches are \
                bounded before they come here; please report it."
                .to_owned(),
            Self::Closed { .. } => {
                "The first error of this run says why. Every acknowledged commit is safe; run again \
                when its cause is gone."
                    .to_owned()
            }
        }
    }

    pub fn fault(&self) -> Fault {
        let blame = if matches!(self, Self::TooLarge { .. }) { Blame::Bug } else { Blame::Host };
        let mut message = self.to_string();
        if let Some(source) = std::error::Error::source(self) {
            message = format!("{message}: {source}");
        }
        Fault::halt(self.code(), blame, message).help(self.help())
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        error.fault()
    }
}

fn locked_help(dir: &Path, pid: Option<u32>) -> String {
    let stop = match pid {
        Some(pid) => format!("wait until process {pid} is done, or stop it with: kill {pid}"),
        None => format!("wait until it is done, or find it with: fuser -v {}", dir.join("db").display()),
    };
    format!("Nothing was changed. One process at a time works on {}: {stop}", dir.display())
}

fn damaged_help(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "Nothing was deleted and the sinks are untouched. Keep the directory for a look: mv {dir} {dir}.damaged. Then \
         put a backup back in its place, or start from an empty state with the next run. Both are safe where the sinks \
         honour keys: keys are made from content, so re-reading from an older cursor, or from the beginning, sends the \
         same keys again."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_names_the_directory_the_process_and_exit_code_7() {
        let fault = Error::Locked { dir: "state".into(), pid: Some(42) }.fault();
        assert_eq!(fault.code, Code::AlreadyRunning);
        assert_eq!(fault.exit_code(), 7);
        assert_eq!(fault.message, "process 42 holds the state directory state");
        assert!(fault.help.contains("kill 42"));
        let unknown = Error::Locked { dir: "state".into(), pid: None }.fault();
        assert_eq!(unknown.message, "another process holds the state directory state");
        assert!(unknown.help.contains("fuser -v state/db"));
    }

    #[test]
    fn a_failed_call_is_sorted_by_what_a_person_has_to_do() {
        let sorted = |kind: io::ErrorKind| Error::io(Path::new("state"), "write", Path::new("state/HEAD"), kind.into());
        assert_eq!(sorted(io::ErrorKind::StorageFull).code(), Code::DiskFull);
        assert_eq!(sorted(io::ErrorKind::FileTooLarge).code(), Code::DiskFull);
        assert_eq!(sorted(io::ErrorKind::PermissionDenied).code(), Code::ReadOnly);
        assert_eq!(sorted(io::ErrorKind::ReadOnlyFilesystem).code(), Code::ReadOnly);
        assert_eq!(sorted(io::ErrorKind::Other).code(), Code::StoreIo);
    }

    #[test]
    fn a_damaged_store_says_what_is_safe_and_how_to_go_on() {
        let fault = Error::Damaged { dir: "state".into(), what: "a checksum is wrong".to_owned() }.fault();
        assert_eq!(fault.exit_code(), 6);
        assert!(fault.help.contains("Nothing was deleted"));
        assert!(fault.help.contains("mv state state.damaged"));
    }
}
