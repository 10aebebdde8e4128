//! Tables and queries of PostgreSQL that are read.

use renkei::{
    engine::Options,
    model::{Code, Counts},
};

use crate::{database::Database, rig::Rig};

/// A pipeline that reads `from` into a file.
fn rig(db: &Database, from: &str) -> Rig {
    let connection = format!("  db: {{ postgres: {{ url: \"${{PGURL}}\", schema: {} }} }}\n", db.schema);
    Rig::new(&db.url, &connection, &into_a_file(from))
}

fn into_a_file(from: &str) -> String {
    format!("from: {{ connection: db, {from} }}\nto: {{ connection: files, file: p }}\n")
}

#[tokio::test]
async fn values_come_as_json_with_nothing_lost() {
    let Some(db) = Database::new("ends_types").await else { return };
    db.sql(
        "create domain cents as numeric(20, 2);
         create type mood as enum ('calm', 'wild');
         create table t (id bigint primary key, n numeric, c cents, at timestamptz, local timestamp, day date, raw bytea,
            j json, b jsonb, list int[], texts text[], grid int[][], flag boolean, u uuid, m mood, f float8, nothing text,
            \"odd \"\" name\" text, long bytea);
         insert into t values (9223372036854775807, 12345678901234567890.123456789000, 1.50, '2026-03-01 09:00:00.123456+09',
            '2026-03-01 09:00', '2026-03-01', '\\x00ff10', '{\"a\" : 1.0, \"a\": 12345678901234567890}', '{\"b\": [1.50]}', '{1,null,3}',
            '{a,\"b, c\"}', '{{1,2},{3,4}}', true, '6f1b1a7e-8d6c-4a5e-9f0e-1c2d3e4f5a6b', 'wild', 0.1, null, 'x\n\"y',
            decode(repeat('ab', 100), 'hex'))",
    )
    .await;
    let rig = rig(&db, "table: t, key: id");
    assert_eq!(rig.run().await.created, 1);
    let long = "q6ur".repeat(33) + "qw==";
    let line = rig.lines()[0].replace(&long, "LONG");
    let wanted = r#"{"id":9223372036854775807,"n":12345678901234567890.123456789000,"c":1.50,"at":"2026-03-01T00:00:00.123456+00:00","local":"2026-03-01T09:00:00","day":"2026-03-01","raw":"AP8Q","j":{"a" : 1.0, "a": 12345678901234567890},"b":{"b": [1.50]},"list":[1,null,3],"texts":["a","b, c"],"grid":[[1,2],[3,4]],"flag":true,"u":"6f1b1a7e-8d6c-4a5e-9f0e-1c2d3e4f5a6b","m":"wild","f":0.1,"nothing":null,"odd \" name":"x\n\"y","long":"LONG"}"#;
    assert_eq!(line, wanted);
}

#[tokio::test]
async fn a_pass_goes_page_by_page_and_the_next_one_reads_what_changed() {
    let Some(db) = Database::new("ends_pages").await else { return };
    db.sql(
        "create table t (id int primary key, v text, at timestamptz not null);
         insert into t select n, 'a', '2026-01-01' from generate_series(1, 23) n;
         insert into t select n, 'a', '2026-01-02' from generate_series(24, 30) n",
    )
    .await;
    let rig = rig(&db, "table: t, key: id, incremental: { field: at }, page: 4");
    let (run, fault) = rig.run_with(Options::default()).await;
    assert_eq!((fault, run.counts.created), (None, 30));
    assert_eq!(run.pages, 8, "seven full pages, and one with the rest");
    assert_eq!(rig.run().await, Counts::default());
    db.sql("update t set v = 'b', at = now() - interval '10 s' where id in (3, 29)").await;
    let counts = rig.run().await;
    assert_eq!((counts.created, counts.read), (2, 2));
    assert_eq!(rig.column("id")[30..], ["3", "29"]);
}

#[tokio::test]
async fn a_row_that_is_committed_late_is_found_by_the_overlap() {
    let Some(db) = Database::new("ends_late").await else { return };
    db.sql("create table t (id int primary key, at timestamptz not null); insert into t values (1, now() - interval '1 min')").await;
    let rig = rig(&db, "table: t, key: id, incremental: { field: at, overlap: 5m, settle: 0s }");
    assert_eq!(rig.run().await.created, 1);
    db.sql("insert into t values (2, now() - interval '2 min')").await;
    assert_eq!(rig.run().await.created, 1);
    assert_eq!(rig.column("id"), ["1", "2"]);
}

#[tokio::test]
async fn what_changes_while_a_pass_reads_waits_for_the_next_one() {
    let Some(db) = Database::new("ends_pinned").await else { return };
    db.sql("create sequence seq; create table t (id int primary key, seq bigint not null default nextval('seq'))")
        .await;
    db.sql("insert into t select n from generate_series(1, 10) n").await;
    // Each row that is read moves itself to the end: without a pinned end the pass would never end.
    let rig = rig(&db, "table: t, key: id, incremental: { field: seq, format: integer }, page: 1");
    let (engine, stop) = (rig.engine(), renkei::engine::Stopper::new().1);
    let moving = async {
        loop {
            db.sql("update t set seq = nextval('seq') where seq = (select min(seq) from t)").await;
        }
    };
    let run = tokio::select! {
        run = engine.run("p", Options::default(), &stop) => run.unwrap().0,
        () = moving => unreachable!(),
    };
    assert!(run.counts.read <= 10, "{:?}", run.counts);
    rig.run().await;
    let mut seen = rig.column("id");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 10);
}

