//! One process at a time. The lock is the kernel's, on the file `owner`, so a killed process never leaves it behind; the
//! process id in the file is only for people.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Write},
    path::Path,
};

use super::super::Error;

/// Held as long as the store is open.
#[derive(Debug)]
pub(super) struct Lock {
    _owner: File,
}

impl Lock {
    pub fn take(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("owner");
        let failed = |source| Error::io(dir, "lock", &path, source);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The owner may be about to write its id. Without one the error is still right.
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(Error::Locked { dir: dir.to_owned(), pid });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
        Ok(Self { _owner: file })
    }
}
