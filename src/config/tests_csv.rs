//! Folders of CSV files: what they are by default, and every mistake at its place.

use super::{
    plan::{Connection, Files, To},
    tests_load::{Workspace, expect},
};
use crate::model::Code;

const CONNECTOR: &str =
    "version: 1\nbase_url: https://api.example.com\nstreams:\n  people: { get: /people, key: id }\n";

fn with(csv: &str, fields: &str) -> Workspace {
    let renkei = format!("version: 1\nconnections:\n  crm: {{ connector: crm }}\n  sheet: {{ {csv} }}\n");
    let pipeline = format!(
        "version: 1\nfrom: {{ connection: crm, stream: people }}\nto: {{ connection: sheet, file: people{fields} }}\n"
    );
    Workspace::new(&[
        ("renkei.yaml", &renkei),
        ("connectors/crm/connector.yaml", CONNECTOR),
        ("pipelines/p.yaml", &pipeline),
    ])
}

const FIELDS: &str = ", fields: { id: record.id, name: record.name }";

#[test]
fn the_fields_of_the_pipeline_are_the_columns() {
    let plan = with("csv: { path: out, separator: ; }", FIELDS).check(&[]).plan.unwrap();
    let Connection::Folder(folder) = &plan.connections["sheet"] else { panic!("a folder") };
    assert_eq!((folder.form, folder.rotate_bytes), (Files::Csv(';'), 128 << 20));
    assert!(matches!(&plan.pipelines["p"].to, To::File { name, .. } if name == "people"));
}

#[test]
fn what_a_csv_file_cannot_mean_is_an_error_at_its_place() {
    expect(
        &with("csv: { path: out }", "").report(),
        &[(Code::MissingKey, "pipelines/p.yaml", 3, 32, "their names are the columns")],
    );
    for (separator, column) in [("ab", 41), ("'1'", 41), ("'.'", 41), ("''", 41)] {
        let report = with(&format!("csv: {{ path: out, separator: {separator} }}"), FIELDS).report();
        expect(&report, &[(Code::OutOfRange, "renkei.yaml", 4, column, "one character")]);
    }
    let both = with("csv: { path: out }, jsonl: { path: out }", FIELDS).report();
    expect(&both, &[(Code::Conflict, "renkei.yaml", 4, 3, "keep one of `connector`")]);
}
