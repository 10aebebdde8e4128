//! Steps that do more than move fields about, as typed: split, dedupe, flatten, coerce, validate, lookup.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    raw_stream::RawBody,
    shape::{Named, OneOrMany, Source, Spanned},
};

/// A list inside a record becomes records. Only as the first step.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawSplit {
    /// Where the list stands in the record. A record without it, or whose list is empty or null, becomes nothing.
    pub list: Spanned<String>,
    /// The field that names an item inside its list. Default: its place, from 1.
    pub key: Option<Spanned<String>>,
    /// The name under which each new record keeps the record it comes from. Default `parent`.
    pub parent: Option<Spanned<String>>,
    /// The fields that are kept of it, besides those that reading needs. Default: all but the list.
    pub keep: Option<OneOrMany<String>>,
    /// The name under which each new record keeps its place in the list, from 1. Default: it is not kept, but where it is the key:
    /// then `place`.
    pub place: Option<Spanned<String>>,
}

/// Of records that are alike one goes on; the others are counted as skipped.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawDedupe {
    /// What tells that two records are alike. A record for which it is null or absent is like no other.
    pub by: Spanned<Source>,
    /// Which of them goes on. Default `first`.
    pub keep: Option<Spanned<RawWinner>>,
    /// Among which records. Default `run`; `last` can only be told within a page.
    pub within: Option<Spanned<RawWithin>>,
    /// Values that are remembered within a run. Default 200000, at most 2000000; each costs about 60 bytes.
    pub max: Option<Spanned<u64>>,
}

/// Which of several records that are alike goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawWinner {
    /// The one that was read first.
    First,
    /// The one that was read last.
    Last,
}

/// Where records are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawWithin {
    /// All that the run reads.
    Run,
    /// One answer of the source.
    Page,
}

/// Objects inside the record become fields of the record: `address.city` becomes `address_city`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawFlatten {
    /// What stands between the names. Default `_`.
    pub separator: Option<Spanned<String>>,
    /// Levels that are taken apart. Default: all.
    pub depth: Option<Spanned<u64>>,
    /// Only these fields of the record. Default: all.
    pub only: Option<OneOrMany<String>>,
}

/// The type that a field is to have. Null and what is absent stay as they are; an empty text becomes null, but for `text`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawKind {
    /// A whole number: `12`, `"12"`, `12.0`.
    Integer,
    /// A number: `1.5`, `"1.5"`.
    Number,
    /// true or false, also from yes and no, on and off, 1 and 0.
    Boolean,
    /// A text, also from a number or boolean.
    Text,
    /// A date such as 2026-01-31, also from an RFC 3339 time.
    Date,
    /// A date in another form, by strftime: `%d/%m/%Y`.
    DateAs(Spanned<String>),
    /// An RFC 3339 time, in UTC.
    Time,
    /// A time in another form.
    TimeAs(RawTimeAs),
    /// A time in UTC, from seconds since 1970.
    EpochSeconds,
    /// A time in UTC, from milliseconds since 1970.
    EpochMillis,
}

/// A time in a form of its own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTimeAs {
    /// By strftime: `%Y/%m/%d %H:%M`.
    pub format: Spanned<String>,
    /// The zone of a form that does not name one (`%z`), such as Asia/Tokyo. Default UTC.
    pub timezone: Option<Spanned<String>>,
}

/// What must hold for a record.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRule {
    /// An expression that is true for a good record.
    pub that: Spanned<Source>,
    /// What is said of a record for which it is not. Default: the expression.
    pub message: Option<String>,
    /// What becomes of such a record. Default `reject`.
    pub otherwise: Option<RawOtherwise>,
}

/// What becomes of a record that breaks a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawOtherwise {
    /// A dead letter.
    Reject,
    /// It does not go on, and is counted as skipped.
    Skip,
    /// It goes on, and the log says how many there were.
    Warn,
}

/// Adds to each record what another stream or request tells of it. Values are looked up page by page, each once.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawLookup {
    /// A connection of `renkei.yaml` with a connector.
    pub connection: Spanned<String>,
    /// A stream of its connector. Without a `query` that uses `lookup` all of it is read once a run.
    pub stream: Option<Spanned<String>>,
    /// Instead of a stream: read with GET from this path. Templates see `config` and `lookup`.
    pub get: Option<Spanned<Source>>,
    /// Instead of a stream: read with POST from this path.
    pub post: Option<Spanned<Source>>,
    /// The body of a POST.
    pub body: Option<RawBody>,
    /// Query parameters, besides those of the stream. `lookup.values` is a list of values, `lookup.value` the only one.
    #[serde(default)]
    pub query: Named<Spanned<Source>>,
    /// Where the records stand in the answer, of `get` and `post`. Default `.`. An object there is one record.
    pub records: Option<Spanned<String>>,
    /// The field of what is found that equals `match`.
    pub by: Spanned<String>,
    /// The value that is looked up for a record.
    pub r#match: Spanned<Source>,
    /// The field that takes what was found.
    pub into: Spanned<String>,
    /// What becomes of a record for which nothing is found. Default `reject`.
    pub missing: Option<RawMissing>,
    /// Values in one request, where it takes several. Default 100.
    pub batch: Option<Spanned<u64>>,
    /// Records that are remembered within a run. Default 10000; of a stream that is read whole 100000, and more are an error.
    pub max: Option<Spanned<u64>>,
}

/// What becomes of a record for which nothing is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawMissing {
    /// A dead letter.
    Reject,
    /// It does not go on, and is counted as skipped.
    Skip,
    /// It goes on with null.
    Empty,
}

/// A list inside each record of the answer becomes records of the stream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawExpand {
    /// Where the list stands in an item of the answer. One without it, or whose list is empty or null, holds no record.
    pub list: Spanned<String>,
    /// The name under which each record keeps the item it comes from. Default `parent`.
    pub parent: Option<Spanned<String>>,
    /// The fields that are kept of it, besides those that reading needs. Default: all but the list.
    pub keep: Option<OneOrMany<String>>,
    /// The name under which each record keeps its place in the list, from 1. Default: it is not kept.
    pub place: Option<Spanned<String>>,
}
