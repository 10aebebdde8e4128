//! Why an operation is safe to repeat: kinds, lists of them, and what contradicts itself.

use super::{
    plan::{Connection, Repeat, RevisionAt},
    tests_load::Workspace,
    *,
};
use crate::model::Code;

const FILE: &str = "connectors/crm/connector.yaml";

/// A connector with one operation under test, `send`, and others to name.
fn with(send: &str) -> Report {
    let text = format!(
        "version: 1\nbase_url: https://a.example\noperations:\n  send: {{ post: /x, {send} }}\n  \
         change: {{ patch: \"/x/{{{{ sink.id }}}}\", makes: update, repeat: {{ upsert: {{ unique: id }} }} }}\n  \
         note: {{ post: /n, makes: update, repeat: {{ never: {{}} }} }}\n"
    );
    Workspace::with(FILE, &text).report()
}

const LOOK_UP: &str = "look_up: { get: /x, query: { q: \"{{ record.id }}\" }, id: id, update: change }";

#[test]
fn kinds_that_go_together_are_a_list_in_order() {
    for repeat in [
        "{ never: {} }".to_owned(),
        format!("{{ {LOOK_UP} }}"),
        format!("[{{ idempotency_key: {{}} }}, {{ {LOOK_UP} }}]"),
        format!("[{{ never: {{}} }}, {{ {LOOK_UP} }}]"),
    ] {
        let report = with(&format!("makes: create, repeat: {repeat}"));
        assert!(report.is_empty(), "{repeat}\n{report}");
    }
    let revision = "revision: { read: { get: \"/x/{{ sink.id }}\" }, at: { header: ETag } }";
    for repeat in [format!("{{ {revision} }}"), format!("[{{ idempotency_key: {{}} }}, {{ {revision} }}]")] {
        let report = with(&format!("makes: update, repeat: {repeat}"));
        assert!(report.is_empty(), "{repeat}\n{report}");
    }
}

#[test]
fn combinations_that_make_no_sense_are_refused() {
    let key = "{ idempotency_key: {} }";
    let read = "read: { get: \"/x/{{ sink.id }}\" }, at: { header: ETag }";
    for (send, code, help) in [
        ("makes: create, repeat: []".to_owned(), Code::UnsafeRepeat, "never"),
        (format!("makes: create, repeat: [{key}, {key}]"), Code::Conflict, "keep the one"),
        (format!("makes: create, repeat: [{key}, {{ never: {{}} }}]"), Code::Conflict, "anyway"),
        (format!("makes: create, repeat: [{{ never: {{}} }}, {key}]"), Code::Conflict, "remove `never`"),
        (format!("makes: create, repeat: [{{ {LOOK_UP} }}, {key}]"), Code::Conflict, "put it first"),
        ("makes: create, repeat: { upsert: { unique: id } }".to_owned(), Code::Conflict, "makes: upsert"),
        (format!("makes: update, repeat: {{ {LOOK_UP} }}"), Code::Conflict, "look_up.update"),
        (format!("makes: create, repeat: {{ revision: {{ {read} }} }}"), Code::Conflict, "may be new"),
        (format!("makes: create, batch: {{ size: 2 }}, repeat: {{ {LOOK_UP} }}"), Code::Conflict, "remove `batch`"),
        (
            "makes: create, repeat: { look_up: { get: /x, query: { q: \"{{ record.id }}\" }, id: id } }".to_owned(),
            Code::MissingKey,
            "sink.id",
        ),
        (
            "makes: create, repeat: { look_up: { get: /x, id: id, update: change } }".to_owned(),
            Code::Conflict,
            "this one record",
        ),
        (format!("makes: create, repeat: {{ {} }}", LOOK_UP.replace("get: /x, ", "")), Code::MissingKey, "post: /path"),
        (format!("makes: create, repeat: {{ {} }}", LOOK_UP.replace("change", "chnge")), Code::UnknownName, "`change`"),
        (
            format!("makes: create, repeat: {{ {} }}", LOOK_UP.replace("change", "note")),
            Code::Conflict,
            "safe to repeat",
        ),
        (format!("makes: create, repeat: {{ {} }}", LOOK_UP.replace("change", "send")), Code::Conflict, "updates"),
        (
            "makes: update, repeat: { revision: { read: { get: /x }, at: { header: ETag } } }".to_owned(),
            Code::Conflict,
            "this one record",
        ),
        (
            "makes: create, repeat: { idempotency_key: { mismatch: 400, done: { status: 4xx } } }".to_owned(),
            Code::Conflict,
            "tell them apart",
        ),
        ("makes: create, repeat: { idempotency_key: { done: {} } }".to_owned(), Code::MissingKey, "at least one"),
    ] {
        let report = with(&send);
        assert_eq!(report.diagnostics.len(), 1, "{send}\n{report}");
        let found = &report.diagnostics[0];
        assert_eq!((found.code, found.file.to_str()), (code, Some(FILE)), "{send}\n{report}");
        assert!(found.help.as_deref().unwrap_or_default().contains(help), "{send}\n{report}");
    }
}

#[test]
fn a_revision_is_carried_by_if_match_unless_it_comes_from_the_body() {
    let text = "version: 1\nbase_url: https://a.example\noperations:\n  \
        one: { patch: /x, makes: update, repeat: { revision: { read: { get: \"/x/{{ sink.id }}\" }, at: { header: ETag } } } }\n  \
        two: { patch: /x, makes: update, repeat: { revision: { read: { get: \"/x/{{ sink.id }}\" }, at: { body: rev } } } }\n";
    let renkei = "version: 1\nconnections: { crm: { connector: crm } }\n";
    let checked = Workspace::new(&[("renkei.yaml", renkei), (FILE, text)]).check(&[]);
    let plan = checked.plan.unwrap_or_else(|| panic!("{}", checked.report));
    let Connection::Api(api) = &plan.connections["crm"] else { panic!("an API") };
    let revision = |name: &str| api.operations[name].revision().unwrap().clone();
    assert_eq!(revision("one").header, Some(http::header::IF_MATCH));
    assert!(matches!(revision("two").at, RevisionAt::Body(_)));
    assert_eq!(revision("two").header, None);
    assert!(matches!(api.operations["one"].repeat[..], [Repeat::Revision(_)]));
    assert!(api.operations["one"].resends() && !api.operations["one"].is_journalled());
}

#[test]
fn a_reading_for_plans_belongs_to_an_operation_that_changes_one_record_and_names_it() {
    let read =
        |makes: &str, read: &str| with(&format!("makes: {makes}, repeat: {{ upsert: {{ unique: id }} }}, {read}"));
    let good = "read: { get: \"/x/{{ sink.id }}\", compare: { answer: data, sent: fields } }";
    for makes in ["update", "upsert"] {
        let report = read(makes, good);
        assert!(report.is_empty(), "{report}");
    }
    for (makes, text, code, help) in [
        ("delete", good, Code::Conflict, "makes: update"),
        ("update", "read: { get: /x }", Code::Conflict, "{{ sink.id }}"),
        ("update", "read: { query: { id: \"{{ sink.id }}\" } }", Code::MissingKey, "get"),
        ("update", "read: { get: \"/x/{{ sink.id }}\", fields: . }", Code::UnknownKey, "compare"),
    ] {
        let report = read(makes, text);
        let all: Vec<_> = report.diagnostics.iter().map(|one| one.code).collect();
        assert_eq!(all, [code], "{text}\n{report}");
        assert!(report.to_string().contains(help), "{help}: {report}");
    }
}
