//! Windows, flags and cursors, as tables.

use super::{
    super::fixture::{cut_text, field, incremental, path, stream},
    *,
};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn instant(text: &str) -> Cursor {
    Cursor::Instant(at(text))
}

fn saved(cursor: Cursor) -> Checkpoint {
    Checkpoint { cursor: Some(cursor), ..Checkpoint::default() }
}

fn sorted(stream: &Stream, cursor: Option<&Cursor>, scan: &mut Scan, body: &str) -> Sorted {
    sort(cut_text(stream, body).items, stream, cursor, scan)
}

fn flags(sorted: &Sorted) -> Vec<(&str, bool, bool)> {
    sorted.records.iter().map(|record| (record.key.as_str(), record.overlap.before, record.overlap.after)).collect()
}

#[test]
fn a_pass_reads_from_before_its_cursor_until_a_little_before_now() {
    let stream = incremental(CursorFormat::Rfc3339);
    let scan = begin(&stream, &saved(instant("2026-01-01T00:01:00Z")), at("2026-01-01T01:00:00.7Z")).unwrap();
    assert_eq!(scan.from, Some(instant("2026-01-01T00:00:50Z")));
    assert_eq!(scan.until, Some(instant("2026-01-01T00:59:55Z")));
    assert_eq!(scan.high, None);
    let first = begin(&stream, &Checkpoint::default(), at("2026-01-01T01:00:00Z")).unwrap();
    assert_eq!(first.from, None);
}

#[test]
fn the_first_pass_starts_where_the_stream_says_without_overlap() {
    let mut stream = incremental(CursorFormat::Integer);
    field(&mut stream).start = Some(Cursor::Integer(100));
    assert_eq!(
        begin(&stream, &Checkpoint::default(), at("2026-01-01T00:00:00Z")).unwrap().from,
        Some(Cursor::Integer(100))
    );
    let later = begin(&stream, &saved(Cursor::Integer(200)), at("2026-01-01T00:00:00Z")).unwrap();
    assert_eq!((later.from, later.until), (Some(Cursor::Integer(197)), None));
}

#[test]
fn where_the_vendor_knows_days_only_what_the_next_pass_is_given_again_is_remembered() {
    let tokyo = chrono_tz::Asia::Tokyo;
    for (format, body) in [
        (
            CursorFormat::Date(tokyo),
            r#"{"data":[{"id":1,"at":"2026-11-28"},{"id":2,"at":"2026-11-29"},{"id":3,"at":"2026-11-30"}]}"#,
        ),
        (
            CursorFormat::Rfc3339,
            r#"{"data":[{"id":1,"at":"2026-11-28T23:59:59+09:00"},{"id":2,"at":"2026-11-29T00:00:00+09:00"},{"id":3,"at":"2026-11-30T09:00:00+09:00"}]}"#,
        ),
    ] {
        let mut stream = incremental(format);
        *field(&mut stream) = CursorField {
            days: Some(tokyo),
            overlap: Lag::Time(std::time::Duration::from_secs(25 * 3600)),
            ..field(&mut stream).clone()
        };
        let morning = at("2026-11-30T10:00:05+09:00");
        let mut scan = begin(&stream, &Checkpoint::default(), morning).unwrap();
        pin(&mut scan, &stream, morning);
        let first = sorted(&stream, None, &mut scan, body);
        // The next pass asks for the 29th and later, so it is given the second and third again, whenever they changed on their day.
        assert_eq!(flags(&first), [("1", false, false), ("2", false, true), ("3", false, true)], "{format:?}");
        let cursor = advance(&stream, None, &scan, true).unwrap();
        let next = begin(&stream, &saved(cursor.clone()), at("2026-11-30T20:00:05+09:00")).unwrap();
        assert_eq!(next.from, Some(instant("2026-11-29T00:00:00+09:00")));
        let mut next = next;
        let again = sorted(&stream, Some(&cursor), &mut next, body);
        assert!(flags(&again).iter().all(|(_, before, _)| *before), "each is compared with what was delivered");
    }
}

