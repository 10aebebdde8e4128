//! Every kind of pagination, as tables of answers.

use super::{
    super::fixture::{cut_text, path, stream},
    *,
};

fn of(paginate: Paginate) -> Stream {
    Stream { paginate, ..stream() }
}

fn turned(stream: &Stream, at: Option<Position>, body: &str) -> Result<Turn, Fault> {
    let url = Url::parse("https://api.example/v1/leads?limit=2").unwrap();
    let (cut, headers) = (cut_text(stream, body), HeaderMap::new());
    turn(stream, at.as_ref(), &Answered { cut: &cut, headers: &headers, url: &url, size: None })
}

fn code(turned: Result<Turn, Fault>) -> Code {
    turned.unwrap_err().code
}

fn token(text: &str) -> Position {
    Position::Token(text.to_owned())
}

fn page_url(text: &str) -> Result<Turn, Fault> {
    Ok(Turn::Next(Position::Url(text.to_owned())))
}

fn cursor(more: Option<&str>) -> Stream {
    of(Paginate::Cursor { size: None, next: NextToken::Body(path("next")), query: None, more: more.map(path) })
}

fn size(records: u64) -> PageSize {
    PageSize { query: None, records }
}

fn offset(last: Option<&str>, at: u64) -> Option<Position> {
    Some(Position::Offset { at, last: last.map(Key::new) })
}

