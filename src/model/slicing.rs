//! A listing that is read in slices: where the next slice begins, and which ones are under way. Its size follows how many slices are
//! read at once, never how many there are: what ended leaves a cursor of its own behind (`Checkpoint::slice_cursors`) and a number.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Cursor, Key, KeyHash, Scan};

/// The slices of a pass.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Slicing {
    /// Where the next slice begins, one place for each way of slicing, the outermost first. Nothing: all slices have begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Vec<Place>>,
    /// Slices that have begun and not ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<Slice>,
    /// How many ended.
    #[serde(default)]
    pub ended: u64,
    /// How many were not there, because their parent is gone.
    #[serde(default)]
    pub missing: u64,
    /// The earliest cursor of those that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Cursor>,
    /// Cursors of parent streams that were listed to their end in this pass, by the name of the way of slicing. They count once
    /// the pass has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<(String, Cursor)>,
}

/// A slice that is under way.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Slice {
    /// What templates see as `slice`: the text of one JSON object.
    pub values: String,
    /// Its cursor when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// What it is at its end, as far as the parts that ended can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Cursor>,
    /// Its window, where it is read window by window: what has not begun of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Its listings that have begun and not ended: one, or a few windows.
    pub parts: Vec<Scan>,
}

impl Slicing {
    /// How many listings are under way.
    pub fn under_way(&self) -> usize {
        self.open.iter().map(|slice| slice.parts.len()).sum()
    }
}

/// What names a slice among those of its stream.
pub fn slice_name(values: &str) -> KeyHash {
    KeyHash::of(&Key::new(values))
}

/// Where one way of slicing stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// At a value of the list: its number, and its JSON text, so that a list that changed is noticed.
    Value { at: usize, value: String },
    /// At a record of a parent stream.
    Parent(Box<AtParent>),
}

/// A record of a parent stream, by its page.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct AtParent {
    /// The parent's cursor, and the listing at the page that the record is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<Scan>,
    /// Records of that page that had their turn, and the last of them.
    #[serde(default)]
    pub taken: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Key>,
    /// The record that has its turn, while slices inside of it are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Key>,
}
