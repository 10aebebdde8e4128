//! Rows of a SQLite file: a table, a view or a query, page by page, as `rows.rs` reads every database.
//!
//! SQLite has no type for times, so a cursor of times is brought to one form first: UTC with milliseconds. What SQLite cannot read as
//! a time has no cursor.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::value::RawValue;
use tokio::sync::Mutex;

use super::{
    Source,
    rows::{PAGE_BYTES, Place, Reader, Row, RowStream, bound, null_keys, unfit},
};
use crate::{
    config::plan::{CursorFormat, Rows, RowsOf, Sqlite, Stream},
    database::sqlite::{Access, Error, Session, Value, quoted},
    model::{BoxFuture, Checkpoint, Cursor, Fault, Page, Scan},
    transform::Personal,
};

/// Reads a table or a query of a file.
pub struct SqliteSource {
    plan: Arc<Rows>,
    file: Arc<Sqlite>,
    rows: RowStream,
    /// Taken out while a page is read: a session that was left half way is closed.
    open: Mutex<Option<Open>>,
}

struct Open {
    session: Session,
    shape: Arc<Shape>,
}

/// What is read, and by which of its columns it is ordered.
struct Shape {
    from: String,
    /// Each with the type that its table declares.
    columns: Vec<(String, String)>,
    key: Vec<String>,
    cursor: Option<(String, CursorFormat)>,
}

impl SqliteSource {
    pub fn new(plan: Arc<Rows>, file: Arc<Sqlite>, stream: Arc<Stream>, personal: Arc<Personal>) -> Self {
        Self { plan, file, rows: RowStream::new(stream, personal), open: Mutex::new(None) }
    }

    async fn begin(&self) -> Result<Open, Fault> {
        let session = Session::open(&self.file.path, Access::Read).await?;
        let from = match &self.plan.of {
            RowsOf::Query(query) => format!("(\n{query}\n) s"),
            RowsOf::Table(table) => format!("{} s", quoted(table)),
            RowsOf::Outbox(outbox) => format!("{} s", quoted(&outbox.table)),
        };
        let sql = format!("SELECT * FROM {from}");
        let looked = session.run("look at the columns", move |db| match db.columns(&sql) {
            Err(error) if error.is_of_the_statement() => {
                let message = format!("the rows cannot be read: {}", error.message());
                Err(Error::from(unfit(message, "Compare `from:` of the pipeline with the tables of the file.")))
            }
            columns => columns,
        });
        let columns = looked.await?;
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        if let Some(name) = self.plan.key.iter().chain(&self.plan.cursor).find(|name| !names.contains(&name.as_str())) {
            let help = format!("The columns are: {}.", names.join(", "));
            return Err(unfit(format!("there is no column \"{name}\""), &help));
        }
        let cursor = self.plan.cursor.clone().zip(self.rows.format());
        let shape = Shape { from, key: self.plan.key.clone(), cursor, columns };
        Ok(Open { session, shape: Arc::new(shape) })
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

impl Source for SqliteSource {
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
        Box::pin(async move {
            let place = || format!("{}/{}", self.file.name, self.rows.stream.name);
            self.page(at).await.map_err(|fault| fault.at(place()))
        })
    }
}

impl Shape {
    /// The values that order rows: the cursor, then the key.
    fn order(&self) -> Vec<String> {
        let cursor = self.cursor.iter().map(|(name, format)| match format {
            CursorFormat::Rfc3339 => format!("strftime('%Y-%m-%dT%H:%M:%fZ', s.{})", quoted(name)),
            CursorFormat::EpochSeconds | CursorFormat::EpochMillis | CursorFormat::Integer | CursorFormat::Date(_) => {
                format!("s.{}", quoted(name))
            }
        });
        cursor.chain(self.key.iter().map(|name| format!("s.{}", quoted(name)))).collect()
    }

    fn page_sql(&self, place: &Place, window: &Scan, limit: usize) -> (String, Vec<Value>) {
        let order = self.order();
        let (mut tests, mut values) = (Vec::new(), Vec::new());
        let (after, skipped) = match place {
            Place::Unplaced(after) => (after, usize::from(self.cursor.is_some())),
            Place::Placed(after) => (after, 0),
        };
        if !after.is_empty() {
            let marks = vec!["?"; after.len()].join(", ");
            tests.push(format!("({}) > ({marks})", order[skipped..].join(", ")));
            values.extend(after.iter().map(|text| placed(text)));
        }
        if let Some((_, format)) = &self.cursor {
            if matches!(place, Place::Unplaced(_)) {
                tests.push(format!("{} IS NULL", order[0]));
            } else {
                tests.push(format!("{} IS NOT NULL", order[0]));
                for (test, cursor) in [(">=", &window.from), ("<", &window.high)] {
                    tests.extend(cursor.iter().map(|_| format!("{} {test} ?", order[0])));
                    values.extend(cursor.iter().map(|cursor| compared(*format, cursor)));
                }
            }
        }
        let wanted = if tests.is_empty() { String::new() } else { format!("WHERE {}", tests.join(" AND ")) };
        let columns: Vec<String> = self.columns.iter().map(|(name, _)| format!("s.{}", quoted(name))).collect();
        let (columns, order) = (columns.join(", "), order.join(", "));
        (format!("SELECT {columns}, {order} FROM {} {wanted} ORDER BY {order} LIMIT {limit}", self.from), values)
    }

