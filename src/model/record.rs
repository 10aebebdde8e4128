//! A record keeps the bytes of the page it came with until a step needs a field.
//!
//! A page of 200 records costs about 90 microseconds to slice and 500 to build as trees, so the tree is never built
//! unless somebody asks, and integers and decimals travel as the text the vendor sent.

use std::{borrow::Cow, fmt, num::NonZeroU64, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{Checkpoint, Path, Reason, Scan};

/// The text of one JSON object, usually a slice of the page it arrived in. Cloning is cheap.
///
/// Debug shows the length only: a record may hold personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct Fields(Bytes);

impl Fields {
    /// Takes text that is known to be one JSON object, because a parser sliced or wrote it.
    pub fn from_object(text: Bytes) -> Self {
        debug_assert!(text.first() == Some(&b'{') && text.last() == Some(&b'}'));
        Self(text)
    }

    /// Checks that the text is one JSON object and takes it.
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(text)?;
        drop(object);
        Ok(Self(Bytes::copy_from_slice(text.trim_ascii())))
    }

    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text; a JSON parser only slices valid UTF-8, so the fallback is never taken.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("{}")
    }

    /// The raw text of the field at `path`, or nothing when it is absent. A JSON `null` is present.
    pub fn get(&self, path: &Path) -> Option<&RawValue> {
        path.find(self.as_str())
    }

    /// The fields of the top level in their order, each with its raw text.
    pub fn entries(&self) -> Vec<(Cow<'_, str>, &RawValue)> {
        super::path::entries(self.as_str())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fields({} bytes)", self.0.len())
    }
}

/// What names a record in its source, for good: the text of a string key, the decimal text of an integer key, or a
/// JSON array of those for a key of several fields. Where the page spells it out it is a slice of the page.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Bytes);

impl Key {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into().into())
    }

    /// The key whose text is `part`, where that is a part of the page.
    pub fn of(page: &Bytes, part: Cow<'_, str>) -> Self {
        match part {
            Cow::Borrowed(part) => Self(page.slice_ref(part.as_bytes())),
            Cow::Owned(part) => Self::new(part),
        }
    }

    /// The text; a key is only made of text, so the fallback is never taken.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.as_str())
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// Which state of a record this is: its cursor value or revision in canonical text (an instant in UTC with
/// nanoseconds, an integer in decimal), so that one instant has one text whatever offset the vendor wrote it in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Version(String);

impl Version {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is an earlier state than another. Versions of one kind only: integers by their value, canonical instants
    /// by their text.
    pub fn is_before(&self, other: &Self) -> bool {
        match (self.0.parse::<i64>(), other.0.parse::<i64>()) {
            (Ok(this), Ok(other)) => this < other,
            _ => self.0 < other.0,
        }
    }
}

/// What a record was given that somebody pushed here and may ask about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Slip {
    /// Its place in the order in which records of its stream came, from 1.
    number: NonZeroU64,
    /// Chance, so that a store that went back gives no two records one slip.
    pub tag: u32,
}

impl Slip {
    pub fn new(number: u64, tag: u32) -> Self {
        Self { number: NonZeroU64::new(number).unwrap_or(NonZeroU64::MIN), tag }
    }

    pub fn number(&self) -> u64 {
        self.number.get()
    }

    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, tag) = text.split_once('-').filter(|(number, tag)| number.len() <= 16 && tag.len() == 8)?;
        let slip = Self::new(u64::from_str_radix(number, 16).ok()?, u32::from_str_radix(tag, 16).ok()?);
        (slip.to_string() == text).then_some(slip)
    }
}

impl fmt::Display for Slip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:08x}", self.number, self.tag)
    }
}

/// Whether neighbouring passes over a stream can meet the same record state.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Overlap {
    /// An earlier pass may have delivered it: it lies before the cursor, or on a page that was cut short.
    pub before: bool,
    /// A later pass may read it again: it lies within the overlap of the window's upper end.
    pub after: bool,
}

/// One item of a stream as it was read.
#[derive(Clone, Debug)]
pub struct Record {
    pub key: Key,
    pub version: Option<Version>,
    pub overlap: Overlap,
    /// The source says that it exists no more.
    pub gone: bool,
    pub fields: Fields,
    /// Of a record that was pushed.
    pub slip: Option<Slip>,
}

/// A record that cannot go on, with the reason. It becomes a dead letter.
#[derive(Clone, Debug)]
pub struct Reject {
    pub key: Option<Key>,
    /// It is what tells that a record is gone.
    pub gone: bool,
    pub fields: Fields,
    pub reason: Reason,
    /// Of a record that was pushed.
    pub slip: Option<Slip>,
}

/// A record that does not go on, because somebody said that it is not wanted.
#[derive(Clone, Debug)]
pub struct Skip {
    pub key: Key,
    /// Who said so, in their own words.
    pub by: Arc<str>,
    /// Of a record that was pushed.
    pub slip: Option<Slip>,
}

/// What one read returned, with the checkpoint that holds once all of it is delivered.
#[derive(Clone, Debug)]
pub struct Page {
    pub records: Vec<Record>,
    /// Items of the page that are no usable records: without their key, or with a cursor field that cannot be read.
    pub rejects: Vec<Reject>,
    /// Records that the stream is declared not to hold, although the vendor sends them.
    pub skipped: Vec<Skip>,
    /// Where to read next. Its mark is the one the read was given.
    pub next: Checkpoint,
    /// The listing as it stood when this page was read, for a reader that takes only a part of it.
    pub scan: Scan,
    /// The listing ended with this page.
    pub end: bool,
    /// The listing began again from its start, because the server no longer accepted the saved position. What this
    /// pass delivered before is read again.
    pub restarted: bool,
    /// Size of the answer, for bounds and progress.
    pub body_bytes: usize,
}
