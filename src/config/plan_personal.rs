//! Personal fields as meant: which fields of a stream's records are protected, how, by which keys, and which sink sees what in
//! the clear.

use std::sync::Arc;

use crate::model::{Path, SecretKey};

/// The rules of one pipeline, its own and those of its stream. By default none.
#[derive(Clone, Default, Debug)]
pub struct Personal {
    /// No two of them lead to the same value.
    pub rules: Vec<PersonalRule>,
    /// For each field of the stream's key, whether it is hashed.
    pub hashed_key: Vec<bool>,
    /// Mapped fields with encrypted values that the sink gets in the clear.
    pub clear: Vec<Path>,
    /// The same among the fields of a deletion.
    pub clear_gone: Vec<Path>,
    /// The rules of the streams that tell what is gone and what exists, whose records have the same names.
    pub tombstones: Vec<PersonalRule>,
    pub existing: Vec<PersonalRule>,
    /// There, where a rule needs keys; in a plan that was made without secrets, only if they were all at hand.
    pub keys: Option<Arc<PersonalKeys>>,
}

/// How the values at a path are protected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PersonalRule {
    pub path: Path,
    pub protect: Protect,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protect {
    /// Replaced for good.
    Mask,
    /// Replaced by a keyed hash: equal values have equal hashes.
    Hash,
    /// Replaced by a text that the key ring opens again.
    Encrypt,
}

impl Protect {
    pub fn needs_keys(self) -> bool {
        self != Self::Mask
    }

    /// What it does to a value, for messages.
    pub fn done(self) -> &'static str {
        match self {
            Self::Mask => "masked",
            Self::Hash => "hashed",
            Self::Encrypt => "encrypted",
        }
    }
}

/// `personal:` of renkei.yaml.
#[derive(Debug)]
pub struct PersonalKeys {
    /// Makes hashes, and the fingerprints by which encrypted values are recognised.
    pub hash_key: SecretKey,
    /// The first one encrypts; the others still open what they encrypted.
    pub ring: Vec<RingKey>,
}

#[derive(Debug)]
pub struct RingKey {
    pub id: String,
    pub key: SecretKey,
}

impl Personal {
    pub fn needs_keys(&self) -> bool {
        [&self.rules, &self.tombstones, &self.existing].into_iter().flatten().any(|rule| rule.protect.needs_keys())
    }
}
