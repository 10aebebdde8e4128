//! What a pass reads, and where it leaves the cursor.
//!
//! A pass reads the half-open window `[cursor - overlap, high)`. `high` is pinned with the first answer, by the server's
//! clock and a little before its now: what changes while we read waits for the next pass, which begins at `high - overlap`.
//! With an open upper end a record that becomes visible late would be passed over and lost.
//!
//! Everything here is pure. A record whose cursor field cannot be read becomes a dead letter and does not hold the cursor
//! back: where it belongs cannot be known, and one such record must not stop a stream for good.

use chrono::{DateTime, TimeDelta, Utc};

use super::{cut::Item, instant::whole_second};
use crate::{
    config::plan::{CursorField, CursorFormat, Incremental, Lag, Stream},
    model::{Blame, Checkpoint, Code, Cursor, Fault, Overlap, Reason, Record, Reject, Scan, day, midnight},
};

/// Begins a pass: decides what window is asked for.
pub fn begin(stream: &Stream, at: &Checkpoint, now: DateTime<Utc>) -> Result<Scan, Fault> {
    let mut scan = Scan { start_mark: at.mark, ..Scan::default() };
    match &stream.incremental {
        None => {}
        Some(Incremental::Token { .. }) => {
            check_kind(stream, at.cursor.as_ref(), |cursor| matches!(cursor, Cursor::Token(_)))?;
            scan.from = at.cursor.clone();
        }
        Some(Incremental::Field(field)) => {
            let instants = field.format != CursorFormat::Integer;
            check_kind(stream, at.cursor.as_ref(), |cursor| match cursor {
                Cursor::Instant(_) => instants,
                Cursor::Integer(_) => !instants,
                Cursor::Token(_) => false,
            })?;
            scan.from = match &at.cursor {
                Some(cursor) => Some(reread_from(cursor, field)),
                None => field.start.clone(),
            };
            scan.until = instants.then(|| Cursor::Instant(settled(field, now)));
        }
    }
    Ok(scan)
}

/// Begins the same pass again, over the same window.
pub fn again(scan: &Scan) -> Scan {
    Scan {
        from: scan.from.clone(),
        until: scan.until.clone(),
        high: scan.high.clone(),
        furthest: scan.furthest.clone(),
        start_mark: scan.start_mark,
        ..Scan::default()
    }
}

/// Begins a pass whose token the vendor no longer knows: everything is listed.
pub fn from_the_start(scan: &Scan) -> Scan {
    Scan { from: None, furthest: None, ..again(scan) }
}

fn check_kind(stream: &Stream, cursor: Option<&Cursor>, fits: impl Fn(&Cursor) -> bool) -> Result<(), Fault> {
    let Some(cursor) = cursor.filter(|cursor| !fits(cursor)) else { return Ok(()) };
    let is = match cursor {
        Cursor::Instant(_) => "an instant",
        Cursor::Integer(_) => "an integer",
        Cursor::Token(_) => "a token",
    };
    let message = format!("the saved cursor of stream {} is {is}, and the stream declares another format", stream.name);
    Err(Fault::halt(Code::UnlikeCursor, Blame::Config, message).help(
        "Nothing was read and nothing was changed. Put the old `incremental:` back, or read the stream from its start: \
         what was written before is recognised.",
    ))
}

/// The end of a pass that begins now. Whole seconds: many vendors keep no finer ones, and one of theirs must not be cut.
fn settled(field: &CursorField, now: DateTime<Utc>) -> DateTime<Utc> {
    whole_second(minus(now, field.settle))
}