#[test]
fn one_page_is_all_where_nothing_is_said_about_paging() {
    assert_eq!(turned(&stream(), None, r#"{"data":[{"id":1}],"next":"x"}"#), Ok(Turn::End));
}

#[test]
fn a_token_is_followed_until_there_is_none() {
    for (body, expected) in [
        (r#"{"data":[],"next":"t2"}"#, Turn::Next(token("t2"))),
        (r#"{"data":[],"next":42}"#, Turn::Next(token("42"))),
        (r#"{"data":[],"next":"a\u002fb"}"#, Turn::Next(token("a/b"))),
        (r#"{"data":[],"next":""}"#, Turn::End),
        (r#"{"data":[],"next":null}"#, Turn::End),
        (r#"{"data":[]}"#, Turn::End),
    ] {
        assert_eq!(turned(&cursor(None), Some(token("t1")), body), Ok(expected), "{body}");
    }
}

#[test]
fn what_the_answer_says_about_more_decides() {
    let stream = cursor(Some("more"));
    assert_eq!(turned(&stream, None, r#"{"data":[],"next":"t2","more":false}"#), Ok(Turn::End));
    assert_eq!(turned(&stream, None, r#"{"data":[],"next":"t2","more":true}"#), Ok(Turn::Next(token("t2"))));
    assert_eq!(turned(&stream, None, r#"{"data":[],"next":"t2"}"#), Ok(Turn::Next(token("t2"))));
    assert_eq!(code(turned(&stream, None, r#"{"data":[],"more":true}"#)), Code::PageLoop);
}

#[test]
fn a_listing_longer_than_its_cap_is_refused_with_its_first_answer() {
    let next = NextToken::Counted { token: path("next"), total: path("total"), cap: 3 };
    let stream = of(Paginate::Cursor { size: None, next, query: None, more: None });
    assert_eq!(turned(&stream, None, r#"{"data":[],"next":"t2","total":3}"#), Ok(Turn::Next(token("t2"))));
    assert_eq!(turned(&stream, None, r#"{"data":[],"total":3}"#), Ok(Turn::End));
    assert_eq!(turned(&stream, None, r#"{"data":[],"next":"t2"}"#), Ok(Turn::Next(token("t2"))));
    assert_eq!(code(turned(&stream, None, r#"{"data":[],"next":"t2","total":4}"#)), Code::OffsetCap);
}

#[test]
fn a_token_that_does_not_change_is_a_loop() {
    assert_eq!(code(turned(&cursor(None), Some(token("t1")), r#"{"data":[{"id":1}],"next":"t1"}"#)), Code::PageLoop);
}

#[test]
fn the_last_record_may_be_the_token() {
    let of_last = |more: Option<&str>| {
        of(Paginate::Cursor { size: None, next: NextToken::LastRecord(path("id")), query: None, more: more.map(path) })
    };
    let body = r#"{"data":[{"id":"a"},{"id":"b"}],"more":true}"#;
    assert_eq!(turned(&of_last(Some("more")), None, body), Ok(Turn::Next(token("b"))));
    assert_eq!(code(turned(&of_last(Some("more")), Some(token("b")), body)), Code::PageLoop);
    assert_eq!(turned(&of_last(None), Some(token("a")), r#"{"data":[]}"#), Ok(Turn::End));
    assert_eq!(code(turned(&of_last(None), None, r#"{"data":[{"id":"a"},{"no":1}]}"#)), Code::PageLoop);
    assert_eq!(code(turned(&of_last(Some("more")), None, r#"{"data":[],"more":true}"#)), Code::PageLoop);
}

#[test]
fn a_next_url_is_resolved_against_the_one_that_was_asked() {
    let stream = of(Paginate::NextUrl { next: path("links.next"), more: Some(path("more")) });
    let go = |next: &str| turned(&stream, None, &format!(r#"{{"data":[],"links":{{"next":{next}}}}}"#));
    assert_eq!(go(r#""https://api.example/v1/leads?p=2""#), page_url("https://api.example/v1/leads?p=2"));
    assert_eq!(go(r#""/v1/leads?p=2#top""#), page_url("https://api.example/v1/leads?p=2"));
    assert_eq!(go(r#""?p=2""#), page_url("https://api.example/v1/leads?p=2"));
    assert_eq!(go(r#""http://api.example/v1/leads?p=2""#), page_url("https://api.example/v1/leads?p=2"));
    assert_eq!(go(r#""https://other.example/x""#), page_url("https://other.example/x"));
    assert_eq!(go("null"), Ok(Turn::End));
    assert_eq!(go(r#""""#), Ok(Turn::End));
    assert_eq!(code(go(r#""https://[""#)), Code::PageLoop);
    assert_eq!(turned(&stream, None, r#"{"data":[],"links":{"next":"/x"},"more":false}"#), Ok(Turn::End));
    assert_eq!(code(turned(&stream, None, r#"{"data":[],"more":true}"#)), Code::PageLoop);
    let here = Position::Url("https://api.example/v1/leads?p=2".to_owned());
    assert_eq!(code(turned(&stream, Some(here), r#"{"data":[],"links":{"next":"?p=2"}}"#)), Code::PageLoop);
}

#[test]
fn the_link_header_names_the_next_page() {
    let stream = of(Paginate::Link);
    let url = Url::parse("https://api.example/v1/leads?limit=2").unwrap();
    let cut = cut_text(&stream, r#"{"data":[]}"#);
    let mut headers = HeaderMap::new();
    headers.insert(http::header::LINK, r#"<?p=1>; rel="first", <?p=3>; rel="last next""#.parse().unwrap());
    let answered = Answered { cut: &cut, headers: &headers, url: &url, size: None };
    assert_eq!(turn(&stream, None, &answered), page_url("https://api.example/v1/leads?p=3"));
    assert_eq!(turned(&stream, None, r#"{"data":[]}"#), Ok(Turn::End));
}

#[test]
fn page_numbers_end_by_what_the_answer_or_its_length_says() {
    let paged = |size: Option<PageSize>| {
        of(Paginate::Page {
            query: "p".into(),
            first: 1,
            size,
            more: Some(path("more")),
            total_pages: Some(path("pages")),
        })
    };
    let next = |number| Ok(Turn::Next(Position::Page(number)));
    let at = || Some(Position::Page(2));
    for (sized, body, expected) in [
        (true, r#"{"data":[{},{}]}"#, next(3)),
        (true, r#"{"data":[{}]}"#, Ok(Turn::End)),
        (true, r#"{"data":[{}],"more":true}"#, next(3)),
        (true, r#"{"data":[{},{}],"more":false}"#, Ok(Turn::End)),
        (true, r#"{"data":[{}],"pages":3}"#, next(3)),
        (true, r#"{"data":[{},{}],"pages":"2"}"#, Ok(Turn::End)),
        (true, r#"{"data":[{}],"pages":2,"more":true}"#, next(3)),
        (false, r#"{"data":[{}]}"#, next(3)),
        (false, r#"{"data":[]}"#, Ok(Turn::End)),
    ] {
        assert_eq!(turned(&paged(sized.then(|| size(2))), at(), body), expected, "{body}");
    }
    let from_zero =
        of(Paginate::Page { query: "p".into(), first: 0, size: None, more: None, total_pages: Some(path("pages")) });
    assert_eq!(turned(&from_zero, None, r#"{"data":[{}],"pages":1}"#), Ok(Turn::End));
    assert_eq!(turned(&from_zero, None, r#"{"data":[{}],"pages":2}"#), next(1));
}

fn by_offset(cap: Option<u64>) -> Stream {
    of(Paginate::Offset { query: "o".into(), size: size(3), more: None, total: Some(path("total")), cap })
}

#[test]
fn offset_pages_overlap_by_one_record() {
    let stream = by_offset(None);
    assert_eq!(ask(&stream, None, None).unwrap(), Ask { number: None, offset: Some(0), size: Some(3), again: 0 });
    assert_eq!(
        turned(&stream, None, r#"{"data":[{"id":1},{"id":2},{"id":3}]}"#),
        Ok(Turn::Next(offset(Some("3"), 3).unwrap()))
    );
    let at = offset(Some("3"), 3);
    assert_eq!(
        ask(&stream, at.as_ref(), None).unwrap(),
        Ask { number: None, offset: Some(2), size: Some(3), again: 1 }
    );
    assert_eq!(
        turned(&stream, at, r#"{"data":[{"id":3},{"id":4},{"id":5}]}"#),
        Ok(Turn::Next(offset(Some("5"), 5).unwrap()))
    );
    assert_eq!(turned(&stream, offset(Some("5"), 5), r#"{"data":[{"id":5}]}"#), Ok(Turn::End));
    assert_eq!(turned(&stream, None, r#"{"data":[{"id":1},{"id":2},{"id":3}],"total":3}"#), Ok(Turn::End));
    assert_eq!(
        turned(&stream, None, r#"{"data":[{"id":1}],"total":3}"#),
        Ok(Turn::Next(offset(Some("1"), 1).unwrap()))
    );
}

#[test]
fn an_offset_listing_that_moved_is_noticed() {
    let stream = by_offset(None);
    for body in [r#"{"data":[{"id":4},{"id":5}]}"#, r#"{"data":[]}"#, r#"{"data":[{"no":1}]}"#] {
        assert_eq!(turned(&stream, offset(Some("3"), 3), body), Ok(Turn::Moved), "{body}");
    }
}

#[test]
fn without_a_key_to_look_for_an_offset_page_does_not_overlap() {
    let stream = by_offset(None);
    assert_eq!(turned(&stream, None, r#"{"data":[{"id":1},{"id":2},{}]}"#), Ok(Turn::Next(offset(None, 3).unwrap())));
    assert_eq!(ask(&stream, offset(None, 3).as_ref(), None).unwrap().offset, Some(3));
}

#[test]
fn an_offset_listing_stops_at_the_vendors_cap() {
    let stream = by_offset(Some(7));
    let asked = ask(&stream, offset(Some("x"), 6).as_ref(), None).unwrap();
    assert_eq!((asked.offset, asked.size), (Some(5), Some(2)));
    assert_eq!(ask(&stream, offset(Some("x"), 7).as_ref(), None).unwrap_err().code, Code::OffsetCap);
    assert_eq!(turned(&stream, offset(Some("6"), 6), r#"{"data":[{"id":6}]}"#), Ok(Turn::End));
    assert_eq!(
        turned(&stream, offset(Some("6"), 6), r#"{"data":[{"id":6},{"id":7}]}"#),
        Ok(Turn::Next(offset(Some("7"), 7).unwrap()))
    );
}

#[test]
fn an_offset_answer_that_claims_more_and_holds_none_is_a_loop() {
    let stream = by_offset(None);
    assert_eq!(code(turned(&stream, offset(Some("3"), 3), r#"{"data":[{"id":3}],"total":9}"#)), Code::PageLoop);
    assert_eq!(code(turned(&stream, None, r#"{"data":[],"total":9}"#)), Code::PageLoop);
}

#[test]
fn a_position_of_another_kind_does_not_fit() {
    let positions = [token("t"), Position::Url("u".into()), Position::Page(1), offset(None, 1).unwrap()];
    let kinds = [
        cursor(None).paginate,
        Paginate::Link,
        Paginate::Page { query: "p".into(), first: 1, size: None, more: None, total_pages: None },
        by_offset(None).paginate,
    ];
    for (kind, paginate) in kinds.iter().enumerate() {
        assert!(fits(&of(paginate.clone()), None));
        for (given, position) in positions.iter().enumerate() {
            assert_eq!(fits(&of(paginate.clone()), Some(position)), kind == given);
        }
    }
}
