//! Every kind of pagination, read whole and resumed at every page, and every guard.

use renkei::{
    config::plan::{Auth, NextToken, PageSize, Paginate, Stream},
    model::{Code, Disposition, Position},
};
use serde_json::{Value, json};

use super::{
    listing::{Reader, keys, stream},
    server::{Asked, Reply, Server, api, ok, path, status, template},
};

const RECORDS: usize = 7;
const SIZE: usize = 3;

fn data(from: usize, to: usize) -> Vec<Value> {
    (from.min(RECORDS)..to.min(RECORDS)).map(|id| json!({"id": format!("l{id}"), "n": id})).collect()
}

/// One server that pages in every way; which one is asked for is in the request.
fn answer(asked: &Asked) -> Reply {
    let here = || format!("http://{}{}", asked.header("host").unwrap(), asked.path);
    let after = asked
        .parameter("after")
        .or(asked.parameter("starting_after"))
        .map_or(0, |id| id[1..].parse::<usize>().unwrap() + 1);
    // `sheet` counts from 0, `page` from 1.
    let number = asked.parameter("page").map(|page| page.parse::<usize>().unwrap() - 1);
    let number = number.or(asked.parameter("sheet").map(|sheet| sheet.parse().unwrap()));
    let (from, to) = match (number, asked.parameter("offset")) {
        (Some(number), _) => (number * SIZE, (number + 1) * SIZE),
        (_, Some(offset)) => {
            let offset: usize = offset.parse().unwrap();
            (offset, offset + asked.number_of("limit"))
        }
        _ => (after, after + SIZE),
    };
    let more = to < RECORDS;
    let next = more.then(|| format!("l{}", to - 1));
    let link = next.as_ref().map(|next| format!("{}?after={next}", here()));
    let relative = next.as_ref().map(|next| format!("?after={next}"));
    let body = json!({"data": data(from, to), "has_more": more, "paging": {"next": {"after": next}}, "next": relative});
    let reply = ok(body.to_string());
    match link {
        Some(link) => reply.header("link", format!("<{link}>; rel=\"next\", <{}>; rel=\"first\"", here())),
        None => reply,
    }
}

fn kinds() -> Vec<(&'static str, Paginate)> {
    let query = |name: &str| Some(name.to_owned());
    let size = || PageSize { query: query("limit"), records: SIZE as u64 };
    vec![
        (
            "token",
            Paginate::Cursor {
                next: NextToken::Body(path("paging.next.after")),
                query: query("after"),
                more: None,
                size: None,
            },
        ),
        (
            "last record",
            Paginate::Cursor {
                next: NextToken::LastRecord(path("id")),
                query: query("starting_after"),
                more: Some(path("has_more")),
                size: None,
            },
        ),
        ("next url", Paginate::NextUrl { next: path("next"), more: Some(path("has_more")) }),
        ("link", Paginate::Link),
        ("page", Paginate::Page { query: "page".into(), first: 1, size: Some(size()), more: None, total_pages: None }),
        (
            "page from 0",
            Paginate::Page { query: "sheet".into(), first: 0, size: Some(size()), more: None, total_pages: None },
        ),
        ("offset", Paginate::Offset { query: "offset".into(), size: size(), more: None, total: None, cap: None }),
    ]
}

fn all() -> Vec<String> {
    (0..RECORDS).map(|id| format!("l{id}")).collect()
}

#[tokio::test]
async fn every_pagination_reads_every_record_once_and_in_order() {
    let server = Server::answering(answer).await;
    for (name, paginate) in kinds() {
        let mut reader = Reader::new(&server.url, stream(paginate));
        assert_eq!(reader.rest().await.unwrap(), all(), "{name}");
    }
}

#[tokio::test]
async fn a_listing_goes_on_after_a_crash_at_any_page() {
    let server = Server::answering(answer).await;
    for (name, paginate) in kinds() {
        for pages_before in 0..3 {
            let mut reader = Reader::new(&server.url, stream(paginate.clone()));
            let mut read = Vec::new();
            for _ in 0..pages_before {
                read.extend(keys(&reader.page().await.unwrap()));
            }
            reader.crash();
            read.extend(reader.rest().await.unwrap());
            assert_eq!(read, all(), "{name}, crash after {pages_before} pages");
        }
    }
}

