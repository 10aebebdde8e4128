//! Where every pipeline stands, for whoever shows it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Entry, Schedule, Work};
use crate::store::{PausedBy, Wait};

/// What a pipeline does now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Doing {
    Idle,
    /// A run, a backfill or a replay is under way.
    Running,
    /// It owes a run and waits: for a place, or after a failure.
    Waiting,
    NeedsPerson,
    Paused,
}

impl Doing {
    pub const ALL: [Doing; 5] = [Doing::Idle, Doing::Running, Doing::Waiting, Doing::NeedsPerson, Doing::Paused];

    pub fn name(self) -> &'static str {
        match self {
            Doing::Idle => "idle",
            Doing::Running => "running",
            Doing::Waiting => "waiting",
            Doing::NeedsPerson => "needs_person",
            Doing::Paused => "paused",
        }
    }
}

/// Where one pipeline stands.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    pub pipeline: Arc<str>,
    pub state: Doing,
    /// `run`, `backfill` or `replay`; nothing: nothing is under way.
    pub at_work: Option<&'static str>,
    pub paused_since: Option<DateTime<Utc>>,
    /// The reaction that paused it, if no person did.
    pub paused_by: Option<PausedBy>,
    /// When it begins next by itself, as far as the clock tells.
    pub next_run_at: Option<DateTime<Utc>>,
    /// Times that it owes a run for.
    pub owed: usize,
    /// Runs in a row that failed.
    pub failures: u32,
    pub waits: Option<Wait>,
}

impl Schedule {
    /// All pipelines of the plan, in the order of their names.
    pub fn standings(&self) -> Vec<Standing> {
        self.entries.iter().filter(|entry| !entry.orphan).map(|entry| self.standing(entry)).collect()
    }

    /// One of them.
    pub fn standing_of(&self, pipeline: &str) -> Option<Standing> {
        self.find(pipeline).map(|at| &self.entries[at]).filter(|entry| !entry.orphan).map(|entry| self.standing(entry))
    }

    fn standing(&self, entry: &Entry) -> Standing {
        let waits = entry.kept.wait.clone().filter(|wait| wait.until > self.last_seen);
        let at_work = match entry.work {
            Work::Nothing => None,
            Work::Run => Some("run"),
            Work::Backfill => Some("backfill"),
            Work::Replay => Some("replay"),
        };
        let state = match (&at_work, &entry.kept.paused, &waits) {
            (Some(_), ..) => Doing::Running,
            (_, Some(_), _) => Doing::Paused,
            (.., Some(wait)) if wait.person => Doing::NeedsPerson,
            (.., Some(_)) => Doing::Waiting,
            (.., None) if !entry.kept.owed.is_empty() => Doing::Waiting,
            (.., None) => Doing::Idle,
        };
        let next = entry.next.map(|next| next.start);
        Standing {
            pipeline: entry.name.clone(),
            state,
            at_work,
            paused_since: entry.kept.paused,
            paused_by: entry.kept.paused_by.clone(),
            next_run_at: waits.as_ref().map(|wait| wait.until).or(next).filter(|_| entry.kept.paused.is_none()),
            owed: entry.kept.owed.len(),
            failures: entry.kept.failures,
            waits,
        }
    }
}
