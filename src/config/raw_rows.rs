//! Rows of a database that are read, as typed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{raw_stream::RawCursorFormat, shape::Spanned, units::Time};

/// What changed since the last time, by a column.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRowChanges {
    /// The column that grows with every change: a time or a number. Without an index on it each pass looks at every row.
    pub field: Spanned<String>,
    /// What the column holds. Default `rfc3339`: a `timestamptz`, or a `timestamp` that is meant in UTC. The others are for
    /// columns of whole numbers.
    pub format: Option<RawCursorFormat>,
    /// How far before the last change the next pass starts, for rows that were committed late: a time, or a count for integers.
    /// Default 60s for times, 0 for integers.
    pub overlap: Option<Spanned<String>>,
    /// How far before the server's now a pass ends. Default 5s, at most 1h.
    pub settle: Option<Spanned<Time>>,
    /// Where the first pass starts. Default: from the beginning.
    pub start: Option<Spanned<String>>,
}

/// A table that an application puts messages into, in the transaction that they tell of.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawOutbox {
    /// The table.
    pub table: Spanned<String>,
    /// The column that tells which of two rows comes first. Default: the key.
    pub order: Option<Spanned<String>>,
    /// The column that says what a row is about: rows of one value go one after the other. Default: each row goes by itself.
    pub aggregate: Option<Spanned<String>>,
    /// The column that is PENDING, and then SENT or FAILED. Default `state`.
    pub state: Option<Spanned<String>>,
}
