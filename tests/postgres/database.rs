//! A schema of its own for each test, and batches to write into it.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use renkei::{
    model::{Checkpoint, Clock, Cursor, Fault, Fields, Key, SystemClock, Verdict},
    sink::{PostgresSink, Sink, TableConfig},
    store::{Batch, Item, Memory, Seal, Staged, State, StreamId},
};
use tokio_postgres::{Client, NoTls};

pub struct Database {
    pub url: String,
    pub schema: String,
    pub client: Client,
}

#[expect(clippy::disallowed_methods, reason = "a test's servers are given by the environment")]
pub fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Database {
    /// Makes an empty schema. Nothing where there is no server: then the test says so and ends, and under CI it fails.
    pub async fn new(schema: &str) -> Option<Self> {
        let Some(url) = env("RENKEI_TEST_POSTGRES") else {
            let what = "RENKEI_TEST_POSTGRES is not set, so this test has no PostgreSQL to run against. Use \
                        scripts/test --test postgres, or set it to the URL of a server that may be written to.";
            assert!(env("CI").is_none(), "{what}");
            std::io::Write::write_all(&mut std::io::stderr(), format!("SKIPPED: {what}\n").as_bytes()).unwrap();
            return None;
        };
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let sql =
            format!("drop schema if exists {schema} cascade; create schema {schema}; set search_path to {schema}");
        client.batch_execute(&sql).await.unwrap();
        Some(Self { url, schema: schema.to_owned(), client })
    }

    pub async fn sql(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    pub fn config(&self) -> TableConfig {
        TableConfig {
            url: self.url.clone().into(),
            ca: None,
            schema: self.schema.clone(),
            table: "leads".to_owned(),
            key: vec!["id".to_owned()],
            columns: BTreeMap::new(),
            stream: "pipe/leads".to_owned(),
        }
    }

    /// A resumed sink.
    pub async fn sink(&self) -> PostgresSink {
        self.sink_of(self.config()).await
    }

    pub async fn sink_of(&self, config: TableConfig) -> PostgresSink {
        let sink = PostgresSink::new(config);
        sink.resume(None).await.unwrap();
        sink
    }

    /// The whole table as text, one line per row, ordered by its first column.
    pub async fn rows(&self) -> Vec<String> {
        let rows = self.client.query("select to_jsonb(l)::text from leads l order by 1", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    pub async fn one(&self, sql: &str) -> Option<String> {
        self.client.query_one(&format!("select ({sql})::text"), &[]).await.unwrap().get(0)
    }

    pub async fn type_of(&self, column: &str) -> Option<String> {
        let sql = "select format_type(atttypid, atttypmod) from pg_attribute
            where attrelid = to_regclass('leads') and attname = $1";
        self.client.query_opt(sql, &[&column]).await.unwrap().map(|row| row.get(0))
    }
}

pub fn ca() -> PathBuf {
    env("RENKEI_TEST_POSTGRES_CA").expect("scripts/test sets RENKEI_TEST_POSTGRES_CA").into()
}

pub fn at(number: i64) -> Checkpoint {
    Checkpoint { cursor: Some(Cursor::Integer(number)), ..Checkpoint::default() }
}

/// A batch of these records, which moves the checkpoint to `number`.
pub fn batch(number: i64, records: &[&str]) -> Staged {
    let item = |text: &&str| {
        let fields = Fields::parse(text.as_bytes()).unwrap();
        let id = fields.get(&renkei::model::Path::parse("id").unwrap()).map_or("", |id| id.get()).to_owned();
        Item::new(Key::new(id.clone()), fields)
    };
    let batch = Batch { items: records.iter().map(item).collect(), next: at(number), ..Batch::default() };
    State::new(Arc::new(Memory::default()), Arc::new(Seal::plain())).guard(
        &StreamId::new("pipe", "leads"),
        batch,
        SystemClock.now(),
    )
}

/// Writes one batch and tells the verdicts in short: `created 1`, `rejected RK0408: ..`.
pub async fn write(sink: &PostgresSink, number: i64, records: &[&str]) -> Vec<String> {
    try_write(sink, number, records).await.unwrap()
}

pub async fn try_write(sink: &PostgresSink, number: i64, records: &[&str]) -> Result<Vec<String>, Fault> {
    let verdicts = sink.write(&batch(number, records)).await?;
    Ok(verdicts.iter().map(short).collect())
}

pub fn short(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Created(id) => format!("created {}", id.as_deref().unwrap_or_default()),
        Verdict::Updated(id) => format!("updated {}", id.as_deref().unwrap_or_default()),
        Verdict::Unchanged => "unchanged".to_owned(),
        Verdict::Rejected(reason) => format!("rejected {}: {}", reason.code, reason.message),
        other => format!("{other:?}"),
    }
}
