//! Incremental reading in every format: what is sent, what is kept, where the cursor goes.

use std::{sync::Arc, sync::Mutex, time::Duration};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use renkei::{
    config::plan::{CursorField, CursorFormat, Incremental, Lag, NextToken, Paginate, Stream},
    model::{Code, Cursor},
};
use serde_json::{Value, json};

use super::{
    listing::{Reader, keys, stream},
    server::{Reply, Server, at, ok, path},
};

fn field(format: CursorFormat, ascending: bool) -> CursorField {
    CursorField {
        field: path("at"),
        format,
        days: None,
        ascending,
        overlap: if format == CursorFormat::Integer { Lag::Count(2) } else { Lag::Time(Duration::from_secs(60)) },
        settle: Duration::from_secs(30),
        since: Some("since".to_owned()),
        until: (format != CursorFormat::Integer).then(|| "until".to_owned()),
        start: None,
    }
}

pub fn by_integer(stream: Stream, ascending: bool) -> Stream {
    Stream { incremental: Some(Incremental::Field(field(CursorFormat::Integer, ascending))), ..stream }
}

fn written(format: CursorFormat, at: DateTime<Utc>) -> Value {
    match format {
        CursorFormat::Rfc3339 => {
            json!(at.with_timezone(&chrono::FixedOffset::east_opt(9 * 3600).unwrap()).to_rfc3339())
        }
        CursorFormat::EpochSeconds => json!(at.timestamp()),
        CursorFormat::EpochMillis | CursorFormat::Integer => json!(at.timestamp_millis()),
        CursorFormat::Date(zone) => json!(at.with_timezone(&zone).format("%Y-%m-%d").to_string()),
    }
}

fn understood(format: CursorFormat, text: &str) -> DateTime<Utc> {
    match format {
        CursorFormat::Rfc3339 => text.parse().unwrap(),
        CursorFormat::EpochSeconds => DateTime::from_timestamp(text.parse().unwrap(), 0).unwrap(),
        CursorFormat::EpochMillis | CursorFormat::Integer => {
            DateTime::from_timestamp_millis(text.parse().unwrap()).unwrap()
        }
        CursorFormat::Date(_) => format!("{text}T00:00:00Z").parse().unwrap(),
    }
}

