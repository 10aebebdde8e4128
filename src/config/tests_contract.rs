//! Contracts: what they are by default, and every mistake at its place.

use super::{
    plan::{Pipeline, Terms},
    tests_load::{Workspace, expect},
};
use crate::model::Code;

const CONNECTOR: &str = "connectors/crm/connector.yaml";
const PIPELINE: &str = "pipelines/p.yaml";
const WORKSPACE: &str = "version: 1\nconnections:\n  crm: { connector: crm }\n  files: { jsonl: { path: out } }\n";

/// A connector whose stream's schema stands in its fourth line, and whose operation has one.
fn connector(schema: &str) -> String {
    format!(
        "version: 1\nbase_url: https://api.example.com/v1\nstreams: {{ people: {{ get: /people, key: id,\n  schema: {schema} }} }}\noperations:\n  \
         put: {{ put: /p, makes: upsert, repeat: {{ upsert: {{ unique: id }} }}, schema: {{ required: [id] }} }}\n  bare: {{ put: /p, makes: upsert, \
         repeat: {{ upsert: {{ unique: id }} }} }}\n"
    )
}

fn workspace(schema: &str, pipeline: &str, more: &[(&str, &str)]) -> Workspace {
    let connector = connector(schema);
    let pipeline = format!("version: 1\n{pipeline}\n");
    let files = [("renkei.yaml", WORKSPACE), (CONNECTOR, connector.as_str()), (PIPELINE, pipeline.as_str())];
    Workspace::new(&[&files[..], more].concat())
}

fn planned(schema: &str, pipeline: &str, more: &[(&str, &str)]) -> std::sync::Arc<Pipeline> {
    let checked = workspace(schema, pipeline, more).check(&[]);
    assert!(checked.report.is_empty(), "{}", checked.report);
    checked.plan.unwrap().pipelines["p"].clone()
}

const FROM: &str = "from: { connection: crm, stream: people }";

#[test]
fn a_schema_is_held_to_with_a_warning_where_a_pipeline_does_not_say_otherwise() {
    let ends = |pipeline: &Pipeline| {
        let terms = |contract: &Option<super::plan::Contract>| contract.as_ref().map(|contract| contract.terms);
        (terms(&pipeline.contracts.read), terms(&pipeline.contracts.sent))
    };
    let to = "to: { connection: crm, operation: put }";
    assert_eq!(
        ends(&planned("{ type: object }", &format!("{FROM}\n{to}"), &[])),
        (Some(Terms::Warn), Some(Terms::Warn))
    );
    let said = "from: { connection: crm, stream: people, contract: freeze }\nto: { connection: crm, operation: put, contract: reject }";
    assert_eq!(ends(&planned("{ type: object }", said, &[])), (Some(Terms::Freeze), Some(Terms::Reject)));
    let file = format!("{FROM}\nto: {{ connection: files, file: p }}");
    assert_eq!(ends(&planned("{ type: object }", &file, &[])), (Some(Terms::Warn), None));
}

#[test]
fn a_schema_stands_in_the_connector_or_in_a_file_beside_it() {
    let pipeline = format!("{FROM}\nto: {{ connection: files, file: p }}");
    let more = [
        (
            "connectors/crm/schemas/people.yaml",
            "$ref: '#/$defs/person'\n$defs: { person: { properties: { id: { type: integer } } } }\n",
        ),
        ("connectors/crm/people.json", r#"{"properties": {"id": {"type": "integer"}}}"#),
    ];
    for schema in ["schemas/people.yaml", "people.json", "{ properties: { id: { type: integer } } }"] {
        let checked = workspace(schema, &pipeline, &more).check(&[]);
        assert!(checked.report.is_empty(), "{schema}: {}", checked.report);
        let plan = checked.plan.unwrap();
        let contract = plan.pipelines["p"].contracts.read.clone().unwrap();
        let record = serde_json::json!({"id": "x"});
        assert_eq!(contract.schema.look(&record, &|_, _, _| true).len(), 1, "{schema}");
        // The service looks for changes of the file.
        assert_eq!(plan.files.iter().any(|file| file.ends_with(schema)), !schema.starts_with('{'), "{schema}");
    }
}

#[test]
fn a_schema_that_cannot_be_used_is_an_error_at_its_place_and_is_told_once() {
    let pipeline = "from: { connection: crm, stream: people, contract: freeze }\nto: { connection: files, file: p }";
    let more = [
        ("connectors/crm/bad.json", "{\"type\":\n 7,}"),
        ("connectors/crm/bad.yaml", "a: [1\n"),
        ("people.json", "{}"),
        ("connectors/crm/list.json", "[]"),
    ];
    for (schema, why) in [
        ("{ type: thing }", "type"),
        ("{ $ref: '#/$defs/x' }", "not there"),
        ("{ $ref: '#' }", "circle"),
        ("{ $ref: 'https://example.com/s.json' }", "only lead to a place in this schema"),
        ("{ pattern: '(' }", "pattern"),
        ("gone.json", "cannot be read"),
        ("bad.json", "line 2"),
        ("bad.yaml", "no YAML, line"),
        ("list.json", "no JSON object"),
        ("../../people.json", "stands in the connector's folder"),
        ("/etc/passwd", "stands in the connector's folder"),
        ("[1]", "neither a file's name nor a schema"),
    ] {
        let report = workspace(schema, pipeline, &more).report();
        expect(&report, &[(Code::ContractSchema, CONNECTOR, 4, 11, why)]);
    }
}

#[test]
fn a_contract_without_a_schema_is_an_error() {
    for (to, at) in [
        ("to: { connection: files, file: p, contract: warn }", 45),
        ("to: { connection: crm, operation: bare, contract: warn }", 51),
    ] {
        let report = workspace("{ type: object }", &format!("{FROM}\n{to}"), &[]).report();
        expect(&report, &[(Code::ContractNothing, PIPELINE, 3, at, "write `schema:` there")]);
    }
    let pushed = "from: { ingress: { key: id }, contract: warn }\nto: { connection: files, file: p }";
    let report = workspace("{ type: object }", pushed, &[]).report();
    expect(&report, &[(Code::ContractNothing, PIPELINE, 2, 41, "`ingress`, whose own `schema`")]);
    let split = "from: { connection: crm, stream: people, contract: warn }\nto: { connection: files, file: p }\nsteps: [{ split: { list: lines, key: sku } }]";
    let report = workspace("{ type: object }", split, &[]).report();
    expect(&report, &[(Code::ContractNothing, PIPELINE, 2, 52, "what `split` makes of a record")]);
    let typo = "from: { connection: crm, stream: people, contract: freze }\nto: { connection: files, file: p }";
    let report = workspace("{ type: object }", typo, &[]).report();
    assert!(report.to_string().contains("did you mean `freeze`?"), "{report}");
}
