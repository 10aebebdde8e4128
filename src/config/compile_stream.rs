//! Streams: how a listing goes on, and what changed since last time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use http::{Method, StatusCode};

use super::{
    check::Check,
    compile_body::{RawRequest, uses},
    compile_expand::needed,
    diagnostic::Problem,
    fill::HOLE,
    plan::{CursorField, CursorFormat, Incremental, Lag, NextToken, PageSize, Paginate, RequestPlan, Stream},
    raw_stream::{
        RawBounds, RawCursorFormat, RawCursorPages, RawIncremental, RawOrder, RawPageSize, RawPaginate, RawStream,
    },
    shape::{OneOrMany, Spanned},
    source::Span,
    units::Time,
};
use crate::model::{Code, Cursor, Path, midnight};

const ROOTS: [&str; 3] = ["config", "window", "page"];
const SLICED: [&str; 4] = ["config", "window", "page", "slice"];
const PAGES_MAX: u64 = 100_000;
const EMPTY_PAGES_MAX: u64 = 10;
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(366 * 86_400);

impl Check<'_> {
    pub fn stream(&self, name: &Spanned<String>, raw: &Spanned<RawStream>) -> Option<Arc<Stream>> {
        let stream = &raw.value;
        let request = self.stream_request(name, raw);
        let records = stream.records.as_ref().map_or_else(Path::whole, |path| self.path(path));
        if stream.key.0.is_empty() {
            self.missing_key(
                name.span,
                raw.span,
                "key",
                "name the field that names a record for good, such as `key: id`",
            );
        }
        let key = stream.key.0.iter().map(|key| self.path(key)).collect();
        let version = self.maybe_path(stream.version.as_ref());
        let paginate = stream.paginate.as_ref().map_or(Paginate::None, |raw| self.paginate(raw, request.as_ref()));
        let incremental = stream.incremental.as_ref().and_then(|raw| self.incremental(raw, request.as_ref()));
        let deletions = stream.deletions.as_ref().map(|deletions| self.deletions(deletions, raw));
        let form = self.answer_form(stream, &paginate, incremental.as_ref());
        self.parameters(stream);
        if let (Some(version), Some(Incremental::Field(_))) = (&stream.version, &incremental) {
            let help = "the cursor field names the record's state already; remove `version`";
            self.conflict(version.span, "`version` beside an incremental field", help);
        }
        let pages_max = self.number(stream.pages_max.as_ref(), PAGES_MAX, 1..=10_000_000);
        let empty = self.number(stream.empty_pages_max.as_ref(), EMPTY_PAGES_MAX, 1..=10_000);
        let only = stream.only.as_ref().map(|only| self.expression(only, &["record"]));
        self.conditional_fits(stream);
        let schema = self.schema(stream.schema.as_ref());
        let compiled = Stream {
            name: name.value.clone(),
            request: request?,
            records,
            key,
            version,
            paginate,
            incremental,
            deletions,
            slices: None,
            expand: Vec::new(),
            only: only.flatten(),
            conditional: stream.conditional.as_ref().is_some_and(|conditional| conditional.value),
            schema: schema?,
            single: false,
            form,
            pages_max,
            empty_pages_max: u32::try_from(empty).unwrap_or(u32::MAX),
        };
        let expand = self.expand(stream, &needed(&compiled));
        Some(Arc::new(Stream { expand, ..compiled }))
    }

    /// A listing that says "nothing is new" shows nothing, and a sweep would take that for "nothing is there".
    fn conditional_fits(&self, stream: &RawStream) {
        let Some(conditional) = stream.conditional.as_ref().filter(|conditional| conditional.value) else { return };
        let sweep = stream.deletions.as_ref().and_then(|deletions| deletions.sweep.as_ref());
        if sweep.is_some_and(|sweep| sweep.value.stream.is_none()) {
            let help = "remove `conditional`, or let the sweep read another stream that is not conditional";
            self.conflict(conditional.span, "a listing that may be left out cannot tell what is gone", help);
        }
    }

    fn stream_request(&self, name: &Spanned<String>, raw: &Spanned<RawStream>) -> Option<RequestPlan> {
        let (stream, owner) = (&raw.value, raw.span);
        let (method, path) = match (&stream.get, &stream.post) {
            (Some(path), None) => (Method::GET, path),
            (None, Some(path)) => (Method::POST, path),
            (None, None) => {
                self.missing_key(name.span, owner, "get", "write `get: /path`, or `post: /path` for a search");
                return None;
            }
            (Some(_), Some(post)) => {
                self.conflict(post.span, "a stream has one path", "keep either `get` or `post`");
                return None;
            }
        };
        let roots: &[&str] = if stream.slices.is_some() { &SLICED } else { &ROOTS };
        let body = stream.body.as_ref().and_then(|body| self.body(body, roots));
        if method == Method::GET && stream.body.is_some() {
            self.conflict(path.span, "a GET has no body", "use `query`, or `post` instead of `get`");
        }
        let (query, headers, timeout) = (&stream.query, &stream.headers, stream.timeout.as_ref());
        self.request(&RawRequest { method, path, query, headers, timeout }, body, roots)
    }

    /// A parameter that is sent twice is read differently by every server.
    fn parameters(&self, stream: &RawStream) {
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for name in parameters(stream) {
            let Some(first) = seen.insert(&name.value, name.span) else { continue };
            let message = format!("the query parameter `{}` is sent twice", name.value);
            let help = "send it once; a parameter that carries both the page and the window is written under `query` as \
                        \"{{ coalesce(page.token, window.since) }}\"";
            self.report(
                Problem::new(Code::Conflict, name.span, message).help(help).related(first, "it is sent here, too"),
            );
        }
    }

    fn paginate(&self, raw: &Spanned<RawPaginate>, request: Option<&RequestPlan>) -> Paginate {
        match &raw.value {
            RawPaginate::Cursor(cursor) => self.cursor_pages(raw, cursor, request),
            RawPaginate::NextUrl(next) => {
                Paginate::NextUrl { next: self.path(&next.next), more: self.maybe_path(next.more.as_ref()) }
            }
            RawPaginate::Link(_) => Paginate::Link,
            RawPaginate::Page(page) => Paginate::Page {
                query: page.query.value.clone(),
                first: page.first.unwrap_or(1),
                size: page.size.as_ref().map(|size| self.page_size(size, 1)),
                more: self.maybe_path(page.more.as_ref()),
                total_pages: self.maybe_path(page.total_pages.as_ref()),
            },
            RawPaginate::Offset(offset) => Paginate::Offset {
                query: offset.query.value.clone(),
                // Pages overlap by one record, so a page of one would never get further.
                size: self.page_size(&offset.size, 2),
                more: self.maybe_path(offset.more.as_ref()),
                total: self.maybe_path(offset.total.as_ref()),
                cap: offset.cap.as_ref().map(|cap| self.number(Some(cap), u64::MAX, 1..=u64::MAX)),
            },
        }
    }

    fn cursor_pages(
        &self,
        raw: &Spanned<RawPaginate>,
        cursor: &RawCursorPages,
        request: Option<&RequestPlan>,
    ) -> Paginate {
        let header = cursor.header.as_ref().and_then(|name| self.header(name));
        if let Some(other) = cursor.header.as_ref().filter(|_| cursor.next.is_some() || cursor.last.is_some()) {
            self.conflict(other.span, "two sources of one token", "keep one of `next`, `last` and `header`");
        }
        let next = match (&cursor.next, &cursor.last) {
            (None, None) if cursor.header.is_some() => header.map_or(NextToken::Body(Path::whole()), NextToken::Header),
            (Some(next), None) => match (&cursor.end, &cursor.total, &cursor.cap) {
                (Some(end), ..) => NextToken::UntilEnd { token: self.path(next), end: self.path(end) },
                (None, Some(total), Some(cap)) => NextToken::Counted {
                    token: self.path(next),
                    total: self.path(total),
                    cap: self.number(Some(cap), 1, 1..=u64::MAX),
                },
                (None, ..) => NextToken::Body(self.path(next)),
            },
            (None, Some(last)) => NextToken::LastRecord(self.path(last)),
            (None, None) => {
                let help = "write `next:` with the token's place in the answer, `header:`, or `last:` with a field of the last record";
                self.missing_key(raw.span, raw.span, "next", help);
                NextToken::Body(Path::whole())
            }
            (Some(_), Some(last)) => {
                self.conflict(last.span, "two sources of one token", "keep either `next` or `last`");
                NextToken::Body(Path::whole())
            }
        };
        if let Some(end) = cursor.end.as_ref().filter(|_| cursor.more.is_some() || cursor.next.is_none()) {
            self.conflict(end.span, "`end` stands beside `next` alone", "keep `next` and `end`, or leave out `end`");
        }
        self.cap_fits(raw, cursor);
        if cursor.query.is_none() && request.is_some_and(|request| !uses(request, "page")) {
            let help = "write `query:` with the parameter's name, or use `page.token` in the path, query or body";
            self.missing_key(raw.span, raw.span, "query", help);
        }
        let query = cursor.query.as_ref().map(|query| query.value.clone());
        let size = cursor.size.as_ref().map(|size| self.page_size(size, 1));
        if let (Some(size), Some(PageSize { query: None, .. })) = (&cursor.size, &size)
            && request.is_some_and(|request| !uses(request, "page"))
        {
            let help = "write `query:` with the parameter's name, or use `page.size` in the query or body";
            self.missing_key(size.records.span, raw.span, "query", help);
        }
        Paginate::Cursor { next, query, more: self.maybe_path(cursor.more.as_ref()), size }
    }

    /// How long a listing is, its answers say beside the next page's token, and it matters only where there is a cap.
    fn cap_fits(&self, raw: &Spanned<RawPaginate>, cursor: &RawCursorPages) {
        match (&cursor.total, &cursor.cap) {
            (Some(_), Some(cap)) if cursor.next.is_none() || cursor.end.is_some() => {
                self.conflict(
                    cap.span,
                    "`cap` stands beside `next`",
                    "leave out `cap` and `total`, or `last` and `end`",
                );
            }
            (None, Some(cap)) => {
                let help = "write `total:` with the place of the number of records in the answer";
                self.missing_key(cap.span, raw.span, "total", help);
            }
            (Some(total), None) => {
                let help =
                    "write `cap:` with the number of records beyond which the vendor does not list, or remove `total`";
                self.missing_key(total.span, raw.span, "cap", help);
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    fn page_size(&self, size: &RawPageSize, least: u64) -> PageSize {
        let query = size.query.as_ref().map(|query| query.value.clone());
        PageSize { query, records: self.number(Some(&size.records), least, least..=100_000) }
    }

    fn incremental(&self, raw: &Spanned<RawIncremental>, request: Option<&RequestPlan>) -> Option<Incremental> {
        let incremental = &raw.value;
        let sends = |query: bool| query || request.is_none_or(|request| uses(request, "window"));
        if let Some(token) = &incremental.token {
            if let Some(other) = first_other(incremental) {
                self.conflict(other, "`token` stands alone", "keep `token`, or describe a `field`; not both");
            }
            if !sends(token.query.is_some()) {
                let help = "write `query:` with the parameter's name, or use `window.since` in the path, query or body";
                self.missing_key(raw.span, raw.span, "query", help);
            }
            let query = token.query.as_ref().map(|query| query.value.clone());
            let expired = token.expired.as_ref().map_or_else(|| vec![410], |expired| self.statuses(expired));
            return Some(Incremental::Token { next: self.path(&token.next), query, expired });
        }
        let Some(field) = &incremental.field else {
            let help =
                "write `field:` with the field that grows with every change, or `token:` for a vendor's own token";
            self.missing_key(raw.span, raw.span, "field", help);
            return None;
        };
        let Some(format) = incremental.format else {
            let help = "write one of rfc3339, epoch_seconds, epoch_millis, integer, date";
            self.missing_key(raw.span, raw.span, "format", help);
            return None;
        };
        let by_days = format == RawCursorFormat::Date || incremental.bounds == Some(RawBounds::Date);
        let zone = incremental.timezone.as_ref();
        if let Some(zone) = zone.filter(|_| !by_days) {
            let help = "remove `timezone`, or write `format: date` or `bounds: date`";
            self.conflict(zone.span, "only days begin where somebody is", help);
        }
        let zone = zone.map_or(Some(Tz::UTC), |zone| self.zone(zone))?;
        let format = cursor_format(format, zone);
        if by_days && format == CursorFormat::Integer {
            self.conflict(field.span, "a whole number is no time, and has no day", "remove `bounds`");
        }
        if !sends(incremental.since.is_some()) {
            let help = "write `since:` with the parameter's name, or use `window.since` in the path, query or body; a \
                        vendor that cannot filter by change has no incremental stream";
            self.missing_key(raw.span, raw.span, "since", help);
        }
        Some(Incremental::Field(CursorField {
            field: self.path(field),
            format,
            days: by_days.then_some(zone),
            ascending: incremental.order == Some(RawOrder::Ascending),
            overlap: self.overlap(incremental.overlap.as_ref(), format),
            settle: self.settle(incremental.settle.as_ref(), format),
            since: incremental.since.as_ref().map(|since| since.value.clone()),
            until: incremental.until.as_ref().map(|until| until.value.clone()),
            start: incremental.start.as_ref().and_then(|start| self.start(start, format)),
        }))
    }

    fn statuses(&self, statuses: &OneOrMany<u64>) -> Vec<u16> {
        statuses.0.iter().map(|status| self.status(Some(status), StatusCode::GONE).as_u16()).collect()
    }

    pub(super) fn overlap(&self, overlap: Option<&Spanned<String>>, format: CursorFormat) -> Lag {
        let integer = format == CursorFormat::Integer;
        let is_date = matches!(format, CursorFormat::Date(_));
        let default = match format {
            CursorFormat::Integer => Lag::Count(0),
            // A change of this evening has the date of this morning; an hour for days that are longer than others.
            CursorFormat::Date(_) => Lag::Time(DAY + HOUR),
            _ => Lag::Time(Duration::from_secs(60)),
        };
        let Some(overlap) = overlap.filter(|overlap| !overlap.value.contains(HOLE)) else { return default };
        let lag = if integer {
            overlap.value.parse().ok().map(Lag::Count)
        } else {
            let least = if is_date { DAY } else { Duration::ZERO };
            Time::parse(&overlap.value).filter(|time| (least..=YEAR).contains(&time.0)).map(|time| Lag::Time(time.0))
        };
        lag.unwrap_or_else(|| {
            let (message, help) = if integer {
                ("expected a whole number", "the overlap of an integer field is a count, such as `overlap: 100`")
            } else if is_date {
                let help = "write `overlap: 25h` or more: a change of this evening has the date of this morning";
                ("expected a time of a day to a year", help)
            } else {
                ("expected a time of at most a year", "the overlap of a time field is a time, such as `overlap: 60s`")
            };
            self.report(Problem::new(Code::WrongType, overlap.span, message).help(help));
            default
        })
    }

    pub(super) fn settle(&self, settle: Option<&Spanned<Time>>, format: CursorFormat) -> Duration {
        if let (Some(settle), CursorFormat::Integer) = (settle, format) {
            self.conflict(settle.span, "an integer field has no settle time", "remove `settle`");
        }
        let default = if format == CursorFormat::Integer { Duration::ZERO } else { Duration::from_secs(5) };
        self.time(settle, default, Duration::ZERO..=HOUR)
    }

    pub(super) fn start(&self, start: &Spanned<String>, format: CursorFormat) -> Option<Cursor> {
        let text = start.value.as_str();
        if text.contains(HOLE) {
            return None;
        }
        let instant = || DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc));
        let number = || text.parse::<i64>().ok();
        let cursor = match format {
            CursorFormat::Integer => number().map(Cursor::Integer),
            CursorFormat::Date(zone) => midnight(text, zone).map(Cursor::Instant),
            CursorFormat::Rfc3339 => instant().map(Cursor::Instant),
            CursorFormat::EpochSeconds => {
                instant().or_else(|| DateTime::from_timestamp(number()?, 0)).map(Cursor::Instant)
            }
            CursorFormat::EpochMillis => {
                instant().or_else(|| DateTime::from_timestamp_millis(number()?)).map(Cursor::Instant)
            }
        };
        if cursor.is_none() {
            let help = match format {
                CursorFormat::Integer => "write a whole number",
                CursorFormat::Date(_) => "write a date, such as 2026-01-01",
                _ => "write a time with its offset, such as 2026-01-01T00:00:00Z",
            };
            self.report(Problem::new(Code::WrongType, start.span, "this is no start for the cursor").help(help));
        }
        cursor
    }
}

