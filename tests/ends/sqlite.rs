//! SQLite files that are read and written.

use renkei::{
    database::sqlite::{Access, Session, Value},
    engine::{Options, Stopper},
    model::{Checkpoint, Code, Counts, Cursor, Disposition},
    sink::{Sink, SqliteConfig, SqliteSink},
};

use crate::{
    database::{at, batch, short},
    rig::Rig,
};

const CONNECTION: &str = "  lite: { sqlite: { path: data.db } }\n";

/// A file in a folder of its own.
struct File(tempfile::TempDir);

impl File {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn config(&self) -> SqliteConfig {
        SqliteConfig {
            path: self.0.path().join("data.db"),
            table: "leads".to_owned(),
            key: vec!["id".to_owned()],
            columns: [("at".to_owned(), "DATETIME".to_owned())].into(),
            stream: "pipe/leads".to_owned(),
        }
    }

    async fn sink(&self) -> SqliteSink {
        let sink = SqliteSink::new(self.config());
        sink.resume(None).await.unwrap();
        sink
    }
}

async fn sql(path: &std::path::Path, statements: &str) {
    let session = Session::open(path, Access::Write).await.unwrap();
    let statements: Vec<String> = statements.split(';').map(str::to_owned).collect();
    let run = session.run("prepare a test", move |db| {
        for statement in statements.iter().filter(|statement| !statement.trim().is_empty()) {
            db.execute(statement, &[])?;
        }
        Ok(())
    });
    run.await.unwrap();
}

async fn rows(path: &std::path::Path, sql: &'static str) -> Vec<Vec<Value>> {
    let session = Session::open(path, Access::Read).await.unwrap();
    session.run("look", move |db| db.rows(sql, &[])).await.unwrap()
}

