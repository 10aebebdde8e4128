//! What is refused of deletions before anything runs: whatever could delete a record that exists.

use super::{
    plan::{Brake, To},
    tests_load::Workspace,
};
use crate::model::Code;

const CHANGES: &str = "incremental: { field: at, format: rfc3339, since: since }";

/// A workspace whose stream `people` and whose target say this about deletions.
fn with(stream: &str, target: &str) -> Workspace {
    let connector = format!(
        "version: 1\nbase_url: https://a.example\nstreams:\n  people: {{ get: /p, key: id, {stream} }}\n  \
         gone: {{ get: /g, key: id, {CHANGES} }}\n  ids: {{ get: /i, key: id, paginate: {{ link: {{}} }} }}\n  \
         counted: {{ get: /i, key: id, paginate: {{ page: {{ query: page }} }} }}\n  \
         pairs: {{ get: /i, key: [a, b] }}\noperations:\n  \
         put: {{ put: \"/p/{{{{ record.id }}}}\", makes: upsert, repeat: {{ upsert: {{ unique: id }} }}, sink_id: id }}\n  \
         blind: {{ put: \"/p/{{{{ record.id }}}}\", makes: upsert, repeat: {{ upsert: {{ unique: id }} }} }}\n  \
         end: {{ delete: \"/p/{{{{ sink.id }}}}\", makes: delete, repeat: {{ upsert: {{ unique: id }} }} }}\n  \
         close: {{ patch: \"/p/{{{{ record.id }}}}\", makes: update, repeat: {{ upsert: {{ unique: id }} }} }}\n"
    );
    let pipeline =
        format!("version: 1\nfrom: {{ connection: crm, stream: people }}\nto: {{ connection: crm, {target} }}\n");
    let workspace = "version: 1\nconnections:\n  crm: { connector: crm }\n";
    Workspace::new(&[
        ("renkei.yaml", workspace),
        ("connectors/crm/connector.yaml", &connector),
        ("pipelines/people.yaml", &pipeline),
    ])
}

const END: &str = "operation: put, deletes: { propagate: { operation: end } }";

#[test]
fn flags_tombstones_and_sweeps_are_taken_with_their_defaults() {
    let stream = format!(
        "{CHANGES}, deletions: {{ flag: {{ path: gone }}, tombstones: {{ stream: gone }}, sweep: {{ stream: ids }} }}"
    );
    let checked = with(&stream, END).check(&[]);
    assert!(checked.report.is_empty(), "{}", checked.report);
    let plan = checked.plan.unwrap();
    let To::Operation { deletes: Some(deletes), .. } = &plan.pipelines["people"].to else { panic!("it deletes") };
    assert_eq!(deletes.brake, Brake { share: 0.1, max: 1_000 });
    assert!(deletes.by_id && deletes.tombstones.is_some());
    let sweep = deletes.sweep.as_ref().unwrap();
    assert_eq!((sweep.stream.as_ref().unwrap().name.as_str(), sweep.every.as_secs()), ("ids", 86_400));
    for (stream, target) in [
        ("deletions: { sweep: {} }", END),
        (
            "deletions: { flag: { path: a.b, equals: [x, y] } }",
            "operation: put, deletes: { archive: { operation: close } }",
        ),
        ("deletions: { sweep: {} }", "operation: put, deletes: ignore"),
        ("deletions: { sweep: {} }", "operation: put"),
    ] {
        let report = with(stream, target).report();
        assert!(report.is_empty(), "{stream} {target}\n{report}");
    }
}

#[test]
fn what_could_delete_a_record_that_exists_is_refused() {
    let incremental = |deletions: &str| format!("{CHANGES}, deletions: {{ {deletions} }}");
    let plain = |deletions: &str| format!("deletions: {{ {deletions} }}");
    for (stream, target, code, help) in [
        (plain(""), END, Code::MissingKey, "say how deletions show"),
        (incremental("sweep: {}"), END, Code::Conflict, "lists everything that exists"),
        (incremental("sweep: { stream: gone }"), END, Code::Conflict, "without `incremental`"),
        (plain("sweep: { stream: counted }"), END, Code::Conflict, "pass over a record"),
        (plain("sweep: {} }, paginate: { page: { query: p }"), END, Code::Conflict, "pass over a record"),
        (plain("sweep: { stream: people }"), END, Code::Conflict, "the stream itself"),
        (plain("sweep: { stream: pairs }"), END, Code::Conflict, "the same key"),
        (plain("sweep: { stream: idz }"), END, Code::UnknownName, "did you mean `ids`"),
        (plain("sweep: { every: 2h }"), END, Code::Conflict, "each whole listing"),
        (plain("sweep: { stream: ids, every: 1s }"), END, Code::OutOfRange, "from 60s"),
        (plain("tombstones: { stream: gone }"), END, Code::Conflict, "which came later"),
        (incremental("tombstones: { stream: ids }"), END, Code::Conflict, "which came later"),
        (
            plain("sweep: {}"),
            "operation: put, deletes: { propagate: { operation: close } }",
            Code::Conflict,
            "makes: delete",
        ),
        (
            plain("sweep: {}"),
            "operation: put, deletes: { archive: { operation: end } }",
            Code::Conflict,
            "update or upsert",
        ),
        (plain("sweep: {}"), "operation: put, deletes: { propagate: { operation: ent } }", Code::UnknownName, "`end`"),
        (plain("sweep: {}"), "operation: blind, deletes: { propagate: { operation: end } }", Code::Conflict, "sink_id"),
        (CHANGES.to_owned(), END, Code::Conflict, "does not tell what is gone"),
    ] {
        let report = with(&stream, target).report();
        let found: Vec<_> = report.diagnostics.iter().map(|one| one.code).collect();
        assert_eq!(found, [code], "{stream} {target}\n{report}");
        let one = &report.diagnostics[0];
        let said = format!("{} {}", one.message, one.help.clone().unwrap_or_default());
        assert!(said.contains(help), "`{said}` does not say `{help}`");
        assert!(one.line > 0 && one.column > 0);
    }
}
