//! Decisions, each from a plan and what happened before.

use std::{collections::BTreeMap, path::Path};

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::{
    config::{self, MapEnvironment, Plan},
    model::{Blame, Code, Cursor, Disposition},
};

/// A workspace with these pipelines and schedules.
fn plan(runs_max: usize, schedules: &[(&str, &str)]) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path: &Path = &folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let files = "connections:\n  a: { connector: a }\n  files: { jsonl: { path: out } }\n";
    write("renkei.yaml", &format!("version: 1\nserve: {{ runs_max: {runs_max} }}\n{files}"));
    let stream = "{ get: /p, key: id }";
    write(
        "connectors/a/connector.yaml",
        &format!("version: 1\nbase_url: https://a.example\nstreams: {{ s: {stream} }}\n"),
    );
    for (name, schedule) in schedules {
        let schedule = if schedule.is_empty() { String::new() } else { format!("schedule: {schedule}\n") };
        let ends = format!("from: {{ connection: a, stream: s }}\nto: {{ connection: files, file: {name} }}\n");
        write(&format!("pipelines/{name}.yaml"), &format!("version: 1\n{schedule}{ends}"));
    }
    config::load(folder.path(), &MapEnvironment::default()).unwrap_or_else(|report| panic!("{report}"))
}

/// Minutes and seconds after a full hour.
pub(super) fn at(minute: i64, second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600 + minute * 60 + second, 0).unwrap()
}

pub(super) fn down() -> Ended {
    Ended::Failed(Fault::halt(Code::ServerError, Blame::Remote, "503").with(Disposition::Retry { after: None }))
}

fn revoked() -> Ended {
    Ended::Failed(Fault::halt(Code::Unauthorized, Blame::Credentials, "401"))
}

/// A schedule with what the store holds of it, and a process that may begin again.
pub(super) struct Rig {
    plan: Plan,
    pub(super) schedule: Schedule,
    pub(super) stored: BTreeMap<String, Scheduled>,
    notes: Vec<Note>,
}

impl Rig {
    pub(super) fn new(runs_max: usize, schedules: &[(&str, &str)]) -> Self {
        let plan = plan(runs_max, schedules);
        let schedule = Schedule::new(&plan, BTreeMap::new(), Vec::new(), at(0, 0));
        let mut rig = Self { plan, schedule, stored: BTreeMap::new(), notes: Vec::new() };
        assert_eq!(rig.decide(0, 0), [""; 0]);
        rig
    }

    pub(super) fn take(&mut self, decision: Decision) -> Vec<String> {
        for (name, row) in decision.keep {
            match row {
                Some(row) => self.stored.insert(name, row),
                None => self.stored.remove(&name),
            };
        }
        self.notes.extend(decision.notes);
        let told = |action: Action| match action {
            Action::Begin { pipeline, due, .. } => format!("{pipeline} for {}", (due - at(0, 0)).num_seconds()),
            Action::Backfill(backfill) => format!("backfill {}/{}", backfill.pipeline, backfill.stream),
            Action::Stop { pipeline } => format!("stop {pipeline}"),
            Action::Replay { pipeline, ticket } => format!("replay {ticket} of {pipeline}"),
        };
        decision.actions.into_iter().map(told).collect()
    }

    pub(super) fn decide(&mut self, minute: i64, second: i64) -> Vec<String> {
        let decision = self.schedule.decide(at(minute, second));
        self.take(decision)
    }

    pub(super) fn ended(&mut self, pipeline: &str, ended: Ended, minute: i64, second: i64) -> Vec<String> {
        let decision = self.schedule.ended(pipeline, ended, at(minute, second));
        self.take(decision)
    }

    /// The process dies, and another one takes up what the store holds.
    pub(super) fn restart(&mut self, minute: i64) -> Vec<String> {
        self.schedule = Schedule::new(&self.plan, self.stored.clone(), Vec::new(), at(minute, 0));
        self.decide(minute, 0)
    }

    fn replan(&mut self, schedules: &[(&str, &str)], minute: i64) -> Vec<String> {
        self.plan = plan(self.plan.serve.runs_max, schedules);
        self.schedule.replan(&self.plan, at(minute, 0));
        self.decide(minute, 0)
    }

