//! A listener for HTTP/1.1: everything between an address and a router. It owes its router that no peer can hold more than one place
//! for longer than a header may take, and its caller that a stop ends: requests under way are answered, idle connections are closed,
//! and nothing new is accepted. What the requests mean it does not know.
//!
//! The hard idea is who waits. Connections beyond the bound wait in the kernel's queue, where they cost nothing; a peer that sends its
//! header drop by drop is told so (408) and hung up on; a body's time and size are the router's business (`body.rs`), because only it
//! knows how large one may be.

use std::{convert::Infallible, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use http::{Request, Response};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use crate::{
    engine::Stop,
    model::{Blame, Code, Fault},
};

/// Between two tries to accept when the machine has no free descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// For the last words to a peer that took too long.
const LAST_WORDS: Duration = Duration::from_secs(1);
const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What peers may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Open connections. More of them wait to be accepted.
    pub connections_max: usize,
    /// Of one request's line and headers, at least 8 KiB.
    pub header_bytes_max: usize,
    /// From the first wait for a request to the end of its headers, so also how long a connection may be idle.
    pub header_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections_max: 512, header_bytes_max: 32 << 10, header_time_max: Duration::from_secs(10) }
    }
}

/// A listener at work.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Listening {
    /// Where it listens: the port is known even where a free one was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until a stop was asked for and the last connection is closed.
    pub async fn ended(self) {
        // Serving ends by a stop, and never with an error.
        let _ = self.task.await;
    }
}

/// Listens at an address and answers by `router` until `stop` asks to end. Handlers find the peer as `ConnectInfo<SocketAddr>`.
pub async fn listen(address: SocketAddr, router: Router, limits: Limits, stop: Stop) -> Result<Listening, Fault> {
    let listener = TcpListener::bind(address).await.map_err(|error| refused(address, &error))?;
    let address = listener.local_addr().map_err(|error| refused(address, &error))?;
    let places = Arc::new(Semaphore::new(limits.connections_max.max(1)));
    let task = tokio::spawn(accept(Door { listener, places }, router, limits, stop));
    Ok(Listening { address, task })
}

fn refused(address: SocketAddr, error: &io::Error) -> Fault {
    let help = match error.kind() {
        io::ErrorKind::AddrInUse => "another program listens there: stop it, or give this one another port",
        io::ErrorKind::PermissionDenied => "this user may not listen there: take a port from 1024 on",
        _ => "give it an address of this machine, such as 127.0.0.1:8080",
    };
    let message = format!("{address} cannot be listened on: {error}");
    Fault::halt(Code::ListenRefused, Blame::Host, message)
        .help(format!("nothing was accepted and nothing is lost; {help}"))
}

struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Door {
    /// The next connection, once there is a place for it.
    async fn next(&self) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
        loop {
            // The semaphore is never closed.
            let Ok(place) = self.places.clone().acquire_owned().await else { continue };
            match self.listener.accept().await {
                Ok((stream, peer)) => return (stream, peer, place),
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }
}

async fn accept(door: Door, router: Router, limits: Limits, stop: Stop) {
    let mut lines = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.wait() => break,
            Some(_) = lines.join_next(), if !lines.is_empty() => {}
            (stream, peer, place) = door.next() => {
                let (router, stop) = (router.clone(), stop.clone());
                lines.spawn(async move {
                    serve(stream, peer, router, limits, stop).await;
                    drop(place);
                });
            }
        }
    }
    // From here on the system refuses connections.
    drop(door);
    let all_ended = async { while lines.join_next().await.is_some() {} };
    tokio::select! {
        () = all_ended => {}
        () = stop.grace_over() => {}
    }
    lines.shutdown().await;
}

/// One connection, request by request.
async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, limits: Limits, stop: Stop) {
    // Without this a small answer can wait 40 ms for an acknowledgement. A socket that refuses still works.
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer: Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>> =
            Box::pin(router.call(request));
        answer
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.header_time_max).max_buf_size(limits.header_bytes_max);
    let mut line = builder.serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        biased;
        ended = &mut line => ended,
        () = stop.wait() => {
            Pin::new(&mut line).graceful_shutdown();
            (&mut line).await
        }
    };
    let Err(error) = ended else { return };
    let parts = line.into_parts();
    // A peer that has said nothing was idle and expects nothing.
    if error.is_timeout() && !parts.read_buf.is_empty() {
        let mut stream = parts.io.into_inner();
        let _ = timeout(LAST_WORDS, stream.write_all(TOO_SLOW)).await;
    }
}
