//! How far a stream is delivered. A checkpoint is data; only `store::State::commit` moves it.
//!
//! ```text
//!   cursor   durable between runs: everything before it is delivered
//!   scan     durable inside a run: where an unfinished listing goes on, and what the cursor becomes at its end
//!   mark     how much of an atomic sink belongs to this checkpoint (a file's segment and length)
//! ```

use std::cmp::Ordering;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::{DeletionState, Key, KeyHash, Slicing};

/// Cursor + scan + mark, stored as one value under a format version.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Checkpoint {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<Scan>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    /// What is known of deletions besides the stream's own records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletions: Option<Box<DeletionState>>,
    /// Of a stream that is read in slices: cursors of slices that ended. The commit makes rows of their own of them, so what is
    /// stored has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slice_cursors: Vec<(KeyHash, Cursor)>,
    /// Cursors of its parent streams, where only parents that changed are visited, by the name of the way of slicing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<(String, Cursor)>,
    /// What the vendor calls the state in which the last listing began, where it is asked only for what is newer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validators: Option<Box<Validators>>,
}

impl Checkpoint {
    /// Where a stream begins that is to be read again from its start. What a file holds it keeps, and so does the brake.
    pub fn from_the_start(&self) -> Self {
        let braked = self.deletions.as_ref().is_some_and(|deletions| deletions.braked);
        let deletions = braked.then(|| Box::new(DeletionState { braked, ..DeletionState::default() }));
        Self { mark: self.mark, deletions, ..Self::default() }
    }

    /// The checkpoint that follows this one, with what this one still has to tell of slices.
    pub fn followed_by(&mut self, next: Self) {
        let earlier = std::mem::replace(self, next).slice_cursors;
        if !earlier.is_empty() {
            let later = std::mem::replace(&mut self.slice_cursors, earlier);
            self.slice_cursors.extend(later);
        }
    }
}

/// A point in a stream. Instants are compared as instants, never as text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cursor {
    Instant(DateTime<Utc>),
    Integer(i64),
    /// An opaque token of the vendor. It has no order; the newest one wins.
    Token(String),
}

impl Cursor {
    /// The order of two cursors of one kind; nothing for tokens and for unlike kinds.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Instant(a), Self::Instant(b)) => Some(a.cmp(b)),
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// The later of two; `other` where they have no order.
    pub fn later(self, other: Self) -> Self {
        match self.compare(&other) {
            Some(Ordering::Greater) => self,
            _ => other,
        }
    }

    /// Canonical text: an instant in UTC with nanoseconds, a decimal integer, or the token itself.
    pub fn canonical(&self) -> String {
        match self {
            Self::Instant(at) => at.to_rfc3339_opts(SecondsFormat::Nanos, true),
            Self::Integer(n) => n.to_string(),
            Self::Token(token) => token.clone(),
        }
    }
}

/// Names that a vendor gives to the state of an answer (RFC 9110, 8.8): the next request may ask whether it is still so.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Validators {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
    /// Names the request that was answered: they mean nothing for another one.
    pub request: String,
}

/// An unfinished listing.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Scan {
    /// Lower bound of the window that was sent, cursor - overlap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Cursor>,
    /// Upper bound as it was sent; it stays the same on all pages of a listing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Cursor>,
    /// The pinned upper end, the server's now - settle. Records at or after it wait for the next pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<Cursor>,
    /// Where the next page begins. Nothing: at the listing's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// The furthest cursor value seen in this listing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub furthest: Option<Cursor>,
    /// Pages read so far, against the page budget.
    pub pages: u64,
    /// Records of the page at `position` that are delivered although the page was cut short (`run --limit`). They will be
    /// met again.
    #[serde(default)]
    pub partial: u64,
    /// The sink's mark when the listing began: an atomic sink is cut back to it when the listing begins again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_mark: Option<Mark>,
    /// Of a stream that is read in slices: where they stand. `partial` belongs to the first part of the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slices: Option<Box<Slicing>>,
    /// Of the listing's first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validators: Option<Box<Validators>>,
}

impl Scan {
    /// Where the answer stands that is asked for next, or is under way.
    pub fn answer(&self) -> Option<&Position> {
        match &self.position {
            Some(Position::Within { answer, .. }) => answer.as_deref(),
            position => position.as_ref(),
        }
    }
}

/// Where a listing goes on, in the terms of its pagination.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    Token(String),
    Url(String),
    Page(u64),
    /// `at` records are read. `last` names the last of them: the next page begins with it, or the listing moved.
    Offset {
        at: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last: Option<Key>,
    },
    /// Of an export: its job, and which of the job's files is read.
    Job {
        id: String,
        file: u64,
        /// Where the file goes on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inside: Option<Box<Position>>,
    },
    /// Inside of an answer that is read piece by piece: `records` of it are read.
    Within {
        /// The answer's own position.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<Box<Position>>,
        records: u64,
        /// Names the answer's bytes: of other ones nothing is known.
        of: String,
    },
}

/// How much of a file sink belongs to a checkpoint: everything in segments before `segment`, and `bytes` of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize, Deserialize)]
pub struct Mark {
    pub segment: u64,
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_that_follows_another_still_tells_of_its_slices() {
        let ended = |slice: u8| (KeyHash([slice; 16]), Cursor::Integer(i64::from(slice)));
        let mut at = Checkpoint { slice_cursors: vec![ended(1)], ..Checkpoint::default() };
        at.followed_by(Checkpoint { cursor: Some(Cursor::Integer(9)), slice_cursors: vec![ended(2)], ..at.clone() });
        assert_eq!(at.slice_cursors, [ended(1), ended(2)]);
        assert_eq!(at.cursor, Some(Cursor::Integer(9)));
    }
}
