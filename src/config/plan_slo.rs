//! What a pipeline is to keep and what follows when it does not; and when a run stops because of its records. As meant.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::plan::Stream;

/// What a pipeline is to keep.
#[derive(Clone, PartialEq, Debug)]
pub struct Slo {
    /// Since the beginning of the last run that was done.
    pub freshness: Option<Duration>,
    /// The part of all records that is neither rejected nor parked, from 0 to 1.
    pub success: Option<f64>,
    pub p95: Option<Duration>,
    pub reactions: Vec<Reaction>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    Freshness,
    Success,
    P95,
}

/// What is done while the error budget of an objective burns so fast.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Reaction {
    pub when: Objective,
    pub burns: Burns,
    pub act: Act,
    /// It is not taken back before.
    pub hold: Duration,
}

/// How fast an error budget burns: so many times as fast as it may, over a short window and a long one. The short one tells that it
/// still does. The figures are those of Google's SRE workbook, "Alerting on SLOs", table 5-8 (read 2026-11-25): 2 % of a month's budget
/// within an hour, and 5 % within six hours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Burns {
    Fast,
    Slow,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Act {
    /// The pipeline is at work for this part of the time.
    SlowDown(f64),
    Async,
    Pause {
        by_itself: bool,
    },
}

impl Slo {
    /// The part of all events that has to be good, where the objective is declared.
    pub fn target(&self, objective: Objective) -> Option<f64> {
        match objective {
            Objective::Freshness => self.freshness.map(|_| 0.99),
            Objective::Success => self.success,
            Objective::P95 => self.p95.map(|_| 0.95),
        }
    }

    /// The objectives that are declared, with their targets.
    pub fn objectives(&self) -> impl Iterator<Item = (Objective, f64)> {
        Objective::ALL.into_iter().filter_map(|objective| Some((objective, self.target(objective)?)))
    }
}

impl Objective {
    pub const ALL: [Objective; 3] = [Objective::Freshness, Objective::Success, Objective::P95];

    pub fn name(self) -> &'static str {
        match self {
            Objective::Freshness => "freshness",
            Objective::Success => "success",
            Objective::P95 => "p95",
        }
    }
}

impl Burns {
    pub fn rate(self) -> f64 {
        match self {
            Burns::Fast => 14.4,
            Burns::Slow => 6.0,
        }
    }

    /// The short window and the long one, in minutes.
    pub fn windows(self) -> [u32; 2] {
        match self {
            Burns::Fast => [5, 60],
            Burns::Slow => [30, 360],
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Burns::Fast => "fast",
            Burns::Slow => "slow",
        }
    }
}

impl Act {
    /// What files, metrics and the log call them.
    pub const NAMES: [&'static str; 3] = ["slow_down", "async", "pause"];

    pub fn name(self) -> &'static str {
        let [slow_down, at_once, pause] = Self::NAMES;
        match self {
            Act::SlowDown(_) => slow_down,
            Act::Async => at_once,
            Act::Pause { .. } => pause,
        }
    }
}

/// The first records of a run go alone.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Canary {
    /// How many: this part of the records of the last run that was done, from 0 to 1.
    pub share: f64,
    /// At least so many.
    pub min: u64,
    /// The part of them that must be neither rejected nor parked, from 0 to 1.
    pub success: f64,
}

/// A small read, now and then, that tells whether a connection is well.
#[derive(Clone, Debug)]
pub struct Probe {
    pub every: Duration,
    pub stream: std::sync::Arc<Stream>,
}

/// When a run stops because too much was refused or parked.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Limits {
    /// The largest part of a run's records, from 0 to 1, once `sample` records have a verdict.
    pub share: Option<f64>,
    /// The largest number.
    pub count: Option<u64>,
    /// Default 100.
    pub sample: u64,
}
