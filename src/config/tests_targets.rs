//! Pipelines with several targets: what they are, and every mistake at its place.

use std::fs;

use super::{
    Report,
    tests_load::{Workspace, expect},
};
use crate::model::Code;

const PIPELINE: &str = "pipelines/p.yaml";

/// A workspace whose pipeline has these targets, from its third line on.
fn with(to: &str, more: &str) -> Workspace {
    let text = format!("version: 1\nfrom: {{ connection: crm, stream: people }}\nto: {to}\n{more}");
    Workspace::with(PIPELINE, &text)
}

/// What is wrong when another file stands beside two targets.
fn beside(name: &str, text: &str) -> Report {
    let workspace = with(TWO, "");
    fs::write(workspace.0.path().join(name), text).unwrap();
    workspace.report()
}

const TWO: &str = "[{ name: a, connection: files, file: a, when: record.x }, { name: b, connection: files, file: b }]";

#[test]
fn each_target_is_a_pipeline_named_after_the_file_and_itself() {
    let checked = with(TWO, "").check(&[]);
    assert!(checked.report.is_empty(), "{}", checked.report);
    let pipelines = checked.plan.unwrap().pipelines;
    let told: Vec<(&str, &str, usize)> =
        pipelines.values().map(|it| (it.name.as_str(), it.file.as_str(), it.steps.len())).collect();
    assert_eq!(told, [("p.a", "p", 1), ("p.b", "p", 0)]);
    let one = with("[{ connection: files, file: a }]", "").check(&[]).plan.unwrap().pipelines;
    assert_eq!(one.keys().collect::<Vec<_>>(), ["p"]);
    let named = with("{ name: a, connection: files, file: a, when: record.x }", "").check(&[]).plan.unwrap().pipelines;
    assert_eq!(named.keys().collect::<Vec<_>>(), ["p.a"]);
}

#[test]
fn what_is_wrong_with_targets_is_told_once_and_at_its_place() {
    let a = "connection: files, file: a";
    let b = "connection: files, file: b";
    for (to, code, at, help) in [
        (format!("{{ {a}, when: record.x }}"), Code::Conflict, "record.x", "as the last step"),
        (format!("[{{ {a} }}, {{ name: b, {b} }}]"), Code::MissingKey, "{ conn", "name each of several targets"),
        (
            format!("[{{ name: a, {a} }}, {{ name: a, {b} }}]"),
            Code::Conflict,
            "a, connection: files, file: b",
            "a name of its own",
        ),
        (format!("[{{ name: a.b, {a} }}, {{ name: b, {b} }}]"), Code::BadPath, "a.b", "use letters"),
        (format!("[{{ name: a, {a} }}, {{ name: b, {a} }}]"), Code::Conflict, "a }]", "a file of its own"),
        (
            format!("[{{ name: a, {a}, when: recrd.x }}, {{ name: b, {b} }}]"),
            Code::Expression,
            "recrd",
            "did you mean `record`?",
        ),
    ] {
        let report = with(&to, "").check(&[]).report;
        let column = "to: ".len() + to.find(at).unwrap() + 1;
        expect(&report, &[(code, PIPELINE, 3, column, help)]);
    }
    // The steps are those of both targets, and their mistake is one.
    let report = with(TWO, "steps: [{ filter: recrd.x }]\n").check(&[]).report;
    assert_eq!(report.errors(), 1, "{report}");
}

#[test]
fn two_files_cannot_make_one_pipeline_and_a_schedule_names_a_target() {
    let plain = "version: 1\nfrom: { connection: crm, stream: people }\nto: { connection: files, file: c }\n";
    let report = beside("pipelines/p.a.yaml", plain);
    assert_eq!(report.errors(), 1, "{report}");
    assert!(report.to_string().contains("another file makes a pipeline `p.a`"), "{report}");
    let after = |name: &str| {
        let text = format!("{plain}schedule: {{ after: {name} }}\n");
        beside("pipelines/q.yaml", &text)
    };
    assert!(after("p.a").is_empty(), "{}", after("p.a"));
    assert_eq!(after("p").diagnostics[0].code, Code::UnknownName);
}

#[test]
fn records_that_are_pushed_go_to_one_target() {
    let text = format!("version: 1\nfrom: {{ ingress: {{ key: id }} }}\nto: {TWO}\n");
    let report = Workspace::with(PIPELINE, &text).check(&[]).report;
    assert!(report.to_string().contains("several targets have several"), "{report}");
}
