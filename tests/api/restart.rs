//! Listings that have to begin again: a position the server forgot, an offset listing that moved under the reader.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use renkei::{
    config::plan::{NextToken, PageSize, Paginate, Stream},
    model::{Code, Cursor, Mark, Position, Scan},
};
use serde_json::json;

use super::{
    listing::{Reader, keys, stream},
    server::{Asked, Server, ok, path, status},
};

fn by_token() -> Stream {
    stream(Paginate::Cursor {
        next: NextToken::Body(path("next")),
        query: Some("after".into()),
        more: None,
        size: None,
    })
}

fn pages(asked: &Asked) -> super::server::Reply {
    match asked.parameter("after") {
        None => ok(r#"{"data":[{"id":"a"}],"next":"t1"}"#),
        Some("t1") => ok(r#"{"data":[{"id":"b"}],"next":"t2"}"#),
        Some(_) => ok(r#"{"data":[{"id":"c"}]}"#),
    }
}

#[tokio::test]
async fn a_position_that_the_server_forgot_begins_the_listing_again_over_the_same_window() {
    for answered in [400, 404, 410, 422] {
        let server = Server::answering(move |asked| match asked.number {
            1 => status(answered, r#"{"message":"cursor expired"}"#),
            _ => pages(asked),
        })
        .await;
        let mut reader = Reader::new(&server.url, by_token());
        reader.at.mark = Some(Mark { segment: 1, bytes: 9 });
        reader.page().await.unwrap();
        reader.at.mark = Some(Mark { segment: 1, bytes: 20 });
        reader.crash();
        let page = reader.page().await.unwrap();
        assert!(page.restarted, "{answered}");
        assert_eq!(keys(&page), ["a"]);
        let scan = page.next.scan.unwrap();
        assert_eq!(scan.start_mark, Some(Mark { segment: 1, bytes: 9 }));
        assert_eq!((scan.pages, scan.position), (1, Some(Position::Token("t1".into()))));
        let rest = reader.rest().await.unwrap();
        assert_eq!(rest, ["b", "c"]);
    }
}

/// Page tokens that live as long as a slow sink takes for five pages that are new to it.
#[tokio::test]
async fn a_listing_that_gets_further_with_each_beginning_is_begun_as_often_as_it_takes() {
    const PAGES: usize = 60;
    let delivered = Arc::new(Mutex::new((HashSet::new(), 0)));
    let server = Server::answering(move |asked| {
        let page: usize = asked.parameter("after").map_or(0, |token| token.parse().unwrap());
        let (seen, new) = &mut *delivered.lock().unwrap();
        if page == 0 {
            *new = 0;
        }
        if *new > 5 {
            return status(410, r#"{"message":"cursor expired"}"#);
        }
        *new += usize::from(seen.insert(page));
        match page + 1 {
            PAGES => ok(format!(r#"{{"data":[{{"id":"{page}"}}]}}"#)),
            next => ok(format!(r#"{{"data":[{{"id":"{page}"}}],"next":"{next}"}}"#)),
        }
    })
    .await;
    let found: HashSet<String> = Reader::new(&server.url, by_token()).rest().await.unwrap().into_iter().collect();
    assert_eq!(found.len(), PAGES);
}

#[tokio::test]
async fn a_position_that_is_always_refused_is_a_fault_after_a_few_beginnings() {
    let server = Server::answering(|asked| match asked.parameter("after") {
        None => pages(asked),
        Some(_) => status(400, r#"{"message":"bad cursor"}"#),
    })
    .await;
    let mut reader = Reader::new(&server.url, by_token());
    assert_eq!(reader.rest().await.unwrap_err().code, Code::Refused);
    assert!(server.asked().len() <= 10, "{}", server.asked().len());
}

#[tokio::test]
async fn a_position_of_another_kind_of_paging_begins_the_listing_again() {
    let server = Server::answering(pages).await;
    let mut reader = Reader::new(&server.url, by_token());
    reader.at.scan = Some(Scan { position: Some(Position::Page(3)), pages: 2, ..Scan::default() });
    let page = reader.page().await.unwrap();
    assert!(page.restarted);
    assert_eq!(keys(&page), ["a"]);
}

#[tokio::test]
async fn a_page_that_was_cut_short_marks_its_records_and_the_next_page_does_not() {
    let server = Server::answering(pages).await;
    let mut reader = Reader::new(&server.url, by_token());
    reader.at.scan = Some(Scan { partial: 1, ..Scan::default() });
    assert!(reader.page().await.unwrap().records[0].overlap.before);
    assert!(!reader.page().await.unwrap().records[0].overlap.before);
}

fn by_offset() -> Stream {
    let size = PageSize { query: Some("limit".into()), records: 3 };
    stream(Paginate::Offset { query: "offset".into(), size, more: None, total: None, cap: None })
}

/// A listing by offset over records that the test changes while it is read.
async fn shifting(records: &Arc<Mutex<Vec<&'static str>>>) -> Server {
    let records = Arc::clone(records);
    Server::answering(move |asked| {
        let records = records.lock().unwrap();
        let rest = records.iter().skip(asked.number_of("offset")).take(asked.number_of("limit"));
        ok(json!({"data": rest.map(|id| json!({"id": id})).collect::<Vec<_>>()}).to_string())
    })
    .await
}

#[tokio::test]
async fn a_record_deleted_behind_the_reader_begins_an_offset_listing_again_and_nothing_is_missed() {
    let records = Arc::new(Mutex::new(vec!["a", "b", "c", "d", "e"]));
    let server = shifting(&records).await;
    let mut reader = Reader::new(&server.url, by_offset());
    assert_eq!(keys(&reader.page().await.unwrap()), ["a", "b", "c"]);
    records.lock().unwrap().remove(0);
    reader.crash();
    let page = reader.page().await.unwrap();
    assert!(page.restarted);
    assert_eq!(keys(&page), ["b", "c", "d"]);
    assert_eq!(reader.rest().await.unwrap(), ["e"]);
}

#[tokio::test]
async fn an_offset_listing_that_never_holds_still_is_a_fault() {
    let server = Server::answering(|asked| {
        let id = |at: usize| json!({"id": format!("{}-{at}", asked.number)});
        ok(json!({"data": [id(0), id(1), id(2)]}).to_string())
    })
    .await;
    let fault = Reader::new(&server.url, by_offset()).rest().await.unwrap_err();
    assert_eq!(fault.code, Code::MovingListing);
    assert!(server.asked().len() <= 10, "{}", server.asked().len());
}

#[tokio::test]
async fn the_cursor_does_not_move_when_a_listing_begins_again() {
    let server = Server::answering(|asked| match asked.number {
        0 => ok(r#"{"data":[{"id":"a","at":5}],"next":"t1"}"#),
        1 => status(410, "{}"),
        _ => ok(r#"{"data":[{"id":"a","at":5}],"next":"t1"}"#),
    })
    .await;
    let mut reader = Reader::new(&server.url, super::window::by_integer(by_token(), false));
    reader.at.cursor = Some(Cursor::Integer(4));
    reader.page().await.unwrap();
    let page = reader.page().await.unwrap();
    assert!(page.restarted);
    assert_eq!(page.next.cursor, Some(Cursor::Integer(4)));
    assert_eq!(server.asked()[2].parameter("since"), Some("2"));
}
