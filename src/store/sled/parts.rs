//! Values larger than sled keeps safely are cut into parts under names of their own.
//!
//! sled moves a page over 128 KB into a file that it never syncs. A leaf holds up to 20 entries for a moment and an index
//! up to 320 keys, so entries of at most 4 KB and keys of at most 256 bytes keep every page below that.

use super::envelope::{self, ENVELOPE_BYTES, Kind, Opened};

/// The tree that holds the parts.
pub(super) const TREE: &str = "parts";

const ENTRY_BYTES_MAX: usize = 4096;
/// What one entry carries beside its envelope.
pub(super) const BODY_BYTES_MAX: usize = ENTRY_BYTES_MAX - ENVELOPE_BYTES;

/// Where the parts of a value are. A part's key is the commit that wrote it, the change within that commit and the
/// part's turn, so no two values ever share one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Parts {
    commit: u64,
    change: u32,
    count: u32,
    sum: u32,
}

impl Parts {
    pub fn keys(self) -> impl Iterator<Item = Vec<u8>> {
        (0..self.count)
            .map(move |turn| [&self.commit.to_be_bytes()[..], &self.change.to_be_bytes(), &turn.to_be_bytes()].concat())
    }

    fn encode(self) -> Vec<u8> {
        [self.change.to_be_bytes(), self.count.to_be_bytes(), self.sum.to_be_bytes()].concat()
    }

    /// The parts an opened value points to. Nothing for a whole value and for a list that is none.
    pub fn of(opened: &Opened<'_>) -> Option<Self> {
        let (change, rest) = opened.body.split_first_chunk::<4>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let sum = <[u8; 4]>::try_from(rest).ok()?;
        (opened.kind == Kind::Parts).then(|| Self {
            commit: opened.commit,
            change: u32::from_be_bytes(*change),
            count: u32::from_be_bytes(*count),
            sum: u32::from_be_bytes(sum),
        })
    }

    /// Puts the value together again, each part as it was read. Refuses with what is wrong.
    pub fn join(self, stored: &[Option<impl AsRef<[u8]>>]) -> Result<Vec<u8>, String> {
        let mut value = Vec::with_capacity(stored.len() * BODY_BYTES_MAX);
        for (key, bytes) in self.keys().zip(stored) {
            let bytes = bytes.as_ref().ok_or("a part of a value is missing")?;
            value.extend(envelope::open(TREE, &key, bytes.as_ref())?.body);
        }
        if crc32fast::hash(&value) != self.sum {
            return Err("the parts of a value do not match its checksum".to_owned());
        }
        Ok(value)
    }
}

/// What is stored for a value: its own entry, and the entries of its parts when it is cut.
pub(super) fn cut(tree: &str, key: &[u8], value: &[u8], commit: u64, change: u32) -> Cut {
    if value.len() <= BODY_BYTES_MAX {
        return Cut { entry: envelope::wrap(tree, key, Kind::Whole, commit, value), parts: Vec::new() };
    }
    let bodies = value.chunks(BODY_BYTES_MAX);
    let parts = Parts { commit, change, count: bodies.len() as u32, sum: crc32fast::hash(value) };
    Cut {
        entry: envelope::wrap(tree, key, Kind::Parts, commit, &parts.encode()),
        parts: parts
            .keys()
            .zip(bodies)
            .map(|(key, body)| {
                let bytes = envelope::wrap(TREE, &key, Kind::Whole, commit, body);
                (key, bytes)
            })
            .collect(),
    }
}

pub(super) struct Cut {
    pub entry: Vec<u8>,
    pub parts: Vec<(Vec<u8>, Vec<u8>)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(len: usize) -> (usize, Vec<u8>) {
        let value: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let cut = cut("outbox", b"key", &value, 9, 3);
        assert!(cut.entry.len() <= ENTRY_BYTES_MAX);
        assert!(cut.parts.iter().all(|(_, bytes)| bytes.len() <= ENTRY_BYTES_MAX));
        let opened = envelope::open("outbox", b"key", &cut.entry).unwrap();
        let Some(parts) = Parts::of(&opened) else { return (0, opened.body.to_vec()) };
        assert!(parts.keys().eq(cut.parts.iter().map(|(key, _)| key.clone())));
        let stored: Vec<_> = cut.parts.iter().map(|(_, bytes)| Some(bytes)).collect();
        let joined = parts.join(&stored).unwrap();
        assert_eq!(joined, value);
        (cut.parts.len(), joined)
    }

    #[test]
    fn a_value_is_cut_only_when_it_is_too_large_for_one_entry() {
        for (len, count) in
            [(0, 0), (BODY_BYTES_MAX, 0), (BODY_BYTES_MAX + 1, 2), (2 * BODY_BYTES_MAX, 2), (1_000_000, 245)]
        {
            assert_eq!(round(len).0, count, "{len}");
        }
    }

    #[test]
    fn a_missing_or_changed_part_is_noticed() {
        let cut = cut("outbox", b"key", &[7; 10_000], 9, 3);
        let parts = Parts::of(&envelope::open("outbox", b"key", &cut.entry).unwrap()).unwrap();
        let mut stored: Vec<_> = cut.parts.iter().map(|(_, bytes)| Some(bytes.clone())).collect();
        stored.swap(0, 1);
        assert!(parts.join(&stored).is_err());
        stored.swap(0, 1);
        assert!(parts.join(&stored[..2]).is_err());
        stored[1] = None;
        assert!(parts.join(&stored).is_err());
    }
}
