//! Personal fields as typed: the rules of a stream or pipeline, and the keys of the workspace.

use schemars::JsonSchema;
use serde::Deserialize;

use super::shape::{Secret, Spanned};

/// How the values of a personal field are protected before anything is stored, logged or sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawProtect {
    /// Replaced for good: a text by `***`, a number by 0, true by false, a map by an empty one.
    Mask,
    /// Replaced by a keyed hash: equal values have equal hashes.
    Hash,
    /// Replaced by a text that only the keys of renkei.yaml open again.
    Encrypt,
}

/// Keys for personal fields: 32 bytes each, as base64 or 64 hexadecimal digits.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPersonalKeys {
    /// Makes hashes, and the fingerprints by which encrypted values are recognised. Another one makes every hash another one.
    pub hash_key: Option<Spanned<Secret>>,
    /// The key ring: the first key encrypts, the others still open what they encrypted. At most 16.
    #[serde(default)]
    pub keys: Vec<Spanned<RawRingKey>>,
}

/// A key of the ring.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRingKey {
    /// Names the key inside of each value that it encrypted: up to 16 lower case letters, digits, `_` and `-`.
    pub id: Spanned<String>,
    /// The key itself.
    pub key: Spanned<Secret>,
}
