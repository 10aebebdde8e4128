//! Rows of a database as pages of records, whatever the database: each row is one JSON object, and what becomes of it is the same as
//! of an item of an answer.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::{
    cut,
    expand::{self, Whole},
    window,
};
use crate::{
    config::plan::{CursorFormat, Incremental, Stream},
    model::{Blame, Checkpoint, Code, Cursor, Fault, Page, Position, Scan},
    transform::Personal,
};

/// A page ends with the row that makes it as large as this.
pub const PAGE_BYTES: usize = 8 << 20;
/// Records that one page may become where rows are split, in bytes.
const EXPANDED_BYTES_MAX: usize = 64 << 20;

/// Where a listing goes on: behind a row, by the texts of its values. Rows without a cursor come first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Among rows without a cursor, behind the row of this key. Nothing: before all of them.
    Unplaced(Vec<String>),
    /// Among the others, behind the row of this cursor and key. Nothing: before all of them.
    Placed(Vec<String>),
}

impl Place {
    /// Reads what [`Place::position`] wrote. Nothing: it is of another kind, or of another key.
    pub fn of(position: &Position, columns: usize) -> Option<Self> {
        let Position::Token(text) = position else { return None };
        let place: Self = serde_json::from_str(text).ok()?;
        let fits = match &place {
            Self::Unplaced(key) => key.is_empty() || key.len() + 1 == columns,
            Self::Placed(all) => all.is_empty() || all.len() == columns,
        };
        fits.then_some(place)
    }

    pub fn position(&self) -> Result<Position, Fault> {
        let unwritten = |error| Fault::halt(Code::Bug, Blame::Bug, format!("a place is no JSON: {error}"));
        Ok(Position::Token(serde_json::to_string(self).map_err(unwritten)?))
    }
}

/// A row as it was read.
#[derive(Debug)]
pub struct Row {
    /// One JSON object.
    pub json: String,
    /// The texts of its cursor, if it has one, and of its key.
    pub place: Vec<Option<String>>,
}

/// A session with a database that can be asked for rows.
pub trait Reader {
    /// What the server's clock says.
    async fn now(&self) -> Result<DateTime<Utc>, Fault>;

    /// Refuses rows whose key is null: their place is unknown, so they would be passed over.
    async fn check_keys(&self) -> Result<(), Fault>;

    /// Whether there may be rows without a cursor.
    fn may_be_unplaced(&self) -> bool;

    /// How many values make a place.
    fn places(&self) -> usize;

    /// The largest value of a cursor of integers.
    async fn largest(&self) -> Result<Option<i64>, Fault>;

    /// The rows of the window behind a place, no more than `limit`, and whether there may be more.
    async fn rows(&self, place: &Place, window: &Scan, limit: usize) -> Result<(Vec<Row>, bool), Fault>;
}

/// Makes records of rows.
pub struct RowStream {
    pub stream: Arc<Stream>,
    /// The rows, where records stand in lists inside of them.
    around: Option<Stream>,
    pub personal: Arc<Personal>,
}

impl RowStream {
    pub fn new(stream: Arc<Stream>, personal: Arc<Personal>) -> Self {
        let around = expand::around(&stream);
        Self { stream, around, personal }
    }

    /// Reads the page at `at`: what every database does, by what only it knows.
    pub async fn read<R: Reader>(&self, reader: &R, at: &Checkpoint, limit: usize) -> Result<Page, Fault> {
        let first = match reader.may_be_unplaced() {
            true => Place::Unplaced(Vec::new()),
            false => Place::Placed(Vec::new()),
        };
        let (mut scan, mut restarted) = match &at.scan {
            Some(scan) => (scan.clone(), false),
            None => (window::begin(&self.stream, at, reader.now().await?)?, false),
        };
        let known = scan.position.as_ref().map(|position| Place::of(position, reader.places()));
        let mut place = match known {
            None => first,
            Some(Some(place)) => place,
            Some(None) => {
                (scan, restarted) = (window::again(&scan), true);
                first
            }
        };
        if scan.position.is_none() {
            reader.check_keys().await?;
            self.pin(reader, &mut scan).await?;
        }
        loop {
            let (rows, is_full) = reader.rows(&place, &scan, limit).await?;
            let last = rows.last().map(|row| row.place.iter().flatten().cloned().collect());
            let next = match (&place, last) {
                (Place::Unplaced(_), None) => {
                    place = Place::Placed(Vec::new());
                    continue;
                }
                (Place::Unplaced(_), Some(last)) if is_full => Some(Place::Unplaced(last)),
                (Place::Unplaced(_), Some(_)) => Some(Place::Placed(Vec::new())),
                (Place::Placed(_), last) => last.filter(|_| is_full).map(Place::Placed),
            };
            let next = next.map(|next| next.position()).transpose()?;
            let page = self.page(at, scan, rows.into_iter().map(|row| row.json), next)?;
            return Ok(Page { restarted, ..page });
        }
    }

