//! Decides which pipelines run now. It only decides: `now` is an argument, what it wants done it returns, and what happened it is
//! told. Nothing else starts or repeats a run by itself.
//!
//! ```text
//!               clock: a time has come          a run of the pipeline before ended well
//!                            \                     /
//!   missed? busy? days?       `---> owed: times ---'     durable from here on
//!                                      |
//!                 it waits after a failure (held) or is free (ready)
//!                                      |
//!                       a place is free: begun -----> under way
//!                                                        |
//!   owed again, and waits <--- failed ---- ended ---- done: followers
//! ```
//!
//! The hard idea is that a pipeline is at work once at most, in whatever way: a run and a backfill share its links, and each
//! may begin only when the other stands at a checkpoint. So a pipeline that owes a run asks its backfill to stop, and goes on
//! with it afterwards. A backfill never takes the place of a run. What people ask for stands in `by_hand.rs` and keeps to the same rule.

mod by_hand;
mod decide;
mod patience;
mod take_up;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_by_hand;
mod view;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use chrono::{DateTime, Utc};

pub use self::{
    by_hand::Refused,
    view::{Doing, Standing},
};
use super::timetable::{Due, Timetable};
use crate::{
    config::plan::Busy,
    model::Fault,
    store::{Backfill, Scheduled, Wait},
};

/// Backfills under way at once.
const BACKFILLS_MAX: usize = 2;

/// What somebody has to do now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Begin a run. `due` is the time that it runs for, `start` when it was to begin.
    Begin { pipeline: Arc<str>, due: DateTime<Utc>, start: DateTime<Utc> },
    /// Begin a backfill, or go on with it.
    Backfill(Backfill),
    /// Begin the replay that this ticket was given for.
    Replay { pipeline: Arc<str>, ticket: u64 },
    /// Ask what is under way of it to stop at its next checkpoint.
    Stop { pipeline: Arc<str> },
}

/// What is worth telling.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// Times passed while nothing could run: so many of them are run late, and so many are not.
    Missed { pipeline: Arc<str>, late: usize, forgotten: u64 },
    /// A time came while the pipeline was still busy with an earlier one, or waits.
    LeftOut { pipeline: Arc<str>, due: DateTime<Utc> },
    /// It is not tried again before.
    Waits { pipeline: Arc<str>, wait: Wait, failures: u32 },
}

/// What was decided. Nothing may begin before `keep` is durable.
#[derive(Default, Debug)]
pub struct Decision {
    pub actions: Vec<Action>,
    /// What is to be remembered; nothing: it is forgotten.
    pub keep: Vec<(String, Option<Scheduled>)>,
    pub notes: Vec<Note>,
}

/// How what was under way ended.
#[derive(Clone, Debug)]
pub enum Ended {
    Done,
    /// It was asked to, and stands at a checkpoint.
    Stopped,
    Failed(Fault),
}

/// Where every pipeline stands.
pub struct Schedule {
    runs_max: usize,
    entries: Vec<Entry>,
    by_name: HashMap<Arc<str>, usize>,
    /// When the clock makes which pipeline due next.
    clock: BTreeSet<(DateTime<Utc>, usize)>,
    /// Pipelines that owe a run and wait until then.
    held: BTreeSet<(DateTime<Utc>, usize)>,
    /// Pipelines that owe a run and may begin, by the time that they owe.
    ready: BTreeSet<(DateTime<Utc>, usize)>,
    /// Those of which the store has another state.
    changed: BTreeSet<usize>,
    /// Rows of pipelines that are not there any more.
    gone: Vec<String>,
    backfills: Vec<Waiting>,
    /// Replays that a person asked for and that were not begun. They do not outlive the process; their letters do.
    replays: VecDeque<(Arc<str>, u64)>,
    runs: usize,
    last_seen: DateTime<Utc>,
}

struct Entry {
    name: Arc<str>,
    /// Nothing: the clock does not make it due.
    timetable: Option<Timetable>,
    busy: Busy,
    followers: Vec<usize>,
    kept: Scheduled,
    next: Option<Due>,
    work: Work,
    asked_to_stop: bool,
    /// A person asked it to stop, so it is not begun again by itself.
    cancelled: bool,
    /// It is not in the plan any more, and is only remembered until what is under way ends.
    orphan: bool,
}

/// What is under way of a pipeline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Work {
    Nothing,
    Run,
    Backfill,
    Replay,
}

/// A backfill that has not ended.
struct Waiting {
    backfill: Backfill,
    under_way: bool,
    failures: u32,
    until: Option<DateTime<Utc>>,
}

impl Schedule {
    /// When to decide again, if nothing else happens before.
    pub fn next_wake(&self) -> Option<DateTime<Utc>> {
        let first = |set: &BTreeSet<(DateTime<Utc>, usize)>| set.first().map(|(at, _)| *at);
        // One whose time has come and that did not begin waits for something to end.
        let backfills = self.backfills.iter().filter(|waiting| !waiting.under_way).filter_map(|waiting| waiting.until);
        let backfills = backfills.filter(|until| *until > self.last_seen);
        [first(&self.clock), first(&self.held)].into_iter().flatten().chain(backfills).min()
    }

    /// The pipeline that the clock makes due next, with its start.
    pub fn next_due(&self) -> Option<(&str, DateTime<Utc>)> {
        self.clock.first().map(|(start, at)| (&*self.entries[*at].name, *start))
    }

    /// How many pipelines the clock makes due.
    pub fn scheduled(&self) -> usize {
        self.clock.len()
    }

    /// How many pipelines wait for a person.
    pub fn waiting_for_a_person(&self) -> usize {
        let waits = |entry: &&Entry| entry.kept.wait.as_ref().is_some_and(|wait| wait.person);
        self.entries.iter().filter(waits).count()
    }

    /// Takes on a backfill that is durable already. It begins with the next decision that has room for it.
    pub fn add_backfill(&mut self, backfill: Backfill) {
        self.backfills.push(Waiting { backfill, under_way: false, failures: 0, until: None });
    }

    fn find(&self, pipeline: &str) -> Option<usize> {
        self.by_name.get(pipeline).copied()
    }
}
