use http::HeaderValue;

use super::*;
use crate::config::plan::{Callers, Idempotency};

pub fn ingress() -> Ingress {
    Ingress {
        schema: None,
        callers: Callers::Anybody,
        mode: Mode::Async,
        deadline: Duration::from_secs(3),
        rate: None,
        body_bytes_max: 1 << 20,
        body_time_max: Duration::from_secs(1),
        records_max: 3,
        depth_max: 4,
        waiting_max: 100,
        keep: Duration::from_secs(60),
        idempotency: Idempotency { keep: Duration::from_secs(60), max: 10, required: false },
    }
}

fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in all {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

#[test]
fn only_whole_and_plain_paths_lead_anywhere() {
    assert_eq!(target("/in/orders"), Some(Target::Push { pipeline: "orders" }));
    assert_eq!(
        target("/in/orders/records/1-0000000a"),
        Some(Target::Record { pipeline: "orders", slip: "1-0000000a" })
    );
    assert_eq!(target("/openapi.json"), Some(Target::OpenApi));
    for path in [
        "/",
        "/in",
        "/in/",
        "//in/orders",
        "/in//orders",
        "/in/orders/",
        "/in/orders/records",
        "/in/orders/records/1/2",
        "/in/../in/orders",
        "/IN/orders",
        "/in/orders/../orders",
        "/openapi.json/",
    ] {
        let found = target(path);
        assert!(!matches!(found, Some(Target::Push { pipeline: "orders" } | Target::OpenApi)), "{path}: {found:?}");
    }
    assert_eq!(segment("a b/ü..%"), "a%20b%2F%C3%BC..%25");
}

#[test]
fn a_caller_says_how_it_wants_to_be_answered_and_the_deadline_holds_in_any_case() {
    let second = Duration::from_secs(1);
    for (prefer, expected) in [
        (&[][..], (Mode::Async, 3 * second)),
        (&[("prefer", "respond-async")], (Mode::Async, 3 * second)),
        (&[("prefer", "wait=1")], (Mode::Sync, second)),
        (&[("prefer", "respond-async, wait=60")], (Mode::Sync, 3 * second)),
        (&[("prefer", "return=minimal"), ("prefer", "wait=2")], (Mode::Sync, 2 * second)),
        (&[("prefer", "wait=soon")], (Mode::Async, 3 * second)),
    ] {
        let (mode, deadline, _) = mode(&headers(prefer), &ingress());
        assert_eq!((mode, deadline), expected, "{prefer:?}");
    }
}

#[test]
fn a_key_is_one_short_text_with_or_without_its_quotes() {
    let of = |all: &[(&'static str, &'static str)]| key(&headers(all), Some("msg_1".to_owned()), &ingress());
    assert_eq!(of(&[("idempotency-key", "\"abc\"")]), Ok(Some("abc".to_owned())));
    assert_eq!(of(&[("idempotency-key", "abc")]), Ok(Some("abc".to_owned())));
    assert_eq!(of(&[]), Ok(Some("msg_1".to_owned())));
    for bad in [&[("idempotency-key", "a"), ("idempotency-key", "b")][..], &[("idempotency-key", "\"\"")]] {
        assert_eq!(of(bad).unwrap_err().status(), StatusCode::BAD_REQUEST, "{bad:?}");
    }
    let required = Ingress { idempotency: Idempotency { required: true, ..ingress().idempotency }, ..ingress() };
    assert!(key(&HeaderMap::new(), None, &required).is_err());
}

#[test]
fn a_body_is_one_record_a_list_or_lines_and_bounded() {
    let count =
        |body: &str, form| records(&Bytes::copy_from_slice(body.as_bytes()), form, &ingress()).map(|all| all.len());
    assert_eq!(count(r#" {"a":"[[[[[[\"["}"#, Form::Json), Ok(1), "brackets in texts do not count");
    assert_eq!(count(r#"[{"a":1},{"a":2}]"#, Form::Json), Ok(2));
    assert_eq!(count("{\"a\":1}\r\n\n{\"a\":2}\n", Form::Lines), Ok(2));
    for (body, form, status) in [
        ("", Form::Json, 400),
        ("[]", Form::Json, 400),
        ("\n\n", Form::Lines, 400),
        ("{\"a\":", Form::Json, 400),
        ("7", Form::Json, 400),
        ("[{\"a\":1},7]", Form::Json, 400),
        ("{\"a\":1}{\"a\":2}", Form::Json, 400),
        (r#"{"a":{"b":{"c":{"d":{}}}}}"#, Form::Json, 400),
        ("[{},{},{},{}]", Form::Json, 413),
    ] {
        let problem = count(body, form).unwrap_err();
        assert_eq!(problem.status().as_u16(), status, "{body}");
    }
    let deep = "[".repeat(500_000);
    assert!(count(&deep, Form::Json).is_err());
    assert!(form(&headers(&[("content-type", "text/plain")])).is_err());
    assert_eq!(form(&headers(&[("content-type", "application/cloudevents+json; charset=utf-8")])), Ok(Form::Json));
}