#[tokio::test]
async fn keys_of_several_columns_and_queries_are_read_whole_each_time() {
    let Some(db) = Database::new("ends_query").await else { return };
    db.sql(
        "create table shop (id int primary key, name text);
         create table sale (shop int, no text, sum numeric, primary key (shop, no));
         insert into shop values (1, 'a'), (2, 'b');
         insert into sale select 1 + n % 2, 'n' || n, n * 1.10 from generate_series(1, 20) n",
    )
    .await;
    let sql = "select s.name as shop, t.no, t.sum from sale t join shop s on s.id = t.shop -- a comment";
    let rig = rig(&db, &format!("query: \"{sql}\", key: [shop, \"no\"], page: 3"));
    assert_eq!(rig.run().await.created, 20);
    assert_eq!(rig.lines()[0], r#"{"shop":"a","no":"n10","sum":11.00}"#);
    assert_eq!(rig.run().await.read, 20);
}

#[tokio::test]
async fn a_process_that_dies_goes_on_behind_the_last_row_that_it_wrote() {
    let Some(db) = Database::new("ends_crash").await else { return };
    let rows = "insert into t select n, '2026-01-01' from generate_series(1, 12000) n";
    db.sql(&format!("create table t (id int primary key, at timestamptz not null); {rows}; create table leads (id int primary key, at timestamptz)")).await;
    let rig = rig(&db, "table: t, key: id");
    let from = "from: { connection: db, table: t, key: id, incremental: { field: at }, page: 40 }";
    rig.pipeline(&format!("{from}\nto: {{ connection: db, table: leads, key: id }}\n"));
    let (mut deaths, mut read) = (0, 0);
    loop {
        let (engine, stop) = (rig.engine(), renkei::engine::Stopper::new().1);
        let before = db.one("select count(*) from leads").await;
        let dies = async {
            if deaths == 4 {
                std::future::pending::<()>().await;
            }
            while db.one("select count(*) from leads").await == before {}
        };
        tokio::select! {
            ran = engine.run("p", Options::default(), &stop) => {
                let (run, fault) = ran.unwrap();
                assert_eq!(fault, None);
                read += run.counts.read;
                break;
            }
            () = dies => deaths += 1,
        }
    }
    assert!(deaths >= 1, "{deaths} deaths");
    assert!(read < 12_000, "the last run read {read} rows, as if none had been written before");
    assert_eq!(db.one("select count(*) from leads").await.unwrap(), "12000");
}

#[tokio::test]
async fn rows_without_a_cursor_are_dead_letters_and_rows_without_a_key_stop_the_run() {
    let Some(db) = Database::new("ends_nulls").await else { return };
    db.sql("create table t (id int unique, at timestamptz); insert into t values (1, null), (2, '2026-01-01'), (3, null), (4, null)").await;
    let rig = rig(&db, "table: t, key: id, incremental: { field: at }, page: 2");
    let counts = rig.run().await;
    assert_eq!((counts.created, counts.rejected), (1, 3));
    assert!(rig.letters().await.iter().all(|letter| letter.reason.code == Code::BadCursor));
    db.sql("insert into t values (null, '2026-01-01')").await;
    let fault = rig.fault().await;
    assert_eq!((fault.code, fault.exit_code()), (Code::RowsUnfit, 3));
    assert!(fault.message.contains("whose key (id) is null"), "{}", fault.message);
}

#[tokio::test]
async fn what_does_not_fit_is_told_before_a_row_is_read() {
    let Some(db) = Database::new("ends_unfit").await else { return };
    db.sql("create table t (id int primary key, at date, v text); insert into t values (1, '2026-01-01', 'a')").await;
    let told = [
        ("table: nope, key: id".to_owned(), "there is no table"),
        ("table: t, key: nope".to_owned(), "there is no column \"nope\""),
        ("table: t, key: id, incremental: { field: at }".to_owned(), "has type date"),
        ("table: t, key: id, incremental: { field: v, format: integer }".to_owned(), "has type text"),
        ("query: \"select 1 as a, 2 as a from t\", key: a".to_owned(), "two columns are called \"a\""),
        ("query: \"select nope from t\", key: a".to_owned(), "the query cannot be read"),
        ("query: \"select 1) s; drop table t --\", key: a".to_owned(), "the query cannot be read"),
    ];
    for (from, message) in told {
        let rig = rig(&db, &from);
        let fault = rig.fault().await;
        assert_eq!(fault.code, Code::RowsUnfit, "{from}: {fault:?}");
        assert!(fault.message.contains(message), "{from}: {}", fault.message);
    }
    db.sql("create function writes() returns int language sql as 'insert into t values (9) returning id'").await;
    let rig = rig(&db, "query: select writes() as id, key: id");
    assert!(rig.fault().await.message.contains("read-only"));
}

#[tokio::test]
async fn a_cursor_without_a_zone_is_meant_in_utc_and_epochs_are_counted() {
    let Some(db) = Database::new("ends_epochs").await else { return };
    db.sql(
        "create table t (id int primary key, at timestamp not null, epoch bigint not null, millis numeric not null);
         insert into t values (1, '2026-01-01 00:00:00.5', 1767225600, 1767225600500),
            (2, (now() at time zone 'UTC') + interval '1 day', extract(epoch from now())::bigint + 86400, 1000 * (extract(epoch from now()) + 86400))",
    )
    .await;
    for (field, format, value) in [
        ("at", "rfc3339", "\"2026-01-01T00:00:00.5+00:00\""),
        ("epoch", "epoch_seconds", "1767225600"),
        ("millis", "epoch_millis", "1767225600500"),
    ] {
        let rig = rig(&db, &format!("table: t, key: id, incremental: {{ field: {field}, format: {format} }}"));
        assert_eq!(rig.run().await.created, 1, "{field}: what lies ahead of now waits");
        assert_eq!(rig.column(field), [value]);
    }
}

#[tokio::test]
async fn personal_fields_are_protected_and_lists_become_records() {
    let Some(db) = Database::new("ends_split").await else { return };
    db.sql(
        "create table t (id int primary key, at timestamptz not null, lines jsonb, email text);
         insert into t values (1, '2026-01-01', '[{\"sku\": \"a\"}, {\"sku\": \"b\"}]', 'ann@x.example')",
    )
    .await;
    let rig = rig(&db, "table: t, key: id");
    rig.pipeline(&format!("{}personal: {{ email: mask }}\n", into_a_file("table: t, key: id")));
    rig.run().await;
    assert_eq!(rig.column("email"), ["\"***\""]);
    let parts = self::rig(&db, "table: t, key: id, incremental: { field: at }");
    let split = "steps:\n  - split: { list: lines, key: sku }\n";
    parts.pipeline(&format!("{}{split}", into_a_file("table: t, key: id, incremental: { field: at }")));
    assert_eq!(parts.run().await.created, 2);
    assert_eq!(parts.column("sku"), ["\"a\"", "\"b\""]);
}

#[tokio::test]
async fn a_session_that_breaks_is_tried_again_by_the_next_run() {
    let Some(db) = Database::new("ends_broken").await else { return };
    db.sql("create table t (id int primary key); insert into t select n from generate_series(1, 9) n").await;
    let rig = rig(&db, "table: t, key: id, page: 2");
    db.sql("begin; lock table t in access exclusive mode").await;
    let peers = "from pg_stat_activity where wait_event_type = 'Lock' and query like '%ends_broken%'";
    let breaking = async {
        while db.one(&format!("select count(*) {peers}")).await.unwrap() == "0" {
            // Who is there is remembered for as long as a transaction is open.
            db.sql("select pg_stat_clear_snapshot()").await;
        }
        db.sql(&format!("select pg_terminate_backend(pid) {peers}")).await;
    };
    let (fault, ()) = tokio::join!(rig.fault(), breaking);
    assert_eq!(fault.disposition, renkei::model::Disposition::Retry { after: None });
    assert!(fault.help.starts_with("Nothing was changed."), "{}", fault.help);
    db.sql("rollback").await;
    assert_eq!(rig.run().await.created, 9);
}
