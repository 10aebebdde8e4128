//! What people ask of a schedule, and what comes of it.

use chrono::{DateTime, Utc};

use super::{
    tests::{Rig, TEN, at, down},
    *,
};
use crate::store::PausedBy;

type Asked = fn(&mut Schedule, &str, DateTime<Utc>) -> Result<Decision, Refused>;

impl Rig {
    fn ask(&mut self, ask: Asked, pipeline: &str, minute: i64, second: i64) -> Result<Vec<String>, Refused> {
        let decision = ask(&mut self.schedule, pipeline, at(minute, second))?;
        Ok(self.take(decision))
    }

    fn doing(&self, pipeline: &str) -> Doing {
        self.schedule.standings().into_iter().find(|standing| &*standing.pipeline == pipeline).unwrap().state
    }
}

const CANCEL: Asked = |schedule, pipeline, _| schedule.cancel(pipeline);

#[test]
fn a_triggered_pipeline_begins_at_once_with_or_without_a_schedule_and_not_twice() {
    let mut rig = Rig::new(8, &[("a", TEN), ("c", "")]);
    assert_eq!(rig.ask(Schedule::trigger, "c", 1, 0), Ok(vec!["c for 60".to_owned()]));
    assert_eq!(rig.ask(Schedule::trigger, "a", 1, 0), Ok(vec!["a for 60".to_owned()]));
    assert_eq!(rig.ask(Schedule::trigger, "a", 2, 0), Err(Refused::Busy));
    assert_eq!(rig.ask(Schedule::trigger, "b", 2, 0), Err(Refused::Unknown));
    assert_eq!(rig.ended("a", Ended::Done, 3, 0), [""; 0]);
    assert_eq!(rig.decide(10, 0), ["a for 600"], "its own times come as before");
}

#[test]
fn a_triggered_pipeline_does_not_wait_out_a_failure() {
    let mut rig = Rig::new(8, &[("a", TEN)]);
    assert_eq!(rig.decide(10, 0), ["a for 600"]);
    assert_eq!(rig.ended("a", down(), 10, 1), [""; 0]);
    assert_eq!(rig.doing("a"), Doing::Waiting);
    assert_eq!(rig.ask(Schedule::trigger, "a", 10, 2), Ok(vec!["a for 600".to_owned()]), "the time that it owes");
}

#[test]
fn a_paused_pipeline_stays_paused_over_a_restart_and_one_run_stands_for_what_it_left_out() {
    let mut rig = Rig::new(8, &[("a", TEN), ("forgets", "{ cron: \"*/10 * * * *\", missed: none }"), ("c", "")]);
    for pipeline in ["a", "forgets", "c"] {
        assert_eq!(rig.ask(Schedule::pause_one, pipeline, 1, 0), Ok(Vec::new()));
        assert_eq!(rig.ask(Schedule::pause_one, pipeline, 2, 0), Ok(Vec::new()), "twice is as good as once");
        assert_eq!((rig.doing(pipeline), rig.stored[pipeline].paused), (Doing::Paused, Some(at(1, 0))));
    }
    assert_eq!(rig.decide(10, 0), [""; 0]);
    assert_eq!(rig.restart(25), [""; 0], "it is remembered, for one without a schedule too");
    assert_eq!(rig.decide(31, 0), [""; 0]);
    assert_eq!(rig.left_out(), 0, "nobody is told of each time that a person has stopped");
    assert_eq!(rig.ask(Schedule::trigger, "a", 31, 0), Err(Refused::Paused));
    assert_eq!(rig.ask(|s, p, now| s.replay(p, 1, now), "c", 31, 0), Err(Refused::Paused));
    assert_eq!(rig.ask(Schedule::resume_one, "a", 32, 0).unwrap().len(), 1);
    assert_eq!(rig.ask(Schedule::resume_one, "forgets", 32, 0), Ok(Vec::new()));
    assert_eq!(rig.ask(Schedule::resume_one, "c", 32, 0), Ok(Vec::new()));
    assert!(!rig.stored.contains_key("c"), "there is nothing to remember of it any more");
    rig.ended("a", Ended::Done, 33, 0);
    assert_eq!(rig.decide(40, 0), ["a for 2400", "forgets for 2400"]);
}

