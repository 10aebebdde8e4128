//! One session with a MySQL or MariaDB server: statements and values. Everything above speaks of [`Value`]s, so the library is known here
//! alone.
//!
//! ```text
//!   connect  the URL, and how a session begins          tls    what `ssl-mode` means
//!   value    values and columns as the server gives them       fault   what an error leads to
//! ```
//!
//! A session whose statement was left half way is of no use any more: whoever has it drops it, and the server rolls back.

mod connect;
mod fault;
mod tls;
mod value;

use std::{collections::BTreeSet, time::Duration};

use futures_util::TryStreamExt;
use mysql_async::{Conn, Row, prelude::Queryable};

pub use self::{
    connect::Access,
    fault::{Error, NOTHING_CHANGED, is_value_code},
    value::{Column, Kind, Value},
};

/// The server's own bound is shorter; this one is for a server that does not answer at all.
const ANSWER_MAX: Duration = Duration::from_secs(11 * 60);

/// An open session.
pub struct Session {
    conn: Conn,
    /// MariaDB and not MySQL.
    pub is_mariadb: bool,
    /// What the server says that it is.
    pub version: String,
    /// The database of the URL.
    pub database: String,
    pub user: String,
    /// The largest packet that the server takes, in bytes.
    pub packet_max: usize,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({})", self.database)
    }
}

/// What a statement that changes something did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Changed {
    /// Rows that are other than they were. A row that is set to what it holds does not count.
    pub rows: u64,
    /// How often the server had something to say about it.
    pub warnings: u16,
}

impl Session {
    /// All rows of a statement.
    pub async fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>, Error> {
        let mut all = Vec::new();
        let take = |row| {
            all.push(row);
            true
        };
        self.each(sql, values, take).await?;
        Ok(all)
    }

    /// The rows of a statement, one by one, as long as `take` wants more. The others still cross the network.
    pub async fn each(
        &mut self,
        sql: &str,
        values: &[Value],
        mut take: impl FnMut(Vec<Value>) -> bool,
    ) -> Result<(), Error> {
        let work = async {
            let mut answer = self.conn.exec_iter(sql, value::bound(values)).await?;
            let kinds: Vec<Kind> = answer.columns_ref().iter().map(Kind::of).collect();
            let Some(mut rows) = answer.stream::<Row>().await? else { return Ok(()) };
            while let Some(row) = rows.try_next().await? {
                let row = row.unwrap().into_iter().zip(&kinds);
                if !take(row.map(|(value, kind)| value::read(value, *kind)).collect()) {
                    break;
                }
            }
            Ok(())
        };
        bounded(work).await
    }

    /// Runs a statement that changes rows.
    pub async fn change(&mut self, sql: &str, values: &[Value]) -> Result<Changed, Error> {
        let work = async {
            let answer = self.conn.exec_iter(sql, value::bound(values)).await?;
            let changed = Changed { rows: answer.affected_rows(), warnings: answer.warnings() };
            answer.drop_result().await?;
            Ok(changed)
        };
        bounded(work).await
    }

    /// Runs a statement without values, such as those around a transaction.
    pub async fn command(&mut self, sql: &str) -> Result<(), Error> {
        bounded(self.conn.query_drop(sql)).await
    }

    /// What the server had to say about the last statement: codes and messages. To be asked before any other one.
    pub async fn warnings(&mut self) -> Result<Vec<(u16, String)>, Error> {
        let said: Vec<(String, u16, String)> = bounded(self.conn.query("SHOW WARNINGS")).await?;
        Ok(said.into_iter().map(|(_, code, message)| (code, message)).collect())
    }

    /// The columns of a statement, without running it.
    pub async fn columns(&mut self, sql: &str) -> Result<Vec<Column>, Error> {
        let statement = bounded(self.conn.prep(sql)).await?;
        Ok(statement.columns().iter().map(Column::of).collect())
    }

    /// Columns of tables that MariaDB keeps JSON in, which are texts with a condition there: schema, table, column. Nothing on MySQL,
    /// where a column says so itself.
    pub async fn json_columns(&mut self, tables: &BTreeSet<(&str, &str)>) -> Result<BTreeSet<[String; 3]>, Error> {
        let mut found = BTreeSet::new();
        if !self.is_mariadb {
            return Ok(found);
        }
        let sql = "SELECT CAST(CHECK_CLAUSE AS CHAR) FROM information_schema.CHECK_CONSTRAINTS
            WHERE CONSTRAINT_SCHEMA = ? AND TABLE_NAME = ?";
        for (schema, table) in tables {
            let of = [schema, table].map(|name| Value::Text((*name).to_owned()));
            for clause in self.rows(sql, &of).await?.concat() {
                let Value::Text(clause) = clause else { continue };
                let inner = clause.strip_prefix("json_valid(`").and_then(|rest| rest.strip_suffix("`)"));
                found.extend(inner.map(|name| [schema, table, &*name.replace("``", "`")].map(str::to_owned)));
            }
        }
        Ok(found)
    }
}

/// Waits for the server, but not for ever.
async fn bounded<T>(work: impl Future<Output = Result<T, mysql_async::Error>>) -> Result<T, Error> {
    match tokio::time::timeout(ANSWER_MAX, work).await {
        Ok(done) => done.map_err(Error::from),
        Err(_) => Err(Error::silent(ANSWER_MAX)),
    }
}

/// A name as SQL takes it, whatever is in it.
pub fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
