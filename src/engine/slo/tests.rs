//! Bad days of a pipeline, minute by minute on a made-up clock.

use std::time::Duration;

use super::{super::Standard, *};
use crate::model::Counts;

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + minute * 60, 0).unwrap()
}

fn reaction(act: Act, burns: Burns, hold_minutes: u64) -> Reaction {
    Reaction { when: Objective::Success, burns, act, hold: Duration::from_secs(hold_minutes * 60) }
}

/// A pipeline that keeps 99 % of its records well, and what happened to it.
struct Day {
    slo: Slo,
    vitals: Vitals,
    reflexes: Reflexes,
    name: Arc<str>,
    paused: Option<Option<DateTime<Utc>>>,
    told: Vec<(i64, String)>,
}

impl Day {
    fn new(reactions: Vec<Reaction>) -> Self {
        let slo = Slo { freshness: None, success: Some(0.99), p95: None, reactions };
        let vitals = Vitals::default();
        vitals.hold_to(Some(Standard { slo: slo.clone(), answers: false }));
        let (reflexes, name) = (Reflexes::default(), "leads".into());
        Self { slo, vitals, reflexes, name, paused: None, told: Vec::new() }
    }

    /// From one minute to another, a hundred records a minute of which so many are refused, and a look at the end of each. Nothing is
    /// delivered in a pause.
    fn goes_on(&mut self, minutes: std::ops::Range<i64>, rejected: u64) {
        for minute in minutes {
            if self.paused.is_none() {
                self.vitals.settled(&Counts { created: 100 - rejected, rejected, ..Counts::default() }, at(minute));
            }
            self.look(minute);
        }
    }

    fn look(&mut self, minute: i64) {
        let Self { slo, vitals, name: pipeline, paused, .. } = self;
        let (is_paused, paused_until) = (paused.is_some(), paused.flatten());
        let seen = Seen { pipeline, slo, vitals, is_paused, paused_until };
        for change in self.reflexes.look(&seen, at(minute)) {
            let told = match change {
                Change::Begin { reaction, .. } => {
                    if let Act::Pause { by_itself } = reaction.act {
                        let until = by_itself.then(|| at(minute) + TimeDelta::from_std(reaction.hold).unwrap());
                        self.paused = Some(until);
                    }
                    format!("begin {} {}", reaction.act.name(), reaction.burns.name())
                }
                Change::End { reaction, .. } => format!("end {}", reaction.act.name()),
                Change::Resume { .. } => {
                    self.resumed();
                    "resume".to_owned()
                }
            };
            self.told.push((minute, told));
        }
    }

    fn resumed(&mut self) {
        self.paused = None;
        self.vitals.forget();
    }

    fn told(&self) -> Vec<(i64, &str)> {
        self.told.iter().map(|(minute, told)| (*minute, told.as_str())).collect()
    }
}

#[test]
fn a_day_within_its_budget_has_no_reaction() {
    let mut day =
        Day::new(vec![reaction(Act::SlowDown(0.5), Burns::Fast, 15), reaction(Act::SlowDown(0.1), Burns::Slow, 15)]);
    day.goes_on(0..1_440, 1);
    day.goes_on(1_440..1_442, 10);
    day.goes_on(1_442..2_000, 1);
    assert_eq!(day.told(), [], "two bad minutes are not an hour");
}

#[test]
fn a_fast_burn_begins_a_reaction_that_ends_once_it_was_held_and_the_short_window_is_well() {
    let mut day = Day::new(vec![reaction(Act::Async, Burns::Fast, 15)]);
    day.goes_on(0..60, 0);
    // Half of the records: fifty times as fast as it may. An hour has 14.4 % of its records refused after eighteen minutes.
    day.goes_on(60..100, 50);
    assert_eq!(day.told(), [(77, "begin async fast")]);
    day.goes_on(100..104, 0);
    assert_eq!(day.told().len(), 1, "the last five minutes still have bad records");
    day.goes_on(104..200, 0);
    assert_eq!(day.told(), [(77, "begin async fast"), (104, "end async")]);
}

