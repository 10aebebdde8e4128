//! What follows from the time and from what ended.

use chrono::{DateTime, Utc};

use super::{Action, BACKFILLS_MAX, Decision, Ended, Entry, Note, Schedule, Work, patience, take_up::SET_BACK};
use crate::{
    config::plan::{Busy, Missed},
    engine::timetable::{DUE_MAX, Due, Passed},
    store::Scheduled,
};

impl Schedule {
    /// What is due now, and what may begin.
    pub fn decide(&mut self, now: DateTime<Utc>) -> Decision {
        let mut decision = Decision::default();
        if now < self.last_seen - SET_BACK {
            self.distrust(now);
        }
        self.last_seen = now;
        while let Some((_, at)) = self.clock.first().copied().filter(|(start, _)| *start <= now) {
            self.come_due(at, now, &mut decision);
        }
        while let Some((until, at)) = self.held.first().copied().filter(|(until, _)| *until <= now) {
            self.held.remove(&(until, at));
            match self.entries[at].work {
                // It was begun because the pipeline waited, which is over.
                Work::Backfill => self.ask_to_stop(at, &mut decision),
                Work::Nothing | Work::Run | Work::Replay => self.offer(at, now),
            }
        }
        self.begin(now, &mut decision);
        self.collect(&mut decision);
        decision
    }

    /// What follows from the end of what was under way of a pipeline.
    pub fn ended(&mut self, pipeline: &str, ended: Ended, now: DateTime<Utc>) -> Decision {
        let mut decision = Decision::default();
        let Some(at) = self.find(pipeline) else { return decision };
        let work = std::mem::replace(&mut self.entries[at].work, Work::Nothing);
        self.entries[at].asked_to_stop = false;
        match work {
            Work::Run => self.run_ended(at, ended, now, &mut decision),
            Work::Backfill => self.backfill_ended(at, &ended, now),
            Work::Nothing | Work::Replay => {}
        }
        self.entries[at].cancelled = false;
        self.offer(at, now);
        self.begin(now, &mut decision);
        self.collect(&mut decision);
        decision
    }

    /// Nothing begins any more until it is planned anew.
    pub fn pause(&mut self) {
        self.runs_max = 0;
    }

    fn run_ended(&mut self, at: usize, ended: Ended, now: DateTime<Utc>, decision: &mut Decision) {
        self.runs = self.runs.saturating_sub(1);
        self.changed.insert(at);
        let entry = &mut self.entries[at];
        let begun = entry.kept.begun.take();
        match ended {
            Ended::Done => {
                (entry.kept.failures, entry.kept.wait) = (0, None);
                for follower in entry.followers.clone() {
                    let passed = Passed { run: vec![now], ..Passed::default() };
                    self.owe(follower, passed, now, decision);
                }
            }
            // A person took it back.
            Ended::Stopped if entry.cancelled => {}
            // Whatever else asked it to stop: a newer time stands for this one, or this one goes on.
            Ended::Stopped => entry.owe_again(begun),
            Ended::Failed(fault) => {
                entry.owe_again(begun);
                entry.kept.failures = entry.kept.failures.saturating_add(1);
                let wait = patience::after_failure(&fault, entry.kept.failures, now);
                let (pipeline, failures) = (entry.name.clone(), entry.kept.failures);
                decision.notes.push(Note::Waits { pipeline, wait: wait.clone(), failures });
                entry.kept.wait = Some(wait);
            }
        }
    }

    fn backfill_ended(&mut self, at: usize, ended: &Ended, now: DateTime<Utc>) {
        let pipeline = &self.entries[at].name;
        let of_it = |waiting: &super::Waiting| waiting.under_way && *waiting.backfill.pipeline == **pipeline;
        let Some(place) = self.backfills.iter().position(of_it) else { return };
        if matches!(ended, Ended::Done) {
            self.backfills.remove(place);
            return;
        }
        let waiting = &mut self.backfills[place];
        waiting.under_way = false;
        if let Ended::Failed(fault) = ended {
            waiting.failures = waiting.failures.saturating_add(1);
            waiting.until = Some(patience::after_failure(fault, waiting.failures, now).until);
        }
    }

