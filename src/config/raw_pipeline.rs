//! `pipelines/<name>.yaml` as typed: from a stream, through steps, to a sink.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    raw_contract::RawContract,
    raw_deletes::RawDeletes,
    raw_ingress::RawIngress,
    raw_personal::RawProtect,
    raw_rows::{RawOutbox, RawRowChanges},
    raw_schedule::RawSchedule,
    raw_slo::{RawCanary, RawSlo},
    raw_steps::{RawDedupe, RawFlatten, RawKind, RawLookup, RawRule, RawSplit},
    shape::{Named, OneOrMany, Source, Spanned},
    units::Share,
};

/// From a connection's stream, through steps, to a connection's operation, file or table.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPipeline {
    /// The version of this format. Always 1.
    pub version: Spanned<u32>,
    /// What it is for, in a sentence.
    pub description: Option<String>,
    /// When `renkei serve` runs it. Default: only when it is told to.
    pub schedule: Option<Spanned<RawSchedule>>,
    /// What is read.
    #[schemars(required)]
    pub from: Option<Spanned<RawFrom>>,
    /// What happens to each record, in order.
    #[serde(default)]
    pub steps: Vec<RawStep>,
    /// Where it goes. A list: several targets, each with a `name`, verdicts and a checkpoint of its own.
    #[schemars(required)]
    pub to: Option<OneOrMany<RawTo>>,
    /// When a run stops because too much is refused. Default: never.
    pub limits: Option<RawLimits>,
    /// The first records of each run go alone, and the others only when the verdicts of these are good. Default: all go.
    pub canary: Option<Spanned<RawCanary>>,
    /// What `renkei serve` is to keep of it, and what it does by itself when it is about not to. Default: nothing.
    pub slo: Option<Spanned<RawSlo>>,
    /// Personal fields of the records as they are read, by path, besides those that the stream declares.
    #[serde(default)]
    pub personal: Named<Spanned<RawProtect>>,
}

/// When a run stops because too many records are refused or parked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawLimits {
    /// The largest part of the run's records, such as `2%`.
    pub rejects: Option<Share>,
    /// The largest number of records.
    pub rejects_max: Option<u64>,
    /// The part counts once this many records have a verdict. Default 100.
    pub sample: Option<u64>,
}

/// A stream of a connection, records that are pushed here, or both: then they are records of one stream. Or rows of a database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawFrom {
    /// A connection of `renkei.yaml`.
    pub connection: Option<Spanned<String>>,
    /// A stream of its connector.
    pub stream: Option<Spanned<String>>,
    /// Records that others push to `POST /in/<pipeline>` of `renkei serve`.
    pub ingress: Option<Spanned<RawIngress>>,
    /// What it leads to when a record differs from the stream's `schema`. Default `warn` where there is one.
    pub contract: Option<Spanned<RawContract>>,
    /// A table or view of a database.
    pub table: Option<Spanned<String>>,
    /// Rows of a database: one `SELECT`, without `order by` and `limit`.
    pub query: Option<Spanned<String>>,
    /// A table of a database that an application puts messages into, each to be delivered once.
    pub outbox: Option<Spanned<RawOutbox>>,
    /// Of a database: the columns that name a row for good.
    pub key: Option<OneOrMany<String>>,
    /// Of a table or query: what changed since the last time. Default: all rows are read each time.
    pub incremental: Option<Spanned<RawRowChanges>>,
    /// Of a database: rows that are read at once. Default 1000, of an outbox 100; from 1 to 10000.
    pub page: Option<Spanned<u64>>,
}

/// One step. Expressions see `record`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawStep {
    /// Only records for which this is true go on; the others are counted as skipped.
    Filter(Spanned<Source>),
    /// Sets fields, one after the other; an expression sees what the ones before it set.
    Set(Named<Spanned<Source>>),
    /// Renames fields: old name to new name.
    Rename(Named<Spanned<String>>),
    /// Removes these fields.
    Drop(OneOrMany<String>),
    /// Removes all fields but these.
    Keep(OneOrMany<String>),
    /// Makes records of a list inside the record. Only as the first step.
    Split(Spanned<RawSplit>),
    /// Lets one of several records that are alike go on.
    Dedupe(Spanned<RawDedupe>),
    /// Makes fields of the record of objects inside it.
    Flatten(Spanned<RawFlatten>),
    /// Gives fields a type; a value that cannot have it rejects the record.
    Coerce(Named<Spanned<RawKind>>),
    /// Rules that must hold.
    Validate(OneOrMany<RawRule>),
    /// Adds what another stream or request tells.
    Lookup(Box<Spanned<RawLookup>>),
}

/// Where records go: exactly one of `operation`, `file` and `table`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTo {
    /// In a list of targets: names this one. It is the pipeline `<file>.<name>` wherever pipelines are named.
    pub name: Option<Spanned<String>>,
    /// In a list of targets: only records for which this is true go here, as they are behind the steps. Default: all.
    pub when: Option<Spanned<Source>>,
    /// A connection of `renkei.yaml`.
    pub connection: Spanned<String>,
    /// An operation of its connector.
    pub operation: Option<Spanned<String>>,
    /// The base name of the files of a `jsonl`, `csv`, `parquet` or `s3` connection.
    pub file: Option<Spanned<String>>,
    /// A table of a `postgres` connection. It is created, and grows columns, as needed.
    pub table: Option<Spanned<String>>,
    /// For a table: the columns of its unique key. For an operation: the field that names the record at the vendor;
    /// records of one value stay in order. Default for an operation: the stream's key.
    pub key: Option<OneOrMany<String>>,
    /// What is sent, by field. Default: the record as it is.
    pub fields: Option<Named<Spanned<Source>>>,
    /// For a table: types of columns that are declared instead of learned. For Parquet files: what the columns hold, by default text.
    pub columns: Option<Named<Spanned<String>>>,
    /// What to do with a record that changed after it was created. Needed where an operation creates and the stream
    /// brings changes.
    pub changed: Option<Spanned<RawChanged>>,
    /// What becomes of records that are gone at the source. Only for an operation. Default `ignore`.
    pub deletes: Option<Spanned<RawDeletes>>,
    /// Mapped fields that hold encrypted values and are sent in the clear.
    pub clear: Option<OneOrMany<String>>,
    /// What it leads to when a record, as it is mapped, differs from the operation's `schema`. Default `warn` where there is one.
    pub contract: Option<Spanned<RawContract>>,
}

/// What to do with a record that changed after it was created.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawChanged {
    /// Leave it as it was created.
    Skip,
    /// Send this operation instead; it sees the id as `sink.id`.
    Operation(Spanned<String>),
}
