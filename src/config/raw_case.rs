//! `connectors/<name>/cases/<case>.yaml` as typed: what is given, which requests are expected with their answers, and what
//! comes of it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    raw_auth::RawAuth,
    shape::{Empty, Named, OneOrMany, Spanned, Tree},
    units::Time,
};

/// One play of a stream or an operation of the connector. A text that is a single `<name>` stands for any value, and for the same
/// value wherever the case says that name again; `<any>` stands for any value each time. In an answer a `<name>`
/// is what it stood for before. A reference such as `${TOKEN}` is
/// filled with a stand-in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCase {
    /// The version of this format. Always 1.
    pub version: Spanned<u32>,
    /// What the case shows, in a sentence.
    pub description: Option<String>,
    /// The stream that is read. One of `stream` and `operation`.
    pub stream: Option<Spanned<String>>,
    /// The operation that writes the given records.
    pub operation: Option<Spanned<String>>,
    /// The account, as a connection of `renkei.yaml` would say it. Default: the connector's own settings, and stand-ins for
    /// its credentials.
    pub connection: Option<RawCaseConnection>,
    /// What is there before.
    pub given: Option<RawGiven>,
    /// Requests and their answers. Those of a stream come in this order; those of an operation in any order. Each must come.
    pub exchanges: Vec<Spanned<RawExchange>>,
    /// What comes of it.
    pub expect: Spanned<RawExpect>,
}

/// The account of a case.
#[derive(Default, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCaseConnection {
    /// Replaces the connector's base URL.
    pub base_url: Option<Spanned<String>>,
    /// The connector's settings.
    pub config: Option<Named<Spanned<Tree>>>,
    /// Credentials, with references for secrets. Default: stand-ins of the kind that the connector declares.
    pub auth: Option<Spanned<RawAuth>>,
}

/// What is there before.
#[derive(Default, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawGiven {
    /// The time of day when it begins. Default 2026-01-15T00:00:00Z. It passes only in waits, and no wait takes real time.
    pub now: Option<Spanned<String>>,
    /// How far the stream, or each of its slices, is delivered: a time, a whole number or the vendor's token. Default: nothing was
    /// read yet.
    pub cursor: Option<Spanned<String>>,
    /// How many pages are read. Default: all, to the end of the listing.
    pub pages: Option<Spanned<u64>>,
    /// The records that an operation writes, in one batch.
    #[serde(default)]
    pub records: Vec<Spanned<RawGivenRecord>>,
}

/// A record on its way to an operation.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawGivenRecord {
    /// Its key at the source. Default its number, from 1.
    pub key: Option<Spanned<String>>,
    /// The id that it has at the vendor since an earlier write.
    pub sink_id: Option<Spanned<String>>,
    /// What the operation sees as `record`.
    pub fields: Spanned<Tree>,
}

/// A request and its answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawExchange {
    /// The request as it must come.
    pub request: Spanned<RawExpectedRequest>,
    /// It comes no sooner than so long after the answer before it.
    pub after: Option<Spanned<Time>>,
    /// And no later than so long after it.
    pub within: Option<Spanned<Time>>,
    /// What is answered.
    pub answer: Spanned<RawCaseAnswer>,
}

/// A request as it must come. Exactly one of `get`, `post`, `put`, `patch` and `delete` gives its path, or its whole URL
/// where it goes to another host.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawExpectedRequest {
    /// GET from this path.
    pub get: Option<Spanned<String>>,
    /// POST to this path.
    pub post: Option<Spanned<String>>,
    /// PUT to this path.
    pub put: Option<Spanned<String>>,
    /// PATCH to this path.
    pub patch: Option<Spanned<String>>,
    /// DELETE of this path.
    pub delete: Option<Spanned<String>>,
    /// All of its query parameters. Those that a signer adds may be left out.
    #[serde(default)]
    pub query: Named<OneOrMany<String>>,
    /// Headers that it must have; others may be there.
    #[serde(default)]
    pub headers: Named<Spanned<String>>,
    /// Its body, as JSON. Without `json`, `form` and `text` it must have none.
    pub json: Option<Spanned<Tree>>,
    /// Its body, as the fields of a form.
    pub form: Option<Named<OneOrMany<String>>>,
    /// Its body, as it is.
    pub text: Option<Spanned<String>>,
}

/// What is answered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCaseAnswer {
    /// The status. Default 200.
    pub status: Option<Spanned<u64>>,
    /// Headers.
    #[serde(default)]
    pub headers: Named<Spanned<String>>,
    /// The body, as JSON.
    pub json: Option<Spanned<Tree>>,
    /// The body, as it is.
    pub text: Option<Spanned<String>>,
    /// The body, as the bytes of a file beside the case.
    pub file: Option<Spanned<String>>,
    /// The request arrives and no answer ever comes.
    pub lost: Option<Empty>,
}

/// What comes of it. What is not said is not looked at, but for a fault that is not expected.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawExpect {
    /// The records that were read, in their order. Fields that are not named here may be there.
    pub records: Option<Vec<Spanned<Tree>>>,
    /// The keys of the records that were read, in their order.
    pub keys: Option<Vec<Spanned<String>>>,
    /// The keys of those among them that say that they are gone.
    pub gone: Option<Vec<Spanned<String>>>,
    /// The codes of what could not be read as records.
    pub refused: Option<Vec<Spanned<String>>>,
    /// How far the stream is delivered then.
    pub cursor: Option<Spanned<String>>,
    /// What became of each given record, in their order.
    pub verdicts: Option<Vec<Spanned<RawExpectedVerdict>>>,
    /// The code of the fault that ends it.
    pub fault: Option<Spanned<String>>,
}

/// What became of a record.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawExpectedVerdict {
    /// The verdict.
    pub is: RawVerdictKind,
    /// The id that the record has at the vendor.
    pub id: Option<Spanned<String>>,
    /// The code of the reason.
    pub code: Option<Spanned<String>>,
    /// A part of the reason's text.
    pub says: Option<Spanned<String>>,
}

/// A verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawVerdictKind {
    /// The vendor made something new.
    Created,
    /// It changed what was there.
    Updated,
    /// It is gone.
    Deleted,
    /// It will never be accepted as it is.
    Rejected,
    /// A person has to look.
    Parked,
}
