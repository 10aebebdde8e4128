//! One line of the log: what it says, how it is tied to the one before, and how it is signed.
//!
//! What is signed is the line's own text up to its signature, so there is nothing about spelling that a reader has to agree on.

use std::{fs, io, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::model::SecretKey;

/// The hash before the first line.
pub const START: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const SIGNATURE: &str = ",\"sig\":\"";

/// How somebody came to do it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    Api,
    Command,
    /// The service itself: it began, or took over changed files.
    Service,
}

/// What was done. It holds no values of records and no secrets.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Entry {
    pub via: Via,
    /// The address that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Such as `pause` or `replay`.
    pub what: String,
    /// The pipeline or connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
}

#[derive(Serialize, Deserialize)]
struct Numbered<E> {
    n: u64,
    at: DateTime<Utc>,
    #[serde(flatten)]
    entry: E,
    before: String,
}

/// Which entries there are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// The oldest one that was not removed for its age.
    pub first: u64,
    pub last: u64,
    /// Of the last line.
    pub hash: String,
}

impl Head {
    pub fn empty() -> Self {
        Self { first: 1, last: 0, hash: START.to_owned() }
    }

    /// The head of a log; nothing where there is none.
    pub fn read(dir: &Path, public: &[u8]) -> io::Result<Option<Self>> {
        let text = match fs::read_to_string(dir.join("head")) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let head = signed(text.trim_end(), public).and_then(|text| serde_json::from_str(&text).ok());
        head.map(Some).ok_or_else(|| io::Error::other("its head is not signed with the log's key"))
    }
}

/// What signs entries.
pub struct AuditKey(Ed25519KeyPair);

impl AuditKey {
    /// Nothing for a seed that the library refuses, which takes any 32 bytes.
    pub fn of(seed: &SecretKey) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed.expose()).ok().map(Self)
    }

    pub fn public(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }

    /// The line of an entry, with its end, and its hash.
    pub(super) fn line(&self, n: u64, at: DateTime<Utc>, entry: &Entry, before: &str) -> (String, String) {
        let line = self.sign(&Numbered { n, at, entry, before: before.to_owned() });
        let hash = hash(&line);
        (line + "\n", hash)
    }

    pub(super) fn head(&self, head: &Head) -> String {
        self.sign(head) + "\n"
    }

    fn sign(&self, value: &impl Serialize) -> String {
        // What is serialised here has text for keys, which is all that could fail.
        let mut text = serde_json::to_string(value).unwrap_or_default();
        text.pop();
        let signature = STANDARD.encode(self.0.sign(text.as_bytes()).as_ref());
        format!("{text}{SIGNATURE}{signature}\"}}")
    }
}

pub fn hash(line: &str) -> String {
    Sha256::digest(line.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The object that a text signs; nothing where the signature is not the key's.
fn signed(text: &str, public: &[u8]) -> Option<String> {
    let (body, rest) = text.rsplit_once(SIGNATURE)?;
    let signature = STANDARD.decode(rest.strip_suffix("\"}")?).ok()?;
    UnparsedPublicKey::new(&ED25519, public).verify(body.as_bytes(), &signature).ok()?;
    Some(format!("{body}}}"))
}

/// A line as it stands in a file.
pub struct Line(pub String);

/// A line whose signature is right.
pub struct Checked {
    pub n: u64,
    pub at: DateTime<Utc>,
    pub before: String,
    pub hash: String,
}

impl Line {
    pub fn checked(&self, public: &[u8]) -> io::Result<Checked> {
        let changed = || io::Error::other("it was changed, or is not signed with the log's key");
        let text = signed(&self.0, public).ok_or_else(changed)?;
        let Numbered::<Value> { n, at, before, .. } = serde_json::from_str(&text).map_err(|_| changed())?;
        Ok(Checked { n, at, before, hash: hash(&self.0) })
    }
}
