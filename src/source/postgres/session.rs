//! A session that reads, with what it found about the columns.

use std::pin::pin;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use tokio_postgres::{Client, types::Type};

use super::select::{Bounds, Column, Shape};
use crate::{
    config::plan::{CursorFormat, Postgres, Rows, RowsOf},
    database::postgres::{self, NOTHING_CHANGED, quoted},
    model::{Blame, Code, Cursor, Disposition, Fault, Scan},
    source::rows::{PAGE_BYTES, Place, Reader, Row, bound, null_keys, unfit},
};

pub struct Session {
    pub client: Client,
    pub shape: Shape,
    format: Option<CursorFormat>,
    /// Columns that the table itself keeps from being null.
    not_null: Vec<String>,
}

pub fn fault(error: &tokio_postgres::Error, doing: &str) -> Fault {
    postgres::fault(error, doing, NOTHING_CHANGED)
}

/// Signs in and looks at what is to be read. A session that only reads cannot write, whatever a query calls.
pub async fn open(
    plan: &Rows,
    database: &Postgres,
    format: Option<CursorFormat>,
    reads_only: bool,
) -> Result<Session, Fault> {
    let client = postgres::connect(&database.url, database.ca.as_deref()).await?;
    let reads = if reads_only { "SET default_transaction_read_only = on" } else { "" };
    // Tables that a query names are those of the connection's schema.
    let set = client.batch_execute(&format!("SET search_path = {}, public; {reads}", quoted(&database.schema))).await;
    set.map_err(|error| fault(&error, "set up the database session"))?;
    let (from, table) = source(plan, database);
    let columns = columns(&client, &from, &plan.of).await?;
    let named = |name: &String| {
        let known = columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = columns.iter().find(|column| column.name == *name).cloned();
        found.ok_or_else(|| unfit(format!("there is no column \"{name}\""), &format!("The columns are: {known}.")))
    };
    let key = plan.key.iter().map(named).collect::<Result<Vec<_>, _>>()?;
    let cursor = plan.cursor.as_ref().map(named).transpose()?;
    if let Some((cursor, format)) = cursor.as_ref().zip(format) {
        cursor_fits(cursor, format)?;
    }
    let not_null = match &table {
        Some(table) => not_null(&client, table).await?,
        None => Vec::new(),
    };
    Ok(Session { client, shape: Shape { from, columns, key, cursor }, format, not_null })
}

/// What stands behind FROM, and the table if it is one.
fn source(plan: &Rows, database: &Postgres) -> (String, Option<String>) {
    let table = match &plan.of {
        RowsOf::Query(query) => return (format!("(\n{query}\n) s"), None),
        RowsOf::Table(table) => table,
        RowsOf::Outbox(outbox) => &outbox.table,
    };
    let name = format!("{}.{}", quoted(&database.schema), quoted(table));
    (format!("{name} s"), Some(name))
}

async fn columns(client: &Client, from: &str, of: &RowsOf) -> Result<Vec<Column>, Fault> {
    let prepared = client.prepare(&format!("select * from {from} limit 0")).await;
    let prepared = prepared.map_err(|error| match (error.code().map(|state| state.code()), of) {
        (Some("42P01"), RowsOf::Table(_) | RowsOf::Outbox(_)) => {
            unfit(format!("there is no table {}", from.trim_end_matches(" s")), "Create it, or name another one.")
        }
        (Some(state), RowsOf::Query(_)) if state.starts_with("42") => {
            let said = error.as_db_error().map_or("", |error| error.message());
            unfit(format!("the query cannot be read: {said} (SQLSTATE {state})"), "Mend `query` of the pipeline.")
        }
        _ => fault(&error, "look at the columns"),
    })?;
    let columns: Vec<Column> = prepared.columns().iter().map(|it| column(it.name(), it.type_())).collect();
    let twice = columns.iter().enumerate().find(|(at, column)| columns[..*at].iter().any(|it| it.name == column.name));
    match twice {
        Some((_, Column { name, .. })) => Err(unfit(
            format!("two columns are called \"{name}\""),
            "Give each column a name of its own: select a.id as a_id.",
        )),
        None => Ok(columns),
    }
}

fn column(name: &str, of: &Type) -> Column {
    let type_sql = format!("{}.{}", quoted(of.schema()), quoted(of.name()));
    Column { name: name.to_owned(), type_name: of.name().to_owned(), type_sql }
}