    /// Pins the upper end of a pass: by the server's clock, or behind the last row that there is.
    async fn pin<R: Reader>(&self, reader: &R, scan: &mut Scan) -> Result<(), Fault> {
        window::pin(scan, &self.stream, reader.now().await?);
        if scan.high.is_none() && self.format() == Some(CursorFormat::Integer) {
            scan.high = reader.largest().await?.map(|largest| Cursor::Integer(largest.saturating_add(1)));
        }
        Ok(())
    }

    /// The page of these rows. Behind its last one the listing goes on at `next`; nothing: it ends.
    pub fn page(
        &self,
        at: &Checkpoint,
        mut scan: Scan,
        rows: impl Iterator<Item = String>,
        next: Option<Position>,
    ) -> Result<Page, Fault> {
        let mut body = String::from("[");
        for (number, json) in rows.enumerate() {
            body.push_str(if number > 0 { "," } else { "" });
            body.push_str(&json);
        }
        body.push(']');
        let body_bytes = body.len();
        scan.pages += 1;
        let (items, unexpanded) = self.items(&Bytes::from(body))?;
        let sorted = window::sort(items, &self.stream, at.cursor.as_ref(), &mut scan);
        let end = next.is_none();
        let cursor = window::advance(&self.stream, at.cursor.as_ref(), &scan, end);
        let next = next.map(|position| Scan { position: Some(position), partial: 0, ..scan.clone() });
        Ok(Page {
            records: sorted.records,
            rejects: sorted.rejects.into_iter().chain(unexpanded).collect(),
            skipped: Vec::new(),
            next: Checkpoint { cursor, scan: next, ..at.clone() },
            scan,
            end,
            restarted: false,
            body_bytes,
        })
    }

    fn items(&self, body: &Bytes) -> Result<(Vec<cut::Item>, Vec<crate::model::Reject>), Fault> {
        let stream = self.around.as_ref().unwrap_or(&self.stream);
        let mut items = cut::cut_unquoted(body, &HeaderMap::new(), stream)?.items;
        if self.around.is_some() {
            let whole = Whole { slice: None, personal: &self.personal };
            return expand::expanded(items, &self.stream, &whole, EXPANDED_BYTES_MAX);
        }
        for item in &mut items {
            item.fields = self.personal.read(item.fields.clone(), item.object);
            item.key = item.key.take().map(|key| self.personal.key(key));
        }
        Ok((items, Vec::new()))
    }

    /// How the values of the cursor are written. Nothing: there is none.
    pub fn format(&self) -> Option<CursorFormat> {
        match &self.stream.incremental {
            Some(Incremental::Field(field)) => Some(field.format),
            Some(Incremental::Token { .. }) | None => None,
        }
    }
}

/// A bound of the window, as text that a database can compare with.
pub fn bound(format: CursorFormat, cursor: &Cursor) -> String {
    match (format, cursor) {
        (CursorFormat::EpochSeconds, Cursor::Instant(at)) => at.timestamp().to_string(),
        (CursorFormat::EpochMillis, Cursor::Instant(at)) => at.timestamp_millis().to_string(),
        (_, Cursor::Instant(at)) => at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
        (_, Cursor::Integer(_) | Cursor::Token(_)) => cursor.canonical(),
    }
}

/// Rows whose key is null.
pub fn null_keys<'n>(names: impl Iterator<Item = &'n str>) -> Fault {
    let help = "Pages go by the key, so such a row would be passed over. Name rows by columns that are never null, or leave these rows \
                out in a `query`.";
    unfit(format!("there are rows whose key ({}) is null", names.collect::<Vec<_>>().join(", ")), help)
}

pub fn unfit(message: String, help: &str) -> Fault {
    Fault::halt(Code::RowsUnfit, Blame::Config, message)
        .help(format!("Nothing was read and nothing was changed. {help}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_as_it_was_and_not_for_another_key() {
        let place = Place::Placed(vec!["2026-01-01 00:00:00+00".to_owned(), "7".to_owned()]);
        let position = place.position().unwrap();
        assert_eq!(Place::of(&position, 2), Some(place));
        assert_eq!(Place::of(&position, 3), None);
        assert_eq!(Place::of(&Position::Page(3), 2), None);
        let unplaced = Place::Unplaced(vec!["7".to_owned()]);
        assert_eq!(Place::of(&unplaced.position().unwrap(), 2), Some(unplaced));
    }

    #[test]
    fn bounds_are_written_as_the_column_holds_its_values() {
        let at = Cursor::Instant(chrono::DateTime::from_timestamp(1_767_225_600, 123_456_000).unwrap());
        assert_eq!(bound(CursorFormat::Rfc3339, &at), "2026-01-01T00:00:00.123456Z");
        assert_eq!(bound(CursorFormat::EpochSeconds, &at), "1767225600");
        assert_eq!(bound(CursorFormat::EpochMillis, &at), "1767225600123");
        assert_eq!(bound(CursorFormat::Integer, &Cursor::Integer(-3)), "-3");
    }
}
