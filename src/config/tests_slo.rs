//! Objectives, reactions, canaries and probes in whole workspaces: what is filled in, and what is refused.

use std::time::Duration;

use super::{
    plan::{Act, Burns, Canary, Connection, Objective},
    tests_load::{Workspace, expect},
};
use crate::model::Code;

const FILE: &str = "pipelines/a.yaml";

/// A pipeline that says this on its second line.
fn pipeline(line: &str, schedule: &str) -> String {
    format!(
        "version: 1\n{line}\n{schedule}from: {{ connection: crm, stream: people }}\nto: {{ connection: files, file: a }}\n"
    )
}

const QUARTERLY: &str = "schedule: { every: 15m }\n";

#[test]
fn objectives_have_reactions_with_their_defaults() {
    let slo = "slo: { freshness: 1h, success: 99.5%, p95: 200ms, reactions: [{ when: success, do: pause }, { when: p95, burns: slow, do: slow_down }, { when: freshness, do: pause, resume: by_itself, hold: 1m }] }";
    let checked = Workspace::with(FILE, &pipeline(slo, QUARTERLY)).check(&[]);
    assert!(checked.report.is_empty(), "{}", checked.report);
    let plan = checked.plan.unwrap();
    let slo = plan.pipelines["a"].slo.clone().unwrap();
    assert_eq!((slo.freshness, slo.p95), (Some(Duration::from_secs(3_600)), Some(Duration::from_millis(200))));
    let targets = Objective::ALL.map(|objective| slo.target(objective));
    assert_eq!(targets, [Some(0.99), Some(0.995), Some(0.95)]);
    let [pause, slow, short] = &slo.reactions[..] else { panic!("{slo:?}") };
    assert_eq!(
        (pause.when, pause.burns, pause.act),
        (Objective::Success, Burns::Fast, Act::Pause { by_itself: false })
    );
    assert_eq!((slow.burns, slow.act, slow.hold), (Burns::Slow, Act::SlowDown(0.5), Duration::from_secs(900)));
    assert_eq!((short.act, short.hold), (Act::Pause { by_itself: true }, Duration::from_secs(60)));

    let text =
        pipeline("canary: {}", "").replace("connection: files, file: a", "connection: crm, operation: put_person");
    let checked = Workspace::with(FILE, &text).check(&[]);
    assert_eq!(checked.plan.unwrap().pipelines["a"].canary, Some(Canary { share: 0.05, min: 20, success: 0.99 }));
}

#[test]
fn what_could_not_be_kept_or_could_never_come_is_an_error_at_its_place() {
    let reaction = |objectives: &str, reaction: &str| format!("slo: {{ {objectives}, reactions: [{{ {reaction} }}] }}");
    for (line, code, at, help) in [
        ("slo: {}".to_owned(), Code::MissingKey, "{", "`freshness`, `success` or `p95`"),
        ("slo: { success: 120% }".to_owned(), Code::WrongType, "120%", "a share such as"),
        ("slo: { success: 100% }".to_owned(), Code::OutOfRange, "100%", "keeps no budget for errors"),
        ("slo: { success: 0% }".to_owned(), Code::OutOfRange, "0%", "asks for nothing"),
        ("slo: { p95: 0ms }".to_owned(), Code::OutOfRange, "0ms", "1ms"),
        ("slo: { freshness: 15m }".to_owned(), Code::ObjectiveUnkeepable, "15m", "900s pass between two runs"),
        (reaction("success: 99%", "when: p95, do: pause"), Code::ReactionNever, "p95", "no objective `p95`"),
        (
            reaction("success: 90%", "when: success, do: pause"),
            Code::ReactionNever,
            "success, do",
            "10.0 times as fast",
        ),
        (reaction("p95: 1s", "when: p95, do: async"), Code::ReactionNever, "async", "mode: sync"),
        (reaction("p95: 1s", "when: p95, do: slow_down, to: 95%"), Code::OutOfRange, "95%", "from 1% to 90%"),
        (reaction("p95: 1s", "when: p95, do: pause, to: 50%"), Code::Conflict, "50%", "belongs to `slow_down`"),
        (reaction("p95: 1s", "when: p95, do: pause, hold: 1m"), Code::Conflict, "1m", "resume: by_itself"),
        (
            reaction("p95: 1s", "when: p95, do: slow_down, resume: by_itself"),
            Code::Conflict,
            "by_itself",
            "belongs to `pause`",
        ),
        (reaction("p95: 1s", "when: p95, do: slow_down, hold: 5s"), Code::OutOfRange, "5s }", "10s"),
        (reaction("p95: 1s", "when: p95, do: slowdown"), Code::UnknownKey, "slowdown", "slow_down"),
        ("canary: { share: 0% }".to_owned(), Code::OutOfRange, "0%", "asks for nothing"),
        ("canary: { share: 100% }".to_owned(), Code::OutOfRange, "100%", "none to hold back"),
        ("canary: { min: 0 }".to_owned(), Code::OutOfRange, "0", "1"),
        ("canary: { success: 0% }".to_owned(), Code::OutOfRange, "0%", "good enough"),
    ] {
        let text =
            pipeline(&line, QUARTERLY).replace("connection: files, file: a", "connection: crm, operation: put_person");
        let report = Workspace::with(FILE, &text).report();
        let column = line.find(at).unwrap_or_else(|| panic!("{line} has no {at}")) + 1;
        expect(&report, &[(code, FILE, 2, column, help)]);
    }
}

