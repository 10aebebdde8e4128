//! Cutting pages, as tables.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};

use super::{
    super::fixture::{cut_text, incremental, path, stream},
    *,
};
use crate::config::plan::CursorFormat;

fn fault(stream: &Stream, body: &str) -> Fault {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    cut(&Bytes::copy_from_slice(body.as_bytes()), &headers, stream, &str::to_owned).unwrap_err()
}

fn key(stream: &Stream, record: &str) -> Option<String> {
    let cut = cut_text(stream, &format!(r#"{{"data":[{record}]}}"#));
    cut.items[0].key.as_ref().map(|key| key.as_str().to_owned())
}

#[test]
fn records_are_slices_of_the_page_with_their_own_bytes() {
    let body = Bytes::from_static(br#" {"next" : "n1", "data":[ {"id":"a","n":1.50} ,{ "id" : "b" } ], "total":2} "#);
    let cut = cut(&body, &HeaderMap::new(), &stream(), &str::to_owned).unwrap();
    let texts: Vec<&str> = cut.items.iter().map(|item| item.fields.as_str()).collect();
    assert_eq!(texts, [r#"{"id":"a","n":1.50}"#, r#"{ "id" : "b" }"#]);
    assert!(body.as_ptr_range().contains(&cut.items[0].fields.as_bytes().as_ptr()), "the record was copied");
    assert_eq!(cut.find(&path("next")), Some("\"n1\""));
    assert_eq!(cut.find(&path("total")), Some("2"));
    assert_eq!(cut.find(&path("data[1].id")), Some("\"b\""));
    assert_eq!(cut.find(&path("nothing")), None);
}

#[test]
fn the_list_may_stand_at_the_top_or_deep_inside() {
    let at = |records: &str, body: &str| cut_text(&Stream { records: path(records), ..stream() }, body).items.len();
    assert_eq!(at(".", r#"[{"id":1},{"id":2}]"#), 2);
    assert_eq!(at("a.b", r#"{"b":[1],"a":{"x":[{"id":1}],"b":[{"id":1},{"id":2}]}}"#), 2);
    assert_eq!(at("[1]", r#"[[],[{"id":1}]]"#), 1);
    assert_eq!(at("data", r#"{"data":[{"id":1}],"data":[{"id":2},{"id":3}]}"#), 2);
    assert_eq!(at("dätä", r#"{"d\u00e4tä":[{"id":1}]}"#), 1);
}

#[test]
fn a_list_may_be_null_but_not_absent_or_something_else() {
    assert_eq!(cut_text(&stream(), r#"{"data":null}"#).items.len(), 0);
    assert_eq!(cut_text(&stream(), r#"{"data":[]}"#).items.len(), 0);
    for (body, what) in [
        ("{}", "nothing"),
        ("[]", "nothing"),
        ("3", "nothing"),
        (r#"{"data":{"id":1}}"#, "an object"),
        (r#"{"data":"x"}"#, "a text"),
        (r#"{"data":3}"#, "a number or boolean"),
    ] {
        let fault = fault(&stream(), body);
        assert_eq!(fault.code, Code::NoRecords, "{body}");
        assert!(fault.message.ends_with(&format!("the answer has {what}")), "{}", fault.message);
    }
}

#[test]
fn a_key_is_a_text_or_a_whole_number() {
    for (record, expected) in [
        (r#"{"id":"l-1"}"#, Some("l-1")),
        (r#"{"id":"\u00e9\""}"#, Some("é\"")),
        (r#"{"id":12345678901234567890}"#, Some("12345678901234567890")),
        (r#"{"id":-7}"#, Some("-7")),
        (r#"{"\u0069d":"x"}"#, Some("x")),
        (r#"{"id":"first","id":"last"}"#, Some("last")),
        (r#"{"x":{"id":"inner"}}"#, None),
        (r#"{"id":""}"#, None),
        (r#"{"id":1.5}"#, None),
        (r#"{"id":1e3}"#, None),
        (r#"{"id":null}"#, None),
        (r#"{"id":true}"#, None),
        (r#"{"id":{"a":1}}"#, None),
        ("{}", None),
    ] {
        assert_eq!(key(&stream(), record).as_deref(), expected, "{record}");
    }
}

#[test]
fn a_key_of_several_fields_is_a_list_of_them() {
    let stream = Stream { key: vec![path("a.b"), path("c[1]")], ..stream() };
    assert_eq!(key(&stream, r#"{"a":{"x":0,"b":"\u0041\""},"c":[1,22]}"#).as_deref(), Some(r#"["A\"",22]"#));
    assert_eq!(key(&stream, r#"{"a":{"b":"A"},"c":[1]}"#), None);
}

#[test]
fn a_record_carries_its_cursor_and_the_version_it_gives() {
    let cut = cut_text(&incremental(CursorFormat::EpochSeconds), r#"{"data":[{"id":1,"at":1.5},{"id":2,"at":"x"}]}"#);
    assert_eq!(cut.items[0].version.as_ref().unwrap().as_str(), "1970-01-01T00:00:01.500000000Z");
    assert_eq!(cut.items[0].cursor.as_ref().unwrap().canonical(), "1970-01-01T00:00:01.500000000Z");
    assert!(cut.items[1].cursor.is_none());
    let revised = Stream { version: Some(path("meta.rev")), ..stream() };
    let cut = cut_text(&revised, r#"{"data":[{"id":1,"meta":{"rev":7}},{"id":2}]}"#);
    assert_eq!(cut.items[0].version.as_ref().unwrap().as_str(), "7");
    assert!(cut.items[1].version.is_none());
}

#[test]
fn what_one_record_lacks_is_not_taken_from_the_one_before() {
    let cut = cut_text(&incremental(CursorFormat::Integer), r#"{"data":[{"id":"a","at":1},{},{"at":3}]}"#);
    let found: Vec<_> = cut.items.iter().map(|item| (item.key.is_some(), item.cursor.is_some())).collect();
    assert_eq!(found, [(true, true), (false, false), (false, true)]);
}

#[test]
fn an_item_that_is_no_object_is_kept_as_a_value() {
    let cut = cut_text(&stream(), r#"{"data":["x",[1, 2],null]}"#);
    let texts: Vec<&str> = cut.items.iter().map(|item| item.fields.as_str()).collect();
    assert_eq!(texts, [r#"{"value":"x"}"#, r#"{"value":[1, 2]}"#, r#"{"value":null}"#]);
    assert!(cut.items.iter().all(|item| !item.object && item.key.is_none()));
}

#[test]
fn texts_and_numbers_are_records_where_they_are_their_own_names() {
    let bare = Stream { key: vec![path("value")], ..stream() };
    let cut = cut_text(&bare, r#"{"data":["x",7,"",[1],{"value":"y"}]}"#);
    let keys: Vec<_> = cut.items.iter().map(|item| (item.object, item.key.as_ref().map(Key::as_str))).collect();
    assert_eq!(keys, [(true, Some("x")), (true, Some("7")), (true, None), (false, None), (true, Some("y"))]);
}

#[test]
fn a_page_cut_off_anywhere_is_never_taken_for_a_shorter_page() {
    let whole = r#"{"data":[{"id":1},{"id":2}],"next":"n"}"#;
    for end in 1..whole.len() {
        assert_eq!(fault(&stream(), &whole[..end]).code, Code::Truncated, "{}", &whole[..end]);
    }
}

#[test]
fn a_web_page_is_shown_short_and_without_what_looks_like_a_token() {
    let token = "s3cr3t".repeat(8);
    let page = format!(
        "\n<!DOCTYPE html>\n<html><title>Sign in</title>\u{7}<a href=\"/x?session={token}\">{}",
        "x ".repeat(200)
    );
    let fault = fault(&stream(), &page);
    assert_eq!(fault.code, Code::NotJson);
    assert!(
        fault.message.contains("text/html") && fault.message.contains("<title>Sign in</title>"),
        "{}",
        fault.message
    );
    assert!(!fault.message.contains("s3cr3t") && fault.message.len() < 150, "{}", fault.message);
}

#[test]
fn an_empty_answer_and_one_that_is_no_text_are_no_json() {
    assert_eq!(fault(&stream(), " \n").code, Code::NotJson);
    assert_eq!(fault(&stream(), r#"{"data":[]} x"#).code, Code::NotJson);
    assert_eq!(fault(&stream(), r#"{"data":[{"id":01}]}"#).code, Code::NotJson);
    let bytes = Bytes::from_static(b"{\"data\":[\"\xff\"]}");
    assert_eq!(cut(&bytes, &HeaderMap::new(), &stream(), &str::to_owned).unwrap_err().code, Code::NotJson);
}