    pub(super) fn left_out(&mut self) -> usize {
        std::mem::take(&mut self.notes).into_iter().filter(|note| matches!(note, Note::LeftOut { .. })).count()
    }
}

pub(super) const TEN: &str = "{ cron: \"*/10 * * * *\" }";

#[test]
fn a_pipeline_begins_when_its_time_comes_and_nobody_has_to_look_before() {
    let mut rig = Rig::new(8, &[("a", TEN), ("b", "{ cron: \"5 * * * *\" }"), ("c", "")]);
    assert_eq!(rig.schedule.next_wake(), Some(at(5, 0)));
    assert_eq!(rig.decide(4, 59), [""; 0]);
    assert_eq!(rig.decide(5, 0), ["b for 300"]);
    assert_eq!(rig.schedule.next_wake(), Some(at(10, 0)));
    assert_eq!(rig.ended("b", Ended::Done, 6, 0), [""; 0]);
    assert_eq!(rig.decide(10, 0), ["a for 600"]);
    assert_eq!(rig.schedule.next_wake(), Some(at(20, 0)));
    assert_eq!(rig.stored.keys().collect::<Vec<_>>(), ["a", "b"], "one without a schedule is not remembered");
    let mut wakes = 0;
    let mut rig = Rig::new(8, &[("a", "{ cron: \"0 12 * * *\" }")]);
    while let Some(wake) = rig.schedule.next_wake().filter(|wake| *wake < at(7 * 24 * 60, 0)) {
        wakes += 1;
        let decision = rig.schedule.decide(wake);
        assert_eq!(rig.take(decision).len(), 1);
        let decision = rig.schedule.ended("a", Ended::Done, wake);
        rig.take(decision);
    }
    assert_eq!(wakes, 7, "once a day for a week");
}

#[test]
fn more_pipelines_than_there_are_places_for_wait_in_the_order_in_which_they_came_due() {
    let mut rig = Rig::new(
        2,
        &[
            ("a", "{ cron: \"3 * * * *\" }"),
            ("b", "{ cron: \"2 * * * *\" }"),
            ("c", "{ cron: \"1 * * * *\" }"),
            ("d", "{ cron: \"1 * * * *\" }"),
        ],
    );
    assert_eq!(rig.decide(4, 0), ["c for 60", "d for 60"]);
    assert_eq!(rig.ended("d", Ended::Done, 4, 1), ["b for 120"]);
    assert_eq!(rig.ended("b", Ended::Done, 4, 2), ["a for 180"]);
    assert_eq!(rig.ended("c", Ended::Done, 4, 3), [""; 0]);
}

#[test]
fn a_time_that_comes_while_the_run_before_is_under_way_is_left_out_or_waits_or_ends_it() {
    let overlap = |overlap: &str| format!("{{ cron: \"*/10 * * * *\", overlap: {overlap} }}");
    let mut skip = Rig::new(8, &[("a", &overlap("skip"))]);
    assert_eq!(skip.decide(10, 0), ["a for 600"]);
    assert_eq!((skip.decide(20, 0), skip.left_out()), (vec![], 1));
    assert_eq!(skip.ended("a", Ended::Done, 25, 0), [""; 0]);
    assert_eq!(skip.decide(30, 0), ["a for 1800"]);

    let mut queue = Rig::new(8, &[("a", &overlap("queue"))]);
    assert_eq!(queue.decide(10, 0), ["a for 600"]);
    assert_eq!((queue.decide(20, 0), queue.decide(30, 0)), (vec![], vec![]));
    assert_eq!(queue.ended("a", Ended::Done, 31, 0), ["a for 1200"]);
    assert_eq!(queue.ended("a", Ended::Done, 32, 0), ["a for 1800"]);
    assert_eq!((queue.ended("a", Ended::Done, 33, 0), queue.left_out()), (vec![], 0));

    let mut cancel = Rig::new(8, &[("a", &overlap("cancel"))]);
    assert_eq!(cancel.decide(10, 0), ["a for 600"]);
    assert_eq!(cancel.decide(20, 0), ["stop a"]);
    assert_eq!(cancel.decide(30, 0), [""; 0], "it was asked already");
    assert_eq!(cancel.ended("a", Ended::Stopped, 30, 1), ["a for 1800"]);
}

