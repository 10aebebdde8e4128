//! An operation of a connector as typed: what can be written, and why sending it a second time is safe.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    raw_answer::RawAnswer,
    raw_repeat::{RawCompare, RawRepeat},
    raw_stream::RawBody,
    shape::{Named, OneOrMany, Source, Spanned, Tree},
    units::Time,
};

/// A declared write. Exactly one of `post`, `put`, `patch` and `delete` gives the path.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawOperation {
    /// What it does, in a sentence.
    #[expect(dead_code, reason = "for readers of the file and for the schema")]
    pub description: Option<String>,
    /// Written with POST to this path. Templates see `config`, `record` and `sink.id`; those of a batch see `batch`
    /// instead of `record` and `sink`.
    pub post: Option<Spanned<Source>>,
    /// Written with PUT to this path.
    pub put: Option<Spanned<Source>>,
    /// Written with PATCH to this path.
    pub patch: Option<Spanned<Source>>,
    /// Written with DELETE to this path.
    pub delete: Option<Spanned<Source>>,
    /// Query parameters. One whose template comes to nothing is left out.
    #[serde(default)]
    pub query: Named<Spanned<Source>>,
    /// Headers.
    #[serde(default)]
    pub headers: Named<Spanned<Source>>,
    /// The body. Default: the record as JSON, or the list of a batch; none for DELETE.
    pub body: Option<RawBody>,
    /// Replaces the attempt timeout. At most 10m.
    pub timeout: Option<Spanned<Time>>,
    /// What success makes of a record at the vendor.
    pub makes: Spanned<RawMakes>,
    /// How the answer tells a new record from a changed one. Only with `makes: upsert`.
    pub created: Option<Spanned<RawCreated>>,
    /// Send several records in one request.
    pub batch: Option<RawBatch>,
    /// What a batch holds for each record. Default: the record itself.
    pub each: Option<Spanned<Tree>>,
    /// Why sending it a second time is safe: one kind, or a list of which the first is used while it is safe. Required: an
    /// answer can always get lost.
    pub repeat: Option<OneOrMany<RawRepeat>>,
    /// How the answer says what became of each record of a batch. Default: the whole answer is about all of them.
    pub answer: Option<Spanned<RawAnswer>>,
    /// Where the record's id stands in the answer, or in its entry of a batch's answer.
    pub sink_id: Option<Spanned<String>>,
    /// How one record is read, so that `renkei plan` can show what an update would change. Only with `makes: update` and
    /// `upsert`.
    pub read: Option<Spanned<RawReadBack>>,
    /// What the records that it gets look like, as templates see them in `record`: a JSON Schema (draft 2020-12), or the name of a file
    /// beside connector.yaml that holds one. Pipelines say under `contract` what a difference leads to.
    pub schema: Option<Spanned<Tree>>,
}

/// A request that reads one record for a plan. Exactly one of `get` and `post` gives the path.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawReadBack {
    /// Read with GET from this path. Templates see `config`, `record` and `sink.id`. The answer 404 means that it is not there.
    pub get: Option<Spanned<Source>>,
    /// Read with POST from this path.
    pub post: Option<Spanned<Source>>,
    /// Query parameters. One whose template comes to nothing is left out.
    #[serde(default)]
    pub query: Named<Spanned<Source>>,
    /// Headers.
    #[serde(default)]
    pub headers: Named<Spanned<Source>>,
    /// The body of a POST.
    pub body: Option<RawBody>,
    /// Where the record's fields stand. Default: the whole body on both sides.
    pub compare: Option<RawCompare>,
}

/// What success makes of a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawMakes {
    /// A new record, every time it is asked anew.
    Create,
    /// A new record, or a change of the one that exists.
    Upsert,
    /// A change of a record that must exist.
    Update,
    /// The end of a record.
    Delete,
}

/// How the answer tells a new record from a changed one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawCreated {
    /// This status means that it is new.
    Status(Spanned<u64>),
    /// A value of the answer means that it is new.
    Field(RawCreatedField),
}

/// A value that means that the record is new.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCreatedField {
    /// Where it stands in the answer or entry.
    pub path: Spanned<String>,
    /// Its text is one of these. Default: it is true.
    pub equals: Option<OneOrMany<String>>,
}

/// Several records in one request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawBatch {
    /// Records in one request at the most. From 1 to 10000.
    pub size: Spanned<u64>,
}
