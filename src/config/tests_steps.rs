//! Steps and streams that do more than move fields: what they are by default, and every mistake at its place.

use super::{
    plan::{Asks, Kind, Missing, StepPlan, Winner},
    tests_load::{Workspace, expect},
};
use crate::model::Code;

const PIPELINE: &str = "pipelines/p.yaml";
const CONNECTOR: &str = "connectors/crm/connector.yaml";

/// A workspace whose pipeline has one step, in its fourth line.
fn with(step: &str, from: &str) -> Workspace {
    let ends = format!("from: {{ {from} }}\nto: {{ connection: files, file: p }}");
    Workspace::with(PIPELINE, &format!("version: 1\n{ends}\nsteps: [{{ {step} }}]\n"))
}

const PEOPLE: &str = "connection: crm, stream: people";

fn planned(step: &str) -> StepPlan {
    let checked = with(step, PEOPLE).check(&[]);
    assert!(checked.report.is_empty(), "{step}\n{}", checked.report);
    checked.plan.unwrap().pipelines["p"].steps[0].clone()
}

#[test]
fn steps_are_taken_with_their_defaults() {
    assert!(
        matches!(planned("dedupe: { by: record.a }"), StepPlan::Dedupe(it) if (it.winner, it.max) == (Winner::FirstOfRun, 200_000))
    );
    let flatten = planned("flatten: {}");
    assert!(
        matches!(flatten, StepPlan::Flatten(it) if (it.separator.as_str(), it.depth, it.only.is_none()) == ("_", 127, true))
    );
    let coerce = planned("coerce: { a: integer, b: { date_as: \"%d.%m.%y\" } }");
    assert!(
        matches!(coerce, StepPlan::Coerce(it) if it[0].1 == Kind::Integer && it[1].1 == Kind::DateAs("%d.%m.%y".into()))
    );
    let lookup =
        |more: &str| match planned(&format!("lookup: {{ connection: crm, by: id, match: record.a, into: b, {more} }}"))
        {
            StepPlan::Lookup(lookup) => lookup,
            other => panic!("{other:?}"),
        };
    let all = lookup("stream: people");
    assert_eq!((all.asks, all.missing, all.max, all.stream.single), (Asks::All, Missing::Reject, 100_000, false));
    let many = lookup("stream: people, query: { ids: \"{{ lookup.values | join(',') }}\" }, batch: 7, missing: skip");
    assert_eq!((many.asks, many.missing, many.max), (Asks::Many(7), Missing::Skip, 10_000));
    let one = lookup("get: \"/people/{{ lookup.value }}\"");
    assert_eq!((one.asks, one.stream.single), (Asks::One, true));
}

#[test]
fn a_split_is_a_stream_of_its_parts() {
    let checked = with("split: { list: lines, key: sku }", PEOPLE).check(&[]);
    assert!(checked.report.is_empty(), "{}", checked.report);
    let plan = checked.plan.unwrap();
    let stream = &plan.pipelines["p"].from.stream;
    let key: Vec<&str> = stream.key.iter().map(|path| path.as_str()).collect();
    assert_eq!((key, stream.expand.len(), stream.name.as_str()), (vec!["parent.id", "sku"], 1, "people"));
}