#[test]
fn a_pipeline_that_waits_for_a_place_is_not_owed_again_and_again() {
    let mut rig = Rig::new(1, &[("a", TEN), ("b", "{ cron: \"* * * * *\" }")]);
    assert_eq!(rig.decide(1, 0), ["b for 60"]);
    assert_eq!(rig.decide(10, 0), [""; 0]);
    assert_eq!(rig.decide(20, 0), [""; 0]);
    assert_eq!(rig.ended("b", Ended::Done, 21, 0), ["a for 600"]);
    assert_eq!(rig.stored["a"].owed.len(), 0);
}

#[test]
fn what_failed_is_tried_again_later_and_no_time_of_its_schedule_starts_it_before() {
    let mut rig = Rig::new(8, &[("a", "{ cron: \"* * * * *\" }")]);
    assert_eq!(rig.decide(1, 0), ["a for 60"]);
    assert_eq!(rig.ended("a", down(), 1, 10), [""; 0]);
    assert_eq!(rig.schedule.next_wake(), Some(at(1, 40)));
    assert_eq!(rig.decide(1, 40), ["a for 60"]);
    rig.ended("a", down(), 1, 41);
    assert_eq!(rig.decide(2, 0), [""; 0]);
    assert_eq!(rig.decide(2, 41), ["a for 60"], "60 s after the second failure");
    rig.ended("a", down(), 2, 42);
    assert_eq!((rig.decide(3, 0), rig.decide(4, 0)), (vec![], vec![]));
    assert_eq!(rig.decide(4, 42), ["a for 60"]);
    rig.ended("a", Ended::Done, 4, 50);
    assert_eq!(rig.decide(5, 0), ["a for 300"], "all is well again");
    assert_eq!(rig.stored["a"].failures, 0);
}

#[test]
fn a_pipeline_that_needs_a_person_is_tried_once_an_hour_until_a_reload() {
    let mut rig = Rig::new(8, &[("a", "{ cron: \"* * * * *\" }")]);
    rig.decide(1, 0);
    rig.ended("a", revoked(), 1, 0);
    assert_eq!(rig.schedule.waiting_for_a_person(), 1);
    let begun: Vec<String> = (2..=60).flat_map(|minute| rig.decide(minute, 0)).collect();
    assert_eq!(begun, [""; 0]);
    assert_eq!(rig.decide(61, 0), ["a for 60"]);
    rig.ended("a", revoked(), 61, 0);
    assert_eq!(rig.decide(180, 0), [""; 0], "two hours the second time");
    let wait = Note::Waits { pipeline: "a".into(), wait: rig.stored["a"].wait.clone().unwrap(), failures: 2 };
    assert!(rig.notes.contains(&wait));
    assert_eq!(rig.replan(&[("a", "{ cron: \"* * * * *\" }")], 180), ["a for 60"]);
    assert_eq!(rig.schedule.waiting_for_a_person(), 0);
}

#[test]
fn one_pipeline_that_fails_or_waits_holds_up_no_other() {
    let mut rig = Rig::new(1, &[("a", "{ cron: \"* * * * *\" }"), ("b", "{ cron: \"* * * * *\" }")]);
    assert_eq!(rig.decide(1, 0), ["a for 60"]);
    assert_eq!(rig.ended("a", revoked(), 1, 0), ["b for 60"]);
    for minute in 2..30 {
        rig.ended("b", Ended::Done, minute, 0);
        assert_eq!(rig.decide(minute, 0), [format!("b for {}", minute * 60)]);
    }
}

#[test]
fn a_follower_begins_when_the_one_before_ended_well_and_only_then() {
    let mut rig = Rig::new(8, &[("a", TEN), ("b", "{ after: a }"), ("c", "{ after: b }"), ("d", "{ after: a }")]);
    assert_eq!(rig.decide(10, 0), ["a for 600"]);
    assert_eq!(rig.ended("a", Ended::Done, 11, 0), ["b for 660", "d for 660"]);
    assert_eq!(rig.ended("b", Ended::Done, 12, 0), ["c for 720"]);
    assert_eq!(rig.ended("c", Ended::Done, 13, 0), [""; 0]);
    assert_eq!(rig.decide(20, 0), ["a for 1200"]);
    assert_eq!(rig.ended("a", down(), 21, 0), [""; 0]);
    assert_eq!(rig.decide(21, 30), ["a for 1200"]);
    assert_eq!(
        (rig.ended("a", Ended::Done, 22, 0), rig.left_out()),
        (vec!["b for 1320".to_owned()], 1),
        "d is still busy"
    );
}

