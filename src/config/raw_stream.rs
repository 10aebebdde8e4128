//! A stream of a connector as typed: what can be read, page by page, and what changed since last time.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    raw_decode::{RawDecode, RawLarge},
    raw_deletes::RawDeletions,
    raw_export::RawExport,
    raw_personal::RawProtect,
    raw_slices::RawSlices,
    raw_steps::RawExpand,
    shape::{Empty, Named, OneOrMany, Source, Spanned, Tree},
    units::Time,
};

/// A readable collection. Exactly one of `get` and `post` gives the path.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawStream {
    /// What it holds, in a sentence.
    #[expect(dead_code, reason = "for readers of the file and for the schema")]
    pub description: Option<String>,
    /// Read with GET from this path. Templates see `config`, `window` and `page`.
    pub get: Option<Spanned<Source>>,
    /// Read with POST from this path, for vendors whose searches are posts.
    pub post: Option<Spanned<Source>>,
    /// Query parameters. One whose template comes to nothing is left out.
    #[serde(default)]
    pub query: Named<Spanned<Source>>,
    /// Headers.
    #[serde(default)]
    pub headers: Named<Spanned<Source>>,
    /// The body of a POST.
    pub body: Option<RawBody>,
    /// Replaces the attempt timeout. At most 10m.
    pub timeout: Option<Spanned<Time>>,
    /// Where the list of records stands in the answer, such as `data.items`. Default `.`, the whole answer.
    pub records: Option<Spanned<String>>,
    /// The field that names a record for good, or several that do so together.
    pub key: OneOrMany<String>,
    /// A revision field that names the record's state, where there is no cursor field.
    pub version: Option<Spanned<String>>,
    /// How a listing goes on after its first page. Default: one page is all.
    pub paginate: Option<Spanned<RawPaginate>>,
    /// How to read only what changed. Default: everything is read each time.
    pub incremental: Option<Spanned<RawIncremental>>,
    /// How one learns that a record is gone. Default: one does not.
    pub deletions: Option<RawDeletions>,
    /// The parts that are read on their own, several at once. Default: the stream is read in one.
    pub slices: Option<Spanned<RawSlices>>,
    /// A list inside each item of the answer becomes the records; `key` and all other paths are then those of these records.
    pub expand: Option<Spanned<RawExpand>>,
    /// Only records for which this is true belong to the stream, where the vendor cannot filter them. The others are counted as
    /// skipped, and the cursor moves past them.
    #[serde(rename = "where")]
    pub only: Option<Spanned<Source>>,
    /// A listing begins by asking whether anything is new (If-None-Match, If-Modified-Since); 304 ends it. Default false.
    pub conditional: Option<Spanned<bool>>,
    /// How its answers are written. Default: JSON.
    pub decode: Option<Spanned<RawDecode>>,
    /// Its request makes a job; the records are in the job's files. Default: the answer holds the records.
    pub export: Option<Spanned<RawExport>>,
    /// Its answers may be larger than memory.
    pub large: Option<Spanned<RawLarge>>,
    /// Pages of one listing before it is an error. Default 100000.
    pub pages_max: Option<Spanned<u64>>,
    /// Pages without records that still claim more before it is an error. Default 10.
    pub empty_pages_max: Option<Spanned<u64>>,
    /// What its records look like: a JSON Schema (draft 2020-12), or the name of a file beside connector.yaml that holds one, as JSON
    /// or YAML. Pipelines say under `contract` what a difference leads to.
    pub schema: Option<Spanned<Tree>>,
    /// Personal fields of its records, by path. They hold for every pipeline that reads the stream.
    #[serde(default)]
    pub personal: Named<Spanned<RawProtect>>,
}

/// A request body. In its tree a text may hold `{{ }}`; one that is a single `{{ expression }}` stands for the value
/// itself, of whatever type.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawBody {
    /// JSON.
    Json(Spanned<Tree>),
    /// A form; nested values become `a[b]=c`.
    Form(Spanned<Tree>),
}

/// How a listing goes on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawPaginate {
    /// The answer gives a token for the next page.
    Cursor(RawCursorPages),
    /// The answer's body gives the whole next URL.
    NextUrl(RawNextUrl),
    /// The Link header with rel="next" (RFC 8288).
    Link(Empty),
    /// Page numbers.
    Page(RawNumberedPages),
    /// Offset and limit.
    Offset(RawOffsetPages),
}

