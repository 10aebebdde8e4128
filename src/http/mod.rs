//! One path for every request. Policies are small values; their order is the text of [`Client::execute`].

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use crate::model::{BoxFuture, Fault};

/// One attempt as it leaves.
#[derive(Clone)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// From sending to the last byte of the answer.
    pub timeout: Duration,
    /// A larger answer is refused.
    pub body_bytes_max: usize,
}

/// One answer, read whole.
#[derive(Clone)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why an attempt got no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SendError {
    /// Nothing was sent: name resolution or connecting failed.
    Unreachable(String),
    /// Nothing was sent: the peer's certificate or the handshake is no good.
    Tls(String),
    /// Nothing was sent: the address is not allowed.
    Egress(String),
    /// The time ran out. What the server did is unknown.
    Timeout,
    /// The connection broke. What the server did is unknown.
    Broken(String),
    /// The answer's head came, its body did not come whole.
    Truncated {
        status: StatusCode,
    },
    BodyTooLarge {
        status: StatusCode,
    },
    /// A redirect to somewhere else.
    Redirect {
        to: String,
    },
}

/// Sends one attempt. The real one is `http/transport.rs`; the simulation has its own.
pub trait Transport: Send + Sync {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, SendError>>;
}

/// Puts credentials on an attempt. Implemented in `auth/`.
pub trait Signer: Send + Sync {
    /// Adds credentials to headers or URL.
    fn sign<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<(), Fault>>;

    /// The server answered 401 to a request that carried `token` credentials signed by this signer. Returns true when
    /// new credentials were got and one more try makes sense.
    fn refused<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<bool, Fault>>;
}

/// What a caller wants done.
pub struct Call {
    /// The stream or operation, for messages.
    pub name: Arc<str>,
    /// The path template, for logs and metrics; never the path.
    pub route: Arc<str>,
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Sending it twice has the effect of sending it once.
    pub repeatable: bool,
    /// Replaces the connection's attempt timeout.
    pub timeout: Option<Duration>,
}
