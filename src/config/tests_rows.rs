//! Rows of databases that are read, in whole workspaces: what is filled in, and what is refused where.

use super::{
    plan::{Incremental, RowsOf},
    tests_load::{Workspace, expect},
    *,
};
use crate::model::Code;

const WORKSPACE: &str = "version: 1\nconnections:\n  db: { postgres: { url: \"postgres://me@localhost/x\" } }\n  files: { jsonl: { path: out } }\n";
const FILE: &str = "pipelines/a.yaml";

fn checked(from: &str) -> Checked {
    let pipeline = format!("version: 1\nfrom: {{ {from} }}\nto: {{ connection: files, file: a }}\n");
    Workspace::new(&[("renkei.yaml", WORKSPACE), (FILE, &pipeline)]).check(&[])
}

/// That exactly this is wrong, at the last place where the line holds a text.
#[track_caller]
fn refused(from: &str, code: Code, at: &str, help: &str) {
    let line = format!("from: {{ {from} }}");
    let column = line.rfind(at).unwrap() + 1;
    expect(&checked(from).report, &[(code, FILE, 2, column, help)]);
}

#[test]
fn tables_queries_and_outboxes_are_streams_with_defaults() {
    let from = |from: &str| {
        let checked = checked(from);
        assert!(checked.report.is_empty(), "{}", checked.report);
        checked.plan.unwrap().pipelines["a"].from.clone()
    };
    let table = from("connection: db, table: orders, key: [shop, id], incremental: { field: updated_at }");
    let rows = table.rows.as_ref().unwrap();
    assert!(matches!(&rows.of, RowsOf::Table(name) if name == "orders"));
    assert_eq!((rows.page, rows.cursor.as_deref(), table.place().as_str()), (1000, Some("updated_at"), "db/orders"));
    let Some(Incremental::Field(field)) = &table.stream.incremental else { panic!("a cursor") };
    assert!(field.ascending && !table.lists_all());
    let query = from("connection: db, query: \"select id from a;\", key: id, page: 5");
    assert!(matches!(&query.rows.as_ref().unwrap().of, RowsOf::Query(text) if text == "select id from a"));
    assert!(query.lists_all() && query.rows.unwrap().page == 5);
    let outbox = from("connection: db, outbox: { table: events, aggregate: order_id }, key: id");
    let rows = outbox.rows.as_ref().unwrap();
    let table = rows.outbox().unwrap();
    assert_eq!((table.order.as_str(), table.state.as_str(), rows.page), ("id", "state", 100));
    assert!(!outbox.lists_all() && !outbox.is_only_pushed());
}

#[test]
fn each_mistake_is_told_once_with_what_to_write() {
    refused("connection: db, table: t", Code::MissingKey, "{ c", "key: id");
    refused("connection: db, key: id", Code::MissingKey, "{ c", "`query: SELECT ..`");
    refused("connection: db, table: t, query: select 1, key: id", Code::Conflict, "{ c", "keep one of");
    refused("connection: db, query: delete from t, key: id", Code::RowQuery, "delete", "one SELECT");
    refused("connection: db, stream: s, table: t, key: id", Code::UnknownName, "s, t", "write `table:`");
    refused("connection: db, outbox: { table: t }, key: [a, b]", Code::Conflict, "b]", "one column");
    let outbox = "connection: db, outbox: { table: t }, key: id, incremental: { field: at }";
    refused(outbox, Code::Conflict, "{ field", "remove");
    refused("connection: db, table: t, key: id, page: 0", Code::OutOfRange, "0", "1 to 10000");
    let counted = "connection: db, table: t, key: id, incremental: { field: n, format: integer, overlap: 5s }";
    refused(counted, Code::WrongType, "5s", "a count");
    let pushed = "connection: db, table: t, key: id, ingress: { key: id }";
    refused(pushed, Code::Conflict, "{ key", "a pipeline for each");
    let misspelt = "connection: db, table: t, key: id, incremental: { field: n, overlp: 5s }";
    refused(misspelt, Code::UnknownKey, "overlp", "did you mean `overlap`?");
}

#[test]
fn what_belongs_to_rows_is_refused_beside_streams() {
    let connector = "version: 1\nbase_url: https://api.example.com\nstreams:\n  people: { get: /people, key: id }\n";
    let workspace = "version: 1\nconnections:\n  crm: { connector: crm }\n  files: { jsonl: { path: out } }\n";
    let pipeline =
        "version: 1\nfrom: { connection: crm, stream: people, key: id }\nto: { connection: files, file: a }\n";
    let files = [("renkei.yaml", workspace), ("connectors/crm/connector.yaml", connector), (FILE, pipeline)];
    expect(&Workspace::new(&files).report(), &[(Code::Conflict, FILE, 2, 47, "`postgres`")]);
}

#[test]
fn a_key_that_pages_begin_behind_stays_as_it_is() {
    let pipeline = "version: 1\nfrom: { connection: db, table: t, key: email }\npersonal: { email: mask }\nto: { connection: files, file: a }\n";
    let report = Workspace::new(&[("renkei.yaml", WORKSPACE), (FILE, pipeline)]).report();
    assert!(report.diagnostics.iter().any(|one| one.message.contains("pages of rows begin behind it")), "{report}");
}

#[test]
fn an_outbox_has_one_target_and_sqlite_has_none() {
    let targets = "to:\n  - { name: one, connection: files, file: a }\n  - { name: two, connection: files, file: b }\n";
    let pipeline = format!("version: 1\nfrom: {{ connection: db, outbox: {{ table: t }}, key: id }}\n{targets}");
    let report = Workspace::new(&[("renkei.yaml", WORKSPACE), (FILE, &pipeline)]).report();
    let said = "would divide the rows";
    expect(&report, &[(Code::Conflict, FILE, 4, 13, said), (Code::Conflict, FILE, 5, 13, said)]);
    let outbox =
        "version: 1\nfrom: { connection: db, outbox: { table: t }, key: id }\nsteps:\n  - split: { list: lines }\n";
    let pipeline = format!("{outbox}to: {{ connection: files, file: a }}\n");
    let report = Workspace::new(&[("renkei.yaml", WORKSPACE), (FILE, &pipeline)]).report();
    expect(&report, &[(Code::StepMisplaced, FILE, 4, 12, "a row for each part")]);
    let workspace = WORKSPACE.replace("postgres: { url: \"postgres://me@localhost/x\" }", "sqlite: { path: data.db }");
    let pipeline =
        "version: 1\nfrom: { connection: db, outbox: { table: t }, key: id }\nto: { connection: files, file: a }\n";
    let report = Workspace::new(&[("renkei.yaml", &workspace), (FILE, pipeline)]).report();
    expect(&report, &[(Code::Conflict, FILE, 2, 33, "use PostgreSQL")]);
    let two = WORKSPACE.replace("  db: { ", "  db: { sqlite: { path: data.db }, ");
    let report = Workspace::new(&[("renkei.yaml", &two)]).report();
    expect(&report, &[(Code::Conflict, "renkei.yaml", 3, 3, "of two kinds")]);
}
