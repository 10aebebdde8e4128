//! What every value wears on disk: format version, commit number and a checksum over all of it, the tree and the
//! key. A value that was moved, cut or changed is noticed when it is read.

use crc32fast::Hasher;

const FORMAT: u8 = 1;
/// Format, commit number, checksum.
const ENVELOPE_BYTES: usize = 1 + 8 + 4;

/// A value taken out of its envelope.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Opened<'a> {
    pub commit: u64,
    pub body: &'a [u8],
}

pub(super) fn wrap(tree: &str, key: &[u8], commit: u64, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ENVELOPE_BYTES + body.len());
    bytes.push(FORMAT);
    bytes.extend(commit.to_be_bytes());
    let sum = checksum(tree, key, &bytes, body);
    bytes.extend(sum.to_be_bytes());
    bytes.extend(body);
    bytes
}

/// Refuses with what is wrong.
pub(super) fn open<'a>(tree: &str, key: &[u8], bytes: &'a [u8]) -> Result<Opened<'a>, String> {
    let wrong = |what: &str| format!("a value of tree {tree} {what}");
    let (front, rest) = bytes.split_at_checked(ENVELOPE_BYTES - 4).ok_or_else(|| wrong("is cut"))?;
    let (sum, body) = rest.split_first_chunk::<4>().ok_or_else(|| wrong("is cut"))?;
    if checksum(tree, key, front, body) != u32::from_be_bytes(*sum) {
        return Err(wrong("does not match its checksum"));
    }
    let [format, number @ ..] = front else { return Err(wrong("is cut")) };
    let number = number.first_chunk::<8>().ok_or_else(|| wrong("is cut"))?;
    if *format != FORMAT {
        return Err(wrong("has an unknown format"));
    }
    Ok(Opened { commit: u64::from_be_bytes(*number), body })
}

fn checksum(tree: &str, key: &[u8], front: &[u8], body: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    for part in [tree.as_bytes(), &(key.len() as u64).to_be_bytes(), key, front, body] {
        hasher.update(part);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_out_as_it_went_in() {
        let bytes = wrap("meta", b"key", 7, b"body");
        assert_eq!(open("meta", b"key", &bytes), Ok(Opened { commit: 7, body: b"body" }));
        assert_eq!(bytes.len(), ENVELOPE_BYTES + 4);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = wrap("meta", b"key", 7, b"body");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(open("meta", b"key", &flipped).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(open("meta", b"key", &bytes[..len]).is_err(), "cut at {len}");
        }
    }

    #[test]
    fn a_value_under_another_key_or_tree_is_refused() {
        let bytes = wrap("meta", b"key", 7, b"body");
        assert!(open("meta", b"kex", &bytes).is_err());
        assert!(open("runs", b"key", &bytes).is_err());
    }
}
