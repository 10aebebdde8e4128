//! The listener under every router: what a peer may take, and how it ends.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use renkei::{
    engine::{Stop, Stopper},
    model::Code,
    server::{Limits, Listening, listen},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::Instant,
};

const QUICK: Limits =
    Limits { connections_max: 2, header_bytes_max: 8 << 10, header_time_max: Duration::from_millis(200) };

async fn open(router: Router, stop: Stop) -> Listening {
    listen(SocketAddr::from(([127, 0, 0, 1], 0)), router, QUICK, stop).await.unwrap()
}

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

async fn say(address: SocketAddr, text: &str) -> TcpStream {
    let mut line = TcpStream::connect(address).await.unwrap();
    line.write_all(text.as_bytes()).await.unwrap();
    line
}

async fn rest(mut line: TcpStream) -> String {
    let mut heard = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), line.read_to_end(&mut heard)).await.unwrap().unwrap();
    String::from_utf8(heard).unwrap()
}

#[tokio::test]
async fn a_header_that_comes_drop_by_drop_is_answered_with_408_and_an_idle_line_with_nothing() {
    let (_stopper, stop) = Stopper::new();
    let listening = open(hello(), stop).await;
    let (slow, idle) = (say(listening.address(), "GET / HTTP/1.1\r\nho").await, say(listening.address(), "").await);
    let slow = rest(slow).await;
    assert!(slow.starts_with("HTTP/1.1 408 "), "{slow}");
    assert_eq!(rest(idle).await, "");
    let large = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(9 << 10));
    let large = rest(say(listening.address(), &large).await).await;
    assert!(large.starts_with("HTTP/1.1 431 "), "{large}");
}

#[tokio::test]
async fn a_connection_beyond_the_bound_waits_for_a_place_and_then_gets_its_answer() {
    let (_stopper, stop) = Stopper::new();
    let listening = open(hello(), stop).await;
    let _held = [say(listening.address(), "").await, say(listening.address(), "").await];
    let began = Instant::now();
    let third = rest(say(listening.address(), "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await).await;
    assert!(third.ends_with("hello"), "{third}");
    assert!(began.elapsed() >= Duration::from_millis(100), "it was let in beside the two: {:?}", began.elapsed());
}

#[tokio::test]
async fn a_stop_answers_what_is_under_way_and_accepts_nothing_more() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begin, wait) = (begun.clone(), go_on.clone());
    let slow = Router::new().route(
        "/",
        get(move || async move {
            begin.notify_one();
            wait.notified().await;
            "done"
        }),
    );
    let (stopper, stop) = Stopper::new();
    let listening = open(slow, stop).await;
    let address = listening.address();
    let under_way = say(address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    begun.notified().await;
    stopper.stop();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go_on.notify_one();
    let answer = rest(under_way).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("done"), "{answer}");
    tokio::time::timeout(Duration::from_secs(5), listening.ended()).await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_fault() {
    let (_stopper, stop) = Stopper::new();
    let listening = open(hello(), stop.clone()).await;
    let again = listen(listening.address(), hello(), Limits::default(), stop).await.unwrap_err();
    assert_eq!(again.code, Code::ListenRefused);
    assert!(again.message.contains(&listening.address().to_string()), "{}", again.message);
    assert!(again.help.contains("another program listens there"), "{}", again.help);
}
