//! What people ask of a schedule. Nothing of it breaks the rule that a pipeline is at work once at most.
//!
//! | asked for | what follows |
//! |---|---|
//! | trigger | it owes a run as of now, and a wait after a failure is over |
//! | pause | nothing of it begins any more, also after a restart; a run under way goes on to its end, a backfill to its next checkpoint |
//! | pause by a reaction | the same, and a run under way ends at its next checkpoint; what it did not do is owed |
//! | resume | one run stands for the times that passed, unless missed times are forgotten |
//! | cancel | the run under way ends at its next checkpoint and is not begun again by itself |
//! | replay | begins before anything else of the pipeline does |

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{Action, Decision, Schedule, Work};
use crate::store::PausedBy;

/// Replays under way at once.
const REPLAYS_MAX: usize = 2;
/// Replays that wait.
const REPLAYS_WAITING_MAX: usize = 100;

/// Why a wish is not granted. Nothing was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// There is no such pipeline.
    Unknown,
    /// It is paused.
    Paused,
    /// A run is under way, or about to begin.
    Busy,
    /// Nothing is under way that could be cancelled.
    Idle,
    /// A backfill is under way. It is paused with its pipeline, or dropped by its own command.
    Backfill,
    /// Too much waits already.
    Full,
    /// What it was about is not there any more, or is another one now.
    Gone,
}

impl Schedule {
    /// Owes a run now.
    pub fn trigger(&mut self, pipeline: &str, now: DateTime<Utc>) -> Result<Decision, Refused> {
        let at = self.named(pipeline)?;
        let entry = &self.entries[at];
        let is_ready = !entry.kept.owed.is_empty() && entry.kept.wait.as_ref().is_none_or(|wait| wait.until <= now);
        if entry.kept.paused.is_some() {
            return Err(Refused::Paused);
        }
        if entry.work == Work::Run || is_ready {
            return Err(Refused::Busy);
        }
        let mut decision = Decision::default();
        self.withdraw(at);
        let entry = &mut self.entries[at];
        entry.kept.wait = None;
        if entry.kept.owed.is_empty() {
            entry.kept.owed.push_back(now);
        }
        if entry.work == Work::Backfill {
            self.ask_to_stop(at, &mut decision);
        }
        Ok(self.decided(at, now, decision))
    }

    /// Lets nothing of a pipeline begin. Once more is as good as once.
    pub fn pause_one(&mut self, pipeline: &str, now: DateTime<Utc>) -> Result<Decision, Refused> {
        let at = self.named(pipeline)?;
        let mut decision = Decision::default();
        self.withdraw(at);
        let entry = &mut self.entries[at];
        entry.kept.paused.get_or_insert(now);
        // From here on it is the person's pause, and only a person ends it.
        entry.kept.paused_by = None;
        if entry.work == Work::Backfill {
            self.ask_to_stop(at, &mut decision);
        }
        Ok(self.decided(at, now, decision))
    }

    /// As a person would, and asks what is under way to stop at its next checkpoint: it does harm.
    pub fn pause_by(&mut self, pipeline: &str, by: PausedBy, now: DateTime<Utc>) -> Result<Decision, Refused> {
        let at = self.named(pipeline)?;
        let mut decision = Decision::default();
        self.withdraw(at);
        let kept = &mut self.entries[at].kept;
        kept.paused.get_or_insert(now);
        kept.paused_by = Some(by);
        self.ask_to_stop(at, &mut decision);
        Ok(self.decided(at, now, decision))
    }

    /// Ends a pause. Once more is as good as once.
    pub fn resume_one(&mut self, pipeline: &str, now: DateTime<Utc>) -> Result<Decision, Refused> {
        let at = self.named(pipeline)?;
        let kept = &mut self.entries[at].kept;
        (kept.paused, kept.paused_by) = (None, None);
        Ok(self.decided(at, now, Decision::default()))
    }

    /// Ends the run or replay under way at its next checkpoint.
    pub fn cancel(&mut self, pipeline: &str) -> Result<Decision, Refused> {
        let at = self.named(pipeline)?;
        match self.entries[at].work {
            Work::Nothing => Err(Refused::Idle),
            Work::Backfill => Err(Refused::Backfill),
            Work::Run | Work::Replay => {
                let mut decision = Decision::default();
                self.entries[at].cancelled = true;
                self.ask_to_stop(at, &mut decision);
                Ok(decision)
            }
        }
    }

    /// Begins a replay when the pipeline is free.
    pub fn replay(&mut self, pipeline: &str, ticket: u64, now: DateTime<Utc>) -> Result<Decision, Refused> {
        let at = self.named(pipeline)?;
        if self.entries[at].kept.paused.is_some() {
            return Err(Refused::Paused);
        }
        if self.replays.len() >= REPLAYS_WAITING_MAX {
            return Err(Refused::Full);
        }
        let mut decision = Decision::default();
        self.replays.push_back((self.entries[at].name.clone(), ticket));
        if self.entries[at].work == Work::Backfill {
            self.ask_to_stop(at, &mut decision);
        }
        Ok(self.decided(at, now, decision))
    }

    /// Whether nothing of a pipeline is at work, so that what a run would change can be changed by hand.
    pub fn is_free(&self, pipeline: &str) -> Result<(), Refused> {
        match self.find(pipeline).map(|at| self.entries[at].work) {
            None | Some(Work::Nothing) => Ok(()),
            Some(Work::Run | Work::Backfill | Work::Replay) => Err(Refused::Busy),
        }
    }

    pub(super) fn begin_replays(&mut self, now: DateTime<Utc>, decision: &mut Decision) {
        let mut room = if self.runs_max == 0 { 0 } else { REPLAYS_MAX };
        room = room.saturating_sub(self.entries.iter().filter(|entry| entry.work == Work::Replay).count());
        let mut waiting = std::mem::take(&mut self.replays);
        waiting.retain(|(pipeline, ticket)| {
            let free = |at: &usize| self.entries[*at].work == Work::Nothing && self.entries[*at].may_begin();
            let Some(at) = self.find(pipeline).filter(|at| room > 0 && free(at)) else { return true };
            room -= 1;
            self.withdraw(at);
            self.entries[at].work = Work::Replay;
            self.offer(at, now);
            decision.actions.push(Action::Replay { pipeline: Arc::clone(pipeline), ticket: *ticket });
            false
        });
        self.replays = waiting;
    }

    fn named(&self, pipeline: &str) -> Result<usize, Refused> {
        self.find(pipeline).filter(|at| !self.entries[*at].orphan).ok_or(Refused::Unknown)
    }

    fn decided(&mut self, at: usize, now: DateTime<Utc>, mut decision: Decision) -> Decision {
        self.changed.insert(at);
        self.offer(at, now);
        self.begin(now, &mut decision);
        self.collect(&mut decision);
        decision
    }
}
