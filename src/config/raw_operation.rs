//! An operation of a connector as typed: what can be written, and why sending it a second time is safe.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
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
    /// Why sending it a second time is safe. Required: an answer can always get lost.
    pub repeat: Option<Spanned<RawRepeat>>,
    /// How the answer says what became of each record of a batch. Default: the whole answer is about all of them.
    pub answer: Option<Spanned<RawAnswer>>,
    /// Where the record's id stands in the answer, or in its entry of a batch's answer.
    pub sink_id: Option<Spanned<String>>,
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

/// Why sending it a second time is safe.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawRepeat {
    /// The vendor remembers a key of the request and answers a repetition from memory.
    IdempotencyKey(RawIdempotencyKey),
    /// The vendor keeps one record per value of a field, so repeating changes nothing.
    Upsert(RawUpsert),
}

/// An idempotency key.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawIdempotencyKey {
    /// The header that carries it. Default `Idempotency-Key`.
    pub header: Option<Spanned<String>>,
    /// How the header is written. Default `raw`.
    pub format: Option<RawKeyFormat>,
    /// The vendor forgets a key after this; an older unanswered write waits for a person. Default 24h, at least 1m.
    pub retention: Option<Spanned<Time>>,
    /// The status that says that the key came with another body. Default 422.
    pub mismatch: Option<Spanned<u64>>,
    /// The status that says that the first request still runs. Default 409.
    pub in_flight: Option<Spanned<u64>>,
}

/// How an idempotency key is written.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawKeyFormat {
    /// The bare text.
    Raw,
    /// In quotes, as the IETF draft wants it.
    Quoted,
    /// Shaped as a UUID.
    Uuid,
}

/// An upsert.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawUpsert {
    /// The field of which the vendor keeps one record per value.
    pub unique: Spanned<String>,
}

/// How a batch's answer says what became of each record.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawAnswer {
    /// One entry per record, in the order sent.
    Positional(RawPositional),
    /// Accepted and refused ones in lists, matched by position or by a field.
    List(RawListed),
}

/// One entry per record.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPositional {
    /// Where the list stands in the answer. Default `.`, the whole answer.
    pub list: Option<Spanned<String>>,
    /// In an entry: true means accepted. Default: an entry without errors is accepted.
    pub ok: Option<Spanned<String>>,
    /// In an entry: the list or text of errors.
    pub errors: Option<Spanned<String>>,
}

/// Entries in lists.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawListed {
    /// Where the list of accepted ones stands.
    pub ok: Spanned<String>,
    /// Where the list of refused ones stands.
    pub errors: Option<Spanned<String>>,
    /// How an entry names its record.
    #[serde(rename = "match")]
    pub matched: Spanned<RawMatch>,
}

/// How an entry names its record: by `index`, or by `answer` and `sent`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawMatch {
    /// In an entry: the record's position in the batch, from 0.
    pub index: Option<Spanned<String>>,
    /// In an entry: the field that equals `sent`.
    pub answer: Option<Spanned<String>>,
    /// In what was sent for the record: the field that equals `answer`.
    pub sent: Option<Spanned<String>>,
}
