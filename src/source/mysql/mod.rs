//! Rows of a MySQL or MariaDB database: a table, a view or a query, page by page, as `rows.rs` reads every database.
//!
//! ```text
//!   shape   by what rows are ordered, and how a page is asked for (pure)
//!   shown   a value as JSON (pure)
//! ```

mod shape;
mod shown;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use chrono::{DateTime, NaiveDateTime, Utc};
use tokio::sync::Mutex;

use self::shape::{Field, Shape};
use super::{
    Source,
    rows::{PAGE_BYTES, Place, Reader, Row, RowStream, null_keys, unfit},
};
use crate::{
    config::plan::{Mysql, Rows, RowsOf, Stream},
    database::mysql::{Access, Column, Error, NOTHING_CHANGED, Session, Value, quoted},
    model::{BoxFuture, Checkpoint, Fault, Page, Scan},
    transform::Personal,
};

/// Reads a table or a query of a database.
pub struct MysqlSource {
    plan: Arc<Rows>,
    database: Arc<Mysql>,
    rows: RowStream,
    /// Taken out while a page is read: a session that was left half way is closed.
    open: Mutex<Option<Open>>,
}

struct Open {
    session: Mutex<Session>,
    shape: Shape,
    /// Rows that are asked for at once: fewer than the page has where they are large, because those that are too many for it cross the
    /// network for nothing.
    at_once: AtomicUsize,
}

impl MysqlSource {
    pub fn new(plan: Arc<Rows>, database: Arc<Mysql>, stream: Arc<Stream>, personal: Arc<Personal>) -> Self {
        Self { plan, database, rows: RowStream::new(stream, personal), open: Mutex::new(None) }
    }

    async fn begin(&self) -> Result<Open, Fault> {
        let mut session = Session::open(&self.database.url, self.database.ca.as_deref(), Access::Read).await?;
        let of_table =
            |table| (format!("{} s", quoted(table)), format!("SELECT * FROM {}", quoted(table)), Some(table));
        let (from, plain, table) = match &self.plan.of {
            RowsOf::Query(query) => (format!("(\n{query}\n) s"), query.clone(), None),
            RowsOf::Table(table) => of_table(table),
            RowsOf::Outbox(outbox) => of_table(&outbox.table),
        };
        // A query is looked at by itself too: it must be one, and only there does the server say which tables its columns are of.
        let looked = async {
            let plain = session.columns(&plain).await?;
            let columns = session.columns(&format!("SELECT * FROM {from}")).await?;
            let tables = plain.iter().map(|column| (column.origin[0].as_str(), column.origin[1].as_str()));
            let tables: BTreeSet<_> = tables.filter(|(_, table)| !table.is_empty()).collect();
            let json = session.json_columns(&tables).await?;
            let is_json = |at: usize| plain.get(at).is_some_and(|column: &Column| json.contains(&column.origin));
            let fields = columns.into_iter().enumerate().map(|(at, column)| Field { is_json: is_json(at), column });
            Ok(fields.collect::<Vec<_>>())
        };
        let fields = looked.await.map_err(unreadable)?;
        let is_unique = match table {
            Some(table) => {
                let names = unique(&mut session, table)
                    .await
                    .map_err(|error| error.fault("look at the indexes", NOTHING_CHANGED))?;
                names.iter().any(|names| names.iter().all(|name| self.plan.key.contains(name)))
            }
            None => false,
        };
        let cursor = self.plan.cursor.clone().zip(self.rows.format());
        let shape = Shape::new(from, fields, &self.plan.key, cursor, is_unique)?;
        Ok(Open { session: Mutex::new(session), shape, at_once: AtomicUsize::new(usize::MAX) })
    }

    async fn page(&self, at: &Checkpoint) -> Result<Page, Fault> {
        let mut slot = self.open.lock().await;
        let open = match slot.take() {
            Some(open) => open,
            None => self.begin().await?,
        };
        let page = self.rows.read(&open, at, self.plan.page).await?;
        *slot = Some(open);
        Ok(page)
    }
}

