//! Tables and queries that are read.

use renkei::model::{Code, Counts, Disposition};

use super::Server;

#[tokio::test]
async fn values_come_as_json_with_nothing_lost() {
    let Some(db) = Server::new("types").await else { return };
    db.sql(
        "CREATE TABLE t (id BIGINT PRIMARY KEY, big BIGINT UNSIGNED, n DECIMAL(40,12), z DECIMAL(8,2) UNSIGNED ZEROFILL, flag BOOLEAN,
            seven TINYINT(1), tiny TINYINT UNSIGNED, one BIT(1), bits BIT(10), y YEAR, f FLOAT, d DOUBLE, at TIMESTAMP(6) NULL, local DATETIME(3),
            day DATE, span TIME(1), v VARCHAR(20), l VARCHAR(9) CHARACTER SET latin1, e ENUM('calm','wild'), s SET('a','b'), j JSON, txt LONGTEXT,
            raw BLOB, fixed BINARY(3), nothing INT, `odd `` \" name` TEXT, u UUID);
         INSERT INTO t VALUES (9223372036854775807, 18446744073709551615, 1234567890123456789012345678.123456789012, 7.5, TRUE, 7, 255, 1,
            b'1000000001', 2026, 0.1, 0.1, '2026-03-01 09:00:00.123456', '2026-03-01 09:00:00.5', '2026-03-01', '-838:59:58.5', 'あ😀', 'é', 'wild', 'a,b',
            '{\"a\" : 1.50, \"a\": 12345678901234567890}', '{\"a\": 1}', x'00FF10', x'0102', NULL, 'x\\n\"y', '6f1b1a7e-8d6c-4a5e-9f0e-1c2d3e4f5a6b')",
    )
    .await;
    let rig = db.rig("table: t, key: id");
    assert_eq!(rig.run().await.created, 1);
    let wanted = r#"{"id":9223372036854775807,"big":18446744073709551615,"n":1234567890123456789012345678.123456789012,"z":7.50,"flag":true,"seven":7,"tiny":255,"one":true,"bits":513,"y":2026,"f":0.1,"d":0.1,"at":"2026-03-01T09:00:00.123456Z","local":"2026-03-01T09:00:00.5","day":"2026-03-01","span":"-838:59:58.5","v":"あ😀","l":"é","e":"wild","s":"a,b","j":{"a" : 1.50, "a": 12345678901234567890},"txt":"{\"a\": 1}","raw":"AP8Q","fixed":"AQIA","nothing":null,"odd ` \" name":"x\n\"y","u":"6f1b1a7e-8d6c-4a5e-9f0e-1c2d3e4f5a6b"}"#;
    assert_eq!(rig.lines(), [wanted]);
    // A query knows of JSON what the table knows.
    let rig = db.rig("query: \"SELECT x.id, x.j, x.j AS other, x.n FROM t x WHERE x.id > 0 -- all of them\", key: id");
    rig.run().await;
    let json = r#"{"a" : 1.50, "a": 12345678901234567890}"#;
    let wanted = format!(
        r#"{{"id":9223372036854775807,"j":{json},"other":{json},"n":1234567890123456789012345678.123456789012}}"#
    );
    assert_eq!(rig.lines(), [wanted]);
}

#[tokio::test]
async fn what_is_read_can_be_written_and_is_the_same() {
    let Some(db) = Server::new("thereandback").await else { return };
    let columns = "(id BIGINT UNSIGNED PRIMARY KEY, n DECIMAL(40,12), flag BOOLEAN, f FLOAT, d DOUBLE, at TIMESTAMP(6) NULL, day DATE, span TIME(1), \
                   v VARCHAR(20), e ENUM('calm','wild'), j JSON, bits BIT(10), y YEAR)";
    db.sql(&format!(
        "CREATE TABLE t {columns};
         CREATE TABLE copy LIKE t;
         INSERT INTO t VALUES (18446744073709551615, 1234567890123456789012345678.123456789012, TRUE, 0.1, 1e300, '2026-03-01 09:00:00.123456', '2026-03-01',
            '23:59:58.5', 'あ ', 'wild', '[1.50]', b'1000000001', 2026), (1, -0.5, FALSE, NULL, NULL, NULL, NULL, NULL, '', NULL, NULL, NULL, NULL)"
    ))
    .await;
    let rig = db.rig("table: t, key: id");
    rig.pipeline("from: { connection: db, table: t, key: id }\nto: { connection: db, table: copy, key: id }\n");
    assert_eq!(rig.run().await, Counts { read: 2, created: 2, ..Counts::default() });
    assert_eq!(rig.run().await, Counts { read: 2, unchanged: 2, ..Counts::default() });
    assert_eq!(db.rows("SELECT * FROM t ORDER BY id").await, db.rows("SELECT * FROM copy ORDER BY id").await);
    db.sql("UPDATE t SET v = 'b' WHERE id = 1").await;
    assert_eq!(rig.run().await, Counts { read: 2, unchanged: 1, updated: 1, ..Counts::default() });
}

