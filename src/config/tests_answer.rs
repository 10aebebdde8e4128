//! How an answer is declared: what is understood, and what is refused with its place.

use super::tests_load::{Workspace, expect};
use crate::{
    config::plan::{AnswerShape, Connection, MatchBy, ResultForm, RowsAre},
    model::Code,
};

const FILE: &str = "connectors/crm/connector.yaml";

/// A connector with one operation that answers so; `more` are further keys of the operation.
fn connector(answer: &str, more: &str) -> String {
    format!(
        "version: 1\nbase_url: https://a.example\noperations:\n  send: {{ post: /x, repeat: {{ upsert: {{ unique: id }} }}, {more}, \
         answer: {answer} }}\n"
    )
}

const BATCH: &str = "makes: upsert, sink_id: id, batch: { size: 9 }";

/// `(answer, the text that is pointed at, what is said)`.
const WRONG: [(&str, &str, &str); 16] = [
    ("{}", "{} }", "whole:"),
    ("{ whole: {}, positional: {} }", "{} }", "one shape"),
    ("{ list: { ok: a, match: {} } }", "{} } }", "in one way"),
    ("{ list: { ok: a, match: { index: i, key: k } } }", "{ index", "in one way"),
    ("{ list: { ok: a, match: { answer: a } } }", "{ answer: a }", "in one way"),
    ("{ list: { ok: a, match: { key: k } } }", "k } }", "never sent"),
    ("{ list: { ok: a, match: { id: i } } }", "i } }", "no id yet"),
    ("{ first_error: { index: i, after: '' } }", "'' }", "`after` is empty"),
    ("{ job: { id: i, poll: { get: /p, state: s, done: d }, results: [], match: { index: i } } }", "{ get", "results"),
    (
        "{ job: { id: i, poll: { get: /p, state: s, done: [] }, results: [{ ok: o }], match: { index: i } } }",
        "s, done",
        "never done",
    ),
    (
        "{ job: { id: i, poll: { get: /p, state: s, done: [d], failed: [d] }, results: [{ ok: o }], match: { index: i } } }",
        "d] }",
        "both done and failed",
    ),
    (
        "{ job: { id: i, poll: { get: /p, state: s, done: d, every: 10s, wait_max: 5s }, results: [{ ok: o }], match: { index: i } } }",
        "10s",
        "longer than `wait_max`",
    ),
    (
        "{ job: { id: i, poll: { get: /p, state: s, done: d }, results: [{}], match: { index: i } } }",
        "{}]",
        "whether a row was accepted",
    ),
    (
        "{ job: { id: i, poll: { get: /p, state: s, done: d }, results: [{ all: accepted, ok: o }], match: { index: i } } }",
        "o }]",
        "`all` and `ok`",
    ),
    (
        "{ job: { id: i, poll: { get: /p, state: s, done: d }, results: [{ csv: {}, rows: r, ok: o }], match: { index: i } } }",
        "r, ok",
        "place in JSON",
    ),
    (
        "{ job: { id: i, poll: { get: /p, state: s, done: d }, results: [{ csv: { delimiter: ';;' }, ok: o }], match: { index: i } } }",
        "';;'",
        "between two fields",
    ),
];

#[test]
fn an_answer_that_could_leave_a_record_without_a_verdict_is_pointed_at() {
    for (answer, at, says) in WRONG {
        let text = connector(answer, BATCH);
        let line = text.lines().nth(3).unwrap();
        let from = line.find("answer:").unwrap();
        let column = from + line[from..].find(at).unwrap() + 1;
        let report = Workspace::with(FILE, &text).report();
        let code = report.diagnostics.first().map_or(Code::Conflict, |one| one.code);
        assert!(matches!(code, Code::Conflict | Code::MissingKey), "{answer}\n{report}");
        expect(&report, &[(code, FILE, 4, column, says)]);
    }
}