    /// The clock was wrong before: what it decided ahead of now is decided again.
    fn distrust(&mut self, now: DateTime<Utc>) {
        for at in 0..self.entries.len() {
            let entry = &mut self.entries[at];
            if entry.kept.decided > now && entry.timetable.is_some() {
                entry.kept.decided = now;
                self.changed.insert(at);
            }
            self.set_clock(at);
        }
    }

    fn come_due(&mut self, at: usize, now: DateTime<Utc>, decision: &mut Decision) {
        let entry = &mut self.entries[at];
        let Some(timetable) = &entry.timetable else { return };
        let passed = timetable.passed(entry.kept.decided, now);
        entry.kept.decided = passed.last.unwrap_or(entry.kept.decided);
        self.changed.insert(at);
        if passed.late > 0 || passed.forgotten > 0 {
            let (pipeline, late, forgotten) = (entry.name.clone(), passed.late, passed.forgotten);
            decision.notes.push(Note::Missed { pipeline, late, forgotten });
        }
        let next = passed.next;
        self.owe(at, passed, now, decision);
        self.put_clock(at, next);
    }

    /// Takes times that are to be run, unless the pipeline is busy and its schedule says otherwise.
    fn owe(&mut self, at: usize, passed: Passed, now: DateTime<Utc>, decision: &mut Decision) {
        let Some(last) = passed.run.last().copied() else { return };
        self.withdraw(at);
        self.changed.insert(at);
        let entry = &mut self.entries[at];
        let makes_up = entry.timetable.as_ref().is_some_and(|timetable| timetable.missed == Missed::All);
        let is_busy = entry.work == Work::Run || !entry.kept.owed.is_empty();
        let left_out = Note::LeftOut { pipeline: entry.name.clone(), due: last };
        if entry.kept.paused.is_some() {
            // Whoever resumes it finds one run that stands for all of them, unless missed times are forgotten.
            let is_forgotten = entry.timetable.as_ref().is_some_and(|timetable| timetable.missed == Missed::None);
            entry.owe_again(Some(last).filter(|_| !is_forgotten));
        } else if entry.kept.wait.as_ref().is_some_and(|wait| wait.until > now) {
            // The try that it waits for stands for this time, too.
            entry.owe_again(Some(last));
            decision.notes.push(left_out);
        } else if !is_busy {
            entry.kept.owed.extend(passed.run);
        } else {
            match entry.busy {
                Busy::Skip if makes_up => entry.kept.owed.extend(passed.run.into_iter().take(passed.late)),
                Busy::Skip => decision.notes.push(left_out),
                Busy::Queue => entry.kept.owed.extend(passed.run),
                Busy::Cancel => {
                    entry.kept.owed = [last].into();
                    self.ask_to_stop(at, decision);
                }
            }
        }
        let entry = &mut self.entries[at];
        let over = entry.kept.owed.len().saturating_sub(DUE_MAX);
        entry.kept.owed.drain(..over);
        if entry.work == Work::Backfill {
            self.ask_to_stop(at, decision);
        }
        self.offer(at, now);
    }

    pub(super) fn ask_to_stop(&mut self, at: usize, decision: &mut Decision) {
        let entry = &mut self.entries[at];
        if entry.work != Work::Nothing && !entry.asked_to_stop {
            entry.asked_to_stop = true;
            decision.actions.push(Action::Stop { pipeline: entry.name.clone() });
        }
    }

    /// Puts a pipeline that owes a run where it belongs: among those that wait or those that may begin.
    pub(super) fn offer(&mut self, at: usize, now: DateTime<Utc>) {
        self.withdraw(at);
        let entry = &self.entries[at];
        let (Some(first), true) = (entry.kept.owed.front(), entry.may_begin()) else { return };
        match entry.kept.wait.as_ref().filter(|wait| wait.until > now) {
            Some(wait) => drop(self.held.insert((wait.until, at))),
            None if entry.work == Work::Nothing => drop(self.ready.insert((*first, at))),
            None => {}
        }
    }