#[tokio::test]
async fn a_pass_goes_page_by_page_and_the_next_one_reads_what_changed() {
    let Some(db) = Server::new("pages").await else { return };
    for kind in ["DATETIME(6)", "TIMESTAMP(6)", "DATETIME"] {
        db.sql(&format!(
            "DROP TABLE IF EXISTS t;
             CREATE TABLE t (id INT PRIMARY KEY, v TEXT, at {kind} NOT NULL, KEY (at, id));
             INSERT INTO t SELECT seq, 'a', IF(seq <= 23, '2026-01-01', '2026-01-02 00:00:00.000001') FROM seq_1_to_30"
        ))
        .await;
        let rig = db.rig("table: t, key: id, incremental: { field: at }, page: 4");
        let (run, fault) = rig.run_with(renkei::engine::Options::default()).await;
        assert_eq!((fault, run.counts.created), (None, 30), "{kind}");
        assert_eq!(run.pages, 8, "seven full pages, and one with the rest");
        assert_eq!(rig.run().await, Counts::default());
        db.sql("UPDATE t SET v = 'b', at = UTC_TIMESTAMP(6) - INTERVAL 10 SECOND WHERE id IN (3, 29)").await;
        let counts = rig.run().await;
        assert_eq!((counts.created, counts.read), (2, 2), "{kind}");
        assert_eq!(rig.column("id")[30..], ["3", "29"]);
    }
    // With an index on cursor and key a page is a look into it, and neither a sort nor a walk over all that was read.
    let plan = "EXPLAIN SELECT s.id FROM t s WHERE (s.at >= CAST('2026-01-02' AS DATETIME(6)) AND (s.at > CAST('2026-01-02' AS DATETIME(6)) OR \
                (s.at = CAST('2026-01-02' AS DATETIME(6)) AND s.id > 25))) ORDER BY s.at, s.id LIMIT 4";
    let plan = format!("{:?}", db.rows(plan).await);
    assert!(plan.contains("range") && !plan.contains("filesort"), "{plan}");
}

