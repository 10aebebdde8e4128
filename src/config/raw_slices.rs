//! `slices:` of a stream as typed: the parts that are read on their own.

use schemars::JsonSchema;
use serde::Deserialize;

use super::shape::{Named, OneOrMany, Source, Spanned, Tree};

/// How a stream is read in parts, several at once. Each slice keeps a cursor of its own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawSlices {
    /// Ways of slicing, by name; templates of the stream's request see the value as `slice.<name>`. Several make a slice of each
    /// combination, the first one outermost.
    #[serde(default)]
    pub by: Named<Spanned<RawSliceBy>>,
    /// Each slice is read window by window of its cursor field, and a window that runs into the `cap` of the listing is halved.
    pub windows: Option<Spanned<RawWindows>>,
    /// Fields that are added to each record, by path. Expressions see `slice` and `config`. The stream's key may use them.
    #[serde(default)]
    pub add: Named<Spanned<Source>>,
    /// How many are read at once, within the budget. Default 8, from 1 to 64. Pages of all of them are in memory together.
    pub concurrency: Option<Spanned<u64>>,
    /// Slices of one pass before it is an error. Default 10000000.
    pub max: Option<Spanned<u64>>,
}

/// A way of slicing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawSliceBy {
    /// A slice for each of these: a list of texts and numbers, or one `{{ expression }}` over `config` that gives such a list.
    Values(Spanned<Tree>),
    /// A slice for each record of another stream of this connector.
    Parent(RawParent),
}

/// A parent stream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawParent {
    /// The stream. It may itself be sliced by a parent.
    pub stream: Spanned<String>,
    /// The fields of its records that `slice.<name>` holds. Default: its key.
    pub fields: Option<OneOrMany<String>>,
    /// Visit only parents that changed since the last pass, for vendors that change a parent with its children. The parent must be
    /// `incremental` with a `field`. Default false: every pass visits all.
    pub changed_only: Option<Spanned<bool>>,
}

/// Windows of time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawWindows {
    /// `day`, `week` (from Monday), `month`, `quarter`, `year`, or a time such as `6h`, from 1 min on.
    pub step: Spanned<String>,
    /// In which days, weeks, months, quarters and years begin: an IANA name. Default UTC.
    pub timezone: Option<Spanned<String>>,
}
