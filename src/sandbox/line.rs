//! One accepted connection, and the listener that accepts no more of them than it should. A [`Line`] lets the code that
//! answers a request break the connection under it: the next write fails, the server drops the socket, and because the
//! socket does not linger the peer sees a reset instead of an end.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};

/// A connection on which nothing moves for this long is closed, as most servers do. Pools must cope.
const IDLE: Duration = Duration::from_secs(75);
/// Between two tries to accept when the machine has no free descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The handle by which a request breaks its own connection.
#[derive(Clone, Default, Debug)]
pub struct Line(Arc<AtomicBool>);

impl Line {
    /// Makes the next write fail and the peer see a reset.
    pub fn reset(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, Door>> for Line {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.io().line.clone()
    }
}

/// Accepts at most so many connections at a time; more of them wait in the kernel's queue.
pub struct Door {
    pub listener: TcpListener,
    pub places: Arc<Semaphore>,
}

impl Listener for Door {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        let place = loop {
            // The semaphore is never closed, so this ends at the first turn.
            if let Ok(place) = self.places.clone().acquire_owned().await {
                break place;
            }
        };
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return (Wire::new(stream, place), peer),
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The socket of one connection.
pub struct Wire {
    stream: TcpStream,
    line: Line,
    idle: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Wire {
    fn new(stream: TcpStream, place: OwnedSemaphorePermit) -> Self {
        // Without this a small answer can wait 40 ms for an acknowledgement. A socket that refuses still works.
        let _ = stream.set_nodelay(true);
        Self { stream, line: Line::default(), idle: Box::pin(sleep(IDLE)), _place: place }
    }

    fn moved(&mut self) {
        self.idle.as_mut().reset(Instant::now() + IDLE);
    }

    fn check(&self) -> io::Result<()> {
        if !self.line.0.load(Ordering::Acquire) {
            return Ok(());
        }
        // If this fails the peer sees an end instead of a reset, and still no answer.
        let _ = self.stream.set_zero_linger();
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let read = Pin::new(&mut wire.stream).poll_read(cx, into);
        if read.is_ready() {
            wire.moved();
            return read;
        }
        match wire.idle.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        wire.check()?;
        let written = Pin::new(&mut wire.stream).poll_write(cx, bytes);
        if written.is_ready() {
            wire.moved();
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        wire.check()?;
        Pin::new(&mut wire.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
