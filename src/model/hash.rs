//! Names made from content. Both hashes are cut from SHA-256: 128 bits keep accidental collisions out of reach at any
//! volume one store can hold.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{Fields, Key, path::entries};

/// Levels of objects and lists whose order of fields and white space do not count.
const DEPTH_MAX: usize = 100;

/// Short, fixed-size name of a key in the store's ledger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyHash(pub [u8; 16]);

impl Serialize for KeyHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("a hash of a key has 32 hexadecimal digits"))
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl KeyHash {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = u128::from_str_radix(text, 16).ok().filter(|_| is_hex)?;
        Some(Self(bits.to_be_bytes()))
    }

    pub fn of(key: &Key) -> Self {
        Self(cut(&Sha256::digest(key.as_str().as_bytes())))
    }
}

/// Names the content of a record, whatever order its fields are written in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct ContentHash(pub [u8; 16]);

impl ContentHash {
    pub fn of(fields: &Fields) -> Self {
        let mut hasher = Sha256::new();
        feed(&mut hasher, fields.as_str(), 0);
        Self(cut(&hasher.finalize()))
    }
}

fn cut(digest: &[u8]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}

/// Feeds a value in canonical order: objects by sorted key, every part with its length and a tag before it. Numbers
/// are fed as the text the vendor sent, so that no digit of a long decimal is lost to a float. What lies deeper than
/// `DEPTH_MAX` is fed as its text: a page of 40 kB can nest 20,000 levels, which would overflow the stack.
fn feed(hasher: &mut Sha256, text: &str, depth: usize) {
    match text.as_bytes().first() {
        Some(b'{' | b'[') if depth > DEPTH_MAX => part(hasher, b'?', text.as_bytes()),
        Some(b'{') => {
            let mut fields = entries(text);
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            tag(hasher, b'{', fields.len());
            for (name, item) in fields {
                part(hasher, b'k', name.as_bytes());
                feed(hasher, item.get(), depth + 1);
            }
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
            tag(hasher, b'[', items.len());
            items.iter().for_each(|item| feed(hasher, item.get(), depth + 1));
        }
        Some(b'"') => match serde_json::from_str::<String>(text) {
            Ok(decoded) => part(hasher, b'"', decoded.as_bytes()),
            Err(_) => part(hasher, b'?', text.as_bytes()),
        },
        _ => part(hasher, b'=', text.as_bytes()),
    }
}

fn tag(hasher: &mut Sha256, kind: u8, len: usize) {
    hasher.update([kind]);
    hasher.update((len as u64).to_be_bytes());
}

fn part(hasher: &mut Sha256, kind: u8, bytes: &[u8]) {
    tag(hasher, kind, bytes.len());
    hasher.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(text: &str) -> ContentHash {
        ContentHash::of(&Fields::parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn the_order_of_fields_and_white_space_do_not_change_the_content() {
        assert_eq!(hash(r#"{"a":1,"b":{"c":2,"d":[3]}}"#), hash(r#"{ "b": {"d":[3], "c":2}, "a":1 }"#));
    }

    #[test]
    fn a_string_is_not_the_number_it_spells_and_lists_keep_their_order() {
        assert_ne!(hash(r#"{"a":1}"#), hash(r#"{"a":"1"}"#));
        assert_ne!(hash(r#"{"a":[1,2]}"#), hash(r#"{"a":[2,1]}"#));
        assert_ne!(hash(r#"{"a":1.00000000000000000001}"#), hash(r#"{"a":1.00000000000000000002}"#));
        assert_ne!(hash(r#"{"a":["b","c"]}"#), hash(r#"{"a":["bc",""]}"#));
    }

    #[test]
    fn a_record_of_any_depth_has_a_content() {
        let deep = |inner: &str| {
            let text = format!(r#"{{"a":{}{inner}{}}}"#, "[".repeat(20_000), "]".repeat(20_000));
            ContentHash::of(&Fields::from_object(bytes::Bytes::from(text)))
        };
        assert_eq!(deep("1"), deep("1"));
        assert_ne!(deep("1"), deep("2"));
    }
}