impl Source for MysqlSource {
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
        Box::pin(async move {
            let place = || format!("{}/{}", self.database.name, self.rows.stream.name);
            self.page(at).await.map_err(|fault| fault.at(place()))
        })
    }
}

fn unreadable(error: Error) -> Fault {
    if error.is_of_the_statement() {
        let message = format!("the rows cannot be read: {}", error.message());
        return unfit(message, "Compare `from:` of the pipeline with the tables of the database.");
    }
    error.fault("look at the columns", NOTHING_CHANGED)
}

/// The columns of each unique index of a table, whole ones only.
async fn unique(session: &mut Session, table: &str) -> Result<Vec<Vec<String>>, Error> {
    let sql = "SELECT INDEX_NAME, COALESCE(COLUMN_NAME, ''), SUB_PART IS NULL FROM information_schema.STATISTICS
        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND NON_UNIQUE = 0 ORDER BY INDEX_NAME";
    let mut indexes: Vec<(String, Vec<String>)> = Vec::new();
    for row in session.rows(sql, &[Value::Text(table.to_owned())]).await? {
        let [Value::Text(index), Value::Text(column), is_whole] = row.as_slice() else { continue };
        // What is no whole column is none that a key could name.
        let column = if *is_whole == Value::Integer(1) { column.clone() } else { String::new() };
        match indexes.last_mut().filter(|(last, _)| last == index) {
            Some((_, columns)) => columns.push(column),
            None => indexes.push((index.clone(), vec![column])),
        }
    }
    Ok(indexes.into_iter().map(|(_, columns)| columns).collect())
}

impl Open {
    async fn all(&self, doing: &str, sql: &str, values: &[Value]) -> Result<Vec<Value>, Fault> {
        let rows = self.session.lock().await.rows(sql, values).await;
        Ok(rows.map_err(|error| error.fault(doing, NOTHING_CHANGED))?.concat())
    }
}

impl Reader for Open {
    async fn now(&self) -> Result<DateTime<Utc>, Fault> {
        let now = self.all("ask for the time", "SELECT UTC_TIMESTAMP(6)", &[]).await?;
        let now = match now.as_slice() {
            [Value::Text(text)] => NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok(),
            _ => None,
        };
        Ok(now.unwrap_or_default().and_utc())
    }

    async fn check_keys(&self) -> Result<(), Fault> {
        match self.all("look for rows without a key", &self.shape.null_keys_sql(), &[]).await?.is_empty() {
            true => Ok(()),
            false => Err(null_keys(self.shape.key_names())),
        }
    }

    fn may_be_unplaced(&self) -> bool {
        self.shape.has_cursor()
    }

    fn places(&self) -> usize {
        self.shape.places()
    }

    async fn largest(&self) -> Result<Option<i64>, Fault> {
        let largest = self.all("look for the last row", &self.shape.largest_sql(), &[]).await?;
        let beyond = || {
            unfit(
                "the largest value of the cursor has more than 63 bits".to_owned(),
                "Read these rows without `incremental`.",
            )
        };
        match largest.as_slice() {
            [Value::Integer(largest)] => Ok(Some(*largest)),
            [Value::Text(largest)] => largest.parse().map(Some).map_err(|_| beyond()),
            [Value::Unsigned(_)] => Err(beyond()),
            _ => Ok(None),
        }
    }

    async fn rows(&self, place: &Place, window: &Scan, limit: usize) -> Result<(Vec<Row>, bool), Fault> {
        let limit = limit.min(self.at_once.load(Ordering::Relaxed)).max(1);
        let (sql, values) = self.shape.page_sql(place, window, limit);
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let take = |values| {
            let row = self.shape.row(values);
            bytes += row.json.len();
            rows.push(row);
            bytes < PAGE_BYTES
        };
        let read = self.session.lock().await.each(&sql, &values, take).await;
        read.map_err(|error| error.fault("read rows", NOTHING_CHANGED))?;
        let is_cut = bytes >= PAGE_BYTES;
        let is_full = is_cut || rows.len() >= limit;
        self.at_once.store(if is_cut { rows.len() } else { limit.saturating_mul(2) }, Ordering::Relaxed);
        Ok((rows, is_full))
    }
}