#[test]
fn a_follower_that_was_owed_when_the_process_died_is_run_by_the_next_one() {
    let mut rig = Rig::new(1, &[("a", TEN), ("b", "{ after: a }"), ("x", "{ cron: \"9 * * * *\" }")]);
    assert_eq!(rig.decide(9, 0), ["x for 540"]);
    assert_eq!(rig.decide(10, 0), [""; 0]);
    assert_eq!(rig.ended("x", Ended::Done, 10, 1), ["a for 600"]);
    // In the same decision that hears of a's end.
    let decision = rig.schedule.ended("a", Ended::Done, at(11, 0));
    let names: Vec<&str> = decision.keep.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    rig.take(decision);
    assert_eq!(rig.restart(12), ["b for 660"]);
}

#[test]
fn after_a_crash_what_was_under_way_goes_on_and_what_was_owed_is_run() {
    let mut rig = Rig::new(1, &[("a", TEN), ("b", TEN)]);
    assert_eq!(rig.decide(10, 0), ["a for 600"]);
    assert_eq!(rig.restart(11), ["a for 600"], "it was cut off");
    assert_eq!(rig.ended("a", Ended::Done, 12, 0), ["b for 600"], "it waited for a place");
    assert_eq!(rig.ended("b", Ended::Done, 13, 0), [""; 0]);
    assert_eq!(rig.restart(14), [""; 0], "each once");
    // A stop in order is the same without being a failure.
    rig.decide(20, 0);
    rig.schedule.pause();
    assert_eq!(rig.ended("a", Ended::Stopped, 20, 5), [""; 0], "nothing begins any more");
    assert_eq!((rig.stored["a"].failures, rig.restart(21)), (0, vec!["a for 1200".to_owned()]));
}

#[test]
fn a_run_that_takes_the_process_with_it_every_time_is_tried_less_and_less() {
    let mut rig = Rig::new(8, &[("a", "{ cron: \"0 * * * *\" }")]);
    assert_eq!(rig.decide(60, 0), ["a for 3600"]);
    assert_eq!(rig.restart(61), ["a for 3600"]);
    assert_eq!(rig.restart(62), [""; 0]);
    assert_eq!(rig.decide(62, 30), ["a for 3600"]);
    assert_eq!((rig.restart(63), rig.decide(63, 59)), (vec![], vec![]));
    assert_eq!(rig.decide(64, 0), ["a for 3600"]);
}

#[test]
fn a_wait_is_remembered_over_a_restart_and_shortened_by_it() {
    let mut rig = Rig::new(8, &[("a", "{ cron: \"* * * * *\" }")]);
    rig.decide(1, 0);
    rig.ended("a", revoked(), 1, 0);
    assert_eq!(rig.restart(1), [""; 0]);
    assert_eq!(rig.decide(2, 0), ["a for 60"], "a minute after the failure");
}

#[test]
fn missed_times_are_made_up_for_as_the_schedule_says_and_told() {
    let missed = |policy: &str| format!("{{ cron: \"*/10 * * * *\", missed: {policy} }}");
    for (policy, begun) in [("none", vec![]), ("last", vec![3_000]), ("all", vec![600, 1_200, 1_800, 2_400, 3_000])] {
        let mut rig = Rig::new(8, &[("a", &missed(policy))]);
        let mut found = Vec::new();
        let mut next = rig.restart(55);
        while let [one] = &next[..] {
            found.push(one.trim_start_matches("a for ").parse::<i64>().unwrap());
            next = rig.ended("a", Ended::Done, 56, 0);
        }
        assert_eq!(found, begun, "{policy}");
        assert_eq!(
            rig.notes,
            [Note::Missed { pipeline: "a".into(), late: begun.len(), forgotten: 5 - begun.len() as u64 }]
        );
        assert_eq!(rig.decide(60, 0), ["a for 3600"]);
    }
}

