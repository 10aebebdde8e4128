//! What becomes of times that passed while nothing could run.

use chrono::{DateTime, TimeDelta, Utc};

use crate::zones::{timetable, utc};

fn minutes(minutes: i64) -> DateTime<Utc> {
    utc(2026, 3, 1) + TimeDelta::minutes(minutes)
}

/// What is run, by its minute; how many of these were missed; how many are left out.
type Told = (Vec<i64>, usize, u64);

fn passed(policy: &str, since: DateTime<Utc>, now: DateTime<Utc>) -> Told {
    let times = timetable(&format!("{{ cron: \"*/10 * * * *\", missed: {policy} }}"));
    let passed = times.passed(since, now);
    let run = passed.run.iter().map(|at| (*at - minutes(0)).num_minutes()).collect();
    assert_eq!(passed.next, times.next_after(passed.last.unwrap_or(since)));
    (run, passed.late, passed.forgotten)
}

#[test]
fn a_time_that_is_handled_at_once_or_a_little_late_is_run_whatever_the_policy() {
    for policy in ["none", "last", "all"] {
        assert_eq!(passed(policy, minutes(0), minutes(9)), (vec![], 0, 0), "{policy}");
        for late in [0, 1, 30, 60] {
            let now = minutes(10) + TimeDelta::seconds(late);
            assert_eq!(passed(policy, minutes(0), now), (vec![10], 0, 0), "{policy} {late}");
        }
    }
}

#[test]
fn after_a_downtime_none_forgets_last_makes_up_once_and_all_makes_up_for_each() {
    let table: [(&str, i64, Told); 9] = [
        ("none", 15, (vec![], 0, 1)),
        ("last", 15, (vec![10], 1, 0)),
        ("all", 15, (vec![10], 1, 0)),
        ("none", 58, (vec![], 0, 5)),
        ("last", 58, (vec![50], 1, 4)),
        ("all", 58, (vec![10, 20, 30, 40, 50], 5, 0)),
        // The service is back just as a time comes: that one was not missed.
        ("none", 60, (vec![60], 0, 5)),
        ("last", 60, (vec![60], 0, 5)),
        ("all", 60, (vec![10, 20, 30, 40, 50, 60], 5, 0)),
    ];
    for (policy, back, expected) in table {
        assert_eq!(passed(policy, minutes(0), minutes(back)), expected, "{policy} after {back} minutes");
    }
}

#[test]
fn a_time_is_never_run_twice_and_never_lost_wherever_the_service_was_down() {
    let times = timetable("{ cron: \"7,23,54 * * * *\", missed: all, jitter: 5m }");
    for seed in 0..200u64 {
        println!("seed {seed}");
        let dice = fastrand::Rng::with_seed(seed);
        let (mut dice, mut now, mut since, mut ran) = (dice, minutes(0), minutes(0), Vec::new());
        while now < minutes(3_000) {
            // Looks at once, after a while, or after a long downtime.
            now += TimeDelta::seconds([1, 60, 900, 40_000][dice.usize(..4)] * dice.i64(1..10));
            let passed = times.passed(since, now);
            since = passed.last.unwrap_or(since);
            assert!(passed.next.unwrap().start > now);
            ran.extend(passed.run);
        }
        let expected: Vec<_> = std::iter::successors(times.next_after(minutes(0)), |due| times.next_after(due.at))
            .take_while(|due| due.start <= now)
            .map(|due| due.at)
            .collect();
        assert_eq!(ran, expected);
    }
}

#[test]
fn a_very_long_downtime_leaves_the_newest_thousand_and_takes_no_time() {
    let times = timetable("{ cron: \"* * * * * *\", missed: all }");
    let (since, now) = (utc(2020, 1, 1), utc(2026, 3, 1));
    let passed = times.passed(since, now);
    assert_eq!((passed.run.len(), passed.last), (1_000, Some(now)));
    assert_eq!(passed.run.first(), Some(&(now - TimeDelta::seconds(999))));
    assert!(passed.forgotten >= 9_000, "as many as are counted: {}", passed.forgotten);
    let once = timetable("{ cron: \"* * * * * *\", missed: last }").passed(since, now - TimeDelta::milliseconds(1));
    assert_eq!(once.run, [now - TimeDelta::seconds(1)]);
}

#[test]
fn a_clock_that_was_set_back_runs_nothing_again() {
    let times = timetable("{ cron: \"*/10 * * * *\", missed: all }");
    let passed = times.passed(minutes(100), minutes(55));
    assert_eq!((passed.run, passed.last, passed.next.map(|due| due.at)), (vec![], None, Some(minutes(110))));
}
