//! How far deletions are known, where they do not stand in the stream's own records. Part of a checkpoint: it moves in the same
//! commits.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Cursor, KeyHash, Scan};

/// What a checkpoint says of deletions.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct DeletionState {
    /// How far the stream of tombstones is delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tombstones: Option<Listing>,
    /// The listing of everything that exists, while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<Listing>,
    /// When that listing was begun last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed_at: Option<DateTime<Utc>>,
    /// A whole listing has ended, and what it did not show is being deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweeping>,
    /// A run would have deleted more than the pipeline allows. Until a person allows it, no run deletes anything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub braked: bool,
}

/// How far one listing is.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Listing {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<Scan>,
}

/// A sweep that was begun. What it deleted is no link any more, so it can be taken up again anywhere.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sweeping {
    /// When the listing ended.
    pub listed_at: DateTime<Utc>,
    /// The last link that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<KeyHash>,
}