/// Rows of which a listing that orders by one thing and compares by another would skip or repeat some.
#[tokio::test]
async fn every_row_comes_once_whatever_the_collation_takes_for_the_same() {
    let Some(db) = Server::new("collations").await else { return };
    let names = "('a'), ('A'), ('a '), ('á'), ('ß'), ('ss'), ('SS'), ('b'), ('B '), ('b\\0'), ('😀'), ('😁')";
    for collation in
        ["utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_bin", "utf8mb4_nopad_bin", "utf8mb4_unicode_nopad_ci"]
    {
        db.sql(&format!(
            "DROP TABLE IF EXISTS t;
             CREATE TABLE t (k VARCHAR(20) COLLATE {collation}, n INT AUTO_INCREMENT PRIMARY KEY);
             INSERT INTO t (k) VALUES {names};
             DROP VIEW IF EXISTS v;
             CREATE VIEW v AS SELECT * FROM t"
        ))
        .await;
        for page in [1, 2, 5] {
            for from in ["table: t", "table: v", "query: SELECT k FROM t"] {
                let rig = db.rig(&format!("{from}, key: k, page: {page}"));
                let counts = rig.run().await;
                let mut seen = rig.column("k");
                seen.sort();
                seen.dedup();
                assert_eq!((counts.read, seen.len()), (12, 12), "{collation}, {from}, pages of {page}");
            }
        }
    }
    // Where an index keeps the key unique, it does so by the collation, and the order is that of the index alone.
    db.sql("CREATE TABLE u (k VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY);\nINSERT INTO u VALUES ('B'), ('a'), ('C'), ('á b'), ('d')").await;
    let rig = db.rig("table: u, key: k, page: 1");
    assert_eq!(rig.run().await.read, 5);
    assert_eq!(rig.column("k"), [r#""a""#, r#""á b""#, r#""B""#, r#""C""#, r#""d""#]);
}

#[tokio::test]
async fn a_key_may_be_of_any_type_that_has_an_order() {
    let Some(db) = Server::new("keys").await else { return };
    let kinds = [
        ("BIGINT UNSIGNED", "(0), (18446744073709551614), (18446744073709551615), (9223372036854775807)"),
        (
            "DECIMAL(40,20)",
            "(12345678901234567890.00000000000000000001), (12345678901234567890.00000000000000000002), (-1), (0)",
        ),
        ("FLOAT", "(0.1), (0.2), (-0.3), (16777216)"),
        ("DOUBLE", "(0.1), (0.30000000000000004), (0.3), (-1e300)"),
        ("DATETIME(6)", "('2026-01-01'), ('2026-01-01 00:00:00.000001'), ('0001-01-01'), ('9999-12-31')"),
        ("TIMESTAMP(3)", "('2026-01-01'), ('2026-01-01 00:00:00.001'), ('2000-01-01'), ('2037-12-31')"),
        ("DATE", "('2026-01-01'), ('2026-01-02'), ('0001-01-01'), ('9999-12-31')"),
        ("TIME(6)", "('-838:59:59'), ('00:00:00.000001'), ('00:00:00'), ('838:59:59')"),
        ("YEAR", "(2026), (1901), (2155), (2000)"),
        ("BIT(64)", "(b'0'), (b'1'), (18446744073709551615), (b'100000000')"),
        ("ENUM('z','a','m','Z2')", "('z'), ('a'), ('m'), ('Z2')"),
        ("BINARY(2)", "(x'0000'), (x'00FF'), (x'FF00'), (x'6161')"),
        ("VARBINARY(9)", "(x'62'), (x'00'), (x'6120'), (x'61')"),
        ("VARCHAR(9) CHARACTER SET latin1", "('é'), ('e'), ('z'), ('ü')"),
        ("CHAR(9) COLLATE utf8mb4_bin", "('a'), ('A'), ('b'), ('あ')"),
    ];
    for (kind, values) in kinds {
        db.sql(&format!("DROP TABLE IF EXISTS t;\nCREATE TABLE t (k {kind} NOT NULL, n INT AUTO_INCREMENT PRIMARY KEY);\nINSERT INTO t (k) VALUES {values}")).await;
        for from in ["table: t, key: k", "table: t, key: [k, n]", "query: SELECT k FROM t, key: k"] {
            let rig = db.rig(&format!("{from}, page: 1"));
            let counts = rig.run().await;
            let mut seen = rig.column("k");
            seen.sort();
            seen.dedup();
            // A record is named by texts and whole numbers, so others are read and are dead letters.
            let is_fraction = matches!(kind, "DECIMAL(40,20)" | "FLOAT" | "DOUBLE");
            assert_eq!((counts.read, seen.len()), (4, if is_fraction { 0 } else { 4 }), "{kind}, {from}: {seen:?}");
        }
    }
}

#[tokio::test]
async fn rows_without_a_time_are_dead_letters_and_rows_without_a_key_stop_the_run() {
    let Some(db) = Server::new("nulls").await else { return };
    for is_null in ["NULL", "NOT NULL"] {
        let none = if is_null == "NULL" { "NULL" } else { "'0000-00-00'" };
        db.sql(&format!(
            "DROP TABLE IF EXISTS t;
             SET sql_mode = '';
             CREATE TABLE t (id INT UNIQUE, at DATETIME {is_null}, day DATE);
             INSERT INTO t VALUES (1, {none}, '0000-00-00'), (2, '2026-01-01', NULL), (3, {none}, NULL), (4, '0000-00-00', NULL), (5, '2026-00-10', NULL)"
        ))
        .await;
        let rig = db.rig("table: t, key: id, incremental: { field: at }, page: 2");
        let counts = rig.run().await;
        assert_eq!((counts.created, counts.rejected, counts.read), (1, 4, 5), "{is_null}");
        assert!(rig.letters().await.iter().all(|letter| letter.reason.code == Code::BadCursor));
        let rig = db.rig("table: t, key: id");
        rig.run().await;
        assert_eq!(rig.lines()[0], r#"{"id":1,"at":null,"day":null}"#);
        db.sql("INSERT INTO t VALUES (NULL, '2026-01-01', NULL)").await;
        let fault = rig.fault().await;
        assert_eq!((fault.code, fault.exit_code()), (Code::RowsUnfit, 3));
        assert!(fault.message.contains("whose key (id) is null"), "{}", fault.message);
    }
}

#[tokio::test]
async fn what_does_not_fit_is_told_before_a_row_is_read() {
    let Some(db) = Server::new("unfit").await else { return };
    db.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, at DATE, v TEXT, j JSON, big BIGINT UNSIGNED, p POINT);
         INSERT INTO t (id, at, v, big) VALUES (1, '2026-01-01', 'a', 18446744073709551615);
         CREATE FUNCTION writes() RETURNS INT BEGIN INSERT INTO t (id) VALUES (9); RETURN 9; END",
    )
    .await;
    let told = [
        ("table: nope, key: id", "doesn't exist"),
        ("table: t, key: nope", "there is no column \"nope\""),
        ("table: t, key: p", "has type geometry"),
        ("table: t, key: id, incremental: { field: at }", "has type date"),
        ("table: t, key: id, incremental: { field: v, format: integer }", "has type text"),
        ("table: t, key: id, incremental: { field: big, format: integer }", "more than 63 bits"),
        ("query: \"SELECT 1 AS a, 2 AS a FROM t\", key: a", "Duplicate column name"),
        ("query: \"SELECT nope FROM t\", key: a", "Unknown column"),
        ("query: \"SELECT 1) s; DROP TABLE t -- \", key: a", "error in your SQL syntax"),
        ("query: \"SELECT id FROM t) s, (SELECT 1\", key: id", "error in your SQL syntax"),
        ("query: SELECT writes() AS id, key: id", "READ ONLY transaction"),
    ];
    for (from, message) in told {
        let fault = db.rig(from).fault().await;
        assert_eq!(fault.code, Code::RowsUnfit, "{from}: {fault:?}");
        assert!(fault.message.contains(message), "{from}: {}", fault.message);
    }
    assert_eq!(db.one("SELECT COUNT(*) FROM t").await, "1");
}

#[tokio::test]
async fn numbers_that_grow_and_epochs_are_cursors_too() {
    let Some(db) = Server::new("epochs").await else { return };
    db.sql(
        "CREATE TABLE t (id INT PRIMARY KEY, seq DECIMAL(20,0), epoch BIGINT NOT NULL, millis DECIMAL(20) NOT NULL);
         INSERT INTO t VALUES (1, 7, 1767225600, 1767225600500), (2, 8, UNIX_TIMESTAMP() + 86400, 1000 * (UNIX_TIMESTAMP() + 86400))",
    )
    .await;
    for (field, format, value) in
        [("epoch", "epoch_seconds", "1767225600"), ("millis", "epoch_millis", "1767225600500")]
    {
        let rig = db.rig(&format!("table: t, key: id, incremental: {{ field: {field}, format: {format} }}"));
        assert_eq!(rig.run().await.created, 1, "{field}: what lies ahead of now waits");
        assert_eq!(rig.column(field), [value]);
    }
    let rig = db.rig("table: t, key: id, incremental: { field: seq, format: integer }");
    assert_eq!(rig.run().await.created, 2);
    assert_eq!(rig.run().await.read, 0);
    db.sql("UPDATE t SET seq = 9 WHERE id = 1").await;
    assert_eq!(rig.run().await.created, 1);
}

#[tokio::test]
async fn large_rows_make_smaller_pages_and_none_is_passed_over() {
    let Some(db) = Server::new("large").await else { return };
    db.sql("CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT);\nINSERT INTO t SELECT seq, REPEAT('x', IF(seq < 20, 1000000, 10)) FROM seq_1_to_60").await;
    let rig = db.rig("table: t, key: id");
    let (run, fault) = rig.run_with(renkei::engine::Options::default()).await;
    assert_eq!((fault, run.counts.created), (None, 60));
    assert!((4..=7).contains(&run.pages), "{} pages", run.pages);
}

#[tokio::test]
async fn a_session_that_breaks_is_tried_again_by_the_next_run() {
    let Some(db) = Server::new("broken").await else { return };
    db.sql("CREATE TABLE t (id INT PRIMARY KEY);\nINSERT INTO t SELECT seq FROM seq_1_to_9").await;
    let rig = db.rig("table: t, key: id, page: 2");
    db.sql("LOCK TABLES t WRITE").await;
    let breaking = async {
        while db.peers("SELECT%").await.is_empty() {
            tokio::task::yield_now().await;
        }
        db.kill_peers().await;
    };
    let (fault, ()) = tokio::join!(rig.fault(), breaking);
    assert_eq!(fault.disposition, Disposition::Retry { after: None }, "{fault:?}");
    assert!(fault.help.starts_with("Nothing was changed."), "{}", fault.help);
    db.sql("UNLOCK TABLES").await;
    assert_eq!(rig.run().await.created, 9);
}
