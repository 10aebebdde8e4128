//! Tables that are made, that grow, and that do not fit.

use renkei::model::{Code, Disposition};

use crate::database::{Database, try_write, write};

#[tokio::test]
async fn the_table_is_made_with_learned_types_and_the_key_as_its_primary_key() {
    let Some(db) = Database::new("made").await else { return };
    let sink = db.sink().await;
    let record = r#"{"name":"a","n":1,"d":1.5,"b":true,"o":{},"nothing":null,"id":"x","Weird \"name\"; --":"w"}"#;
    write(&sink, 1, &[record]).await;
    for (column, expected) in [
        ("id", "text"),
        ("name", "text"),
        ("n", "bigint"),
        ("d", "numeric"),
        ("b", "boolean"),
        ("o", "jsonb"),
        ("Weird \"name\"; --", "text"),
    ] {
        assert_eq!(db.type_of(column).await.as_deref(), Some(expected), "{column}");
    }
    assert_eq!(db.type_of("nothing").await, None);
    let key = "select pg_get_indexdef(indexrelid) from pg_index where indrelid = 'leads'::regclass and indisprimary";
    assert!(db.one(key).await.unwrap().ends_with("(id)"));
}

#[tokio::test]
async fn a_new_field_adds_its_column_and_a_null_waits_until_it_has_a_type() {
    let Some(db) = Database::new("grows").await else { return };
    let sink = db.sink().await;
    write(&sink, 1, &[r#"{"id":1,"later":null}"#]).await;
    write(&sink, 2, &[r#"{"id":2,"later":7,"new":"n"}"#]).await;
    assert_eq!(db.type_of("later").await.as_deref(), Some("bigint"));
    assert_eq!(db.rows().await, [r#"{"id": 1, "new": null, "later": null}"#, r#"{"id": 2, "new": "n", "later": 7}"#]);
}

#[tokio::test]
async fn a_decimal_widens_a_bigint_column_and_no_digit_is_lost() {
    let Some(db) = Database::new("widens").await else { return };
    let sink = db.sink().await;
    write(&sink, 1, &[r#"{"id":1,"n":9007199254740993}"#]).await;
    assert_eq!(write(&sink, 2, &[r#"{"id":2,"n":0.1}"#]).await, ["created 2"]);
    assert_eq!(db.type_of("n").await.as_deref(), Some("numeric"));
    assert_eq!(db.one("select n from leads where id = 1").await.unwrap(), "9007199254740993");
}

#[tokio::test]
async fn a_column_that_cannot_hold_the_field_stops_before_anything_is_written() {
    let Some(db) = Database::new("conflicts").await else { return };
    db.sql("create table leads (id bigint primary key, age integer)").await;
    let sink = db.sink().await;
    let fault = try_write(&sink, 1, &[r#"{"id":1,"new":1}"#, r#"{"id":2,"age":"old"}"#]).await.unwrap_err();
    assert_eq!((fault.code, fault.disposition, fault.exit_code()), (Code::ColumnConflict, Disposition::Halt, 3));
    assert_eq!(fault.message, "column \"age\" of \"conflicts\".\"leads\" has type integer, and the field is text");
    assert!(fault.help.contains("ALTER TABLE \"conflicts\".\"leads\" ALTER COLUMN \"age\" TYPE"), "{}", fault.help);
    assert!(db.rows().await.is_empty());
    assert_eq!(db.type_of("new").await, None);
    assert_eq!(db.one("select count(*) from renkei_checkpoints").await.unwrap(), "0");
}

#[tokio::test]
async fn a_declared_type_makes_the_column_and_a_word_that_is_no_type_is_refused() {
    let Some(db) = Database::new("declared").await else { return };
    let mut config = db.config();
    config.columns.insert("price".to_owned(), "numeric(12,2)".to_owned());
    let sink = db.sink_of(config).await;
    write(&sink, 1, &[r#"{"id":1,"price":1.239}"#]).await;
    assert_eq!(db.type_of("price").await.as_deref(), Some("numeric(12,2)"));

    for bad in ["moneyz", "int); drop table leads; --"] {
        let mut config = db.config();
        config.columns.insert("other".to_owned(), bad.to_owned());
        let sink = db.sink_of(config).await;
        let fault = try_write(&sink, 2, &[r#"{"id":2,"other":1}"#]).await.unwrap_err();
        assert_eq!(fault.code, Code::ColumnConflict, "{}", fault.message);
    }
    assert_eq!(db.rows().await.len(), 1);
}

#[tokio::test]
async fn a_declared_type_that_cannot_hold_the_field_is_a_conflict_and_leaves_no_table() {
    let Some(db) = Database::new("declaredbad").await else { return };
    let mut config = db.config();
    config.columns.insert("name".to_owned(), "bigint".to_owned());
    let sink = db.sink_of(config).await;
    let fault = try_write(&sink, 1, &[r#"{"id":1,"name":"a"}"#]).await.unwrap_err();
    assert_eq!(fault.code, Code::ColumnConflict);
    assert_eq!(db.one("select to_regclass('leads')").await, None);
}

#[tokio::test]
async fn a_table_without_a_unique_key_is_refused_with_the_index_to_type() {
    let Some(db) = Database::new("nounique").await else { return };
    db.sql("create table leads (id bigint, v text); create unique index on leads (id) where v is not null").await;
    let sink = db.sink().await;
    let fault = try_write(&sink, 1, &[r#"{"id":1,"v":"a"}"#]).await.unwrap_err();
    assert_eq!(fault.message, "table \"nounique\".\"leads\" has no unique index on its key (id)");
    let line = "CREATE UNIQUE INDEX ON \"nounique\".\"leads\" (\"id\");";
    assert!(fault.help.contains(line), "{}", fault.help);
    db.sql(line).await;
    assert_eq!(write(&db.sink().await, 1, &[r#"{"id":1,"v":"a"}"#]).await, ["created 1"]);
}

#[tokio::test]
async fn field_names_that_cannot_name_a_column_are_refused_by_name() {
    let Some(db) = Database::new("names").await else { return };
    let long = format!(r#"{{"id":1,"{}":1}}"#, "n".repeat(64));
    for record in [long.as_str(), r#"{"id":1,"":1}"#, r#"{"id":1,"ctid":1}"#] {
        let fault = try_write(&db.sink().await, 1, &[record]).await.unwrap_err();
        assert_eq!(fault.code, Code::ColumnConflict, "{record}");
        assert!(fault.help.contains("`fields:`"));
    }
}

#[tokio::test]
async fn a_computed_column_cannot_be_written() {
    let Some(db) = Database::new("computed").await else { return };
    db.sql("create table leads (id bigint primary key, twice bigint generated always as (id * 2) stored)").await;
    let fault = try_write(&db.sink().await, 1, &[r#"{"id":1,"twice":5}"#]).await.unwrap_err();
    assert_eq!(fault.code, Code::ColumnConflict);
    assert!(fault.message.contains("computed by the database"), "{}", fault.message);
    assert_eq!(write(&db.sink().await, 1, &[r#"{"id":1}"#]).await, ["created 1"]);
}

#[tokio::test]
async fn a_domain_takes_what_the_type_under_it_takes() {
    let Some(db) = Database::new("domains").await else { return };
    db.sql(
        "create domain small as int check (value < 10); create domain smaller as small check (value < 5);
         create table leads (id bigint primary key, n smaller)",
    )
    .await;
    let sink = db.sink().await;
    let verdicts = write(&sink, 1, &[r#"{"id":1,"n":4}"#, r#"{"id":2,"n":7}"#]).await;
    assert_eq!(verdicts[0], "created 1");
    assert!(verdicts[1].starts_with("rejected RK0408"), "{}", verdicts[1]);
}
