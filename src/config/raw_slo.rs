//! `slo:` and `canary:` of a pipeline, and `probe:` of a connection, as typed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    shape::Spanned,
    units::{Share, Time},
};

/// What a pipeline is to keep, and what `renkei serve` does by itself when it is about not to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawSlo {
    /// The last run that was done began no longer ago than this, such as `15m`. Longer than the schedule's longest pause within a
    /// day. Kept when it is so 99 % of the time.
    pub freshness: Option<Spanned<Time>>,
    /// The part of all records that is neither rejected nor parked, such as `99.5%`.
    pub success: Option<Spanned<Share>>,
    /// 95 of 100 deliveries take no longer than this, such as `200ms`: answers to callers of a `sync` route, else writes to the sink.
    pub p95: Option<Spanned<Time>>,
    /// What is done when the error budget of an objective burns.
    #[serde(default)]
    pub reactions: Vec<Spanned<RawReaction>>,
}

/// What is done when the error budget of an objective burns.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawReaction {
    /// The objective that is watched.
    pub when: Spanned<RawObjective>,
    /// How fast its budget burns. Default `fast`.
    pub burns: Option<RawBurns>,
    /// What is done.
    #[serde(rename = "do")]
    pub act: Spanned<RawAct>,
    /// For `slow_down`: the part of the time that the pipeline is at work. Default 50%, from 1% to 90%.
    pub to: Option<Spanned<Share>>,
    /// It stays for this long at least. Default 15m, from 10s to 7d.
    pub hold: Option<Spanned<Time>>,
    /// For `pause`: who ends it. Default `by_hand`.
    pub resume: Option<Spanned<RawResume>>,
}

/// What can be watched.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawObjective {
    /// How long ago the last run that was done began.
    Freshness,
    /// How many records are rejected or parked.
    Success,
    /// How long deliveries take.
    P95,
}

/// How fast an error budget burns.
#[derive(Clone, Copy, Default, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawBurns {
    /// 14.4 times as fast as it may, over 5 minutes and over an hour.
    #[default]
    Fast,
    /// 6 times as fast as it may, over 30 minutes and over six hours.
    Slow,
}

/// What is done.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawAct {
    /// The pipeline rests between its reads and writes.
    SlowDown,
    /// Callers of a `sync` route are answered with 202 at once.
    Async,
    /// The pipeline is paused: what is at work stops at its next checkpoint, and pushed records wait.
    Pause,
}

/// Who ends a pause.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawResume {
    /// A person.
    ByHand,
    /// The service, when `hold` is over.
    ByItself,
}

/// The first records of a run go alone, and the others only when the verdicts of these are good.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCanary {
    /// How many: this part of the records that the last run that was done had. Default 5%, more than 0% and less than 100%.
    pub share: Option<Spanned<Share>>,
    /// How many at least. Default 20, from 1 to 10000.
    pub min: Option<Spanned<u64>>,
    /// The part of them that must be neither rejected nor parked. Default 99%.
    pub success: Option<Spanned<Share>>,
}

/// A small read that tells whether the connection is well.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawProbe {
    /// How often. Default 5m, from 10s to 1d.
    pub every: Option<Spanned<Time>>,
    /// The stream of the connector whose first page is read.
    pub call: Spanned<String>,
}
