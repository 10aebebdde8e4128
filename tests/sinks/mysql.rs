//! A database of a MySQL or MariaDB server, as the contract sees it.

use std::collections::BTreeMap;

use renkei::{
    database::mysql::{Access, Session, Value},
    sink::MysqlConfig,
};

use crate::database::env;

/// Its URL.
pub struct Mysql(String);

impl Mysql {
    /// Makes an empty database. Nothing where there is no server.
    pub async fn new(name: &str) -> Option<Self> {
        let url = env("RENKEI_TEST_MYSQL")?;
        let mut session = Session::open(&url.clone().into(), None, Access::Write).await.unwrap();
        session.command(&format!("DROP DATABASE IF EXISTS {name}")).await.unwrap();
        session.command(&format!("CREATE DATABASE {name}")).await.unwrap();
        Some(Self(format!("{}/{name}", url.rsplit_once('/').unwrap().0)))
    }

    pub fn config(&self) -> MysqlConfig {
        MysqlConfig {
            url: self.0.clone().into(),
            ca: None,
            table: "leads".to_owned(),
            key: vec!["id".to_owned()],
            columns: BTreeMap::new(),
            stream: "pipe/leads".to_owned(),
        }
    }

    pub async fn rows(&self) -> Vec<String> {
        let mut session = Session::open(&self.0.clone().into(), None, Access::Read).await.unwrap();
        let there = "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'leads'";
        if session.rows(there, &[]).await.unwrap().is_empty() {
            return Vec::new();
        }
        let rows = session.rows("SELECT CONCAT(id, ' ', v) FROM leads ORDER BY id", &[]).await.unwrap();
        let text = |value| match value {
            Value::Text(text) => text,
            other => panic!("{other:?}"),
        };
        rows.concat().into_iter().map(text).collect()
    }
}
