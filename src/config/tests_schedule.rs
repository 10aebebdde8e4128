//! Schedules in whole workspaces: what is filled in, and what is refused with which code and help.

use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::{
    plan::{Busy, Cadence, Days, Missed, Schedule},
    tests_load::{Workspace, expect},
    *,
};
use crate::model::Code;

const FILE: &str = "pipelines/a.yaml";

fn pipeline(schedule: &str, to: &str) -> String {
    format!(
        "version: 1\nschedule: {schedule}\nfrom: {{ connection: crm, stream: people }}\nto: {{ connection: files, file: {to} }}\n"
    )
}

fn planned(schedule: &str) -> Schedule {
    let checked = Workspace::with(FILE, &pipeline(schedule, "a")).check(&[]);
    assert!(checked.report.is_empty(), "{}", checked.report);
    checked.plan.unwrap().pipelines["a"].schedule.clone().unwrap()
}

#[test]
fn a_schedule_says_when_and_the_rest_has_defaults() {
    let cron = planned(
        "{ cron: \"*/15 * * * *\", timezone: Asia/Tokyo, missed: none, overlap: queue, jitter: 30s, only: business_days, calendar: japan }",
    );
    assert_eq!((cron.zone, cron.missed, cron.busy), (Tz::Asia__Tokyo, Missed::None, Busy::Queue));
    assert_eq!(cron.jitter, Duration::from_secs(30));
    assert_eq!(cron.to_string(), "cron */15 * * * * in Asia/Tokyo on business days of japan");
    let Days::Business(calendars) = &cron.days else { panic!("only business days count") };
    assert!(calendars[0].holidays.contains(&NaiveDate::from_ymd_opt(2027, 3, 22).unwrap()));
    assert_eq!(calendars[0].ends(), NaiveDate::from_ymd_opt(2027, 12, 31));

    let every = planned("{ every: 5m }");
    assert_eq!(every.cadence, Cadence::Every(Duration::from_secs(300)));
    assert_eq!((every.zone, every.missed, every.busy, every.days), (Tz::UTC, Missed::Last, Busy::Skip, Days::All));
    assert_eq!(
        planned("{ every: 1h, only: business_days, timezone: Europe/London }").to_string(),
        "every 3600s on business days in Europe/London"
    );
}

#[test]
fn a_workspace_brings_calendars_of_its_own_and_may_replace_one_that_ended() {
    let renkei = "version: 1\ncalendars: { office: { file: days/office.txt }, japan: { file: days/office.txt } }\nconnections:\n  crm: { connector: crm }\n  files: { jsonl: { path: out } }\n";
    let workspace = Workspace::with("renkei.yaml", renkei);
    std::fs::create_dir_all(workspace.0.path().join("days")).unwrap();
    std::fs::create_dir_all(workspace.0.path().join("pipelines")).unwrap();
    std::fs::write(workspace.0.path().join("days/office.txt"), "# closed\n2028-12-29 year's end\n").unwrap();
    let text = pipeline("{ cron: \"@daily\", only: business_days, calendar: [office, japan] }", "a");
    std::fs::write(workspace.0.path().join(FILE), text).unwrap();
    let checked = workspace.check(&[]);
    assert!(checked.report.is_empty(), "{}", checked.report);
    let plan = checked.plan.unwrap();
    let Some(Days::Business(calendars)) = plan.pipelines["a"].schedule.as_ref().map(|schedule| schedule.days.clone())
    else {
        panic!("only business days count")
    };
    assert!(calendars.iter().all(|calendar| calendar.ends() == NaiveDate::from_ymd_opt(2028, 12, 31)));

    std::fs::write(workspace.0.path().join("days/office.txt"), "2028-12-29\n29.12.2028\n").unwrap();
    let wrong = (Code::CalendarFile, "renkei.yaml", 2, 30, "line 2 begins with `29.12.2028`, which is no date");
    expect(&workspace.report(), &[wrong, (Code::CalendarFile, "renkei.yaml", 2, 64, "2027-01-01")]);
}

