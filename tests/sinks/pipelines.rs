//! Pipelines into files that are written whole, as people write them.

use renkei::{
    config::{self, MapEnvironment},
    database::sqlite::{Access, Session},
};

use crate::{
    ends::read_parquet,
    rig::{self, Rig},
    s3::{Server, python},
};

const ROWS: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, price REAL, at TEXT);
    WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 1000)
        INSERT INTO t SELECT n, n / 4.0, '2026-01-01T00:00:00Z' FROM s";

pub const FROM: &str =
    "from: { connection: lite, table: t, key: id, incremental: { field: id, format: integer }, page: 50 }\n";

pub fn into_parquet(connection: &str) -> String {
    let fields = "fields: { id: record.id, price: record.price, at: record.at, note: record.id ~ \"!\" }";
    let columns = "columns: { id: bigint, price: \"decimal(12,2)\", at: timestamp }";
    format!("{FROM}to: {{ connection: {connection}, file: rows, {fields}, {columns} }}\n")
}

pub async fn fill(path: &std::path::Path) {
    let db = Session::open(path, Access::Write).await.unwrap();
    for sql in ROWS.split(';') {
        let sql = sql.to_owned();
        db.run("fill", move |db| db.execute(&sql, &[])).await.unwrap();
    }
}

#[tokio::test]
async fn rows_travel_into_parquet_files_of_a_folder() {
    if python().is_none() {
        return;
    }
    let connections = "  lite: { sqlite: { path: data.db } }\n  lake: { parquet: { path: lake, rotate: 1kB } }\n";
    let rig = Rig::new("", connections, &into_parquet("lake"));
    fill(&rig.folder.path().join("data.db")).await;
    assert_eq!(rig.run().await.created, 1000);
    assert_eq!(rig.run().await.read, 0);
    let path = |number: usize| rig.folder.path().join(format!("lake/rows.{number:06}.parquet"));
    let paths: Vec<_> = (0..).map(path).take_while(|path| path.exists()).collect();
    assert!(paths.len() > 10, "a page is over the size: {}", paths.len());
    let rows = read_parquet(&[], &paths);
    assert_eq!(rows.len(), 1000);
    assert_eq!(rows[4], r#"{"id":5,"price":1.25,"at":"2026-01-01 00:00:00+00","note":"5!"}"#);
}

#[tokio::test]
async fn a_file_ends_with_the_page_that_makes_its_records_large_enough() {
    let connections = "  lite: { sqlite: { path: data.db } }\n  lake: { parquet: { path: lake, rotate: 100kB } }\n";
    let from = "from: { connection: lite, table: t, key: id, page: 10 }\n";
    let rig = Rig::new(
        "",
        connections,
        &format!("{from}to: {{ connection: lake, file: rows, fields: {{ id: record.id, v: record.v }} }}\n"),
    );
    let db = Session::open(&rig.folder.path().join("data.db"), Access::Write).await.unwrap();
    db.run("fill", |db| db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)", &[])).await.unwrap();
    let rows = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 200)
        INSERT INTO t SELECT n, hex(zeroblob(2500)) FROM s";
    db.run("fill", move |db| db.execute(rows, &[])).await.unwrap();
    assert_eq!(rig.run().await.created, 200);
    let files = std::fs::read_dir(rig.folder.path().join("lake")).unwrap();
    let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.ends_with(".parquet")).count(), 10, "two pages of 50 kB each");
}

#[tokio::test]
async fn rows_travel_into_a_bucket_and_those_of_one_commit_share_an_object() {
    let Some(server) = Server::start() else { return };
    let rig = Rig::new(
        &server.secret,
        &connections(&server, "format: csv, separator: \";\", "),
        &into_parquet("lake").replace(", columns: { id: bigint, price: \"decimal(12,2)\", at: timestamp }", ""),
    );
    fill(&rig.folder.path().join("data.db")).await;
    let (run, fault) = rig.run_with(renkei::engine::Options::default()).await;
    assert_eq!((run.counts.created, fault), (1000, None));
    assert_eq!(run.requests, 2, "one listed, one put");
    let objects = server.objects();
    assert_eq!(objects.keys().collect::<Vec<_>>(), ["raw/shop/rows.000000000.csv"]);
    let text = String::from_utf8(objects.into_values().next().unwrap()).unwrap();
    assert!(text.starts_with("id;price;at;note\n1;0.25;2026-01-01T00:00:00Z;1!\n"), "{}", &text[..80]);
    assert_eq!(text.lines().count(), 1001);
}

