//! MySQL and MariaDB, read and written. `scripts/test` starts a MariaDB and says where it is in RENKEI_TEST_MYSQL.

mod crash;
mod read;
mod sign_in;
mod write;

use std::path::PathBuf;

use renkei::{
    database::mysql::{Access, Session, Value},
    model::Fault,
    sink::{MysqlConfig, MysqlSink, Sink},
};
use tokio::sync::Mutex;

use crate::{
    database::{batch, env, short},
    rig::Rig,
};

const CONNECTION: &str = "  db: { mysql: { url: \"${PGURL}\" } }\n";

/// A database of its own for each test.
pub struct Server {
    pub url: String,
    name: String,
    /// Taken out while a statement is under way: one that nobody waits for any more leaves a session that is of no use.
    session: Mutex<Option<Session>>,
}

fn url_of(name: &str) -> Option<String> {
    let Some(url) = env("RENKEI_TEST_MYSQL") else {
        let what = "RENKEI_TEST_MYSQL is not set, so this test has no MySQL or MariaDB to run against. Use scripts/test --test ends, or \
                    set it to the URL of a server that may be written to.";
        assert!(env("CI").is_none(), "{what}");
        std::io::Write::write_all(&mut std::io::stderr(), format!("SKIPPED: {what}\n").as_bytes()).unwrap();
        return None;
    };
    let (server, _) = url.rsplit_once('/').unwrap();
    Some(format!("{server}/{name}"))
}

pub fn ca() -> PathBuf {
    env("RENKEI_TEST_MYSQL_CA").expect("scripts/test sets RENKEI_TEST_MYSQL_CA").into()
}

impl Server {
    /// Makes an empty database. Nothing where there is no server: then the test says so and ends, and under CI it fails.
    pub async fn new(name: &str) -> Option<Self> {
        let name = format!("renkei_{name}");
        let url = url_of(&name)?;
        let mut any = Session::open(&env("RENKEI_TEST_MYSQL").unwrap().into(), None, Access::Write).await.unwrap();
        any.command(&format!("DROP DATABASE IF EXISTS {name}")).await.unwrap();
        any.command(&format!("CREATE DATABASE {name} CHARACTER SET utf8mb4")).await.unwrap();
        let session = Session::open(&url.clone().into(), None, Access::Write).await.unwrap();
        Some(Self { url, name, session: Mutex::new(Some(session)) })
    }

    /// Statements with a semicolon and the end of a line behind each.
    pub async fn sql(&self, statements: &str) {
        let mut slot = self.session.lock().await;
        let mut session = self.taken(&mut slot).await;
        for statement in statements.split(";\n").filter(|statement| !statement.trim().is_empty()) {
            session
                .command(statement.trim_end_matches(';'))
                .await
                .unwrap_or_else(|error| panic!("{statement}: {error:?}"));
        }
        *slot = Some(session);
    }

    pub async fn rows(&self, sql: &str) -> Vec<Vec<Value>> {
        let mut slot = self.session.lock().await;
        let mut session = self.taken(&mut slot).await;
        let rows = session.rows(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        *slot = Some(session);
        rows
    }

    async fn taken(&self, slot: &mut Option<Session>) -> Session {
        match slot.take() {
            Some(session) => session,
            None => self.other().await,
        }
    }

    /// All values, row by row, as texts.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let text = |value| match value {
            Value::Null => "NULL".to_owned(),
            Value::Integer(number) => number.to_string(),
            Value::Text(text) => text,
            other => format!("{other:?}"),
        };
        self.rows(sql).await.concat().into_iter().map(text).collect()
    }

    pub async fn one(&self, sql: &str) -> String {
        self.texts(sql).await.concat()
    }

    /// Sessions of others in this database whose statement is like this.
    pub async fn peers(&self, like: &str) -> Vec<String> {
        self.sessions(&format!("INFO LIKE '{like}'")).await
    }

    pub async fn sessions(&self, test: &str) -> Vec<String> {
        let sql = "SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND DB = ";
        self.texts(&format!("{sql}'{}' AND {test}", self.name)).await
    }

    /// Ends all sessions of others in this database.
    pub async fn kill_peers(&self) {
        let mut other = self.other().await;
        let mine = other.rows("SELECT CONNECTION_ID()", &[]).await.unwrap().concat();
        for id in self.sessions("TRUE").await.into_iter().filter(|id| mine != [Value::Integer(id.parse().unwrap())]) {
            // One that has ended by itself is none that could be ended.
            other.command(&format!("KILL {id}")).await.ok();
        }
    }

    /// A session of somebody else.
    pub async fn other(&self) -> Session {
        Session::open(&self.url.clone().into(), None, Access::Write).await.unwrap()
    }

    /// A session in another database, which is not among those that are ended.
    pub async fn other_of(name: &str) -> Session {
        Session::open(&url_of(name).unwrap().into(), None, Access::Write).await.unwrap()
    }

    pub fn config(&self) -> MysqlConfig {
        MysqlConfig {
            url: self.url.clone().into(),
            ca: None,
            table: "leads".to_owned(),
            key: vec!["id".to_owned()],
            columns: [("at".to_owned(), "DATETIME(3)".to_owned())].into(),
            stream: "pipe/leads".to_owned(),
        }
    }

    /// A resumed sink.
    pub async fn sink(&self) -> MysqlSink {
        self.sink_of(self.config()).await
    }

    pub async fn sink_of(&self, config: MysqlConfig) -> MysqlSink {
        let sink = MysqlSink::new(config);
        sink.resume(None).await.unwrap();
        sink
    }

    /// A pipeline that reads `from` into a file.
    pub fn rig(&self, from: &str) -> Rig {
        Rig::new(
            &self.url,
            CONNECTION,
            &format!("from: {{ connection: db, {from} }}\nto: {{ connection: files, file: p }}\n"),
        )
    }
}

/// Writes one batch and tells the verdicts in short: `created 1`, `rejected RK0408: ..`.
async fn write(sink: &MysqlSink, number: i64, records: &[&str]) -> Vec<String> {
    try_write(sink, number, records).await.unwrap()
}

async fn try_write(sink: &MysqlSink, number: i64, records: &[&str]) -> Result<Vec<String>, Fault> {
    let verdicts = sink.write(&batch(number, records)).await?;
    Ok(verdicts.iter().map(short).collect())
}
