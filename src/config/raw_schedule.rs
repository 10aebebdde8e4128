//! `schedule:` of a pipeline, and `serve:` and `calendars:` of `renkei.yaml`, as typed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    raw_admin::RawAdmin,
    raw_ingress::RawListen,
    shape::{OneOrMany, Spanned},
    units::Time,
};

/// When `renkei serve` runs the pipeline by itself: exactly one of `cron`, `every` and `after` says it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawSchedule {
    /// A crontab line: five fields, six with seconds in front, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    pub cron: Option<Spanned<String>>,
    /// So often, whatever the clocks on the wall do. From 1s to 366d.
    pub every: Option<Spanned<Time>>,
    /// After each run of this pipeline that ended well.
    pub after: Option<Spanned<String>>,
    /// The time zone of `cron` and `only`, by its IANA name, such as `Asia/Tokyo`. Default `UTC`.
    pub timezone: Option<Spanned<String>>,
    /// What becomes of times that passed while the service was down. Default `last`.
    pub missed: Option<Spanned<RawMissed>>,
    /// What becomes of a time that comes while the run before is under way. Default `skip`.
    pub overlap: Option<Spanned<RawOverlap>>,
    /// Each start is put off by up to this, by the same for the same time. Default not at all, at most 1h.
    pub jitter: Option<Spanned<Time>>,
    /// Times on other days are left out. Default: all days count.
    pub only: Option<Spanned<RawOnly>>,
    /// Holidays, which are no business days: `japan`, or a calendar of `renkei.yaml`; or several.
    pub calendar: Option<OneOrMany<String>>,
}

/// What becomes of times that passed while the service was down.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawMissed {
    /// They are forgotten.
    None,
    /// One run stands for all of them.
    Last,
    /// Each gets its run, one after the other.
    All,
}

/// What becomes of a time that comes while the run before is under way.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawOverlap {
    /// It is left out.
    Skip,
    /// It waits until the run before has ended.
    Queue,
    /// The run before ends at its next checkpoint, and this one goes on from there.
    Cancel,
}

/// Which days count.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawOnly {
    /// Monday to Friday, less the holidays of `calendar`.
    BusinessDays,
}

/// A list of holidays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCalendar {
    /// A text file with one date per line, such as `2027-01-01 New Year`; relative to the workspace.
    pub file: Spanned<String>,
}

/// How `renkei serve` runs pipelines.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawServe {
    /// Runs under way at once. Default 32, from 1 to 4096.
    pub runs_max: Option<Spanned<u64>>,
    /// A stop ends within this, wherever the runs are. Default 30s, from 2s to 10m.
    pub stop_within: Option<Spanned<Time>>,
    /// Changed files are noticed and taken over. Default true; a SIGHUP does it in any case.
    pub watch: Option<bool>,
    /// Records of runs that ended longer ago are removed. Default 90d, from 1d to 3660d.
    pub keep_runs: Option<Spanned<Time>>,
    /// Health, metrics, and what people do with a running service, over HTTP. Default: it does not listen.
    pub admin: Option<Spanned<RawAdmin>>,
    /// Where records are taken in that others push. It listens where a pipeline has `from: { ingress: .. }`.
    pub ingress: Option<Spanned<RawListen>>,
}
