//! Intervals, jitter and days that do not count.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate, TimeDelta, Weekday};
use chrono_tz::Tz;
use renkei::engine::Timetable;

use crate::zones::{all, schedule, timetable, utc};

#[test]
fn an_interval_keeps_its_beat_over_restarts_and_pipelines_spread_out() {
    let every = timetable("{ every: 5m }");
    let found = all(&every, utc(2026, 3, 1), utc(2026, 3, 2));
    assert_eq!(found.len(), 288);
    assert!(found.windows(2).all(|pair| pair[1] - pair[0] == TimeDelta::minutes(5)));
    let later = all(&timetable("{ every: 5m }"), utc(2026, 3, 1) + TimeDelta::hours(7), utc(2026, 3, 2));
    assert_eq!(later, found[found.len() - later.len()..]);

    let schedule = schedule("{ every: 1m }");
    let starts =
        |name: u32| Timetable::new(&name.to_string(), &schedule).unwrap().next_after(utc(2026, 3, 1)).unwrap().at;
    let mut per_second = [0; 60];
    (0..6_000)
        .for_each(|name| per_second[((starts(name) - utc(2026, 3, 1)).num_milliseconds() - 1) as usize / 1_000] += 1);
    assert!(per_second.iter().all(|count| (50..160).contains(count)), "{per_second:?}");
}

#[test]
fn jitter_puts_a_start_off_by_less_than_it_says_and_by_the_same_whenever_one_asks() {
    let times = timetable("{ cron: \"*/10 * * * *\", jitter: 90s }");
    let dues: Vec<_> = all(&times, utc(2026, 3, 1), utc(2026, 3, 3))
        .into_iter()
        .map(|at| times.next_after(at - TimeDelta::milliseconds(1)).unwrap())
        .collect();
    assert!(dues.iter().all(|due| due.start >= due.at && due.start - due.at < TimeDelta::seconds(90)));
    let put_off: BTreeSet<_> = dues.iter().map(|due| due.start - due.at).collect();
    assert!(put_off.len() > dues.len() - 5, "each time has its own");
    let again = timetable("{ cron: \"*/10 * * * *\", jitter: 90s }");
    assert!(dues.iter().all(|due| again.next_after(due.at - TimeDelta::seconds(1)) == Some(*due)));
    let other = Timetable::new("b", &schedule("{ cron: \"*/10 * * * *\", jitter: 90s }")).unwrap();
    assert!(dues.iter().any(|due| other.next_after(due.at - TimeDelta::seconds(1)).unwrap().start != due.start));
}

#[test]
fn on_business_days_only_no_time_falls_on_a_weekend_or_holiday_and_none_is_left_out() {
    let japan = "only: business_days, calendar: japan, timezone: Asia/Tokyo";
    for line in ["cron: \"30 9 * * *\"", "cron: \"*/30 * * * *\"", "every: 45m"] {
        let begin = utc(2026, 4, 25);
        let found = all(&timetable(&format!("{{ {line}, {japan} }}")), begin, utc(2026, 5, 15));
        let plain = if line.starts_with("cron") {
            format!("{{ {line}, timezone: Asia/Tokyo }}")
        } else {
            format!("{{ {line} }}")
        };
        let day = |month, day| NaiveDate::from_ymd_opt(2026, month, day).unwrap();
        let holidays = [day(4, 29), day(5, 3), day(5, 4), day(5, 5), day(5, 6)];
        let expected: Vec<_> = all(&timetable(&plain), begin, utc(2026, 5, 15))
            .into_iter()
            .filter(|at| {
                let date = at.with_timezone(&Tz::Asia__Tokyo).date_naive();
                !matches!(date.weekday(), Weekday::Sat | Weekday::Sun) && !holidays.contains(&date)
            })
            .collect();
        assert_eq!(found, expected, "{line}");
        assert!(!found.is_empty());
    }
}

#[test]
fn a_day_that_never_counts_is_never_due_and_nobody_hangs_looking_for_it() {
    // The 29th of February falls on a Saturday in 2048, which is a holiday of the weekend; asked from just before it, the next one counts.
    let leap = timetable("{ cron: \"0 9 29 2 *\", only: business_days }");
    assert_eq!(leap.next_after(utc(2047, 1, 1)).unwrap().at, utc(2052, 2, 29) + TimeDelta::hours(9));
    let ends = timetable("{ cron: \"0 9 * * *\" }");
    assert_eq!(ends.next_after(utc(2101, 1, 1)), None);
}
