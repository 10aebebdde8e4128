//! Connections that are kept, and servers that close them: what is sent again and what never is.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use http::Method;
use renkei::{
    http::{Call, Ruling},
    model::{Code, Disposition},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{api, call, client};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What a server does with the second request on a connection, after it answered the first and kept the connection open.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Second {
    /// It reads the request whole, so it may have taken effect, and closes without a word.
    ReadAndClose,
    /// It closes before a byte of it came.
    AlreadyClosed,
    /// The same, with a reset.
    AlreadyReset,
}

struct Server {
    base_url: String,
    /// The lines of the requests that came whole, over all connections.
    seen: Arc<Mutex<Vec<String>>>,
    closed: Arc<AtomicUsize>,
}

impl Server {
    async fn start(second: Second) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, closed) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
        let (kept, counted) = (seen.clone(), closed.clone());
        tokio::spawn(async move {
            for number in 0.. {
                let (socket, _) = listener.accept().await.unwrap();
                // Only the first connection misbehaves.
                let misbehaves = (number == 0).then_some(second);
                tokio::spawn(serve(socket, misbehaves, kept.clone(), counted.clone()));
            }
        });
        Self { base_url, seen, closed }
    }

    fn posts(&self) -> usize {
        self.seen.lock().unwrap().iter().filter(|line| line.starts_with("POST")).count()
    }
}

async fn serve(mut socket: TcpStream, second: Option<Second>, seen: Arc<Mutex<Vec<String>>>, closed: Arc<AtomicUsize>) {
    for request in 0.. {
        match second.filter(|_| request == 1) {
            Some(Second::AlreadyClosed) => break,
            Some(Second::AlreadyReset) => {
                socket.set_zero_linger().unwrap();
                break;
            }
            _ => {}
        }
        let Some(line) = read(&mut socket).await else { return };
        seen.lock().unwrap().push(line);
        if second == Some(Second::ReadAndClose) && request == 1 {
            break;
        }
        if socket.write_all(OK).await.is_err() {
            return;
        }
    }
    drop(socket);
    closed.fetch_add(1, Relaxed);
}

/// Reads one request and returns its first line.
async fn read(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |it| it.parse().unwrap());
    socket.read_exact(&mut vec![0; length]).await.ok()?;
    Some(head.lines().next().unwrap().to_owned())
}

fn write(base_url: &str, repeatable: bool) -> Call {
    Call { repeatable, body: "a=b".into(), ..call(Method::POST, base_url, "/leads") }
}

#[tokio::test]
async fn a_write_that_reached_a_server_which_closed_its_kept_connection_is_not_sent_twice() {
    let server = Server::start(Second::ReadAndClose).await;
    let client = client(&api(&server.base_url));
    client.execute(&call(Method::GET, &server.base_url, "/leads")).await.unwrap();
    let fault = client.execute(&write(&server.base_url, false)).await.unwrap_err();
    assert_eq!((fault.code, fault.disposition), (Code::Broken, Disposition::Park), "{fault:?}");
    assert!(fault.message.contains("whether it took effect is unknown"), "{}", fault.message);
    assert_eq!(server.posts(), 1);
    // The connection is gone, and the next call has another one.
    assert_eq!(client.execute(&write(&server.base_url, false)).await.unwrap().ruling, Ruling::Accepted);
    assert_eq!(server.posts(), 2);
}

#[tokio::test]
async fn one_that_may_be_repeated_is_sent_again_on_another_connection() {
    let server = Server::start(Second::ReadAndClose).await;
    let client = client(&api(&server.base_url));
    client.execute(&call(Method::GET, &server.base_url, "/leads")).await.unwrap();
    let answer = client.execute(&write(&server.base_url, true)).await.unwrap();
    assert_eq!((answer.attempts, server.posts()), (2, 2));
}

/// The close and our request cross on the wire, or they do not: either way it is never sent twice, and where nothing of it
/// left, it goes through.
#[tokio::test]
async fn a_kept_connection_that_the_server_closed_meanwhile_costs_nobody_a_write() {
    let mut went_through = 0;
    for round in 0..60 {
        let second = if round % 2 == 0 { Second::AlreadyClosed } else { Second::AlreadyReset };
        let server = Server::start(second).await;
        let client = client(&api(&server.base_url));
        client.execute(&call(Method::GET, &server.base_url, "/leads")).await.unwrap();
        while server.closed.load(Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        // Sometimes the end of the connection was noticed before the write, sometimes not.
        for _ in 0..round / 2 {
            tokio::task::yield_now().await;
        }
        match client.execute(&write(&server.base_url, false)).await {
            Ok(answer) => {
                assert_eq!((answer.attempts, server.posts()), (1, 1), "{second:?}, round {round}");
                went_through += 1;
            }
            Err(fault) => {
                assert_eq!(fault.disposition, Disposition::Park, "{fault:?}");
                assert_eq!(server.posts(), 0, "{second:?}, round {round}: whoever is unsure sends nothing again");
            }
        }
    }
    assert!(went_through >= 40, "{went_through} of 60 went through");
}