fn http_date(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A record's key and when it changed.
type Lead = (&'static str, DateTime<Utc>);

/// A server with its own clock and records in it; it filters by its window as vendors do.
#[derive(Clone)]
struct Vendor {
    format: CursorFormat,
    now: Arc<Mutex<DateTime<Utc>>>,
    leads: Arc<Mutex<Vec<Lead>>>,
}

impl Vendor {
    fn new(format: CursorFormat, now: &str) -> Self {
        Self { format, now: Arc::new(Mutex::new(at(now))), leads: Arc::default() }
    }

    fn put(&self, id: &'static str, changed: &str) {
        self.leads.lock().unwrap().push((id, at(changed)));
    }

    async fn serve(&self) -> Server {
        let vendor = self.clone();
        Server::answering(move |asked| {
            let bound = |name| asked.parameter(name).map(|text| understood(vendor.format, text));
            let (since, until) = (bound("since"), bound("until"));
            let leads = vendor.leads.lock().unwrap();
            let inside = leads.iter().filter(|(_, changed)| {
                since.is_none_or(|since| *changed >= since) && until.is_none_or(|until| *changed <= until)
            });
            let data: Vec<Value> =
                inside.map(|(id, changed)| json!({"id": id, "at": written(vendor.format, *changed)})).collect();
            ok(json!({"data": data}).to_string()).header("date", http_date(*vendor.now.lock().unwrap()))
        })
        .await
    }
}

#[tokio::test]
async fn each_format_reads_what_changed_since_and_leaves_the_newest_to_the_next_pass() {
    for format in [CursorFormat::Rfc3339, CursorFormat::EpochSeconds, CursorFormat::EpochMillis] {
        let vendor = Vendor::new(format, "2026-01-01T12:00:00Z");
        vendor.put("old", "2025-06-01T00:00:00Z");
        vendor.put("late", "2026-01-01T11:59:29Z");
        vendor.put("newest", "2026-01-01T11:59:30Z");
        let server = vendor.serve().await;
        let incremental = Incremental::Field(field(format, false));
        let mut reader = Reader::new(&server.url, Stream { incremental: Some(incremental), ..stream(Paginate::None) });
        let page = reader.page().await.unwrap();
        assert_eq!(keys(&page), ["old", "late"], "{format:?}");
        let flags: Vec<_> = page.records.iter().map(|record| record.overlap.after).collect();
        assert_eq!(flags, [false, true]);
        assert_eq!(reader.at.cursor, Some(Cursor::Instant(at("2026-01-01T11:59:30Z"))));

        *vendor.now.lock().unwrap() = at("2026-01-01T13:00:00Z");
        vendor.put("between", "2026-01-01T11:59:31Z");
        reader.crash();
        let page = reader.page().await.unwrap();
        assert_eq!(
            server.asked()[1].parameter("since").map(|text| understood(format, text)),
            Some(at("2026-01-01T11:58:30Z"))
        );
        // Our own clock stands still at noon, so nothing after 11:59:30 is asked for yet, whatever the server's says.
        assert_eq!((keys(&page), page.records[0].overlap.before), (vec!["late".to_owned()], true));
        let page = reader.page().await.unwrap();
        assert_eq!(keys(&page), ["late", "newest", "between"], "{format:?}");
        assert_eq!(reader.at.cursor, Some(Cursor::Instant(at("2026-01-01T12:59:30Z"))));
    }
}

#[tokio::test]
async fn the_upper_end_is_the_servers_even_where_our_clock_is_ahead() {
    let vendor = Vendor::new(CursorFormat::Rfc3339, "2026-01-01T09:00:00Z");
    vendor.put("before", "2026-01-01T08:59:00Z");
    vendor.put("after", "2026-01-01T08:59:45Z");
    let server = vendor.serve().await;
    let incremental = Incremental::Field(field(CursorFormat::Rfc3339, false));
    let mut reader = Reader::new(&server.url, Stream { incremental: Some(incremental), ..stream(Paginate::None) });
    assert_eq!(keys(&reader.page().await.unwrap()), ["before"]);
    assert_eq!(reader.at.cursor, Some(Cursor::Instant(at("2026-01-01T08:59:30Z"))));
}

#[tokio::test]
async fn a_record_that_becomes_visible_late_is_read_by_the_next_pass() {
    let vendor = Vendor::new(CursorFormat::Rfc3339, "2026-01-01T12:00:00Z");
    vendor.put("seen", "2026-01-01T11:59:00Z");
    let server = vendor.serve().await;
    let incremental = Incremental::Field(field(CursorFormat::Rfc3339, false));
    let mut reader = Reader::new(&server.url, Stream { incremental: Some(incremental), ..stream(Paginate::None) });
    reader.page().await.unwrap();
    vendor.put("committed late", "2026-01-01T11:59:10Z");
    *vendor.now.lock().unwrap() += TimeDelta::minutes(10);
    assert!(keys(&reader.page().await.unwrap()).contains(&"committed late".to_owned()));
}

#[tokio::test]
async fn the_window_stays_the_same_on_all_pages_of_a_pass_also_after_a_crash() {
    let now = Arc::new(Mutex::new(at("2026-01-01T12:00:00Z")));
    let clock = now.clone();
    let server = Server::answering(move |asked| {
        let body = match asked.parameter("after") {
            None => r#"{"data":[{"id":"a","at":"2026-01-01T11:00:00Z"}],"next":"t1"}"#,
            Some(_) => r#"{"data":[{"id":"b","at":"2026-01-01T11:59:29Z"},{"id":"c","at":"2026-01-01T12:30:00Z"}]}"#,
        };
        ok(body).header("date", http_date(*clock.lock().unwrap()))
    })
    .await;
    let paginate =
        Paginate::Cursor { next: NextToken::Body(path("next")), query: Some("after".into()), more: None, size: None };
    let incremental = Incremental::Field(field(CursorFormat::Rfc3339, false));
    let mut reader = Reader::new(&server.url, Stream { incremental: Some(incremental), ..stream(paginate) });
    reader.page().await.unwrap();
    assert_eq!(reader.at.cursor, None, "an unordered listing moves no cursor before its end");
    *now.lock().unwrap() = at("2026-01-01T18:00:00Z");
    reader.crash();
    let page = reader.page().await.unwrap();
    assert_eq!(keys(&page), ["b"]);
    assert_eq!(reader.at.cursor, Some(Cursor::Instant(at("2026-01-01T11:59:30Z"))));
    let until: Vec<_> = server.asked().iter().map(|asked| asked.parameter("until").unwrap().to_owned()).collect();
    assert_eq!(until[0], until[1]);
}

fn integers(asked: &super::server::Asked) -> Reply {
    let since = asked.number_of("since");
    let after = asked.number_of("after");
    let data: Vec<Value> = (1..=9)
        .filter(|id| *id >= since && *id > after)
        .take(3)
        .map(|id| json!({"id": format!("l{id}"), "at": id.to_string()}))
        .collect();
    let last = data.last().map(|lead| lead["at"].clone());
    ok(json!({"data": data, "next": last.filter(|last| last != "9")}).to_string())
}

#[tokio::test]
async fn an_ascending_listing_moves_its_cursor_page_by_page() {
    let server = Server::answering(integers).await;
    let paginate = || Paginate::Cursor {
        next: NextToken::Body(path("next")),
        query: Some("after".into()),
        more: None,
        size: None,
    };
    for ascending in [true, false] {
        let mut reader = Reader::new(&server.url, by_integer(stream(paginate()), ascending));
        let mut cursors = Vec::new();
        for _ in 0..3 {
            reader.page().await.unwrap();
            cursors.push(reader.at.cursor.clone());
        }
        let moved = |to: i64| Some(Cursor::Integer(to));
        assert_eq!(cursors, if ascending { [moved(3), moved(6), moved(9)] } else { [None, None, moved(9)] });
        let page = reader.page().await.unwrap();
        let again: Vec<_> = page.records.iter().map(|record| (record.key.as_str(), record.overlap.before)).collect();
        assert_eq!(again, [("l7", true), ("l8", true), ("l9", true)]);
    }
}

#[tokio::test]
async fn an_ascending_listing_ends_where_the_window_does_although_there_is_more() {
    let server = Server::answering(|asked| {
        let changed = at("2026-01-01T11:59:00Z") + TimeDelta::seconds(20 * asked.number as i64);
        let changed = changed.to_rfc3339_opts(SecondsFormat::Secs, true);
        let body = json!({"data": [{"id": asked.number, "at": changed}], "next": asked.number.to_string()});
        ok(body.to_string()).header("date", "Thu, 01 Jan 2026 12:00:00 GMT")
    })
    .await;
    let paginate =
        Paginate::Cursor { next: NextToken::Body(path("next")), query: Some("after".into()), more: None, size: None };
    let incremental = Incremental::Field(field(CursorFormat::Rfc3339, true));
    let mut reader = Reader::new(&server.url, Stream { incremental: Some(incremental), ..stream(paginate) });
    assert_eq!(reader.rest().await.unwrap(), ["0", "1"]);
    assert_eq!(reader.at.cursor, Some(Cursor::Instant(at("2026-01-01T11:59:30Z"))));
}

#[tokio::test]
async fn a_token_is_kept_at_the_listings_end_and_sent_by_the_next_pass() {
    let server = Server::answering(|asked| match (asked.parameter("sync"), asked.parameter("after")) {
        (None, None) => ok(r#"{"data":[{"id":"a"}],"next":"p2"}"#),
        (None, Some(_)) => ok(r#"{"data":[{"id":"b"}],"sync":"s/1=="}"#),
        (Some("s/1=="), None) => ok(r#"{"data":[{"id":"c"}],"sync":"s/2"}"#),
        other => panic!("{other:?}"),
    })
    .await;
    let paginate =
        Paginate::Cursor { next: NextToken::Body(path("next")), query: Some("after".into()), more: None, size: None };
    let incremental = Incremental::Token { next: path("sync"), query: Some("sync".into()), expired: vec![410] };
    let mut reader = Reader::new(&server.url, Stream { incremental: Some(incremental), ..stream(paginate) });
    assert_eq!(keys(&reader.page().await.unwrap()), ["a"]);
    assert_eq!(reader.at.cursor, None);
    reader.crash();
    assert_eq!(reader.rest().await.unwrap(), ["b"]);
    assert_eq!(reader.at.cursor, Some(Cursor::Token("s/1==".to_owned())));
    reader.crash();
    assert_eq!(reader.rest().await.unwrap(), ["c"]);
    assert_eq!(reader.at.cursor, Some(Cursor::Token("s/2".to_owned())));
}

#[tokio::test]
async fn a_cursor_field_that_cannot_be_read_rejects_its_record_and_the_cursor_goes_on() {
    let server = Server::answering(|_| ok(r#"{"data":[{"id":"a","at":"soon"},{"id":"b"},{"id":"c","at":5}]}"#)).await;
    let mut reader = Reader::new(&server.url, by_integer(stream(Paginate::None), false));
    let page = reader.page().await.unwrap();
    assert_eq!(keys(&page), ["c"]);
    assert!(page.rejects.iter().all(|reject| reject.reason.code == Code::BadCursor));
    assert_eq!((page.rejects.len(), reader.at.cursor.clone()), (2, Some(Cursor::Integer(5))));
}

#[tokio::test]
async fn a_saved_cursor_of_another_kind_is_refused_before_anything_is_asked() {
    let server = Server::answering(integers).await;
    let mut reader = Reader::new(&server.url, by_integer(stream(Paginate::None), false));
    reader.at.cursor = Some(Cursor::Token("t".to_owned()));
    assert_eq!(reader.page().await.unwrap_err().code, Code::UnlikeCursor);
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn a_token_that_the_vendor_forgot_says_how_to_read_from_the_start() {
    let server = Server::answering(|_| super::server::status(400, "{}")).await;
    let incremental = Incremental::Token { next: path("sync"), query: Some("sync".into()), expired: vec![410] };
    let mut reader = Reader::new(&server.url, Stream { incremental: Some(incremental), ..stream(Paginate::None) });
    reader.at.cursor = Some(Cursor::Token("old".to_owned()));
    let fault = reader.page().await.unwrap_err();
    assert!(fault.help.contains("--full-refresh leads"), "{}", fault.help);
    assert_eq!(reader.at.cursor, Some(Cursor::Token("old".to_owned())));
}
