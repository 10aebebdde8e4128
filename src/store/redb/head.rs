//! HEAD: the number of the last acknowledged commit, kept outside redb, so that a store that went back is noticed.
//!
//! Two slots are written in turn, each in a disk sector of its own with a checksum, so a torn write loses one slot and
//! the other still holds the commit before. The file never changes its size, so a sync of it costs no metadata.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use super::super::files;

const MAGIC: &[u8; 8] = b"rk head1";
const SLOT_BYTES: usize = 512;
const SLOTS: u64 = 2;

/// An open HEAD file.
#[derive(Debug)]
pub(super) struct Head {
    file: File,
    turn: u64,
}

impl Head {
    /// Makes the file with a number in both slots, or replaces it. Durable when it returns.
    pub fn create(path: &Path, commit: u64) -> io::Result<Self> {
        let slot = encode(commit);
        files::write_atomically(path, &slot.repeat(SLOTS as usize), files::SHARED)?;
        Ok(Self { file: OpenOptions::new().read(true).write(true).open(path)?, turn: 0 })
    }

    /// Opens the file and reads its number. Nothing where no slot is whole.
    pub fn open(path: &Path) -> io::Result<Option<(Self, u64)>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let mut newest = None;
        for turn in 0..SLOTS {
            let mut slot = [0; SLOT_BYTES];
            if file.read_exact_at(&mut slot, turn * SLOT_BYTES as u64).is_ok() {
                newest = newest.max(decode(&slot).map(|commit| (commit, turn)));
            }
        }
        Ok(newest.map(|(commit, turn)| (Self { file, turn: turn + 1 }, commit)))
    }

    /// Writes the number over the older slot. Durable when it returns.
    pub fn advance(&mut self, commit: u64) -> io::Result<()> {
        self.file.write_all_at(&encode(commit), (self.turn % SLOTS) * SLOT_BYTES as u64)?;
        self.turn += 1;
        self.file.sync_data()
    }
}

fn encode(commit: u64) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..8].copy_from_slice(MAGIC);
    slot[8..16].copy_from_slice(&commit.to_be_bytes());
    let sum = crc32fast::hash(&slot[..16]);
    slot[16..20].copy_from_slice(&sum.to_be_bytes());
    slot
}

fn decode(slot: &[u8; SLOT_BYTES]) -> Option<u64> {
    let (front, rest) = slot.split_first_chunk::<16>()?;
    let (magic, number) = front.split_first_chunk::<8>()?;
    let sum = rest.first_chunk::<4>()?;
    let whole = magic == MAGIC && u32::from_be_bytes(*sum) == crc32fast::hash(front);
    whole.then(|| number.first_chunk::<8>().map(|number| u64::from_be_bytes(*number))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_number_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("HEAD");
        let mut head = Head::create(&path, 0).unwrap();
        for commit in [1, 2, 7] {
            head.advance(commit).unwrap();
            assert_eq!(Head::open(&path).unwrap().unwrap().1, commit);
        }
        let (mut head, _) = Head::open(&path).unwrap().unwrap();
        head.advance(8).unwrap();
        assert_eq!(Head::open(&path).unwrap().unwrap().1, 8);
    }

    #[test]
    fn a_torn_slot_leaves_the_number_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("HEAD");
        let mut head = Head::create(&path, 4).unwrap();
        head.advance(5).unwrap();
        head.file.write_all_at(&[0xff; 9], 8).unwrap();
        assert_eq!(Head::open(&path).unwrap().unwrap().1, 4);
        head.file.write_all_at(&[0xff; 9], SLOT_BYTES as u64 + 8).unwrap();
        assert!(Head::open(&path).unwrap().is_none());
    }
}
