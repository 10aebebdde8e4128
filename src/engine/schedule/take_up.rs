//! How a schedule begins: from what the store remembers after a restart, and from what it was before a reload.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Entry, Schedule, Work, patience};
use crate::{
    config::plan::{Busy, Cadence, Pipeline, Plan},
    engine::timetable::Timetable,
    store::{Backfill, Scheduled},
};

/// A clock that is further back than it was must have been wrong before: what is decided ahead of it is not.
pub(super) const SET_BACK: TimeDelta = TimeDelta::days(1);

impl Schedule {
    /// Takes up where the store's rows say that schedules and backfills stand. A run that was cut off goes on.
    pub fn new(plan: &Plan, kept: BTreeMap<String, Scheduled>, backfills: Vec<Backfill>, now: DateTime<Utc>) -> Self {
        let resume =
            |(name, row): (&String, &Scheduled)| (name.clone(), (resumed(row.clone(), now), Work::Nothing, false));
        let mut schedule = Self::of(plan, kept.iter().map(resume).collect(), now);
        schedule.note_changes(&kept);
        backfills.into_iter().for_each(|backfill| schedule.add_backfill(backfill));
        schedule
    }

    /// Goes on by another plan. What is under way of pipelines that are gone is still told of when it ends. Waits are
    /// over, because somebody has changed something.
    pub fn replan(&mut self, plan: &Plan, now: DateTime<Utc>) {
        let entries = std::mem::take(&mut self.entries);
        let entries = entries.into_iter().filter(|entry| !entry.orphan || entry.work != Work::Nothing);
        let (mut rows, mut kept) = (BTreeMap::new(), BTreeMap::new());
        for Entry { name, kept: row, work, asked_to_stop, .. } in entries {
            kept.extend(row.is_kept().then(|| (name.to_string(), row.clone())));
            rows.insert(name.to_string(), (Scheduled { wait: None, ..row }, work, asked_to_stop));
        }
        let mut next = Self::of(plan, rows, now);
        next.note_changes(&kept);
        next.gone.append(&mut self.gone);
        next.backfills = std::mem::take(&mut self.backfills);
        next.backfills.iter_mut().for_each(|waiting| waiting.until = None);
        next.replays = std::mem::take(&mut self.replays);
        next.replays.retain(|(pipeline, _)| next.by_name.contains_key(pipeline));
        *self = next;
    }

    /// Notes which rows the store has to hear of, if these are the ones that it has.
    fn note_changes(&mut self, stored: &BTreeMap<String, Scheduled>) {
        for (at, entry) in self.entries.iter().enumerate() {
            let (row, is_kept) = (stored.get(&*entry.name), entry.kept.is_kept());
            if row.is_some() != is_kept || row.is_some_and(|row| *row != entry.kept) {
                self.changed.insert(at);
            }
        }
        let gone: Vec<String> = stored.keys().filter(|name| self.find(name).is_none()).cloned().collect();
        self.gone.extend(gone);
    }

    fn of(plan: &Plan, mut rows: BTreeMap<String, (Scheduled, Work, bool)>, now: DateTime<Utc>) -> Self {
        let entry = |(name, pipeline): (&String, &Arc<Pipeline>)| Entry::new(name, pipeline, rows.remove(name), now);
        let mut entries: Vec<Entry> = plan.pipelines.iter().map(entry).collect();
        let orphans = rows.into_iter().filter(|(_, (_, work, _))| *work != Work::Nothing);
        entries.extend(orphans.map(|(name, (_, work, asked))| Entry::orphan(&name, work, asked, now)));
        let by_name: HashMap<Arc<str>, usize> =
            entries.iter().enumerate().map(|(at, entry)| (entry.name.clone(), at)).collect();
        follow(plan, &by_name, &mut entries);
        let runs = entries.iter().filter(|entry| entry.work == Work::Run).count();
        let mut schedule = Self {
            runs_max: plan.serve.runs_max,
            entries,
            by_name,
            clock: BTreeSet::new(),
            held: BTreeSet::new(),
            ready: BTreeSet::new(),
            changed: BTreeSet::new(),
            gone: Vec::new(),
            backfills: Vec::new(),
            replays: VecDeque::new(),
            runs,
            last_seen: now,
        };
        for at in 0..schedule.entries.len() {
            schedule.set_clock(at);
            schedule.offer(at, now);
        }
        schedule
    }
}

/// Notes which pipelines run after which.
fn follow(plan: &Plan, by_name: &HashMap<Arc<str>, usize>, entries: &mut [Entry]) {
    for (name, pipeline) in &plan.pipelines {
        if let Some(Cadence::After(before)) = pipeline.schedule.as_ref().map(|schedule| &schedule.cadence)
            && let (Some(before), Some(follower)) = (by_name.get(before.as_str()), by_name.get(name.as_str()))
        {
            entries[*before].followers.push(*follower);
        }
    }
}

impl Entry {
    fn new(name: &str, pipeline: &Pipeline, row: Option<(Scheduled, Work, bool)>, now: DateTime<Utc>) -> Self {
        let schedule = pipeline.schedule.as_ref();
        let line = schedule.map(ToString::to_string).unwrap_or_default();
        let (mut kept, work, asked_to_stop) =
            row.unwrap_or_else(|| (Scheduled::new(line.clone(), now), Work::Nothing, false));
        if kept.line != line {
            // What was begun goes on; what the old schedule owed besides is not the new one's.
            let resumed = kept.owed.front().copied().filter(|_| kept.failures > 0);
            kept = Scheduled { line, decided: now, owed: resumed.into_iter().collect(), ..kept };
        }
        Self {
            name: name.into(),
            timetable: schedule.and_then(|schedule| Timetable::new(name, schedule)),
            busy: schedule.map_or(Busy::Skip, |schedule| schedule.busy),
            followers: Vec::new(),
            kept,
            next: None,
            work,
            asked_to_stop,
            cancelled: false,
            orphan: false,
        }
    }

    fn orphan(name: &str, work: Work, asked_to_stop: bool, now: DateTime<Utc>) -> Self {
        Self {
            name: name.into(),
            timetable: None,
            busy: Busy::Skip,
            followers: Vec::new(),
            kept: Scheduled::new(String::new(), now),
            next: None,
            work,
            asked_to_stop,
            cancelled: false,
            orphan: true,
        }
    }
}

/// What a row means to a process that begins: a run under way was cut off, and a clock that is far behind was wrong before.
fn resumed(mut row: Scheduled, now: DateTime<Utc>) -> Scheduled {
    if row.decided > now + SET_BACK {
        row.decided = now;
    }
    row.wait = row.wait.take().map(patience::after_restart);
    if let Some(begun) = row.begun.take() {
        row.owed.push_front(begun);
        row.failures = row.failures.saturating_add(1);
        let waits = [row.wait.take(), patience::after_crash(row.failures, now)].into_iter().flatten();
        row.wait = waits.max_by_key(|wait| wait.until);
    }
    row
}
