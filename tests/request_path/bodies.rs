//! Answers' bodies: whole ones, cut ones, large ones, compressed ones.

use axum::{Router, routing::get};
use renkei::{http::Ruling, model::Code};

use crate::support::{self, serve, serve_bytes};

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
async fn a_body_shorter_than_its_content_length_is_found() {
    let base_url = serve_bytes("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    let fault = support::get(&base_url, "/orders").await.unwrap_err();
    assert_eq!(fault.code, Code::Truncated);
    assert!(fault.message.contains("after 3 attempts"), "{}", fault.message);
}