#[test]
fn a_schedule_that_is_changed_or_new_has_missed_nothing() {
    let mut rig = Rig::new(8, &[("a", "{ cron: \"*/10 * * * *\", missed: all }")]);
    assert_eq!(rig.decide(10, 0), ["a for 600"]);
    rig.ended("a", Ended::Done, 11, 0);
    rig.plan = plan(8, &[("a", "{ cron: \"*/5 * * * *\", missed: all }"), ("b", "{ every: 1m, missed: all }")]);
    assert_eq!(rig.restart(58), [""; 0]);
    assert!(rig.decide(60, 0).contains(&"a for 3600".to_owned()));
}

#[test]
fn a_reload_leaves_what_is_under_way_alone_and_forgets_what_is_gone() {
    let mut rig = Rig::new(8, &[("a", TEN), ("b", TEN), ("c", TEN)]);
    assert_eq!(rig.decide(10, 0).len(), 3);
    assert_eq!(rig.replan(&[("a", TEN), ("c", ""), ("d", TEN)], 11), [""; 0]);
    assert_eq!(rig.stored.keys().collect::<Vec<_>>(), ["a", "d"]);
    assert_eq!(rig.ended("b", Ended::Done, 12, 0), [""; 0], "it is gone");
    assert_eq!(rig.ended("c", Ended::Stopped, 12, 0), ["c for 600"], "what was begun ends, though it has no schedule");
    assert_eq!(rig.decide(20, 0), ["d for 1200"]);
    assert_eq!(rig.ended("a", Ended::Done, 21, 0), [""; 0]);
    assert_eq!(rig.decide(30, 0), ["a for 1800"]);
    assert_eq!(rig.replan(&[("b", TEN)], 31), [""; 0]);
    assert_eq!(rig.ended("a", Ended::Stopped, 31, 1), [""; 0], "a pipeline that is gone is not gone on with");
}

#[test]
fn a_clock_that_was_far_ahead_does_not_silence_a_schedule() {
    let mut rig = Rig::new(8, &[("a", TEN)]);
    let far = at(60 * 24 * 400, 0);
    let decision = rig.schedule.decide(far);
    assert_eq!(rig.take(decision).len(), 1);
    let decision = rig.schedule.ended("a", Ended::Done, far);
    rig.take(decision);
    assert_eq!(rig.decide(20, 30), [""; 0], "the clock is right again");
    assert_eq!(rig.decide(30, 0), ["a for 1800"]);
    rig.ended("a", Ended::Done, 31, 0);
    rig.stored.get_mut("a").unwrap().decided = far;
    assert_eq!(rig.restart(32), [""; 0]);
    assert_eq!(rig.decide(40, 0), ["a for 2400"]);
}

fn backfill(pipeline: &str, name: &str) -> Backfill {
    let cursor = |minute| Cursor::Instant(at(minute, 0));
    let (from, to) = (cursor(-100), cursor(-50));
    Backfill { pipeline: pipeline.to_owned(), stream: format!("s~{name}"), from, to, asked_at: at(0, 0) }
}

#[test]
fn a_backfill_begins_when_its_pipeline_is_free_and_gives_way_when_it_is_due() {
    let mut rig = Rig::new(1, &[("a", TEN), ("b", "{ cron: \"*/3 * * * *\" }")]);
    assert_eq!(rig.decide(3, 0), ["b for 180"]);
    rig.schedule.add_backfill(backfill("a", "1"));
    assert_eq!(rig.decide(3, 1), ["backfill a/s~1"], "it takes no place of a run");
    assert_eq!(rig.decide(10, 0), ["stop a"]);
    assert_eq!(rig.ended("b", Ended::Done, 10, 1), [""; 0]);
    assert_eq!(rig.ended("a", Ended::Stopped, 10, 2), ["a for 600"]);
    assert_eq!(rig.ended("a", Ended::Done, 11, 0), ["backfill a/s~1"]);
    assert_eq!(rig.ended("a", Ended::Done, 11, 30), [""; 0]);
    assert_eq!(rig.decide(11, 40), [""; 0], "it has ended");
}

#[test]
fn a_backfill_that_failed_waits_and_two_of_a_pipeline_go_one_after_the_other() {
    let mut rig = Rig::new(8, &[("a", ""), ("b", ""), ("c", "")]);
    for (pipeline, name) in [("a", "1"), ("a", "2"), ("b", "3"), ("c", "4"), ("gone", "5")] {
        rig.schedule.add_backfill(backfill(pipeline, name));
    }
    assert_eq!(rig.decide(1, 0), ["backfill a/s~1", "backfill b/s~3"], "two at once");
    assert_eq!(rig.ended("a", down(), 1, 0), ["backfill a/s~2"]);
    assert_eq!(rig.ended("b", Ended::Done, 1, 1), ["backfill c/s~4"]);
    assert_eq!(rig.ended("a", Ended::Done, 1, 2), [""; 0]);
    assert_eq!(rig.schedule.next_wake(), Some(at(1, 30)));
    assert_eq!(rig.decide(1, 30), ["backfill a/s~1"]);
}