    /// A row as one JSON object, with its place.
    fn row(&self, mut values: Vec<Value>) -> Row {
        let place = values.split_off(self.columns.len());
        let mut json = String::from("{");
        for ((name, declared), value) in self.columns.iter().zip(&values) {
            if json.len() > 1 {
                json.push(',');
            }
            let normal =
                self.cursor.as_ref().filter(|(cursor, format)| cursor == name && *format == CursorFormat::Rfc3339);
            let value = normal.and_then(|_| place.first()).filter(|value| **value != Value::Null).unwrap_or(value);
            json.push_str(&json_text(name));
            json.push(':');
            json.push_str(&shown(value, declared));
        }
        json.push('}');
        Row { json, place: place.iter().map(place_text).collect() }
    }
}

/// A bound of the window.
fn compared(format: CursorFormat, cursor: &Cursor) -> Value {
    match (format, cursor) {
        (CursorFormat::Rfc3339, Cursor::Instant(at)) => Value::Text(at.to_rfc3339_opts(SecondsFormat::Millis, true)),
        _ => bound(format, cursor).parse().map_or(Value::Null, Value::Integer),
    }
}

/// A value as a part of a place, by a letter for its type: SQLite tells 1 from '1'.
fn place_text(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Integer(number) => format!("i{number}"),
        Value::Real(number) => format!("r{number:?}"),
        Value::Text(text) => format!("t{text}"),
        Value::Blob(bytes) => format!("b{}", BASE64_STANDARD.encode(bytes)),
    })
}

fn placed(text: &str) -> Value {
    let rest = text.get(1..).unwrap_or_default();
    let value = match text.as_bytes().first() {
        Some(b'i') => rest.parse().ok().map(Value::Integer),
        Some(b'r') => rest.parse().ok().map(Value::Real),
        Some(b't') => Some(Value::Text(rest.to_owned())),
        Some(b'b') => BASE64_STANDARD.decode(rest).ok().map(Value::Blob),
        _ => None,
    };
    value.unwrap_or(Value::Null)
}

/// A value as JSON: bytes as base64, JSON and booleans where the column is declared so.
fn shown(value: &Value, declared: &str) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Integer(0) if declared.contains("BOOL") => "false".to_owned(),
        Value::Integer(1) if declared.contains("BOOL") => "true".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) if number.is_finite() => format!("{number:?}"),
        Value::Real(number) => json_text(&number.to_string()),
        Value::Text(text) if declared.contains("JSON") && serde_json::from_str::<&RawValue>(text).is_ok() => {
            text.clone()
        }
        Value::Text(text) => json_text(text),
        Value::Blob(bytes) => json_text(&BASE64_STANDARD.encode(bytes)),
    }
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl Reader for Open {
    async fn now(&self) -> Result<DateTime<Utc>, Fault> {
        let sql = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)";
        let rows = self.session.run("ask for the time", move |db| db.rows(sql, &[])).await?;
        let millis = match rows.concat().as_slice() {
            [Value::Integer(millis)] => *millis,
            _ => 0,
        };
        Ok(DateTime::from_timestamp_millis(millis).unwrap_or_default())
    }

    async fn check_keys(&self) -> Result<(), Fault> {
        let tests: Vec<String> = self.shape.key.iter().map(|name| format!("s.{} IS NULL", quoted(name))).collect();
        let sql = format!("SELECT 1 FROM {} WHERE {} LIMIT 1", self.shape.from, tests.join(" OR "));
        match self.session.run("look for rows without a key", move |db| db.rows(&sql, &[])).await?.is_empty() {
            true => Ok(()),
            false => Err(null_keys(self.shape.key.iter().map(String::as_str))),
        }
    }

    fn may_be_unplaced(&self) -> bool {
        self.shape.cursor.is_some()
    }

    fn places(&self) -> usize {
        self.shape.order().len()
    }

    async fn largest(&self) -> Result<Option<i64>, Fault> {
        let sql = format!("SELECT max({}) FROM {}", self.shape.order()[0], self.shape.from);
        let rows = self.session.run("look for the last row", move |db| db.rows(&sql, &[])).await?;
        Ok(match rows.concat().as_slice() {
            [Value::Integer(largest)] => Some(*largest),
            _ => None,
        })
    }

    async fn rows(&self, place: &Place, window: &Scan, limit: usize) -> Result<(Vec<Row>, bool), Fault> {
        let (sql, values) = self.shape.page_sql(place, window, limit);
        let shape = self.shape.clone();
        let read = self.session.run("read rows", move |db| {
            let (mut rows, mut bytes) = (Vec::new(), 0);
            db.each(&sql, &values, |values| {
                let row = shape.row(values);
                bytes += row.json.len();
                rows.push(row);
                bytes < PAGE_BYTES
            })?;
            Ok((rows, bytes >= PAGE_BYTES))
        });
        let (rows, is_cut) = read.await?;
        let is_full = is_cut || rows.len() >= limit;
        Ok((rows, is_full))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_as_their_columns_are_declared() {
        assert_eq!(shown(&Value::Integer(1), "BOOLEAN"), "true");
        assert_eq!(shown(&Value::Integer(7), "BOOLEAN"), "7");
        assert_eq!(shown(&Value::Real(1.0), ""), "1.0");
        assert_eq!(shown(&Value::Text("{\"a\": 1}".to_owned()), "JSON TEXT"), "{\"a\": 1}");
        assert_eq!(shown(&Value::Text("{".to_owned()), "JSON TEXT"), "\"{\"");
        assert_eq!(shown(&Value::Blob(vec![0, 255]), "BLOB"), "\"AP8=\"");
        assert_eq!(shown(&Value::Real(f64::INFINITY), "REAL"), "\"inf\"");
    }

    #[test]
    fn a_place_keeps_the_type_of_its_values() {
        let values = [Value::Integer(-7), Value::Real(0.1), Value::Text("7".to_owned()), Value::Blob(vec![1, 2])];
        for value in values {
            assert_eq!(placed(&place_text(&value).unwrap()), value);
        }
    }
}