fn minus(at: DateTime<Utc>, by: std::time::Duration) -> DateTime<Utc> {
    let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
    at.checked_sub_signed(by).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// The point that lies `lag` before a cursor.
fn before(cursor: &Cursor, lag: Lag) -> Cursor {
    match (cursor, lag) {
        (Cursor::Instant(at), Lag::Time(by)) => Cursor::Instant(minus(*at, by)),
        (Cursor::Integer(at), Lag::Count(by)) => Cursor::Integer(at.saturating_sub_unsigned(by)),
        _ => cursor.clone(),
    }
}

/// Where a pass begins that follows a cursor: before it by the overlap, and at the beginning of that day where the vendor knows no times.
fn reread_from(cursor: &Cursor, field: &CursorField) -> Cursor {
    match (before(cursor, field.overlap), field.days) {
        (Cursor::Instant(at), Some(zone)) => Cursor::Instant(midnight(&day(at, zone), zone).unwrap_or(at)),
        (from, _) => from,
    }
}

/// Pins the upper end with the listing's first answer, by the time the server gave it.
pub fn pin(scan: &mut Scan, stream: &Stream, server_now: DateTime<Utc>) {
    if scan.high.is_some() {
        return;
    }
    if let (Some(Incremental::Field(field)), Some(Cursor::Instant(until))) = (&stream.incremental, &scan.until) {
        scan.high = Some(Cursor::Instant((*until).min(settled(field, server_now))));
    }
}

/// A page's items, each where it belongs.
#[derive(Debug, Default)]
pub struct Sorted {
    pub records: Vec<Record>,
    pub rejects: Vec<Reject>,
    /// Some records lie at or after the window's upper end. They are no part of this pass.
    pub beyond: bool,
}

/// Sorts a page's items into records of this pass, rejects and what waits for the next pass, and moves `scan.furthest`.
pub fn sort(items: Vec<Item>, stream: &Stream, cursor: Option<&Cursor>, scan: &mut Scan) -> Sorted {
    let field = match &stream.incremental {
        Some(Incremental::Field(field)) => Some(field),
        Some(Incremental::Token { .. }) | None => None,
    };
    let mut sorted = Sorted { records: Vec::with_capacity(items.len()), ..Sorted::default() };
    for item in &items {
        if let Some(at) = item.cursor.as_ref().filter(|at| !is_at_or_after(at, scan.high.as_ref()))
            && scan.furthest.as_ref().is_none_or(|furthest| is_at_or_after(at, Some(furthest)))
        {
            scan.furthest = Some(at.clone());
        }
    }
    // The next pass begins here. Integers have no pinned end; a later page can only move the point further, so this marks
    // too many records rather than too few.
    let reread_from =
        field.and_then(|field| scan.high.as_ref().or(scan.furthest.as_ref()).map(|end| reread_from(end, field)));
    for item in items {
        if item.cursor.as_ref().is_some_and(|at| is_at_or_after(at, scan.high.as_ref())) {
            sorted.beyond = true;
            continue;
        }
        if let Some(reason) = unusable(&item, stream, field) {
            let gone = stream.says_gone(&item.fields);
            sorted.rejects.push(Reject { key: item.key, gone, fields: item.fields, reason, slip: None });
            continue;
        }
        let at = item.cursor.as_ref();
        let overlap = Overlap {
            // A record exactly at an integer cursor was delivered; at an instant it costs one look to make sure.
            before: scan.partial > 0
                || at.is_some_and(|at| cursor.is_some_and(|cursor| is_at_or_after(cursor, Some(at)))),
            after: at.is_some_and(|at| is_at_or_after(at, reread_from.as_ref())),
        };
        if let Some(key) = item.key {
            let gone = stream.says_gone(&item.fields);
            sorted.records.push(Record { key, version: item.version, overlap, gone, fields: item.fields, slip: None });
        }
    }
    sorted
}

fn is_at_or_after(at: &Cursor, bound: Option<&Cursor>) -> bool {
    bound.and_then(|bound| at.compare(bound)).is_some_and(std::cmp::Ordering::is_ge)
}

fn unusable(item: &Item, stream: &Stream, field: Option<&CursorField>) -> Option<Reason> {
    if item.broken.is_some() {
        return item.broken.clone();
    }
    if !item.object {
        return Some(Reason::new(Code::NotAnObject, "the item is no JSON object"));
    }
    if item.key.is_none() {
        return Some(no_key(stream));
    }
    let field = field.filter(|_| item.cursor.is_none())?;
    let message = match item.fields.get(&field.field).map(|raw| raw.get()) {
        None | Some("null") => format!("the record has no value at its cursor field `{}`", field.field),
        Some(_) => format!("the record's cursor field `{}` is not {}", field.field, meant(field.format)),
    };
    Some(Reason::new(Code::BadCursor, message))
}

/// The same for an item that stands alone.
pub fn unusable_in(item: &Item, stream: &Stream) -> Option<Reason> {
    match &stream.incremental {
        Some(Incremental::Field(field)) => unusable(item, stream, Some(field)),
        Some(Incremental::Token { .. }) | None => unusable(item, stream, None),
    }
}

pub fn no_key(stream: &Stream) -> Reason {
    let names: Vec<&str> = stream.key.iter().map(crate::model::Path::as_str).collect();
    let message = format!("the record has no text or whole number at its key `{}`", names.join("`, `"));
    Reason::new(Code::MissingRecordKey, message)
}

fn meant(format: CursorFormat) -> &'static str {
    match format {
        CursorFormat::Rfc3339 => "an RFC 3339 time with its offset",
        CursorFormat::EpochSeconds => "a count of seconds since 1970",
        CursorFormat::EpochMillis => "a count of milliseconds since 1970",
        CursorFormat::Integer => "a whole number",
        CursorFormat::Date(_) => "a date such as 2026-01-31",
    }
}

/// The cursor once this page is delivered. It never moves backwards.
pub fn advance(stream: &Stream, cursor: Option<&Cursor>, scan: &Scan, end: bool) -> Option<Cursor> {
    let reached = match &stream.incremental {
        None => None,
        Some(Incremental::Token { .. }) => scan.furthest.as_ref().filter(|_| end),
        Some(Incremental::Field(_)) if end => scan.high.as_ref().or(scan.furthest.as_ref()),
        Some(Incremental::Field(field)) => scan.furthest.as_ref().filter(|_| field.ascending),
    };
    match (cursor.cloned(), reached.cloned()) {
        (Some(cursor), Some(reached)) => Some(cursor.later(reached)),
        (cursor, reached) => reached.or(cursor),
    }
}

#[cfg(test)]
#[path = "window_tests.rs"]
mod tests;
