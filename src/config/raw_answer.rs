//! How the answer to a write speaks of each record, as typed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    shape::{Empty, Named, OneOrMany, Source, Spanned},
    units::Time,
};

/// How an answer says what became of each record: one of `whole`, `positional`, `list` and `job`, and `first_error` beside
/// it where a refusal names the record that is to blame.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawAnswer {
    /// The whole answer is about all records alike; it may be a success that says no.
    pub whole: Option<Spanned<RawWhole>>,
    /// One entry per record, in the order sent.
    pub positional: Option<Spanned<RawPositional>>,
    /// Accepted and refused ones in lists, matched by position, by a field, by key or by id.
    pub list: Option<Spanned<RawListed>>,
    /// The answer names a job; its result files speak of the records.
    pub job: Option<Spanned<RawJob>>,
    /// All or nothing: a refusal of the whole request names the position of the record that is to blame.
    pub first_error: Option<Spanned<RawFirstError>>,
}

/// One answer about all records alike.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawWhole {
    /// True means accepted, anything else refused. Default: an answer without `errors` is accepted.
    pub ok: Option<Spanned<String>>,
    /// Where errors stand: one place or several.
    pub errors: Option<OneOrMany<String>>,
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

/// How an entry names its record: by `index`, by `answer` and `sent`, by `key`, or by `id`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawMatch {
    /// In an entry: the record's position in the batch, from 0.
    pub index: Option<Spanned<String>>,
    /// In an entry: the field that equals `sent`.
    pub answer: Option<Spanned<String>>,
    /// In what was sent for the record: the field that equals `answer`.
    pub sent: Option<Spanned<String>>,
    /// In an entry: the record's idempotency key, which `each` sent as `{{ key }}`.
    pub key: Option<Spanned<String>>,
    /// In an entry: the id that the record has at the sink.
    pub id: Option<Spanned<String>>,
    /// Where an entry of the refused ones has it, if elsewhere. A list there names several records.
    pub in_errors: Option<Spanned<String>>,
}

/// The record that is to blame for the refusal of a whole request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawFirstError {
    /// In the refusal: the record's position, or a list of positions. With `after`: the text or object that holds it.
    pub index: Spanned<String>,
    /// The position is the number behind this text, such as `records[` in `records[3].email`.
    pub after: Option<Spanned<String>>,
    /// The position of the first record. Default 0.
    pub from: Option<Spanned<u64>>,
    /// In the refusal: what is wrong. Default: the usual places for a message.
    pub message: Option<Spanned<String>>,
}

/// An asynchronous job.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawJob {
    /// Where the job's id stands in the answer. Templates see it as `job.id`.
    pub id: Spanned<String>,
    /// How to ask whether it is done.
    pub poll: Spanned<RawPoll>,
    /// Where the results stand. Together they speak of every record.
    pub results: Vec<Spanned<RawResult>>,
    /// How a row names its record.
    #[serde(rename = "match")]
    pub matched: Spanned<RawMatch>,
}

/// How to ask whether a job is done.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPoll {
    /// The path that tells the state. Templates see `config` and `job.id`.
    pub get: Spanned<Source>,
    /// Time between two questions, where the answer has no Retry-After. Default 5s, from 100ms to 1h.
    pub every: Option<Spanned<Time>>,
    /// The job must be done after this. Default 30m, from 1s to 24h.
    pub wait_max: Option<Spanned<Time>>,
    /// Where the state stands in the answer.
    pub state: Spanned<String>,
    /// The job is done in these states.
    pub done: OneOrMany<String>,
    /// The job failed in these states. Default: none, and a job that fails is waited for in vain.
    pub failed: Option<OneOrMany<String>>,
}

/// One list of results of a job.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawResult {
    /// The path of the file. Templates see `config` and `job.id`. Default: the last answer about the state holds them.
    pub get: Option<Spanned<Source>>,
    /// Query parameters.
    #[serde(default)]
    pub query: Named<Spanned<Source>>,
    /// Where the list of rows stands. Default `.`. Not with `csv`.
    pub rows: Option<Spanned<String>>,
    /// The file is CSV with a line of names; the fields of a row are texts.
    pub csv: Option<Spanned<RawCsv>>,
    /// What all rows are. Default: `ok` and `errors` tell.
    pub all: Option<RawAll>,
    /// In a row: true means accepted. Default: a row without errors is accepted.
    pub ok: Option<Spanned<String>>,
    /// In a row: the list or text of errors.
    pub errors: Option<Spanned<String>>,
}

/// What all rows of a result file are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawAll {
    /// Accepted.
    Accepted,
    /// Refused.
    Refused,
}

/// How a CSV file is written.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCsv {
    /// One character between two fields. Default `,`.
    pub delimiter: Option<Spanned<String>>,
    /// The vendor writes no line break after the last row. Default: one is expected, and a file without it was cut short.
    pub open_end: Option<Empty>,
}