#[test]
fn what_a_schedule_cannot_mean_is_an_error_at_its_place() {
    for (schedule, code, at, help) in [
        ("{ cron: \"61 * * * *\" }", Code::CrontabLine, "61", "from 0 to 59"),
        ("{ cron: \"0 0 * * FR\" }", Code::CrontabLine, "FR", "from SUN to SAT"),
        ("{ cron: \"0 0 31 2 *\" }", Code::NeverDue, "31 2", "no year has such a day"),
        ("{ cron: \"0 9 * * 6,7\", only: business_days }", Code::NeverDue, "business_days", "the weekend only"),
        ("{ cron: \"@daily\", timezone: Asia/Tokio }", Code::TimeZone, "Asia", "did you mean `Asia/Tokyo`?"),
        ("{ cron: \"@daily\", timezone: JST-9 }", Code::TimeZone, "JST", "IANA name"),
        ("{ every: 1h, only: business_days, calendar: jpan }", Code::UnknownName, "jpan", "did you mean `japan`?"),
        ("{ cron: \"@daily\", calendar: japan }", Code::Conflict, "japan", "only: business_days"),
        ("{ cron: \"@daily\", every: 5m }", Code::Conflict, "5m", "`cron` and `every` both say when"),
        ("{ timezone: Asia/Tokyo }", Code::MissingKey, "{", "one of `cron`, `every` and `after`"),
        ("{ every: 5m, timezone: Asia/Tokyo }", Code::Conflict, "Asia", "no meaning beside `every`"),
        ("{ every: 500ms }", Code::OutOfRange, "500ms", "1s"),
        ("{ every: 10s, jitter: 11s }", Code::OutOfRange, "11s", "10s"),
        ("{ every: 1d, jitter: 2h }", Code::OutOfRange, "2h", "3600s"),
        ("{ every: 5m, missed: some }", Code::UnknownKey, "some", "none"),
    ] {
        let report = Workspace::with(FILE, &pipeline(schedule, "a")).report();
        let column = "schedule: ".len() + schedule.find(at).unwrap() + 1;
        expect(&report, &[(code, FILE, 2, column, help)]);
    }
    let after = "{ after: b, timezone: UTC, missed: last, jitter: 1s, only: business_days }";
    let report = Workspace::with(FILE, &pipeline(after, "a")).report();
    let codes: Vec<Code> = report.diagnostics.iter().map(|one| one.code).collect();
    assert_eq!(codes, [Code::UnknownName, Code::Conflict, Code::Conflict, Code::Conflict, Code::Conflict], "{report}");
}

#[test]
fn pipelines_that_wait_for_each_other_in_a_circle_are_told_once() {
    let after = |name: &str| pipeline(&format!("{{ after: {name} }}"), name);
    let workspace = Workspace::with(FILE, &after("c"));
    for (name, waits_for) in [("b", "a"), ("c", "b"), ("d", "a"), ("e", "e")] {
        let text = pipeline(&format!("{{ after: {waits_for} }}"), name);
        std::fs::write(workspace.0.path().join(format!("pipelines/{name}.yaml")), text).unwrap();
    }
    std::fs::write(workspace.0.path().join(FILE), pipeline("{ after: c }", "a")).unwrap();
    let circle = (Code::AfterCircle, FILE, 2, 20, "none of them ever begins: a after c after b after a");
    expect(&workspace.report(), &[circle, (Code::AfterCircle, "pipelines/e.yaml", 2, 20, "e after e")]);
    assert_eq!(workspace.report().diagnostics[0].related.len(), 2);
}

#[test]
fn a_line_and_a_zone_may_come_from_the_environment() {
    let text = pipeline("{ cron: \"${WHEN}\", timezone: \"${ZONE:-Asia/Tokyo}\" }", "a");
    let workspace = Workspace::with(FILE, &text);
    let plan = workspace.check(&[("WHEN", "5 4 * * *")]).plan.unwrap();
    assert_eq!(plan.pipelines["a"].schedule.as_ref().unwrap().to_string(), "cron 5 4 * * * in Asia/Tokyo");
    assert!(check(workspace.0.path(), &MapEnvironment::default(), true).report.is_empty());
}