#[test]
fn a_pipeline_that_waits_after_a_failure_leaves_its_time_to_a_backfill_and_takes_it_back() {
    let mut rig = Rig::new(8, &[("a", TEN)]);
    rig.decide(10, 0);
    rig.schedule.add_backfill(backfill("a", "1"));
    assert_eq!(rig.ended("a", down(), 10, 10), ["backfill a/s~1"]);
    assert_eq!(rig.decide(10, 40), ["stop a"]);
    assert_eq!(rig.ended("a", Ended::Stopped, 10, 41), ["a for 600"]);
    assert_eq!(rig.ended("a", Ended::Done, 10, 50), ["backfill a/s~1"]);
}

#[test]
fn nothing_panics_and_a_pipeline_is_at_work_once_at_most_whatever_happens() {
    for seed in 0..300u64 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let lines = [
            "{ every: 7s, overlap: queue }",
            "{ every: 11s, overlap: cancel, missed: all }",
            "{ every: 3s }",
            "{ after: a }",
            "",
        ];
        let names = ["a", "b", "c", "d", "e"];
        let pairs: Vec<(&str, &str)> = names.iter().zip(lines).map(|(name, line)| (*name, line)).collect();
        let mut rig = Rig::new(2, &pairs);
        let (mut now, mut work): (i64, BTreeMap<String, bool>) = (0, BTreeMap::new());
        for step in 0..200 {
            now += dice.i64(0..12);
            let mut told = Vec::new();
            match dice.u32(0..12) {
                0 => {
                    work.clear();
                    rig.schedule = Schedule::new(&rig.plan, rig.stored.clone(), Vec::new(), at(0, now));
                }
                1 => rig.schedule.replan(&rig.plan, at(0, now)),
                2 => rig.schedule.add_backfill(backfill(names[dice.usize(..5)], &step.to_string())),
                3..8 if !work.is_empty() => {
                    let name = work.keys().nth(dice.usize(..work.len())).unwrap().clone();
                    let asked = work.remove(&name).unwrap();
                    let ended = match dice.u32(0..4) {
                        _ if asked => Ended::Stopped,
                        0 => down(),
                        1 => Ended::Stopped,
                        _ => Ended::Done,
                    };
                    told = rig.ended(&name, ended, 0, now);
                }
                _ => {}
            }
            told.extend(rig.decide(0, now));
            for action in told {
                let name = |text: &str| text.split([' ', '/']).next().unwrap().to_owned();
                match (action.strip_prefix("stop "), action.strip_prefix("backfill ")) {
                    (Some(stopped), _) => {
                        *work.get_mut(stopped).unwrap_or_else(|| panic!("seed {seed}: {stopped} is not at work")) = true
                    }
                    (_, Some(begun)) => {
                        assert_eq!(work.insert(name(begun), false), None, "seed {seed}: {begun} is at work")
                    }
                    _ => assert_eq!(work.insert(name(&action), false), None, "seed {seed}: {action} is at work"),
                }
            }
            let wake = rig.schedule.next_wake();
            assert!(wake.is_some_and(|wake| wake > at(0, now)), "seed {seed}: {wake:?} at {now}");
        }
    }
}

#[test]
fn a_day_is_a_day_for_the_clock_that_was_set_back_a_little() {
    let mut rig = Rig::new(8, &[("a", TEN)]);
    assert_eq!(rig.decide(10, 0), ["a for 600"]);
    rig.ended("a", Ended::Done, 10, 1);
    let back = at(10, 0) - TimeDelta::minutes(30);
    let decision = rig.schedule.decide(back);
    assert_eq!(rig.take(decision), [""; 0], "what was run is not run again");
    assert_eq!(rig.decide(10, 0), [""; 0]);
    assert_eq!(rig.decide(20, 0), ["a for 1200"]);
}