    /// Takes a pipeline out of both. Called before what it owes changes, because that is what it is found by.
    pub(super) fn withdraw(&mut self, at: usize) {
        let entry = &self.entries[at];
        if let Some(first) = entry.kept.owed.front() {
            self.ready.remove(&(*first, at));
        }
        if let Some(wait) = &entry.kept.wait {
            self.held.remove(&(wait.until, at));
        }
    }

    pub(super) fn begin(&mut self, now: DateTime<Utc>, decision: &mut Decision) {
        self.begin_replays(now, decision);
        while self.runs < self.runs_max
            && let Some((due, at)) = self.ready.pop_first()
        {
            let entry = &mut self.entries[at];
            entry.kept.owed.pop_front();
            entry.kept.begun = Some(due);
            entry.work = Work::Run;
            self.runs += 1;
            self.changed.insert(at);
            let start = entry.timetable.as_ref().map_or(due, |timetable| timetable.start_of(due));
            let start = entry.kept.wait.as_ref().map_or(start, |wait| wait.until.max(start));
            decision.actions.push(Action::Begin { pipeline: entry.name.clone(), due, start });
        }
        self.begin_backfills(now, decision);
    }

    /// Backfills of pipelines that have nothing else to do, or wait themselves.
    fn begin_backfills(&mut self, now: DateTime<Utc>, decision: &mut Decision) {
        let mut under_way = self.backfills.iter().filter(|waiting| waiting.under_way).count();
        let room = if self.runs_max == 0 { 0 } else { BACKFILLS_MAX };
        for waiting in &mut self.backfills {
            if under_way >= room {
                return;
            }
            let Some(at) = self.by_name.get(waiting.backfill.pipeline.as_str()) else { continue };
            let entry = &mut self.entries[*at];
            let owes = !entry.kept.owed.is_empty() && entry.kept.wait.as_ref().is_none_or(|wait| wait.until <= now);
            let is_held_back = waiting.under_way || waiting.until.is_some_and(|until| until > now);
            if is_held_back || owes || entry.work != Work::Nothing || !entry.may_begin() {
                continue;
            }
            (waiting.under_way, waiting.until, entry.work) = (true, None, Work::Backfill);
            under_way += 1;
            decision.actions.push(Action::Backfill(waiting.backfill.clone()));
        }
    }

    pub(super) fn set_clock(&mut self, at: usize) {
        let entry = &self.entries[at];
        let next = entry.timetable.as_ref().and_then(|timetable| timetable.next_after(entry.kept.decided));
        self.put_clock(at, next);
    }

    fn put_clock(&mut self, at: usize, next: Option<Due>) {
        if let Some(before) = std::mem::replace(&mut self.entries[at].next, next) {
            self.clock.remove(&(before.start, at));
        }
        if let Some(next) = next {
            self.clock.insert((next.start, at));
        }
    }

    /// What the store has to hear.
    pub(super) fn collect(&mut self, decision: &mut Decision) {
        for at in std::mem::take(&mut self.changed) {
            let entry = &self.entries[at];
            let row = Some(entry.kept.clone()).filter(Scheduled::is_kept);
            decision.keep.push((entry.name.to_string(), row));
        }
        decision.keep.extend(self.gone.drain(..).map(|name| (name, None)));
    }
}

impl Entry {
    /// Whether anything of it may begin by itself.
    pub(super) fn may_begin(&self) -> bool {
        !self.orphan && self.kept.paused.is_none()
    }

    /// A time did not come to its run, or its run not to its end. One that is owed already stands for it, too.
    fn owe_again(&mut self, time: Option<DateTime<Utc>>) {
        if self.kept.owed.is_empty() {
            self.kept.owed.extend(time);
        }
    }
}
