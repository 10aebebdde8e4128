//! Rows and verdicts.

use crate::database::{Database, write};

#[tokio::test]
async fn each_record_gets_its_own_verdict_created_updated_or_unchanged() {
    let Some(db) = Database::new("verdicts").await else { return };
    let sink = db.sink().await;
    assert_eq!(
        write(&sink, 1, &[r#"{"id":1,"name":"a"}"#, r#"{"id":2,"name":"b"}"#]).await,
        ["created 1", "created 2"]
    );
    let second = [r#"{"id":2,"name":"b"}"#, r#"{"id":3,"name":"c"}"#, r#"{"id":1,"name":"A"}"#];
    assert_eq!(write(&sink, 2, &second).await, ["unchanged", "created 3", "updated 1"]);
    assert_eq!(
        db.rows().await,
        [r#"{"id": 1, "name": "A"}"#, r#"{"id": 2, "name": "b"}"#, r#"{"id": 3, "name": "c"}"#]
    );
}

#[tokio::test]
async fn the_last_of_two_records_of_one_key_wins_and_both_get_a_verdict() {
    let Some(db) = Database::new("twice").await else { return };
    let sink = db.sink().await;
    let batch = [r#"{"id":1,"name":"old"}"#, r#"{"id":2,"name":"b"}"#, r#"{"id":1,"name":"new"}"#];
    assert_eq!(write(&sink, 1, &batch).await, ["created 1", "created 2", "updated 1"]);
    assert_eq!(db.rows().await[0], r#"{"id": 1, "name": "new"}"#);
    let again = [r#"{"id":1,"name":"x"}"#, r#"{"id":1,"name":"new"}"#];
    assert_eq!(write(&sink, 2, &again).await, ["unchanged", "unchanged"]);
}

#[tokio::test]
async fn numbers_keep_every_digit_and_text_every_character() {
    let Some(db) = Database::new("digits").await else { return };
    let sink = db.sink().await;
    let record = r#"{"id":9223372036854775807,"big":1234567890123456789012345678901234567890.0123456789,"text":"tab\t, new\nline, \"quote\", back\\slash, \\N, 名前, \ud83d\ude00","list":[1, "\n"],"empty":""}"#;
    assert_eq!(write(&sink, 1, &[record]).await, ["created 9223372036854775807"]);
    assert_eq!(db.one("select id from leads").await.unwrap(), "9223372036854775807");
    assert_eq!(db.one("select big from leads").await.unwrap(), "1234567890123456789012345678901234567890.0123456789");
    let text = "tab\t, new\nline, \"quote\", back\\slash, \\N, 名前, 😀";
    assert_eq!(db.one("select text from leads").await.unwrap(), text);
    assert_eq!(db.one("select list from leads").await.unwrap(), r#"[1, "\n"]"#);
    assert_eq!(db.one("select empty from leads").await.unwrap(), "");
}

#[tokio::test]
async fn a_field_that_a_record_lacks_is_null_and_columns_of_others_stay_untouched() {
    let Some(db) = Database::new("lacking").await else { return };
    db.sql("create table leads (id bigint primary key, phone text, note text default 'mine')").await;
    let sink = db.sink().await;
    write(&sink, 1, &[r#"{"id":1,"phone":"123"}"#]).await;
    assert_eq!(db.rows().await, [r#"{"id": 1, "note": "mine", "phone": "123"}"#]);
    // The same holds when no record of the batch has the field, and for a sink that starts anew.
    let sink = db.sink().await;
    assert_eq!(write(&sink, 2, &[r#"{"id":1}"#]).await, ["updated 1"]);
    assert_eq!(db.rows().await, [r#"{"id": 1, "note": "mine", "phone": null}"#]);
}

#[tokio::test]
async fn fields_may_come_in_any_order() {
    let Some(db) = Database::new("orders").await else { return };
    let sink = db.sink().await;
    write(&sink, 1, &[r#"{"id":1,"a":"x","b":"y"}"#, r#"{"b":"Y","a":"X","id":2}"#]).await;
    assert_eq!(db.rows().await, [r#"{"a": "X", "b": "Y", "id": 2}"#, r#"{"a": "x", "b": "y", "id": 1}"#]);
}

#[tokio::test]
async fn a_record_without_its_key_is_rejected_alone() {
    let Some(db) = Database::new("keyless").await else { return };
    let sink = db.sink().await;
    let missing = "rejected RK0411: the key field \"id\" is missing or null";
    assert_eq!(write(&sink, 1, &[r#"{"a":1}"#, r#"{"id":null}"#]).await, [missing, missing]);
    assert_eq!(write(&sink, 2, &[r#"{"a":1}"#, r#"{"id":1,"a":2}"#]).await, [missing, "created 1"]);
}

#[tokio::test]
async fn a_key_of_several_columns_names_a_row_by_all_of_them() {
    let Some(db) = Database::new("compound").await else { return };
    let mut config = db.config();
    config.key = vec!["org".to_owned(), "id".to_owned()];
    let sink = db.sink_of(config).await;
    let batch = [r#"{"id":1,"org":"a","v":1}"#, r#"{"id":1,"org":"b","v":2}"#];
    assert_eq!(write(&sink, 1, &batch).await, ["created 1", "created 1"]);
    assert_eq!(write(&sink, 2, &[batch[0], r#"{"id":1,"org":"b","v":3}"#]).await, ["unchanged", "updated 1"]);
    assert_eq!(db.rows().await.len(), 2);
}

#[tokio::test]
async fn records_that_are_only_a_key_are_created_once() {
    let Some(db) = Database::new("onlykey").await else { return };
    let sink = db.sink().await;
    assert_eq!(write(&sink, 1, &[r#"{"id":"a"}"#]).await, ["created \"a\""]);
    assert_eq!(write(&sink, 2, &[r#"{"id":"a"}"#, r#"{"id":"b"}"#]).await, ["unchanged", "created \"b\""]);
}

#[tokio::test]
async fn a_refused_value_costs_only_its_own_record() {
    let Some(db) = Database::new("refused").await else { return };
    db.sql(
        "create table leads (id bigint primary key, at timestamptz, small numeric(4,2), name text not null,
            age int check (age > 0), json jsonb, code text unique)",
    )
    .await;
    let sink = db.sink().await;
    let batch = [
        r#"{"id":1,"name":"good","at":"2026-01-02T03:04:05+09:00"}"#,
        r#"{"id":2,"name":"bad date","at":"yesterday-ish"}"#,
        r#"{"id":3,"name":"too wide","small":123.45}"#,
        r#"{"id":4,"name":null}"#,
        r#"{"id":5,"name":"a\u0000b"}"#,
        r#"{"id":6,"name":"checked","age":0}"#,
        r#"{"id":7,"name":"json","json":{"a":"\u0000"}}"#,
        r#"{"id":8,"name":"first","code":"c"}"#,
        r#"{"id":9,"name":"second","code":"c"}"#,
        r#"{"id":10,"name":"int","age":99999999999}"#,
        r#"{"id":11,"name":"good too"}"#,
    ];
    let verdicts = write(&sink, 1, &batch).await;
    assert_eq!(
        verdicts,
        [
            "created 1",
            "rejected RK0408: column \"at\" (timestamp with time zone): a value is no date or time as its column wants it (SQLSTATE 22007)",
            "rejected RK0408: column \"small\" (numeric(4,2)): a number is out of its column's range (SQLSTATE 22003)",
            "rejected RK0408: column \"name\": a column that must not be null would be (SQLSTATE 23502)",
            "rejected RK0408: column \"name\": a text holds a character that PostgreSQL cannot store",
            "rejected RK0408: constraint \"leads_age_check\": a check of the table does not hold (SQLSTATE 23514)",
            "rejected RK0408: column \"json\" (jsonb): a text holds a character that PostgreSQL cannot store (SQLSTATE 22P05)",
            "created 8",
            "rejected RK0408: constraint \"leads_code_key\": another row already has a value that must be unique (SQLSTATE 23505)",
            "rejected RK0408: column \"age\" (integer): a number is out of its column's range (SQLSTATE 22003)",
            "created 11",
        ]
    );
    assert_eq!(db.one("select array_agg(id order by id) from leads").await.unwrap(), "{1,8,11}");
    // The checkpoint moved along, and the next batch is whole again.
    assert_eq!(db.one("select value ->> 'number' from renkei_checkpoints").await.unwrap(), "1");
    assert_eq!(write(&sink, 2, &[r#"{"id":1,"name":"better"}"#]).await, ["updated 1"]);
}

#[tokio::test]
async fn a_constraint_that_waits_for_the_commit_rejects_its_record_alone() {
    let Some(db) = Database::new("deferred").await else { return };
    db.sql(
        "create table owners (id bigint primary key); insert into owners values (1);
         create table leads (id bigint primary key, owner bigint references owners deferrable initially deferred)",
    )
    .await;
    let sink = db.sink().await;
    let verdicts = write(&sink, 1, &[r#"{"id":1,"owner":1}"#, r#"{"id":2,"owner":2}"#]).await;
    assert_eq!(verdicts[0], "created 1");
    assert!(verdicts[1].starts_with("rejected RK0408: constraint \"leads_owner_fkey\""), "{}", verdicts[1]);
}

#[tokio::test]
async fn a_refused_record_in_the_batch_that_makes_the_table_leaves_the_others_in() {
    let Some(db) = Database::new("refusednew").await else { return };
    let mut config = db.config();
    config.columns.insert("at".to_owned(), "timestamptz".to_owned());
    let sink = db.sink_of(config).await;
    let verdicts = write(&sink, 1, &[r#"{"id":1,"at":"2026-01-01"}"#, r#"{"id":2,"at":"never"}"#]).await;
    assert_eq!(verdicts[0], "created 1");
    assert!(verdicts[1].starts_with("rejected RK0408"));
    assert_eq!(db.rows().await, [r#"{"at": "2026-01-01T00:00:00+00:00", "id": 1}"#]);
}

#[tokio::test]
async fn a_partitioned_table_takes_upserts_with_exact_verdicts() {
    let Some(db) = Database::new("partitioned").await else { return };
    db.sql(
        "create table leads (id bigint primary key, v text) partition by range (id);
         create table leads_low partition of leads for values from (0) to (10);
         create table leads_high partition of leads for values from (10) to (20)",
    )
    .await;
    let sink = db.sink().await;
    assert_eq!(write(&sink, 1, &[r#"{"id":1,"v":"a"}"#, r#"{"id":11,"v":"b"}"#]).await, ["created 1", "created 11"]);
    let again = [r#"{"id":1,"v":"A"}"#, r#"{"id":11,"v":"b"}"#, r#"{"id":12,"v":"c"}"#];
    assert_eq!(write(&sink, 2, &again).await, ["updated 1", "unchanged", "created 12"]);
}

#[tokio::test]
async fn types_without_an_equality_of_their_own_are_compared_all_the_same() {
    let Some(db) = Database::new("noequality").await else { return };
    db.sql("create table leads (id bigint primary key, j json, p point)").await;
    let sink = db.sink().await;
    write(&sink, 1, &[r#"{"id":1,"j":{"a":1},"p":"(1,2)"}"#]).await;
    assert_eq!(write(&sink, 2, &[r#"{"id":1,"j":{"a":1},"p":"(1,2)"}"#]).await, ["unchanged"]);
    assert_eq!(write(&sink, 3, &[r#"{"id":1,"j":{"a":2},"p":"(1,2)"}"#]).await, ["updated 1"]);
}