#[test]
fn a_saved_cursor_of_another_kind_is_refused() {
    let token = Incremental::Token { next: path("t"), query: None, expired: vec![410] };
    let streams = [
        incremental(CursorFormat::Rfc3339),
        incremental(CursorFormat::Integer),
        Stream { incremental: Some(token), ..stream() },
    ];
    let cursors = [instant("2026-01-01T00:00:00Z"), Cursor::Integer(1), Cursor::Token("t".to_owned())];
    for (wanted, stream) in streams.iter().enumerate() {
        for (given, cursor) in cursors.iter().enumerate() {
            let begun = begin(stream, &saved(cursor.clone()), at("2026-01-01T00:00:00Z"));
            match begun {
                Ok(_) => assert_eq!(wanted, given),
                Err(fault) => assert_eq!((fault.code, wanted != given), (Code::UnlikeCursor, true)),
            }
        }
    }
}

#[test]
fn the_upper_end_is_pinned_once_by_the_earlier_of_both_clocks() {
    let stream = incremental(CursorFormat::Rfc3339);
    let ours = at("2026-01-01T01:00:00Z");
    for (server, high) in
        [("2026-01-01T01:00:09Z", "2026-01-01T00:59:55Z"), ("2026-01-01T00:59:03.9Z", "2026-01-01T00:58:58Z")]
    {
        let mut scan = begin(&stream, &Checkpoint::default(), ours).unwrap();
        pin(&mut scan, &stream, at(server));
        assert_eq!(scan.high, Some(instant(high)));
        pin(&mut scan, &stream, at("2020-01-01T00:00:00Z"));
        assert_eq!(scan.high, Some(instant(high)));
    }
    let mut scan = begin(&incremental(CursorFormat::Integer), &Checkpoint::default(), ours).unwrap();
    pin(&mut scan, &incremental(CursorFormat::Integer), ours);
    assert_eq!(scan.high, None);
}

#[test]
fn records_at_or_after_the_upper_end_wait_and_earlier_ones_are_kept() {
    let stream = incremental(CursorFormat::Rfc3339);
    let cursor = instant("2026-01-01T00:01:00Z");
    let mut scan = begin(&stream, &saved(cursor.clone()), at("2026-01-01T01:00:05Z")).unwrap();
    pin(&mut scan, &stream, at("2026-01-01T01:00:05Z"));
    let body = r#"{"data":[
        {"id":"long-before","at":"2025-01-01T00:00:00Z"},
        {"id":"overlap","at":"2026-01-01T00:00:55Z"},
        {"id":"new","at":"2026-01-01T09:30:00+09:00"},
        {"id":"late","at":"2026-01-01T00:59:50Z"},
        {"id":"last","at":"2026-01-01T00:59:59.999Z"},
        {"id":"at-the-end","at":"2026-01-01T01:00:00Z"},
        {"id":"after","at":"2026-01-01T01:00:01Z"}]}"#;
    let sorted = sorted(&stream, Some(&cursor), &mut scan, body);
    let expected = [
        ("long-before", true, false),
        ("overlap", true, false),
        ("new", false, false),
        ("late", false, true),
        ("last", false, true),
    ];
    assert_eq!(flags(&sorted), expected);
    assert!(sorted.beyond && sorted.rejects.is_empty());
    assert_eq!(scan.furthest, Some(instant("2026-01-01T00:59:59.999Z")));
}

#[test]
fn integers_are_read_again_within_their_overlap() {
    let stream = incremental(CursorFormat::Integer);
    let mut scan = begin(&stream, &saved(Cursor::Integer(10)), at("2026-01-01T00:00:00Z")).unwrap();
    let body = r#"{"data":[{"id":"a","at":10},{"id":"b","at":"11"},{"id":"c","at":17},{"id":"d","at":20}]}"#;
    let sorted = sorted(&stream, Some(&Cursor::Integer(10)), &mut scan, body);
    assert_eq!(flags(&sorted), [("a", true, false), ("b", false, false), ("c", false, true), ("d", false, true)]);
    assert_eq!(scan.furthest, Some(Cursor::Integer(20)));
}