/// A token for the next page: from the answer (`next`) or from the page's last record (`last`).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCursorPages {
    /// Where the token stands in the answer. Absent, null or empty there: the listing ends.
    pub next: Option<Spanned<String>>,
    /// The field of the page's last record that is the token. Needs `more`, or ends at an empty page.
    pub last: Option<Spanned<String>>,
    /// The header of the answer that holds the token. Absent, empty or `null` there: the listing ends.
    pub header: Option<Spanned<String>>,
    /// The query parameter that takes the token. Without it a template must use `page.token`.
    pub query: Option<Spanned<String>>,
    /// Where the answer says whether there is more.
    pub more: Option<Spanned<String>>,
    /// The page's size. It becomes smaller while the vendor does not manage it, and templates see it as `page.size`.
    pub size: Option<RawPageSize>,
    /// Where the answer says that this was the last page, for vendors that name a token there, too. Beside `next`, instead of
    /// `more`.
    pub end: Option<Spanned<String>>,
    /// Where the answer gives the number of records in all. With `cap`, beside `next`.
    pub total: Option<Spanned<String>>,
    /// The vendor gives no more than this many records of one listing. A longer one is an error before any of it is delivered; in
    /// `windows` it is read in smaller ones.
    pub cap: Option<Spanned<u64>>,
}

/// The next URL.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawNextUrl {
    /// Where the URL stands in the answer. Absent, null or empty there: the listing ends.
    pub next: Spanned<String>,
    /// Where the answer says whether there is more.
    pub more: Option<Spanned<String>>,
}

/// Page numbers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawNumberedPages {
    /// The query parameter that takes the number.
    pub query: Spanned<String>,
    /// The number of the first page. Default 1.
    pub first: Option<u64>,
    /// The page's size. Without it the listing ends at an empty page, or as `more` or `total_pages` say.
    pub size: Option<RawPageSize>,
    /// Where the answer says whether there is more.
    pub more: Option<Spanned<String>>,
    /// Where the answer gives the number of pages.
    pub total_pages: Option<Spanned<String>>,
}

/// Offset and limit. Pages overlap by one record, so that a listing that moved is noticed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawOffsetPages {
    /// The query parameter that takes the offset.
    pub query: Spanned<String>,
    /// The page's size; its query parameter is the limit.
    pub size: RawPageSize,
    /// Where the answer says whether there is more.
    pub more: Option<Spanned<String>>,
    /// Where the answer gives the number of records in all.
    pub total: Option<Spanned<String>>,
    /// The vendor refuses offsets above this.
    pub cap: Option<Spanned<u64>>,
}

/// How many records a page holds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPageSize {
    /// The query parameter that asks for it.
    pub query: Option<Spanned<String>>,
    /// Records on a full page. From 1 to 100000.
    pub records: Spanned<u64>,
}

/// What changed since last time. Either a `field` of the records that tells it, or a `token` of the vendor.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawIncremental {
    /// The vendor gives a token at the listing's end; the next pass starts with it. Alone, without the other keys.
    pub token: Option<RawChangeToken>,
    /// The field that grows with every change: a time or a number.
    pub field: Option<Spanned<String>>,
    /// How the field is written. Needed with `field`.
    pub format: Option<RawCursorFormat>,
    /// `date` where the vendor filters by days and the field is finer: bounds are sent as `2026-01-31`, and what changed on the first
    /// day is read again. Default: as the field is written.
    pub bounds: Option<RawBounds>,
    /// For dates: where the vendor's days begin, as an IANA name such as `Asia/Tokyo`. Default `UTC`.
    pub timezone: Option<Spanned<String>>,
    /// `ascending` when the listing comes in the field's order. Default `none`.
    pub order: Option<RawOrder>,
    /// How far before the last change the next pass starts, for changes that became visible late: a time, or a count for
    /// integers. Default 60s for times, 25h for dates (at least 24h), 0 for integers.
    pub overlap: Option<Spanned<String>>,
    /// How far before the server's now a pass ends, so that the newest changes have settled. Default 5s, at most 1h.
    pub settle: Option<Spanned<Time>>,
    /// The query parameter for the window's lower bound. Templates may use `window.since` instead.
    pub since: Option<Spanned<String>>,
    /// The query parameter for the window's upper bound. Templates may use `window.until` instead.
    pub until: Option<Spanned<String>>,
    /// Where the first pass starts. Default: from the beginning.
    pub start: Option<Spanned<String>>,
}

/// A token of changes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawChangeToken {
    /// Where the token stands in the answer.
    pub next: Spanned<String>,
    /// The query parameter that takes it. Without it a template must use `window.since`.
    pub query: Option<Spanned<String>>,
    /// The statuses by which the vendor says that it no longer knows the token; then everything is listed again. Default 410.
    pub expired: Option<OneOrMany<u64>>,
}

/// How a cursor field is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawCursorFormat {
    /// `2026-01-31T09:00:00Z`, with any offset.
    Rfc3339,
    /// Seconds since 1970, whole or with a fraction.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMillis,
    /// A number that grows, such as an id.
    Integer,
    /// `2026-01-31`: the day of the last change. What changed on the last day is read again, and recognised.
    Date,
}

/// How a window's bounds are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawBounds {
    /// As dates.
    Date,
}

/// In which order a listing comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawOrder {
    /// Oldest change first, so that the cursor moves page by page.
    Ascending,
    /// Any other order; the cursor moves when the listing ends.
    None,
}