/// `${PGURL}` of the rig is the secret.
pub fn connections(server: &Server, more: &str) -> String {
    format!(
        "  lite: {{ sqlite: {{ path: data.db }} }}\n  lake: {{ s3: {{ {more}bucket: lake, prefix: raw/shop, region: us-east-1, \
         endpoint: \"{}\", path_style: true, access_key_id: {}, secret_access_key: \"${{PGURL}}\", session_token: \"${{NOTHING:-}}\" }} }}\n",
        server.url, server.id
    )
}

#[test]
fn what_is_typed_wrong_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let told = |connection: &str, to: &str| {
        let head = "version: 1\nconnections:\n  lite: { sqlite: { path: data.db } }\n";
        rig::write(folder.path(), "renkei.yaml", &format!("{head}  lake: {connection}\n"));
        rig::write(
            folder.path(),
            "pipelines/p.yaml",
            &format!("version: 1\n{FROM}to: {{ connection: lake, file: rows{to} }}\n"),
        );
        match config::load(folder.path(), &MapEnvironment::new(&[("S", "secret")])) {
            Ok(_) => String::new(),
            Err(report) => report.to_string(),
        }
    };
    let s3 = |more: &str| {
        format!(
            "{{ s3: {{ bucket: lake, region: us-east-1, access_key_id: k, secret_access_key: \"${{S}}\"{more} }} }}"
        )
    };
    assert_eq!(told(&s3(""), ""), "");
    assert_eq!(told(&s3(", format: parquet"), ", fields: { id: record.id }, columns: { id: bigint }"), "");
    for (connection, to, wanted) in [
        (s3("").replace("bucket: lake", "bucket: my/lake"), "", "this is no name of a bucket"),
        (s3("").replace("us-east-1", "us east"), "", "this is no region"),
        (s3("").replace("\"${S}\"", "hunter2"), "", "a secret is written into the file"),
        (s3("").replace("access_key_id: k", "access_key_id: a/b"), "", "this is no access key id"),
        (s3(", prefix: a/../b"), "", "names of objects cannot begin so"),
        (s3(", separator: \";\""), "", "`separator` belongs to CSV"),
        (s3(", rotate: 1GB"), "", "out of bounds"),
        (s3(", format: avro"), "", "avro"),
        (s3(", format: csv"), "", "fields"),
        (s3(", endpoint: \"localhost:9000\""), "", "only http and https"),
        (s3(", endpoint: \"http://127.0.0.1:9000\", path_style: false"), "", "cannot stand in front of this host"),
        (s3(""), ", columns: { id: bigint }", "`columns` belong to a table or a Parquet file"),
        (
            "{ parquet: { path: lake } }".to_owned(),
            ", fields: { id: record.id }, columns: { id: int }",
            "`int` is no type of a Parquet column",
        ),
        (
            "{ parquet: { path: lake } }".to_owned(),
            ", fields: { id: record.id }, columns: { idd: bigint }",
            "`idd` is not among `fields`",
        ),
        (
            "{ parquet: { path: lake } }".to_owned(),
            ", fields: { id: record.id }, columns: { id: \"decimal(39,2)\" }",
            "is no type",
        ),
        ("{ parquet: { path: lake }, s3: { bucket: b } }".to_owned(), "", "region"),
    ] {
        let report = told(&connection, to);
        assert!(report.contains(wanted), "{connection} {to}: {report}");
        assert!(!report.contains("hunter2"), "{report}");
    }
}