#[test]
fn a_reaction_is_held_for_its_time_and_does_not_come_and_go_with_a_cause_that_does() {
    let mut day = Day::new(vec![reaction(Act::SlowDown(0.5), Burns::Fast, 30)]);
    for hour in 0..4 {
        let start = hour * 60;
        day.goes_on(start..start + 20, 50);
        day.goes_on(start + 20..start + 60, 0);
    }
    let begun = day.told.iter().filter(|(_, told)| told.starts_with("begin")).count();
    let lasted: Vec<i64> =
        day.told.windows(2).filter(|two| two[0].1.starts_with("begin")).map(|two| two[1].0 - two[0].0).collect();
    assert!(begun <= 4 && lasted.iter().all(|minutes| *minutes >= 30), "{:?}", day.told);
}

#[test]
fn a_slow_burn_is_seen_by_the_long_windows_alone() {
    let mut day = Day::new(vec![reaction(Act::Async, Burns::Fast, 15), reaction(Act::SlowDown(0.5), Burns::Slow, 15)]);
    day.goes_on(0..360, 0);
    day.goes_on(360..720, 7);
    assert_eq!(day.told(), [(360 + 308, "begin slow_down slow")]);
}

#[test]
fn of_few_events_nothing_is_concluded() {
    let mut day = Day::new(vec![reaction(Act::Pause { by_itself: false }, Burns::Fast, 15)]);
    day.vitals.settled(&Counts { rejected: 19, ..Counts::default() }, at(0));
    day.look(0);
    assert_eq!(day.told(), []);
    day.vitals.settled(&Counts { rejected: 1, ..Counts::default() }, at(0));
    day.look(0);
    assert_eq!(day.told(), [(0, "begin pause fast")]);
}

#[test]
fn a_pause_waits_for_a_person_and_the_count_begins_anew_with_them() {
    let mut day = Day::new(vec![reaction(Act::Pause { by_itself: false }, Burns::Fast, 15)]);
    day.goes_on(0..600, 50);
    assert_eq!(day.told(), [(0, "begin pause fast")]);
    day.resumed();
    day.goes_on(600..660, 0);
    assert_eq!(day.told().len(), 1, "what was bad before is not held against it");
    day.goes_on(660..720, 80);
    assert_eq!(day.told()[1].1, "begin pause fast");
}

#[test]
fn a_pause_that_ends_by_itself_does_so_after_its_time_and_tries() {
    let mut day = Day::new(vec![reaction(Act::Pause { by_itself: true }, Burns::Fast, 10)]);
    day.goes_on(0..25, 50);
    let pauses =
        [(0, "begin pause fast"), (10, "resume"), (11, "begin pause fast"), (21, "resume"), (22, "begin pause fast")];
    assert_eq!(day.told(), pauses);
}

#[test]
fn a_pause_by_a_person_is_left_alone_and_what_is_not_declared_any_more_ends() {
    let mut day = Day::new(vec![reaction(Act::SlowDown(0.5), Burns::Fast, 15)]);
    day.goes_on(0..3, 50);
    day.paused = Some(None);
    day.goes_on(3..4, 50);
    day.slo.reactions.clear();
    day.look(5);
    assert_eq!(day.told(), [(0, "begin slow_down fast"), (5, "end slow_down")]);
    let mut day = Day::new(vec![reaction(Act::SlowDown(0.5), Burns::Fast, 15)]);
    day.goes_on(0..3, 50);
    assert_eq!(day.reflexes.keep_only(|_| true), []);
    assert_eq!(day.reflexes.in_force("leads").len(), 1);
    let gone = day.reflexes.keep_only(|_| false);
    assert!(matches!(gone[..], [Change::End { .. }]) && day.reflexes.in_force("leads").is_empty());
}
