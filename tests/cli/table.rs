//! A table that cannot hold what comes. `scripts/test` starts a server and says where it is in RENKEI_TEST_POSTGRES.

use crate::vendor::{Desk, Vendor, answer};

const SCHEMA: &str = "cli_column_conflict";

/// An empty schema on the tests' server. Nothing where there is none: then the test says so and ends, and under CI it fails.
fn empty_schema(runtime: &tokio::runtime::Runtime) -> Option<tokio_postgres::Client> {
    #[expect(clippy::disallowed_methods, reason = "a test's servers are given by the environment")]
    let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let Some(url) = env("RENKEI_TEST_POSTGRES") else {
        let what =
            "RENKEI_TEST_POSTGRES is not set, so this test has no PostgreSQL to run against: scripts/test --test cli";
        assert!(env("CI").is_none(), "{what}");
        println!("SKIPPED: {what}");
        return None;
    };
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(&format!("drop schema if exists {SCHEMA} cascade; create schema {SCHEMA}")).await.unwrap();
        Some(client)
    })
}

#[test]
fn a_column_that_cannot_hold_a_field_stops_the_run_before_anything_is_written() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let Some(client) = empty_schema(&runtime) else { return };
    let rows = || {
        let counted = runtime.block_on(client.query_one(&format!("select count(*) from {SCHEMA}.people"), &[]));
        counted.unwrap().get::<_, i64>(0)
    };
    let vendor = Vendor::new(|_| answer("200 OK", r#"{"data":[{"id":1,"age":30}]}"#));
    let desk = Desk::new(&vendor, "people", "{ connection: db, table: people, key: id }");
    let db = format!("  db: {{ postgres: {{ url: \"${{RENKEI_TEST_POSTGRES}}\", schema: {SCHEMA} }} }}\n");
    desk.edit("renkei.yaml", "  files:", &format!("{db}  files:"));
    let first = desk.renkei(&["run", "--log-level", "off"]);
    assert_eq!((first.code, rows()), (0, 1), "{}", first.transcript());

    vendor.mend(|_| answer("200 OK", r#"{"data":[{"id":2,"age":31},{"id":3,"age":"old"}]}"#));
    let refused = desk.renkei(&["run", "--log-level", "off"]);
    assert_eq!((refused.code, rows()), (3, 1), "{}", refused.transcript());
    for part in [
        "error[RK0406]: column \"age\"",
        "has type bigint, and the field is text",
        "ALTER TABLE",
        "renkei explain RK0406",
    ] {
        assert!(refused.stderr.contains(part), "no {part} in {}", refused.transcript());
    }

    vendor.mend(|_| answer("200 OK", r#"{"data":[{"id":2,"age":31},{"id":3,"age":32}]}"#));
    let mended = desk.renkei(&["run", "--log-level", "off"]);
    assert_eq!((mended.code, rows()), (0, 3), "{}", mended.transcript());
}
