//! The engine's crontab against the oracle.

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use renkei::{
    config::{self, MapEnvironment, plan::Schedule},
    engine::Timetable,
};

use crate::oracle::{LINES, Line, live};

const ZONES: [Tz; 5] =
    [Tz::Asia__Tokyo, Tz::America__New_York, Tz::Europe__London, Tz::Australia__Lord_Howe, Tz::Africa__Casablanca];

pub fn utc(year: i32, month: u32, day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(year, month, day, 0, 0, 0).unwrap()
}

/// A schedule as it stands in a pipeline's file, the whole way through the configuration.
pub fn schedule(text: &str) -> Schedule {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        std::fs::create_dir_all(folder.path().join(path).parent().unwrap()).unwrap();
        std::fs::write(folder.path().join(path), text).unwrap();
    };
    write("renkei.yaml", "version: 1\nconnections:\n  a: { connector: a }\n  files: { jsonl: { path: out } }\n");
    let connector = "version: 1\nbase_url: https://a.example\nstreams: { people: { get: /p, key: id } }\n";
    write("connectors/a/connector.yaml", connector);
    let ends = "from: { connection: a, stream: people }\nto: { connection: files, file: a }\n";
    write("pipelines/a.yaml", &format!("version: 1\nschedule: {text}\n{ends}"));
    let plan = config::load(folder.path(), &MapEnvironment::default()).unwrap_or_else(|report| panic!("{report}"));
    plan.pipelines["a"].schedule.clone().unwrap()
}

pub fn timetable(text: &str) -> Timetable {
    Timetable::new("a", &schedule(text)).unwrap()
}

fn cron(line: &str, zone: Tz) -> Timetable {
    timetable(&format!("{{ cron: \"{line}\", timezone: {} }}", zone.name()))
}

/// All times after `begin` and before `end`.
pub fn all(timetable: &Timetable, begin: DateTime<Utc>, end: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let first = timetable.next_after(begin);
    let times = std::iter::successors(first, |due| timetable.next_after(due.at)).map(|due| due.at);
    times.take_while(|at| *at < end).collect()
}

#[test]
fn every_line_is_due_when_cron_would_run_it_in_five_zones_over_ten_years() {
    let (begin, end) = (utc(2024, 1, 1), utc(2034, 1, 1));
    let mut changes = 0;
    for zone in ZONES {
        let told = live(zone, begin, end, &LINES);
        println!("{zone}: the clock jumps ahead {} times and is set back {} times", told.ahead, told.back);
        changes += told.changes.len();
        for (line, expected) in LINES.iter().zip(&told.due) {
            let found = all(&cron(line.text, zone), begin, end);
            let first = found.iter().zip(expected).find(|(found, expected)| found != expected);
            assert_eq!(first, None, "`{}` in {zone}: found, expected", line.text);
            assert_eq!(found.len(), expected.len(), "`{}` in {zone}", line.text);
            assert!(!expected.is_empty(), "`{}` in {zone}", line.text);
        }
    }
    // Twice a year in New York and London and on Lord Howe, and around each Ramadan in Casablanca, of which 2030 has two.
    assert_eq!(changes, 82);
}

/// A line that is due each minute, and one that is due each second, through every change of a clock, asked from every minute around it.
#[test]
fn through_every_gap_and_overlap_no_minute_is_left_out_and_time_never_goes_back() {
    let (begin, end) = (utc(2024, 1, 1), utc(2034, 1, 1));
    for zone in ZONES {
        let each_minute = cron("* * * * *", zone);
        let each_second = cron("* * * * * *", zone);
        let half_past = cron("30 * * * *", zone);
        for at in live(zone, begin, end, &[]).changes {
            for around in -150..150 {
                let from = at + TimeDelta::minutes(around);
                assert_eq!(each_minute.next_after(from).unwrap().at, from + TimeDelta::minutes(1), "{zone} {from}");
                let second = from + TimeDelta::seconds(around.rem_euclid(60));
                assert_eq!(
                    each_second.next_after(second).unwrap().at,
                    second + TimeDelta::seconds(1),
                    "{zone} {second}"
                );
                let half = half_past.next_after(from + TimeDelta::seconds(17)).unwrap().at;
                assert!(half > from && half - from <= TimeDelta::minutes(120), "{zone} {from}: {half}");
            }
        }
    }
}

#[test]
fn a_sixth_field_counts_seconds_and_a_fixed_time_is_asked_from_any_moment() {
    let times = cron("*/20 30 9 * * *", Tz::Asia__Tokyo);
    let found = all(&times, utc(2026, 3, 1), utc(2026, 3, 2));
    let first = Utc.with_ymd_and_hms(2026, 3, 1, 0, 30, 0).unwrap();
    assert_eq!(found, [0, 20, 40].map(|second| first + TimeDelta::seconds(second)));
    for seed in 0..2_000u64 {
        let from = utc(2026, 1, 1) + TimeDelta::milliseconds((seed * 777_767_777 % 31_536_000_000) as i64);
        let next = times.next_after(from).unwrap().at;
        assert!(next > from && next - from <= TimeDelta::hours(24), "{from} {next}");
    }
}

/// Dates on which clocks do odd things: at midnight, by a whole day, for good.
#[test]
fn odd_changes_of_clocks_lose_no_day() {
    for (zone, begin, days) in [
        (Tz::America__Santiago, utc(2026, 8, 1), 60),
        (Tz::Asia__Beirut, utc(2026, 3, 1), 60),
        (Tz::Africa__Cairo, utc(2026, 4, 1), 60),
        (Tz::America__Havana, utc(2026, 10, 1), 60),
        (Tz::Asia__Amman, utc(2022, 9, 1), 90),
        (Tz::America__Sao_Paulo, utc(2018, 10, 1), 60),
    ] {
        let daily = all(&cron("0 0 * * *", zone), begin, begin + TimeDelta::days(days));
        assert_eq!(daily.len() as i64, days, "{zone}");
        let told = live(zone, begin, begin + TimeDelta::days(days), &LINES);
        for (line, expected) in LINES.iter().zip(&told.due) {
            let found = all(&cron(line.text, zone), begin, begin + TimeDelta::days(days));
            assert_eq!(&found, expected, "`{}` in {zone}", line.text);
        }
    }
    // Samoa went over the date line: there was no 30 December 2011. Its times come at once when the 31st begins.
    let (begin, end) = (utc(2011, 12, 28), utc(2012, 1, 2));
    let noon = all(&cron("0 12 * * *", Tz::Pacific__Apia), begin, end);
    let line = Line { text: "0 12 * * *", fixed: true, fits: |at| at.hour == 12 && at.minute == 0 };
    assert_eq!([noon], live(Tz::Pacific__Apia, begin, end, &[line]).due[..]);
}