#[test]
fn only_a_whole_answer_can_be_about_a_single_record() {
    let single = "makes: update, sink_id: id";
    assert!(Workspace::with(FILE, &connector("{ whole: { ok: ok } }", single)).report().is_empty());
    let report = Workspace::with(FILE, &connector("{ positional: {} }", single)).report();
    assert_eq!(report.diagnostics[0].code, Code::Conflict, "{report}");
    let report = Workspace::with(FILE, &connector("{ whole: { errors: [a, b] } }", "makes: update")).report();
    assert!(report.diagnostics[0].message.contains("cannot tell a success"), "{report}");
}

fn answer(answer: &str, more: &str) -> (AnswerShape, bool) {
    let checked = Workspace::with(FILE, &connector(answer, more)).check(&[]);
    assert!(checked.report.is_empty(), "{}", checked.report);
    let plan = checked.plan.unwrap();
    let Connection::Api(api) = &plan.connections["crm"] else { panic!() };
    (api.operations["send"].answer.clone(), api.operations["send"].first_error.is_some())
}

#[test]
fn each_shape_is_understood_with_its_defaults() {
    let (shape, blames) = answer("{ first_error: { index: e.i } }", BATCH);
    assert!(matches!(shape, AnswerShape::Whole(whole) if whole.ok.is_none()) && blames);
    let (shape, blames) = answer("{ positional: { list: ids }, first_error: { index: e, after: 'records[' } }", BATCH);
    assert!(matches!(shape, AnswerShape::Positional { list, .. } if list.as_str() == "ids") && blames);
    let keyed = format!("{BATCH}, each: {{ ref: '{{{{ key }}}}' }}");
    let (shape, _) = answer("{ list: { ok: a, match: { key: k, in_errors: about } } }", &keyed);
    assert!(matches!(shape, AnswerShape::Listed { matched, .. } if matches!(matched.by, MatchBy::Key(_))));
    let job = "{ job: { id: i, poll: { get: '/j/{{ job.id }}', state: s, done: d }, match: { index: i }, \
               results: [{ get: '/j/{{ job.id }}/x', csv: {}, all: refused }, { ok: o }] } }";
    let (AnswerShape::Job(job), _) = answer(job, BATCH) else { panic!() };
    assert_eq!((job.poll.every.as_secs(), job.poll.wait_max.as_secs(), job.poll.failed.len()), (5, 1800, 0));
    let form = &job.results[0].form;
    assert!(matches!(form, ResultForm::Csv { delimiter: ',', open_end: false }) && job.results[1].request.is_none());
    assert!(matches!(job.results[0].rows, RowsAre::Refused(None)) && matches!(job.results[1].rows, RowsAre::Either(_)));
}

#[test]
fn a_job_s_templates_see_the_job_and_no_record() {
    let job = "{ job: { id: i, poll: { get: '/j/{{ record.id }}', state: s, done: d }, match: { index: i }, results: [{ ok: o }] } }";
    let report = Workspace::with(FILE, &connector(job, BATCH)).report();
    assert_eq!(report.diagnostics[0].code, Code::Expression, "{report}");
}

#[test]
fn a_cap_beside_a_cursor_needs_the_number_of_records_in_all() {
    let report = |paginate: &str| {
        let stream = format!(
            "version: 1\nbase_url: https://a.example\nstreams:\n  all: {{ get: /x, key: id, paginate: {{ cursor: {paginate} }} }}\n"
        );
        Workspace::with(FILE, &stream).report()
    };
    assert!(report("{ next: n, query: q, total: t, cap: 10000 }").is_empty());
    for (paginate, at, code, says) in [
        ("{ next: n, query: q, cap: 10000 }", "10000", Code::MissingKey, "write `total:`"),
        ("{ next: n, query: q, total: t }", "t }", Code::MissingKey, "write `cap:`"),
        ("{ last: id, query: q, total: t, cap: 10000 }", "10000", Code::Conflict, "`last`"),
        ("{ next: n, query: q, end: e, total: t, cap: 10000 }", "10000", Code::Conflict, "`end`"),
        ("{ next: n, query: q, total: t, cap: 0 }", "0", Code::OutOfRange, "from 1"),
    ] {
        let column = "  all: { get: /x, key: id, paginate: { cursor: ".len() + paginate.find(at).unwrap() + 1;
        expect(&report(paginate), &[(code, FILE, 4, column, says)]);
    }
}
