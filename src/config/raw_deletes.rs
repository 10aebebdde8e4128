//! Deletions as typed: how a stream tells them (in a connector), and what a pipeline does about them.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    shape::{Named, OneOrMany, Source, Spanned},
    units::{Share, Time},
};

/// How one learns that a record of the stream is gone. At least one; all that are given hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawDeletions {
    /// The record itself says so: a soft delete.
    pub flag: Option<RawFlag>,
    /// Another stream lists what is gone.
    pub tombstones: Option<RawTombstones>,
    /// What a whole listing no longer shows is gone.
    pub sweep: Option<Spanned<RawSweep>>,
}

/// A field that says that the record is gone.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawFlag {
    /// Where it stands in the record.
    pub path: Spanned<String>,
    /// Its text is one of these. Default: it is there, and neither null nor false.
    pub equals: Option<OneOrMany<String>>,
}

/// A stream of the same connector whose records name, by the same key, the records that are gone.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTombstones {
    /// The stream. Its cursor is kept by itself.
    pub stream: Spanned<String>,
}

/// A whole listing.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawSweep {
    /// A stream of the same connector that lists every record that exists, by the same key; the keys are enough. Default: the
    /// stream itself, where it is not incremental.
    pub stream: Option<Spanned<String>>,
    /// How often that other stream is listed. Default 24h, from 1m to 366d.
    pub every: Option<Spanned<Time>>,
}

/// What becomes, at the sink, of records that are gone at the source.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawDeletes {
    /// They stay as they are.
    Ignore,
    /// An operation that `makes: delete` is sent for each.
    Propagate(RawDelete),
    /// An operation that `makes: update` or `upsert` is sent for each, such as one that sets a status.
    Archive(RawDelete),
}

/// What is sent for a record that is gone, and how much of it is too much.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawDelete {
    /// An operation of the same connection. It sees the record's id as `sink.id`.
    pub operation: Spanned<String>,
    /// What it sees as `record`, by field, as expressions over `record`: the tombstone as it was read, or the fields of the
    /// stream's key for a record that a sweep misses. Default: those.
    pub fields: Option<Named<Spanned<Source>>>,
    /// The largest part of the records that the pipeline keeps at the sink which one run may delete. It counts from the
    /// eleventh on. Default 10%.
    pub share: Option<Share>,
    /// The largest number of records that one run may delete. Default 1000.
    pub max: Option<u64>,
}