#[tokio::test]
async fn a_page_that_is_read_twice_is_the_same_page() {
    let server = Server::answering(answer).await;
    for (name, paginate) in kinds() {
        let mut reader = Reader::new(&server.url, stream(paginate));
        reader.page().await.unwrap();
        let at = reader.at.clone();
        let first = reader.page().await.unwrap();
        reader.at = at;
        reader.crash();
        let second = reader.page().await.unwrap();
        assert_eq!((keys(&first), first.next), (keys(&second), second.next), "{name}");
    }
}

#[tokio::test]
async fn templates_see_the_page_and_the_settings() {
    let server = Server::answering(answer).await;
    let token =
        Paginate::Cursor { next: NextToken::Body(path("paging.next.after")), query: None, more: None, size: None };
    let mut leads = stream(token);
    leads.request.query =
        vec![("after".to_owned(), template("{{ page.token }}")), ("limit".to_owned(), template("{{ config.limit }}"))];
    leads.request.headers = vec![("x-page".parse().unwrap(), template("at {{ page.token | default(\"start\") }}"))];
    assert_eq!(Reader::new(&server.url, leads).rest().await.unwrap(), all());
    let asked = server.asked();
    assert_eq!((asked[0].parameter("after"), asked[0].parameter("limit")), (None, Some("3")));
    assert_eq!(asked[0].header("x-page"), Some("at start"));
    assert_eq!((asked[1].parameter("after"), asked[1].header("x-page")), (Some("l2"), Some("at l2")));
}

async fn fault_of(
    leads: Stream,
    answer: impl Fn(&Asked) -> Reply + Clone + Send + Sync + 'static,
) -> (Code, Disposition, usize) {
    let server = Server::answering(answer).await;
    let mut reader = Reader::new(&server.url, leads);
    let fault = reader.rest().await.unwrap_err();
    assert!(!fault.help.is_empty() && fault.place.iter().any(|place| place == "stream leads"), "{fault:?}");
    (fault.code, fault.disposition, server.asked().len())
}

fn by_token() -> Stream {
    stream(Paginate::Cursor {
        next: NextToken::Body(path("next")),
        query: Some("after".into()),
        more: None,
        size: None,
    })
}