fn cursor_fits(cursor: &Column, format: CursorFormat) -> Result<(), Fault> {
    let (fits, wanted) = match format {
        CursorFormat::Rfc3339 | CursorFormat::Date(_) => {
            (matches!(cursor.type_name.as_str(), "timestamptz" | "timestamp"), "timestamptz or timestamp")
        }
        CursorFormat::Integer => {
            (matches!(cursor.type_name.as_str(), "int2" | "int4" | "int8"), "bigint or a smaller integer")
        }
        CursorFormat::EpochSeconds | CursorFormat::EpochMillis => {
            (matches!(cursor.type_name.as_str(), "int4" | "int8" | "numeric"), "bigint or numeric")
        }
    };
    if fits {
        return Ok(());
    }
    let message =
        format!("the column \"{}\" has type {}, and its format needs {wanted}", cursor.name, cursor.type_name);
    Err(unfit(message, "Change `format` under `incremental`, name another column, or cast it in a `query`."))
}

async fn not_null(client: &Client, table: &str) -> Result<Vec<String>, Fault> {
    let sql = "select attname::text from pg_attribute where attrelid = to_regclass($1) and attnotnull and attnum > 0";
    let rows = client.query(sql, &[&table]).await.map_err(|error| fault(&error, "look at the columns"))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

impl Reader for Session {
    async fn now(&self) -> Result<DateTime<Utc>, Fault> {
        let sql = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint";
        let row =
            self.client.query_one(sql, &[]).await.map_err(|error| fault(&error, "ask the database for its time"))?;
        Ok(DateTime::from_timestamp_micros(row.get(0)).unwrap_or_default())
    }

    async fn check_keys(&self) -> Result<(), Fault> {
        let open: Vec<&Column> = self.shape.key.iter().filter(|column| self.may_be_null(column)).collect();
        if open.is_empty() {
            return Ok(());
        }
        let found = self.client.query_one(&self.shape.nulls_sql(&open), &[]).await;
        match found.map_err(|error| fault(&error, "look for rows without a key"))?.get(0) {
            true => Err(null_keys(open.iter().map(|column| column.name.as_str()))),
            false => Ok(()),
        }
    }

    fn may_be_unplaced(&self) -> bool {
        self.shape.cursor.as_ref().is_some_and(|cursor| self.may_be_null(cursor))
    }

    fn places(&self) -> usize {
        self.shape.order().count()
    }

    async fn largest(&self) -> Result<Option<i64>, Fault> {
        let Some(cursor) = &self.shape.cursor else { return Ok(None) };
        let row = self.client.query_one(&self.shape.largest_sql(cursor), &[]).await;
        let row = row.map_err(|error| fault(&error, "look for the last row"))?;
        Ok(row.get::<_, Option<String>>(0).and_then(|text| text.parse().ok()))
    }

    async fn rows(&self, place: &Place, window: &Scan, limit: usize) -> Result<(Vec<Row>, bool), Fault> {
        let format = self.format.unwrap_or(CursorFormat::Integer);
        let text = |cursor: &Option<Cursor>| cursor.as_ref().map(|cursor| bound(format, cursor));
        let bounds = Bounds { from: text(&window.from), until: text(&window.high) };
        let (sql, params) = self.shape.page_sql(place, &bounds, limit);
        let failed = |error: tokio_postgres::Error| fault(&error, "read rows");
        let mut found = pin!(self.client.query_raw(&sql, &params).await.map_err(failed)?);
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while let Some(row) = found.next().await {
            let row = row.map_err(failed)?;
            let json: String = row.get(0);
            bytes += json.len();
            rows.push(Row { json, place: (1..row.len()).map(|number| row.get(number)).collect() });
            if bytes >= PAGE_BYTES {
                return Ok((rows, true));
            }
        }
        let is_full = rows.len() >= limit;
        Ok((rows, is_full))
    }
}

impl Session {
    fn may_be_null(&self, column: &Column) -> bool {
        !self.not_null.contains(&column.name)
    }
}

/// No page takes longer; a server that went silent is found by this.
pub fn silent() -> Fault {
    Fault::halt(Code::Timeout, Blame::Remote, "the database gave no page within 15 min")
        .with(Disposition::Retry { after: None })
        .help("Nothing was changed. The next run goes on from its checkpoint.")
}
