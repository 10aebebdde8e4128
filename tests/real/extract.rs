//! Customers into files and tables.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;
use tokio_postgres::{Client, NoTls};

use crate::{
    account::{Account, env, skip},
    workspace::{Workspace, kill_when},
};

/// Slow enough to be killed between two pages.
fn stripe(account: &Account) -> String {
    format!(
        "  stripe:\n    connector: stripe\n    base_url: {}\n    auth: {{ bearer: {{ token: \"${{STRIPE_KEY}}\" }} }}\n    \
         budget: [{{ bucket: {{ requests: 3, per: 1s, burst: 1 }} }}]\n",
        account.url
    )
}

async fn change(account: &Account, customers: &BTreeMap<String, Value>) {
    for id in customers.keys().step_by(17) {
        account.post(&format!("/v1/customers/{id}"), &[("name", "Renamed"), ("metadata[tier]", "gold")]).await;
    }
    account.add_customers(220..250).await;
}

fn lines(folder: &Path) -> Vec<Value> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .collect();
    files.sort();
    let text: String = files.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn file_bytes(folder: &Path) -> u64 {
    let sizes = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().map_or(0, |file| file.len()));
    sizes.sum()
}

fn by_id(records: &[Value]) -> BTreeMap<String, Value> {
    records.iter().map(|record| (record["id"].as_str().unwrap().to_owned(), record.clone())).collect()
}

#[tokio::test]
async fn every_customer_is_one_line_however_often_the_run_is_killed() {
    let Some(account) = Account::open() else { return };
    account.add_customers(0..220).await;
    let workspace = Workspace::new(
        &format!("{}  files: {{ jsonl: {{ path: out, rotate: 100kB }} }}\n", stripe(&account)),
        &[("files", "from: { connection: stripe, stream: customers }\nto: { connection: files, file: customers }\n")],
    );
    let out = workspace.path().join("out");

    let first = workspace.run("files");
    assert_eq!((&first["read"], &first["created"]), (&220.into(), &220.into()));
    let source = account.customers().await;
    assert_eq!(lines(&out).len(), 220);
    assert_eq!(by_id(&lines(&out)), source);

    change(&account, &source).await;
    let before = file_bytes(&out);
    kill_when(workspace.start("files"), || file_bytes(&out) > before);
    workspace.run("files");
    let source = account.customers().await;
    let lines = lines(&out);
    assert_eq!(lines.len(), 220 + 250, "the second pass stands there once, after the first one");
    assert_eq!(by_id(&lines[220..]), source);
}

#[tokio::test]
async fn the_table_is_the_account_however_often_the_run_is_killed() {
    let Some(url) = env("RENKEI_TEST_POSTGRES") else {
        return skip(
            "RENKEI_TEST_POSTGRES is not set, so there is no database to write to. Use scripts/test --test real.",
        );
    };
    let Some(account) = Account::open() else { return };
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("drop schema if exists real cascade; create schema real").await.unwrap();
    account.add_customers(0..220).await;
    let workspace = Workspace::new(
        &format!("{}  db: {{ postgres: {{ url: \"${{DATABASE_URL}}\", schema: real }} }}\n", stripe(&account)),
        &[(
            "table",
            "from: { connection: stripe, stream: customers }\nto: { connection: db, table: customers, key: id }\n",
        )],
    )
    .with("DATABASE_URL", &url);

    let first = workspace.run("table");
    assert_eq!((&first["read"], &first["created"]), (&220.into(), &220.into()));
    let source = account.customers().await;
    assert_eq!(table(&client, &source).await, source);

    change(&account, &source).await;
    let before = moves(&client).await;
    let mut child = Some(workspace.start("table"));
    while let Some(running) = child.take() {
        match moves(&client).await > before {
            true => kill_when(running, || true),
            false => child = Some(running),
        }
    }
    workspace.run("table");
    let source = account.customers().await;
    assert_eq!(source.len(), 250);
    assert_eq!(table(&client, &source).await, source);

    let again = workspace.run("table");
    assert_eq!((&again["read"], &again["unchanged"]), (&250.into(), &250.into()));
}

/// How often the checkpoint in the database moved.
async fn moves(client: &Client) -> i64 {
    let sql = "select (value ->> 'number')::bigint from real.renkei_checkpoints";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// The table as JSON. A field that is null everywhere has no column yet, so the source says which fields there are.
async fn table(client: &Client, source: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let rows = client.query("select to_jsonb(c)::text from real.customers c", &[]).await.unwrap();
    let mut rows: Vec<Value> = rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect();
    let fields = source.values().next().unwrap().as_object().unwrap().keys();
    for row in &mut rows {
        for field in fields.clone() {
            row.as_object_mut().unwrap().entry(field).or_insert(Value::Null);
        }
    }
    by_id(&rows)
}