#[tokio::test]
async fn a_page_token_that_repeats_stops_the_reading() {
    let stuck = |_: &Asked| ok(r#"{"data":[{"id":1}],"next":"t"}"#);
    assert_eq!(fault_of(by_token(), stuck).await, (Code::PageLoop, Disposition::Halt, 2));
}

#[tokio::test]
async fn empty_pages_are_passed_over_up_to_a_bound() {
    let server = Server::answering(|asked| match asked.number {
        0 | 1 => ok(format!(r#"{{"data":[],"next":"t{}"}}"#, asked.number)),
        _ => ok(r#"{"data":[{"id":"a"}]}"#),
    })
    .await;
    let mut reader = Reader::new(&server.url, by_token());
    let page = reader.page().await.unwrap();
    assert_eq!((keys(&page), page.end, server.asked().len()), (vec!["a".to_owned()], true, 3));
    let endless = |asked: &Asked| ok(format!(r#"{{"data":[],"next":"t{}"}}"#, asked.number));
    assert_eq!(fault_of(by_token(), endless).await, (Code::EmptyPages, Disposition::Halt, 3));
}

#[tokio::test]
async fn a_listing_ends_at_its_page_budget() {
    let endless = |asked: &Asked| ok(format!(r#"{{"data":[{{"id":1}}],"next":"t{}"}}"#, asked.number));
    let short = Stream { pages_max: 5, ..by_token() };
    assert_eq!(fault_of(short, endless).await, (Code::PageBudget, Disposition::Halt, 5));
}

#[tokio::test]
async fn an_offset_listing_stops_at_the_vendors_cap_with_all_before_it_read() {
    let server = Server::answering(answer).await;
    let size = PageSize { query: Some("limit".into()), records: SIZE as u64 };
    let mut reader = Reader::new(
        &server.url,
        stream(Paginate::Offset {
            query: "offset".into(),
            size,
            more: Some(path("has_more")),
            total: None,
            cap: Some(6),
        }),
    );
    let mut read = Vec::new();
    let fault = loop {
        match reader.page().await {
            Ok(page) => read.extend(keys(&page)),
            Err(fault) => break fault,
        }
    };
    assert_eq!((fault.code, read), (Code::OffsetCap, all()[..6].to_vec()));
    assert!(server.asked().iter().all(|asked| asked.number_of("offset") + asked.number_of("limit") <= 6));
}

#[tokio::test]
async fn what_is_no_page_of_records_is_a_coded_fault() {
    let html = "<!DOCTYPE html><title>Sign in</title>";
    for (body, code, retried) in [
        (html, Code::NotJson, true),
        ("", Code::NotJson, true),
        (r#"{"data":[{"id":1},{"id""#, Code::Truncated, true),
        (r#"{"items":[]}"#, Code::NoRecords, false),
    ] {
        let (found, disposition, _) = fault_of(by_token(), move |_| ok(body)).await;
        assert_eq!(found, code, "{body}");
        assert_eq!(matches!(disposition, Disposition::Retry { .. }), retried, "{body}");
    }
}

#[tokio::test]
async fn a_refused_first_page_stops_the_reading() {
    for (answered, code) in
        [(404, Code::NotFound), (400, Code::Refused), (403, Code::Forbidden), (401, Code::Unauthorized)]
    {
        let refuse = move |_: &Asked| status(answered, r#"{"message":"no"}"#);
        let (found, disposition, asked) = fault_of(by_token(), refuse).await;
        assert_eq!((found, disposition, asked), (code, Disposition::Halt, 1));
    }
}

#[tokio::test]
async fn records_that_cannot_be_used_are_rejects_beside_the_others() {
    let server = Server::answering(|_| ok(r#"{"data":[{"id":"a"},{"name":"no key"},"no object",{"id":"b"}]}"#)).await;
    let page = Reader::new(&server.url, by_token()).page().await.unwrap();
    assert_eq!(keys(&page), ["a", "b"]);
    let rejects: Vec<_> = page.rejects.iter().map(|reject| (reject.reason.code, reject.fields.as_str())).collect();
    let expected = [(Code::MissingRecordKey, r#"{"name":"no key"}"#), (Code::NotAnObject, r#"{"value":"no object"}"#)];
    assert_eq!(rejects, expected);
}

#[tokio::test]
async fn a_next_url_to_another_host_is_not_asked() {
    let elsewhere = Server::answering(answer).await;
    let target = elsewhere.url.clone();
    let server = Server::answering(move |_| ok(format!(r#"{{"data":[{{"id":1}}],"next":"{target}/v1/leads"}}"#))).await;
    let mut reader = Reader::new(&server.url, stream(Paginate::NextUrl { next: path("next"), more: None }));
    reader.page().await.unwrap();
    assert_eq!(reader.page().await.unwrap_err().code, Code::Egress);
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn an_api_key_that_the_server_repeats_in_its_links_is_not_saved() {
    let server = Server::answering(|_| ok(r#"{"data":[{"id":1}],"next":"?after=x&api_key=s3cret&limit=2"}"#)).await;
    let mut connection = api(&server.url);
    connection.auth = Auth::ApiKeyQuery { parameter: "api_key".to_owned(), value: "s3cret".into() };
    let mut reader = Reader::of(connection, stream(Paginate::NextUrl { next: path("next"), more: None }));
    let page = reader.page().await.unwrap();
    let url = format!("{}/v1/leads?after=x&limit=2", server.url);
    assert_eq!(page.next.scan.unwrap().position, Some(Position::Url(url)));
}