/// `zone` is where days begin.
pub(super) fn cursor_format(format: RawCursorFormat, zone: Tz) -> CursorFormat {
    match format {
        RawCursorFormat::Date => CursorFormat::Date(zone),
        RawCursorFormat::Rfc3339 => CursorFormat::Rfc3339,
        RawCursorFormat::EpochSeconds => CursorFormat::EpochSeconds,
        RawCursorFormat::EpochMillis => CursorFormat::EpochMillis,
        RawCursorFormat::Integer => CursorFormat::Integer,
    }
}

fn size_parameter(size: Option<&RawPageSize>) -> Option<&Spanned<String>> {
    size.and_then(|size| size.query.as_ref())
}

/// The names of all query parameters that a stream sends, with their places.
fn parameters(stream: &RawStream) -> Vec<&Spanned<String>> {
    let mut all: Vec<&Spanned<String>> = stream.query.iter().map(|(name, _)| name).collect();
    match stream.paginate.as_ref().map(|paginate| &paginate.value) {
        Some(RawPaginate::Cursor(cursor)) => {
            all.extend(cursor.query.iter().chain(size_parameter(cursor.size.as_ref())))
        }
        Some(RawPaginate::Page(page)) => {
            all.extend([Some(&page.query), size_parameter(page.size.as_ref())].into_iter().flatten())
        }
        Some(RawPaginate::Offset(offset)) => {
            all.extend([Some(&offset.query), size_parameter(Some(&offset.size))].into_iter().flatten())
        }
        Some(RawPaginate::NextUrl(_) | RawPaginate::Link(_)) | None => {}
    }
    if let Some(incremental) = stream.incremental.as_ref().map(|incremental| &incremental.value) {
        let token = incremental.token.as_ref().and_then(|token| token.query.as_ref());
        all.extend([incremental.since.as_ref(), incremental.until.as_ref(), token].into_iter().flatten());
    }
    all
}

/// The place of a key that does not belong beside `token`.
fn first_other(raw: &RawIncremental) -> Option<Span> {
    let texts = [&raw.field, &raw.timezone, &raw.overlap, &raw.since, &raw.until, &raw.start];
    let text = texts.into_iter().flatten().map(|text| text.span).next();
    text.or_else(|| raw.settle.as_ref().map(|settle| settle.span))
}
