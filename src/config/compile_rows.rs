//! Rows of a database that are read: what is named, by what rows are known, and what tells that they changed.

use std::sync::Arc;

use chrono_tz::Tz;

use super::{
    check::Check,
    compile_stream::cursor_format,
    diagnostic::Problem,
    fill::HOLE,
    plan::{CursorField, CursorFormat, Database, From, Incremental, OutboxTable, RequestPlan, Rows, RowsOf, Stream},
    raw_pipeline::{RawFrom, RawPipeline, RawTo},
    raw_rows::{RawOutbox, RawRowChanges},
    raw_stream::RawCursorFormat,
    shape::Spanned,
    source::Span,
};
use crate::{
    expr::Template,
    model::{Code, Path, Step},
};

const PAGE: u64 = 1000;
/// Of an outbox: what one worker holds, others cannot take.
const PAGE_OF_OUTBOX: u64 = 100;

impl Check<'_> {
    /// What a pipeline reads from a database.
    pub(super) fn rows(
        &self,
        raw: &Spanned<RawFrom>,
        to: Option<&Spanned<RawTo>>,
        database: Database,
    ) -> Option<(Arc<Rows>, Arc<Stream>)> {
        let from = &raw.value;
        if let Some(stream) = &from.stream {
            let problem = Problem::new(Code::UnknownName, stream.span, format!("`{}` has no streams", database.name()));
            self.report(problem.help("write `table:`, `query:` or `outbox:` for this connection"));
        }
        if let Some(ingress) = &from.ingress {
            let message = "records are pushed beside a stream of an API, and not beside rows";
            self.conflict(ingress.span, message, "use a pipeline for each");
        }
        let why = match &database {
            Database::Sqlite(_) => Some("SQLite cannot pass over rows that others hold, so it has no outbox"),
            Database::Mysql(_) => Some("an outbox is a table of PostgreSQL, and there is none for MySQL"),
            Database::Postgres(_) => None,
        };
        if let (Some(outbox), Some(why)) = (&from.outbox, why) {
            self.conflict(outbox.span, why, "read the table by `incremental`, or use PostgreSQL");
        }
        if let (Some(_), Some(name)) = (&from.outbox, to.and_then(|to| to.value.name.as_ref())) {
            let message =
                "each row of an outbox is delivered once, so several targets would divide the rows among them";
            self.conflict(name.span, message, "write one target, or put in a row for each");
        }
        let key = self.row_key(raw)?;
        let (of, name) = self.rows_of(raw, &key)?;
        let is_outbox = matches!(of, RowsOf::Outbox(_));
        let incremental = self.row_changes(from, is_outbox);
        let cursor = match &incremental {
            Some(Incremental::Field(field)) => field.field.single_field().map(str::to_owned),
            Some(Incremental::Token { .. }) | None => None,
        };
        let page = self.number(from.page.as_ref(), if is_outbox { PAGE_OF_OUTBOX } else { PAGE }, 1..=10_000);
        let stream = stream(name, &key, incremental)?;
        let page = usize::try_from(page).unwrap_or(1);
        Some((Arc::new(Rows { database, of, key, cursor, page }), Arc::new(stream)))
    }

    fn row_key(&self, raw: &Spanned<RawFrom>) -> Option<Vec<String>> {
        let key = raw.value.key.as_ref().map_or(&[][..], |key| &key.0);
        key.iter().for_each(|column| self.identifier("column", column));
        if key.is_empty() {
            self.missing_key(raw.span, raw.span, "key", "name the columns that name a row for good, such as `key: id`");
            return None;
        }
        if let (Some(second), Some(_)) = (key.get(1), &raw.value.outbox) {
            self.conflict(second.span, "a row of an outbox is named by one column", "keep one column under `key`");
        }
        Some(key.iter().map(|column| column.value.clone()).collect())
    }

    /// The one of `table`, `query` and `outbox`, and the stream's name.
    fn rows_of(&self, raw: &Spanned<RawFrom>, key: &[String]) -> Option<(RowsOf, String)> {
        let RawFrom { table, query, outbox, .. } = &raw.value;
        match (table, query, outbox) {
            (Some(table), None, None) => {
                self.identifier("table", table);
                Some((RowsOf::Table(table.value.clone()), table.value.clone()))
            }
            (None, Some(query), None) => Some((RowsOf::Query(self.row_query(query)?), "query".to_owned())),
            (None, None, Some(outbox)) => {
                let outbox = self.outbox(&outbox.value, key);
                let name = outbox.table.clone();
                Some((RowsOf::Outbox(outbox), name))
            }
            (None, None, None) => {
                let help = "write one of `table: NAME`, `query: SELECT ..` and `outbox: { table: NAME }`";
                self.missing_key(raw.span, raw.span, "table", help);
                None
            }
            _ => {
                self.conflict(raw.span, "two things are to be read", "keep one of `table`, `query` and `outbox`");
                None
            }
        }
    }

    /// It is read as a part of another query, so it must be one and nothing else.
    fn row_query(&self, query: &Spanned<String>) -> Option<String> {
        let text = query.value.trim().trim_end_matches(';').trim_end();
        let first = text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default().to_ascii_lowercase();
        if !matches!(first.as_str(), "select" | "with" | "table" | "values") && !text.contains(HOLE) {
            let problem = Problem::new(Code::RowQuery, query.span, "this is no query that gives rows");
            self.report(problem.help("write one SELECT, without `order by` and `limit`: it is read page by page"));
            return None;
        }
        Some(text.to_owned())
    }

    fn outbox(&self, raw: &RawOutbox, key: &[String]) -> OutboxTable {
        let RawOutbox { table, order, aggregate, state } = raw;
        self.identifier("table", table);
        [order, aggregate, state].into_iter().flatten().for_each(|column| self.identifier("column", column));
        let named = |column: &Option<Spanned<String>>| column.as_ref().map(|column| column.value.clone());
        OutboxTable {
            table: table.value.clone(),
            order: named(order).or_else(|| key.first().cloned()).unwrap_or_default(),
            aggregate: named(aggregate),
            state: named(state).unwrap_or_else(|| "state".to_owned()),
        }
    }

    fn row_changes(&self, from: &RawFrom, is_outbox: bool) -> Option<Incremental> {
        let Spanned { value: raw, span } = from.incremental.as_ref()?;
        if is_outbox {
            let message = "an outbox tells by itself what was not sent yet";
            self.conflict(*span, message, "remove `incremental`");
            return None;
        }
        let RawRowChanges { field, format, overlap, settle, start } = raw;
        self.identifier("column", field);
        let format = match format {
            None => CursorFormat::Rfc3339,
            Some(RawCursorFormat::Date) => {
                let help = "order by a column of times or of whole numbers, or leave `incremental` out";
                self.conflict(field.span, "the rows of a day have no order by its date", help);
                return None;
            }
            Some(format) => cursor_format(*format, Tz::UTC),
        };
        Some(Incremental::Field(CursorField {
            field: column(&field.value)?,
            format,
            days: None,
            ascending: true,
            overlap: self.overlap(overlap.as_ref(), format),
            settle: self.settle(settle.as_ref(), format),
            since: None,
            until: None,
            start: start.as_ref().and_then(|start| self.start(start, format)),
        }))
    }

    /// What has a meaning for rows only.
    pub(super) fn nothing_of_rows(&self, raw: &RawFrom) {
        let keys: [(&str, Option<Span>); 6] = [
            ("table", raw.table.as_ref().map(|it| it.span)),
            ("query", raw.query.as_ref().map(|it| it.span)),
            ("outbox", raw.outbox.as_ref().map(|it| it.span)),
            ("key", raw.key.as_ref().and_then(|key| key.0.first()).map(|it| it.span)),
            ("incremental", raw.incremental.as_ref().map(|it| it.span)),
            ("page", raw.page.as_ref().map(|it| it.span)),
        ];
        for (key, span) in keys.into_iter().filter_map(|(key, span)| Some((key, span?))) {
            let message = format!("`{key}` belongs to a database that is read");
            self.conflict(span, message, "remove it, or name a connection with `postgres`, `mysql` or `sqlite`");
        }
    }

    /// A place in a listing is told by the key of its last row, which nobody could make of a hash again.
    pub(super) fn rows_named_in_the_clear(&self, raw: &RawPipeline, from: Option<&From>) {
        let Some(rows) = from.and_then(|from| from.rows.as_ref()).filter(|rows| rows.outbox().is_none()) else {
            return;
        };
        for (name, _) in raw.personal.iter().filter(|(name, _)| rows.key.contains(&name.value)) {
            let message = format!("`{}` cannot be protected: pages of rows begin behind it", name.value);
            let problem = Problem::new(Code::PersonalRule, name.span, message);
            self.report(problem.help("remove the rule, or name rows by another column"));
        }
    }
}

fn column(name: &str) -> Option<Path> {
    Path::of(&[Step::Field(name.to_owned())])
}

/// Rows as records of a stream, as far as one has a meaning without requests.
fn stream(name: String, key: &[String], incremental: Option<Incremental>) -> Option<Stream> {
    let request = RequestPlan::new(http::Method::GET, "rows", Template::compile("/").ok()?);
    // What stands behind a tilde is a part of a stream.
    Some(Stream {
        key: key.iter().map(|name| column(name)).collect::<Option<_>>()?,
        incremental,
        ..Stream::new(name.replace('~', "_"), request)
    })
}
