//! Why sending an operation a second time is safe, as typed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    raw_connector::RawWhen,
    raw_stream::RawBody,
    shape::{Empty, Named, OneOrMany, Source, Spanned},
    units::Time,
};

/// Why sending it a second time is safe.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawRepeat {
    /// The vendor remembers a key of the request and answers a repetition from memory.
    IdempotencyKey(RawIdempotencyKey),
    /// The vendor keeps one record per value of a field, so repeating changes nothing.
    Upsert(RawUpsert),
    /// The record is looked up by what names it for people: it is created where it is not found, and updated where it is.
    LookUp(RawLookUp),
    /// The vendor refuses a write that names an older revision than the record has.
    Revision(RawRevision),
    /// Nothing makes it safe: each write is noted in the store before it leaves, and one whose outcome nobody knows waits for
    /// a person. With `look_up` behind it, the record is looked up first.
    Never(Empty),
}

/// An idempotency key.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawIdempotencyKey {
    /// The header that carries it. Default `Idempotency-Key`.
    pub header: Option<Spanned<String>>,
    /// How the header is written. Default `raw`.
    pub format: Option<RawKeyFormat>,
    /// The vendor forgets a key after this; an older unanswered write is repeated by the next kind of the list, or waits for a
    /// person. Default 24h, at least 1m.
    pub retention: Option<Spanned<Time>>,
    /// The status that says that the key came with another body. Default 422.
    pub mismatch: Option<Spanned<u64>>,
    /// The status that says that the first request still runs. Default 409.
    pub in_flight: Option<Spanned<u64>>,
    /// An answer that says that the write was done before, and is a success for us.
    pub done: Option<Spanned<RawWhen>>,
    /// How an answer from the vendor's memory is told. A failure (5xx) that is remembered is never tried again under its key.
    pub replayed: Option<Spanned<RawWhen>>,
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

/// A search for the record by its natural key. Exactly one of `get` and `post` gives the path.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawLookUp {
    /// Looked up with GET at this path. Templates see `config` and `record`. The answer 404 means that nothing is found.
    pub get: Option<Spanned<Source>>,
    /// Looked up with POST at this path, for vendors whose searches are posts.
    pub post: Option<Spanned<Source>>,
    /// Query parameters. A record that leaves one without a value is rejected: the search would find everything.
    #[serde(default)]
    pub query: Named<Spanned<Source>>,
    /// Headers.
    #[serde(default)]
    pub headers: Named<Spanned<Source>>,
    /// The body of a POST.
    pub body: Option<RawBody>,
    /// Where the found records stand in the answer: a list, or one object. Default `.`, the whole answer.
    pub list: Option<Spanned<String>>,
    /// In a found record: its id, which `update` sees as `sink.id`.
    pub id: Spanned<String>,
    /// What a found record must have in common with ours to be it, for searches that find similar ones too.
    #[serde(rename = "match")]
    pub matched: Option<RawLookUpMatch>,
    /// The operation for a record that is found. Required where `look_up` stands first.
    pub update: Option<Spanned<String>>,
    /// Where the record's fields stand in a found record and in what `update` sends, so that `renkei plan` can show what it
    /// would change. Default: the whole of both.
    pub compare: Option<RawCompare>,
    /// How long a new record may stay invisible to the search: after a write whose outcome nobody knows, finding nothing is
    /// believed only when so much time has passed. Default 0s, at most 1h.
    pub lag: Option<Spanned<Time>>,
}

/// Two fields that must hold the same text.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawLookUpMatch {
    /// In a found record: the field that equals `sent`.
    pub answer: Spanned<String>,
    /// In our record: the field that equals `answer`.
    pub sent: Spanned<String>,
}

/// An optimistic lock.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRevision {
    /// How the record is read before it is written.
    pub read: RawRead,
    /// Where the revision stands in what was read.
    pub at: Spanned<RawRevisionAt>,
    /// The header that carries it. Default `If-Match` for a revision from a header; else templates use `sink.revision`.
    pub header: Option<Spanned<String>>,
    /// The statuses that say that the record has another revision by now. Default 409 and 412.
    pub conflict: Option<OneOrMany<u64>>,
    /// Where the record's fields stand, so that a write of ours that took effect is recognised. Default: the whole body on
    /// both sides.
    pub compare: Option<RawCompare>,
}

/// A request that reads one record. Exactly one of `get` and `post` gives the path.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRead {
    /// Read with GET from this path. Templates see `config`, `record` and `sink.id`.
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
}

/// Where a revision stands.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawRevisionAt {
    /// In this header, such as `ETag`.
    Header(Spanned<String>),
    /// At this path of the body.
    Body(Spanned<String>),
}

/// Where the record's fields stand on both sides.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCompare {
    /// In what was read. Default `.`, all of it.
    pub answer: Option<Spanned<String>>,
    /// In the body that is sent, or of a batch in what `each` makes of the record. Default `.`, all of it.
    pub sent: Option<Spanned<String>>,
}