async fn write(sink: &SqliteSink, number: i64, records: &[&str]) -> Vec<String> {
    sink.write(&batch(number, records)).await.unwrap().iter().map(short).collect()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[tokio::test]
async fn rows_are_made_changed_and_left_as_they_are_and_new_fields_make_columns() {
    let file = File::new();
    let sink = file.sink().await;
    let first = [r#"{"id":1,"v":"a"}"#, r#"{"id":2,"v":"b","n":null}"#, r#"{"v":"no key"}"#];
    let verdicts = write(&sink, 1, &first).await;
    assert_eq!(verdicts[..2], ["created 1", "created 2"]);
    assert!(verdicts[2].starts_with("rejected RK0411"), "{verdicts:?}");
    let second =
        [r#"{"id":1,"v":"a"}"#, r#"{"id":2,"v":"c"}"#, r#"{"id":3,"new":[1.50],"sum":1.25,"at":"2026-01-01"}"#];
    assert_eq!(write(&sink, 2, &second).await, ["unchanged", "updated 2", "created 3"]);
    assert_eq!(write(&sink, 3, &[r#"{"id":1}"#, r#"{"id":1,"v":"z"}"#]).await, ["updated 1", "updated 1"]);
    let all = rows(&file.config().path, "SELECT * FROM leads ORDER BY id").await;
    assert_eq!(all[0], [Value::Integer(1), text("z"), Value::Null, Value::Null, Value::Null]);
    assert_eq!(all[2], [Value::Integer(3), Value::Null, text("[1.50]"), Value::Real(1.25), text("2026-01-01")]);
    let types = rows(&file.config().path, "SELECT name || ' ' || type FROM pragma_table_info('leads')").await.concat();
    assert_eq!(types, ["id INTEGER", "v TEXT", "new JSON TEXT", "sum ", "at DATETIME"].map(text));
}

#[tokio::test]
async fn rows_and_checkpoint_are_stored_together() {
    let file = File::new();
    let sink = file.sink().await;
    assert_eq!(sink.resume(Some(at(9))).await.unwrap(), None, "an empty file begins from the start");
    write(&sink, 1, &[r#"{"id":1,"v":"a"}"#]).await;
    write(&sink, 2, &[]).await;
    let known = |checkpoint: Option<Checkpoint>| checkpoint.and_then(|it| it.cursor);
    assert_eq!(known(file.sink().await.resume(None).await.unwrap()), Some(Cursor::Integer(2)));
    let again = file.sink().await;
    assert_eq!(
        known(again.resume(Some(at(1))).await.unwrap()),
        Some(Cursor::Integer(1)),
        "what the store never heard of comes again"
    );
    assert_eq!(write(&again, 2, &[r#"{"id":1,"v":"a"}"#]).await, ["unchanged"]);
    let behind = sink.write(&batch(3, &[r#"{"id":1,"v":"late"}"#])).await.unwrap_err();
    assert!(behind.message.contains("moved by somebody else"), "{}", behind.message);
    assert_eq!(rows(&file.config().path, "SELECT v FROM leads").await.concat(), [text("a")]);
    sql(&file.config().path, "DROP TABLE leads").await;
    assert_eq!(again.resume(Some(at(2))).await.unwrap(), None, "a table that was dropped is filled from the start");
}

#[tokio::test]
async fn a_value_that_is_refused_costs_only_its_record() {
    let file = File::new();
    sql(
        &file.config().path,
        "CREATE TABLE leads (id INTEGER PRIMARY KEY, n INTEGER CHECK (n < 10), v TEXT UNIQUE, r REAL, g AS (n + 1))",
    )
    .await;
    let sink = file.sink().await;
    let records = [
        r#"{"id":1,"n":1,"v":"a"}"#,
        r#"{"id":2,"n":99,"v":"b"}"#,
        r#"{"id":3,"n":3,"v":"a"}"#,
        r#"{"id":4,"n":"007","v":"d"}"#,
        r#"{"id":5,"n":5,"r":0.12345678901234567890123}"#,
        r#"{"id":6,"n":6,"v":"f","r":0.5}"#,
    ];
    let verdicts = write(&sink, 1, &records).await;
    assert_eq!((verdicts[0].as_str(), verdicts[5].as_str()), ("created 1", "created 6"));
    assert!(verdicts[1..5].iter().all(|verdict| verdict.starts_with("rejected RK0408")), "{verdicts:?}");
    assert!(verdicts[3].contains("a text would become a number"), "{verdicts:?}");
    let fault = sink.write(&batch(2, &[r#"{"id":7,"g":1}"#])).await.unwrap_err();
    assert_eq!((fault.code, fault.exit_code()), (Code::ColumnConflict, 3));
    sink.resume(None).await.unwrap();
    let fault = sink.write(&batch(2, &[r#"{"id":7,"V":1}"#])).await.unwrap_err();
    assert!(fault.message.contains("upper and lower case"), "{}", fault.message);
    assert_eq!(
        rows(&file.config().path, "SELECT id FROM leads ORDER BY id").await.concat(),
        [1, 6].map(Value::Integer)
    );
}

#[tokio::test]
async fn a_table_that_ends_the_transaction_when_it_refuses_leaves_nothing_of_the_batch() {
    let file = File::new();
    sql(&file.config().path, "CREATE TABLE leads (id INTEGER PRIMARY KEY, v TEXT UNIQUE ON CONFLICT ROLLBACK)").await;
    let sink = file.sink().await;
    let records = [r#"{"id":1,"v":"a"}"#, r#"{"id":2,"v":"a"}"#, r#"{"id":3,"v":"c"}"#];
    assert_eq!(sink.write(&batch(1, &records)).await.unwrap_err().code, Code::Database);
    assert!(rows(&file.config().path, "SELECT * FROM leads").await.is_empty());
    assert_eq!(sink.resume(None).await.unwrap(), None);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_says_why() {
    let file = File::new();
    let missing = SqliteConfig { path: file.0.path().join("nowhere/data.db"), ..file.config() };
    let fault = SqliteSink::new(missing).resume(None).await.unwrap_err();
    assert_eq!((fault.code, fault.exit_code()), (Code::Database, 6));
    std::fs::write(file.0.path().join("text.db"), "this is no database at all, and long enough to be looked at twice")
        .unwrap();
    let other = SqliteConfig { path: file.0.path().join("text.db"), ..file.config() };
    let fault = SqliteSink::new(other).resume(None).await.unwrap_err();
    assert!(fault.message.contains("not a database"), "{}", fault.message);
    sql(&file.config().path, "CREATE TABLE leads (id INTEGER, v TEXT)").await;
    let fault = file.sink().await.write(&batch(1, &[r#"{"id":1}"#])).await.unwrap_err();
    assert!(fault.help.contains(r#"CREATE UNIQUE INDEX "leads_key" ON "leads" ("id")"#), "{}", fault.help);
    let fault = file.sink().await.write(&batch(1, &[])).await.unwrap_err();
    assert_eq!(fault.disposition, Disposition::Halt);
}

#[tokio::test]
async fn a_table_is_read_by_pages_and_then_what_changed() {
    let rig = Rig::new(
        "",
        CONNECTION,
        "from: { connection: lite, table: t, key: id, incremental: { field: at }, page: 3 }\nto: { connection: files, file: p }\n",
    );
    let path = rig.folder.path().join("data.db");
    sql(
        &path,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME, v, flag BOOLEAN, j JSON TEXT, raw BLOB);
         WITH RECURSIVE s(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s WHERE value < 7)
            INSERT INTO t SELECT value, '2026-01-01 00:00:00', 1.5, 1, '{\"a\": 1.50}', x'00ff' FROM s;
         INSERT INTO t VALUES (8, '2026-01-02T09:00:00.5+09:00', 'x', 0, 'no json', NULL);
         INSERT INTO t VALUES (9, 'whenever', NULL, NULL, NULL, NULL)",
    )
    .await;
    let counts = rig.run().await;
    assert_eq!((counts.created, counts.rejected), (8, 1), "a time that nobody can read is a dead letter");
    let lines = rig.lines();
    assert_eq!(
        lines[0],
        r#"{"id":1,"at":"2026-01-01T00:00:00.000Z","v":1.5,"flag":true,"j":{"a": 1.50},"raw":"AP8="}"#
    );
    assert_eq!(lines[7], r#"{"id":8,"at":"2026-01-02T00:00:00.500Z","v":"x","flag":false,"j":"no json","raw":null}"#);
    sql(&path, "UPDATE t SET v = 2, at = datetime('now', '-10 seconds') WHERE id = 5").await;
    let counts = rig.run().await;
    assert_eq!((counts.created, rig.column("id")[8..].concat().as_str()), (1, "5"));
}

#[tokio::test]
async fn a_table_travels_into_another_and_a_process_that_dies_goes_on() {
    let rig = Rig::new(
        "",
        CONNECTION,
        "from: { connection: lite, query: \"SELECT a, b, n FROM t\", key: [a, b], incremental: { field: n, format: integer }, page: 4 }\nto: { connection: lite, table: copy, key: [a, b] }\n",
    );
    let path = rig.folder.path().join("data.db");
    sql(&path, "CREATE TABLE t (a TEXT, b INTEGER, n INTEGER); WITH RECURSIVE s(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s WHERE value < 40) INSERT INTO t SELECT 'k' || (value % 3), value, value / 5 FROM s").await;
    let mut deaths = 0;
    loop {
        let (engine, stop) = (rig.engine(), Stopper::new().1);
        let count = async || match rows(&path, "SELECT count(*) FROM pragma_table_info('copy')").await.concat()[0] {
            Value::Integer(0) => 0,
            _ => rows(&path, "SELECT count(*) FROM copy").await.len(),
        };
        let before = count().await;
        let dies = async {
            while deaths > 2 || count().await == before {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ran = engine.run("p", Options::default(), &stop) => {
                let (run, fault) = ran.unwrap();
                assert_eq!((fault, run.counts.balance()), (None, 0));
                break;
            }
            () = dies => deaths += 1,
        }
    }
    let sums = "SELECT count(*), count(DISTINCT b), sum(n) FROM copy";
    assert_eq!(rows(&path, sums).await.concat(), [40, 40, 148].map(Value::Integer));
    assert_eq!(rig.run().await.read, 0, "nothing lies behind the largest number");
    sql(&path, "INSERT INTO t VALUES ('k9', 99, 9)").await;
    assert_eq!(rig.run().await, Counts { read: 1, created: 1, ..Counts::default() });
}

#[tokio::test]
async fn what_cannot_be_read_is_told() {
    let told = [
        ("table: nope, key: id", Code::RowsUnfit, "no such table"),
        ("table: t, key: nope", Code::RowsUnfit, "there is no column \"nope\""),
        ("query: SELECT nope FROM t, key: nope", Code::RowsUnfit, "no such column"),
        ("table: t, key: v", Code::RowsUnfit, "whose key (v) is null"),
    ];
    for (from, code, message) in told {
        let rig = Rig::new(
            "",
            CONNECTION,
            &format!("from: {{ connection: lite, {from} }}\nto: {{ connection: files, file: p }}\n"),
        );
        sql(
            &rig.folder.path().join("data.db"),
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, NULL)",
        )
        .await;
        let fault = rig.fault().await;
        assert_eq!(fault.code, code, "{from}: {fault:?}");
        assert!(fault.message.contains(message), "{from}: {}", fault.message);
    }
    let rig =
        Rig::new("", CONNECTION, "from: { connection: lite, table: t, key: id }\nto: { connection: files, file: p }\n");
    assert_eq!(rig.fault().await.exit_code(), 6, "there is no file");
    assert!(!rig.folder.path().join("data.db").exists(), "reading makes none");
}

#[test]
fn the_doctor_says_how_a_file_is() {
    let folder = tempfile::tempdir().unwrap();
    let look = |path: &str| {
        let connection = format!("version: 1\nconnections:\n  lite: {{ sqlite: {{ path: {path} }} }}\n");
        crate::rig::write(folder.path(), "renkei.yaml", &connection);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_renkei"));
        let ran = command.args(["doctor", "lite", "--output", "json"]).current_dir(folder.path()).output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
        let line = &told[0]["lines"][0];
        (ran.status.code(), line["state"].as_str().unwrap().to_owned(), line["seen"].as_str().unwrap().to_owned())
    };
    let (code, state, seen) = look("data.db");
    assert_eq!((code, state.as_str()), (Some(0), "ok"), "{seen}");
    assert!(seen.contains("is made by the first run"), "{seen}");
    assert_eq!(look("nowhere/data.db").0, Some(3));
    crate::rig::write(folder.path(), "text.db", "no database");
    let (code, state, seen) = look("text.db");
    assert_eq!((code, state.as_str()), (Some(6), "failed"), "{seen}");
    let made = tokio::runtime::Runtime::new().unwrap();
    made.block_on(sql(&folder.path().join("real.db"), "CREATE TABLE t (id INTEGER)"));
    assert!(look("real.db").2.contains("1 table(s)"));
}

#[tokio::test]
async fn several_targets_read_rows_together_and_each_has_its_own_checkpoint() {
    let targets = "to:\n  - { name: small, when: record.id < 4, connection: lite, table: small, key: id }\n  - { name: all, connection: \
                   files, file: p }\n";
    let from = "from: { connection: lite, table: t, key: id, incremental: { field: id, format: integer }, page: 3 }\n";
    let rig = Rig::new("", CONNECTION, &format!("{from}{targets}"));
    let path = rig.folder.path().join("data.db");
    let insert = "INSERT INTO t WITH RECURSIVE s(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM s WHERE value < 10) SELECT value FROM s";
    sql(&path, &format!("CREATE TABLE t (id INTEGER PRIMARY KEY); {insert}")).await;
    let (engine, stop) = (rig.engine(), Stopper::new().1);
    let (small, all) =
        tokio::join!(engine.run("p.small", Options::default(), &stop), engine.run("p.all", Options::default(), &stop));
    let counts = |ran: Result<(renkei::store::Run, Option<renkei::model::Fault>), _>| match ran {
        Ok((run, None)) => (run.counts.read, run.counts.created, run.counts.skipped),
        other => panic!("{other:?}"),
    };
    assert_eq!((counts(small), counts(all)), ((10, 3, 7), (10, 10, 0)));
    sql(&path, "INSERT INTO t VALUES (11)").await;
    let ran: Result<_, renkei::model::Fault> = rig.engine().run("p.all", Options::default(), &stop).await;
    assert_eq!((counts(ran), rig.lines().len()), ((1, 1, 0), 11));
}
