//! A name that moves to another address: the next connection goes there.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU8, Ordering::Relaxed},
};

use http::HeaderMap;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::{config::plan::Auth, http::script};

/// Where `moving.test` is: the last part of 127.0.0.x.
static HOUSE: AtomicU8 = AtomicU8::new(1);

fn moving(_: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
    Box::pin(async { Ok(vec![SocketAddr::from(([127, 0, 0, HOUSE.load(Relaxed)], 0))]) })
}

/// Answers each request with the house it came to. A connection ends after two of them.
async fn live_in(house: u8, port: u16) -> u16 {
    let listener = TcpListener::bind((IpAddr::V4(Ipv4Addr::new(127, 0, 0, house)), port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                for request in 0..2 {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = socket.read_u8().await else { return };
                        head.push(byte);
                    }
                    let close = if request == 1 { "connection: close\r\n" } else { "" };
                    let answer = format!("HTTP/1.1 200 OK\r\n{close}content-length: 1\r\n\r\n{house}");
                    socket.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn a_name_that_moved_is_followed_when_its_connections_end() {
    let port = live_in(1, 0).await;
    assert_eq!(live_in(2, port).await, port);
    let url = Url::parse(&format!("http://moving.test:{port}/")).unwrap();
    let mut api = script::api(Auth::None);
    api.base_url = url.clone();
    api.egress.private = true;
    let transport = HttpTransport::resolving(&api, moving);
    let request = Request {
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        body: Bytes::new(),
        body_bytes_max: 100,
        spool: None,
        secrets: Vec::new(),
        offset: Default::default(),
        offset_learned: Default::default(),
    };
    let ask = async || transport.send(request.clone()).await.unwrap().body;
    assert_eq!(ask().await, "1");
    HOUSE.store(2, Relaxed);
    // The old house closes the connection with its second answer.
    assert_eq!(ask().await, "1");
    for _ in 0..3 {
        assert_eq!(ask().await, "2");
    }
    assert_eq!(transport.send(Request { method: Method::POST, ..request.clone() }).await.unwrap().body, "2");
}