#[test]
fn a_run_under_way_goes_on_when_its_pipeline_is_paused_and_one_that_is_cancelled_does_not_come_back() {
    let mut rig = Rig::new(8, &[("a", TEN)]);
    assert_eq!(rig.ask(CANCEL, "a", 1, 0), Err(Refused::Idle));
    assert_eq!(rig.decide(10, 0), ["a for 600"]);
    assert_eq!(rig.ask(Schedule::pause_one, "a", 11, 0), Ok(Vec::new()), "it is not stopped");
    assert_eq!(rig.ask(CANCEL, "a", 11, 0), Ok(vec!["stop a".to_owned()]));
    assert_eq!(rig.ended("a", Ended::Stopped, 11, 1), [""; 0]);
    assert_eq!(rig.ask(Schedule::resume_one, "a", 12, 0), Ok(Vec::new()), "nobody owes what was taken back");
    assert_eq!(rig.decide(20, 0), ["a for 1200"]);
    assert_eq!(rig.ended("a", Ended::Stopped, 21, 0), ["a for 1200"], "one that was stopped otherwise goes on");
}

#[test]
fn a_pause_by_a_reaction_stops_the_run_that_goes_on_afterwards_and_a_person_may_take_it_over() {
    let by = || PausedBy { objective: "success".to_owned(), why: "it burns".to_owned(), until: Some(at(30, 0)) };
    let pause: Asked = |schedule, pipeline, now| {
        let by = PausedBy { objective: "success".to_owned(), why: "it burns".to_owned(), until: Some(at(30, 0)) };
        schedule.pause_by(pipeline, by, now)
    };
    let mut rig = Rig::new(8, &[("a", TEN)]);
    assert_eq!(rig.decide(10, 0), ["a for 600"]);
    assert_eq!(rig.ask(pause, "a", 11, 0), Ok(vec!["stop a".to_owned()]));
    assert_eq!(rig.ended("a", Ended::Stopped, 11, 1), [""; 0], "nothing of it begins");
    let standing = rig.schedule.standing_of("a").unwrap();
    assert_eq!((standing.paused_since, standing.paused_by), (Some(at(11, 0)), Some(by())));
    assert_eq!(rig.stored["a"].paused_by, Some(by()), "a restart finds it");
    assert_eq!(rig.ask(Schedule::pause_one, "a", 12, 0), Ok(Vec::new()));
    assert_eq!(rig.schedule.standing_of("a").unwrap().paused_by, None, "now it is the person's");
    assert_eq!(rig.ask(Schedule::resume_one, "a", 13, 0), Ok(vec!["a for 600".to_owned()]), "it goes on");
    assert_eq!(rig.schedule.standing_of("a").unwrap().paused_since, None);
    assert_eq!(rig.ask(pause, "nobody", 13, 0), Err(Refused::Unknown));
}

#[test]
fn a_replay_waits_for_the_run_and_goes_before_the_next_one() {
    let replay: Asked = |schedule, pipeline, now| schedule.replay(pipeline, 7, now);
    let mut rig = Rig::new(8, &[("a", "{ cron: \"*/10 * * * *\", overlap: queue }")]);
    assert_eq!(rig.decide(10, 0), ["a for 600"]);
    assert_eq!(rig.ask(replay, "a", 11, 0), Ok(Vec::new()));
    assert_eq!(rig.decide(20, 0), [""; 0]);
    assert_eq!(rig.ended("a", Ended::Done, 21, 0), ["replay 7 of a"]);
    assert_eq!(rig.schedule.standings()[0].at_work, Some("replay"));
    assert_eq!(rig.decide(22, 0), [""; 0], "a pipeline is at work once at most");
    assert_eq!(rig.ended("a", Ended::Done, 23, 0), ["a for 1200"]);
}

#[test]
fn wishes_are_bounded() {
    let mut rig = Rig::new(8, &[("a", TEN)]);
    assert_eq!(rig.decide(10, 0), ["a for 600"]);
    for ticket in 0..100 {
        let decision = rig.schedule.replay("a", ticket, at(11, 0)).unwrap();
        assert!(decision.actions.is_empty());
    }
    assert_eq!(rig.schedule.replay("a", 100, at(11, 0)).unwrap_err(), Refused::Full);
}