#[test]
fn what_a_step_cannot_mean_is_an_error_at_its_place() {
    let lookup = "lookup: { connection: crm, by: id, match: record.a, into: b, ";
    for (step, code, at, help) in [
        ("dedupe: { by: record.a, keep: last }".to_owned(), Code::Conflict, "last", "within: page"),
        ("dedupe: { by: record.a, within: page, max: 9 }".to_owned(), Code::Conflict, "9", "remove `max`"),
        ("dedupe: { by: recrd.a }".to_owned(), Code::Expression, "recrd", "did you mean `record`?"),
        ("flatten: { depth: 0 }".to_owned(), Code::OutOfRange, "0", "from 1 to 127"),
        ("flatten: { only: a.b }".to_owned(), Code::BadPath, "a.b", "name the field"),
        ("coerce: { a: intger }".to_owned(), Code::UnknownKey, "intger", "did you mean `integer`?"),
        ("coerce: { a: { date_as: \"%d/%m\" } }".to_owned(), Code::StepMisplaced, "\"%d", "a whole date"),
        ("coerce: { a: { date_as: \"%Q\" } }".to_owned(), Code::StepMisplaced, "\"%Q", "strftime"),
        (
            "coerce: { a: { time_as: { format: \"%F %T %z\", timezone: UTC } } }".to_owned(),
            Code::Conflict,
            "UTC",
            "remove `timezone`",
        ),
        ("validate: [{ that: record.a >, message: m }]".to_owned(), Code::Expression, "record.a", "unexpected"),
        (format!("{lookup}stream: peple }}"), Code::UnknownName, "peple", "did you mean `people`?"),
        (format!("{lookup}stream: people, get: /x }}"), Code::Conflict, "/x", "a request of its own"),
        (format!("{lookup}missing: empty }}"), Code::MissingKey, "{ conn", "name a `stream`"),
        (format!("{lookup}stream: people, batch: 3 }}"), Code::Conflict, "3", "lookup.values"),
        (
            format!("{lookup}get: \"/p/{{{{ lookup.id }}}}\" }}"),
            Code::Expression,
            "{ conn",
            "`lookup.values` is a list",
        ),
        (
            "lookup: { connection: files, stream: x, by: id, match: record.a, into: b }".to_owned(),
            Code::UnknownName,
            "files",
            "look up",
        ),
    ] {
        let report = with(&step, PEOPLE).report();
        let column = "steps: [{ ".len() + step.find(at).unwrap() + 1;
        let found: Vec<(Code, usize)> = report.diagnostics.iter().map(|one| (one.code, one.column)).collect();
        let said: String = report.diagnostics.iter().map(|one| format!("{} {:?}", one.message, one.help)).collect();
        assert!(found.first().is_some_and(|(first, _)| *first == code) && found.len() == 1, "{step}\n{report}");
        assert!(found[0].1 == column || code == Code::Expression, "{step}\n{report}");
        assert!(said.contains(help), "{step}\n{report}");
    }
}

#[test]
fn a_split_stands_first_and_where_a_part_can_have_a_verdict_of_its_own() {
    let report = Workspace::with(
        PIPELINE,
        &format!(
            "version: 1\nfrom: {{ {PEOPLE} }}\nto: {{ connection: files, file: p }}\nsteps:\n  - drop: a\n  - split: {{ list: b }}\n"
        ),
    );
    expect(&report.report(), &[(Code::StepMisplaced, PIPELINE, 6, 12, "`split` must be the first step")]);
    let pushed = with("split: { list: b }", "ingress: { key: id }").report();
    assert_eq!(pushed.diagnostics.iter().filter(|one| one.code == Code::StepMisplaced).count(), 1, "{pushed}");
    let personal = format!(
        "version: 1\nfrom: {{ {PEOPLE} }}\nto: {{ connection: files, file: p }}\nsteps: [{{ split: {{ list: a.b }} }}]\npersonal: {{ a.b: mask, d: mask }}\n"
    );
    let report = Workspace::with(PIPELINE, &personal).report();
    let found: Vec<(Code, usize)> = report.diagnostics.iter().map(|one| (one.code, one.column)).collect();
    assert_eq!(found, [(Code::PersonalRule, 13)], "{report}");
}

#[test]
fn a_listing_that_may_show_nothing_cannot_tell_what_is_gone() {
    let connector = |stream: &str| {
        let text = format!(
            "version: 1\nbase_url: https://a.example\nstreams:\n  people: {{ get: /p, key: id, {stream} }}\n  ids: {{ get: /i, key: id, conditional: true }}\n"
        );
        Workspace::with(CONNECTOR, &text).report()
    };
    let own = connector("conditional: true, deletions: { sweep: {} }");
    assert_eq!(own.diagnostics.iter().map(|one| one.code).collect::<Vec<_>>(), [Code::Conflict], "{own}");
    let other = connector("deletions: { sweep: { stream: ids } }");
    assert_eq!(other.diagnostics.iter().map(|one| one.code).collect::<Vec<_>>(), [Code::Conflict], "{other}");
}
