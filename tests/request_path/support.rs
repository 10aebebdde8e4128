//! What these tests stand on: a connection's plan, a client for it, and servers on free ports.

use std::{sync::Arc, time::Duration};

use axum::Router;
use bytes::Bytes;
use http::{HeaderMap, Method};
use renkei::{
    config::plan::{Api, Budget, Retry},
    http::{Answer, Call, Client, HttpTransport, Policy, Seams, Unsigned},
    model::{Fault, SystemClock, SystemEntropy},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use url::Url;

pub fn api(base_url: &str) -> Api {
    Api {
        budget: Budget { wait_max: Duration::from_secs(60), ..Budget::default() },
        retry: Retry { attempts: 3, base: Duration::from_millis(1), cap: Duration::from_millis(2) },
        ..Api::new("shop", Url::parse(base_url).unwrap())
    }
}

pub fn client(api: &Api) -> Client {
    let seams = Seams {
        transport: Arc::new(HttpTransport::new(api)),
        signer: Arc::new(Unsigned),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::seeded(1)),
    };
    Client::new(Policy::of(api), seams)
}

pub fn call(method: Method, base_url: &str, path: &str) -> Call {
    Call {
        name: "orders".into(),
        route: "/orders/{id}".into(),
        method,
        url: Url::parse(base_url).unwrap().join(path).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        repeatable: true,
        timeout: None,
        deadline: None,
        answers: Vec::new(),
        hides: Vec::new(),
        unsigned: false,
        spool: None,
    }
}

/// Gets a path from a server with the connection's defaults.
pub async fn get(base_url: &str, path: &str) -> Result<Answer, Fault> {
    client(&api(base_url)).execute(&call(Method::GET, base_url, path)).await
}

/// Serves an application and returns its base URL.
pub async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    base_url
}

/// Serves connections by hand: `script` gets each socket after a request's head was read, with its number from 0.
pub async fn serve_raw<F>(script: impl Fn(TcpStream, usize) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for number in 0.. {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match socket.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            tokio::spawn(script(socket, number));
        }
    });
    base_url
}

/// Answers every connection with the same bytes and closes it.
pub async fn serve_bytes(bytes: impl Into<Vec<u8>>) -> String {
    let bytes: Arc<[u8]> = bytes.into().into();
    serve_raw(move |mut socket, _| {
        let bytes = bytes.clone();
        async move {
            // The client may hang up as soon as it has seen enough.
            let _ = socket.write_all(&bytes).await;
            let _ = socket.shutdown().await;
        }
    })
    .await
}