#[test]
fn a_canary_is_for_what_is_read_and_written_by_an_operation() {
    let report = Workspace::with(FILE, &pipeline("canary: {}", "")).report();
    expect(&report, &[(Code::Conflict, FILE, 2, 9, "it is for operations")]);
    let pushed =
        "version: 1\ncanary: {}\nfrom: { ingress: { key: id } }\nto: { connection: crm, operation: put_person }\n";
    expect(&Workspace::with(FILE, pushed).report(), &[(Code::Conflict, FILE, 2, 9, "a few records at a time")]);
}

#[test]
fn freshness_needs_a_schedule_that_can_keep_it() {
    for (schedule, freshness, help) in [
        ("", "1d", "has no schedule"),
        ("schedule: { cron: \"0 9,10,18 * * *\" }\n", "15h", "54000s pass"),
        ("schedule: { cron: \"*/10 * * * *\" }\n", "10m", "600s pass"),
    ] {
        let line = format!("slo: {{ freshness: {freshness} }}");
        let report = Workspace::with(FILE, &pipeline(&line, schedule)).report();
        expect(&report, &[(Code::ObjectiveUnkeepable, FILE, 2, 19, help)]);
    }
    for (schedule, freshness) in [
        ("schedule: { cron: \"0 9,10,18 * * *\" }\n", "16h"),
        ("schedule: { cron: \"*/10 * * * *\" }\n", "11m"),
        ("schedule: { cron: \"0,30 * * * * *\" }\n", "1m"),
    ] {
        let report = Workspace::with(FILE, &pipeline(&format!("slo: {{ freshness: {freshness} }}"), schedule)).report();
        assert!(report.is_empty(), "{schedule} {freshness}: {report}");
    }
    let pushed =
        "version: 1\nslo: { freshness: 1h }\nfrom: { ingress: { key: id } }\nto: { connection: files, file: a }\n";
    expect(
        &Workspace::with(FILE, pushed).report(),
        &[(Code::ObjectiveUnkeepable, FILE, 2, 19, "nothing is read here")],
    );
    let sync = "version: 1\nslo: { p95: 1s, reactions: [{ when: p95, do: async }] }\nfrom: { ingress: { key: id, mode: sync } }\nto: { connection: files, file: a }\n";
    assert!(Workspace::with(FILE, sync).report().is_empty());
}

#[test]
fn a_probe_names_a_stream_of_its_connection() {
    let workspace = |probe: &str, files: &str| {
        let text = format!(
            "version: 1\nconnections:\n  crm: {{ connector: crm, probe: {probe} }}\n  files: {{ jsonl: {{ path: out }}{files} }}\n"
        );
        Workspace::with("renkei.yaml", &text)
    };
    let connector = |workspace: &Workspace| {
        let path = workspace.0.path().join("connectors/crm");
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(
            path.join("connector.yaml"),
            "version: 1\nbase_url: https://a.example\nstreams: { people: { get: /p, key: id } }\n",
        )
        .unwrap();
    };
    let good = workspace("{ call: people }", "");
    connector(&good);
    let plan = good.check(&[]).plan.unwrap();
    let Connection::Api(api) = &plan.connections["crm"] else { panic!("it is an API") };
    let probe = api.probe.as_ref().unwrap();
    assert_eq!((probe.every, probe.stream.name.as_str()), (Duration::from_secs(300), "people"));
    for (probe, at, code, help) in [
        ("{ call: poeple }", "poeple", Code::UnknownName, "did you mean `people`?"),
        ("{ call: people, every: 1s }", "1s", Code::OutOfRange, "10s"),
        ("{}", "probe", Code::MissingKey, "call"),
    ] {
        let wrong = workspace(probe, "");
        connector(&wrong);
        let column = format!("  crm: {{ connector: crm, probe: {probe}").rfind(at).unwrap() + 1;
        expect(&wrong.report(), &[(code, "renkei.yaml", 3, column, help)]);
    }
    let wrong = workspace("{ call: people }", ", probe: { call: people }");
    connector(&wrong);
    assert_eq!(wrong.report().diagnostics[0].code, Code::Conflict);
}
