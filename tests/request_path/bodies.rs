//! Answers' bodies: whole ones, cut ones, large ones, compressed ones.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use axum::{Router, routing::get};
use bytes::Bytes;
use http::Method;
use renkei::{
    http::Ruling,
    model::{Code, Disposition},
};

use crate::support::{self, api, call, client, serve, serve_bytes};

/// Compresses with the system's gzip.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = Command::new("gzip").arg("-9c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = gzip.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes).unwrap());
    let output = gzip.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    output.stdout
}

fn gzip_answer(body: &[u8], announced: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {announced}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

async fn truncated(bytes: impl Into<Vec<u8>>) {
    let fault = support::get(&serve_bytes(bytes).await, "/orders").await.unwrap_err();
    assert_eq!(fault.code, Code::Truncated, "{fault:?}");
    assert!(matches!(fault.disposition, Disposition::Retry { .. }));
    assert!(fault.message.contains("after 3 attempts"), "{}", fault.message);
}

#[tokio::test]
async fn an_answer_comes_whole_with_its_status_headers_and_time() {
    let base_url = serve(Router::new().route("/orders", get(|| async { ([("x-page", "1")], "[1,2]") }))).await;
    let answer = support::get(&base_url, "/orders").await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.attempts, answer.ruling), (200, 1, Ruling::Accepted));
    assert_eq!(&answer.body[..], b"[1,2]");
    assert_eq!(answer.headers["x-page"], "1");
    assert!(answer.server_time.is_some());
}

#[tokio::test]
async fn a_body_in_many_pieces_comes_in_order() {
    let body = (0..400_000u32).flat_map(u32::to_be_bytes).collect::<Bytes>();
    let served = body.clone();
    let app = Router::new().route("/orders", get(move || async move { served }));
    assert_eq!(support::get(&serve(app).await, "/orders").await.unwrap().body, body);
}

#[tokio::test]
async fn a_body_shorter_than_its_content_length_is_found() {
    truncated("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
}

#[tokio::test]
async fn a_chunked_body_without_its_last_chunk_or_with_a_broken_one_is_found() {
    truncated("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    truncated("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\nmore\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn a_gzip_body_is_unpacked_and_one_that_ends_early_or_is_damaged_is_found() {
    let text = "the same line again\n".repeat(5_000);
    let packed = gzip(text.as_bytes());
    let whole = serve_bytes(gzip_answer(&packed, packed.len())).await;
    assert_eq!(support::get(&whole, "/orders").await.unwrap().body, text.as_bytes());
    let half = &packed[..packed.len() / 2];
    truncated(gzip_answer(half, half.len())).await;
    let mut damaged = packed.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    truncated(gzip_answer(&damaged, damaged.len())).await;
}

#[tokio::test]
async fn a_small_gzip_that_unpacks_to_more_than_the_limit_is_refused() {
    let packed = gzip(&vec![b' '; 8 << 20]);
    let base_url = serve_bytes(gzip_answer(&packed, packed.len())).await;
    let mut small = api(&base_url);
    small.body_bytes_max = 1 << 20;
    assert!(packed.len() < small.body_bytes_max / 100);
    let fault = client(&small).execute(&call(Method::GET, &base_url, "/orders")).await.unwrap_err();
    assert_eq!((fault.code, fault.disposition), (Code::BodyTooLarge, Disposition::Halt));
}

#[tokio::test]
async fn a_page_of_65_mib_is_refused_whether_it_says_so_or_not() {
    let page = Bytes::from(vec![b'x'; 65 << 20]);
    let (announced, streamed) = (page.clone(), page.clone());
    let app = Router::new().route("/announced", get(move || async move { announced })).route(
        "/streamed",
        get(move || async move {
            let pieces = (0..65).map(move |at| Ok::<_, std::io::Error>(streamed.slice(at << 20..(at + 1) << 20)));
            axum::body::Body::from_stream(futures_util::stream::iter(pieces))
        }),
    );
    let base_url = serve(app).await;
    for path in ["/announced", "/streamed"] {
        let fault = support::get(&base_url, path).await.unwrap_err();
        assert_eq!(fault.code, Code::BodyTooLarge, "{path}: {fault:?}");
        assert!(fault.help.contains("smaller pages"));
    }
}

#[tokio::test]
async fn a_page_exactly_at_the_limit_is_read() {
    let app = Router::new().route("/orders", get(|| async { "x".repeat(1000) }));
    let base_url = serve(app).await;
    let mut small = api(&base_url);
    small.body_bytes_max = 1000;
    let orders = call(Method::GET, &base_url, "/orders");
    assert_eq!(client(&small).execute(&orders).await.unwrap().body.len(), 1000);
    small.body_bytes_max = 999;
    assert_eq!(client(&small).execute(&orders).await.unwrap_err().code, Code::BodyTooLarge);
}

#[tokio::test]
async fn an_empty_answer_is_an_answer() {
    let answer = support::get(&serve_bytes("HTTP/1.1 204 No Content\r\n\r\n").await, "/orders").await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
}