#[test]
fn every_record_of_a_page_that_was_cut_short_may_have_been_delivered() {
    let mut scan = Scan { partial: 1, ..Scan::default() };
    let sorted = sorted(&stream(), None, &mut scan, r#"{"data":[{"id":1},{"id":2}]}"#);
    assert_eq!(flags(&sorted), [("1", true, false), ("2", true, false)]);
}

#[test]
fn a_record_that_cannot_be_used_says_why_without_its_values() {
    let stream = incremental(CursorFormat::Rfc3339);
    let body = r#"{"data":[{"at":"2026-01-01T00:00:00Z"},{"id":"b"},{"id":"c","at":null},{"id":"d","at":"secret"},7]}"#;
    let sorted = sorted(&stream, None, &mut Scan::default(), body);
    assert!(sorted.records.is_empty());
    let reasons: Vec<(Code, &str)> =
        sorted.rejects.iter().map(|reject| (reject.reason.code, reject.reason.message.as_str())).collect();
    let missing = (Code::BadCursor, "the record has no value at its cursor field `at`");
    let expected = [
        (Code::MissingRecordKey, "the record has no text or whole number at its key `id`"),
        missing,
        missing,
        (Code::BadCursor, "the record's cursor field `at` is not an RFC 3339 time with its offset"),
        (Code::NotAnObject, "the item is no JSON object"),
    ];
    assert_eq!(reasons, expected);
    assert_eq!(sorted.rejects[3].key.as_ref().unwrap().as_str(), "d");
}

#[test]
fn an_unreadable_cursor_does_not_hold_the_cursor_back() {
    let stream = incremental(CursorFormat::Integer);
    let mut scan = Scan::default();
    sorted(&stream, None, &mut scan, r#"{"data":[{"id":"a","at":"x"},{"id":"b","at":5}]}"#);
    assert_eq!(advance(&stream, None, &scan, true), Some(Cursor::Integer(5)));
}

#[test]
fn the_cursor_of_an_unordered_listing_moves_only_at_its_end() {
    let scan = Scan {
        furthest: Some(instant("2026-01-01T00:00:30Z")),
        high: Some(instant("2026-01-01T00:01:00Z")),
        ..Scan::default()
    };
    let mut stream = incremental(CursorFormat::Rfc3339);
    assert_eq!(advance(&stream, None, &scan, false), None);
    assert_eq!(advance(&stream, None, &scan, true), scan.high);
    field(&mut stream).ascending = true;
    assert_eq!(advance(&stream, None, &scan, false), scan.furthest);
    assert_eq!(advance(&stream, None, &scan, true), scan.high);
}

#[test]
fn the_cursor_never_moves_backwards() {
    let cursor = instant("2026-01-01T00:02:00Z");
    let scan = Scan { high: Some(instant("2026-01-01T00:01:00Z")), ..Scan::default() };
    assert_eq!(advance(&incremental(CursorFormat::Rfc3339), Some(&cursor), &scan, true), Some(cursor));
    let integers = incremental(CursorFormat::Integer);
    let furthest = Scan { furthest: Some(Cursor::Integer(7)), ..Scan::default() };
    assert_eq!(advance(&integers, Some(&Cursor::Integer(9)), &furthest, true), Some(Cursor::Integer(9)));
    assert_eq!(advance(&integers, Some(&Cursor::Integer(9)), &Scan::default(), true), Some(Cursor::Integer(9)));
    assert_eq!(advance(&stream(), Some(&Cursor::Integer(9)), &furthest, true), Some(Cursor::Integer(9)));
}

#[test]
fn the_newest_token_wins_at_the_listings_end() {
    let stream = Stream {
        incremental: Some(Incremental::Token { next: path("t"), query: None, expired: vec![410] }),
        ..stream()
    };
    let token = |text: &str| Some(Cursor::Token(text.to_owned()));
    let scan = Scan { furthest: token("b"), ..Scan::default() };
    assert_eq!(advance(&stream, token("a").as_ref(), &scan, false), token("a"));
    assert_eq!(advance(&stream, token("a").as_ref(), &scan, true), token("b"));
    assert_eq!(advance(&stream, token("a").as_ref(), &Scan::default(), true), token("a"));
}

#[test]
fn a_listing_that_begins_again_keeps_its_window() {
    let scan = Scan {
        from: Some(Cursor::Integer(1)),
        until: Some(Cursor::Integer(2)),
        high: Some(Cursor::Integer(3)),
        position: Some(crate::model::Position::Page(4)),
        furthest: Some(Cursor::Integer(5)),
        pages: 6,
        partial: 5,
        start_mark: Some(crate::model::Mark { segment: 7, bytes: 8 }),
        validators: None,
        slices: None,
    };
    let expected = Scan { position: None, pages: 0, partial: 0, ..scan.clone() };
    assert_eq!(again(&scan), expected);
}
