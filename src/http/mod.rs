//! One path for every request. Policies are small values; their order is the text of [`Client::execute`]. Nothing above
//! this room retries a call, waits for quota or reads a status to find out whether to.

mod account;
mod attempt;
mod backoff;
mod breaker;
mod budget;
mod client;
mod collector;
mod effort;
mod egress;
pub mod identity;
pub mod keys;
mod log;
mod notices;
mod personal;
mod policy;
mod priority;
mod redact;
pub mod render;
mod retry_after;
#[cfg(test)]
pub(crate) mod script;
mod server_clock;
mod spool;
mod told;
mod transport;
mod trouble;
mod usage;
mod verdict;
pub mod xml;

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::TimeDelta;
use http::{HeaderMap, Method, StatusCode};
use secrecy::SecretString;
use tokio::time::Instant;
use url::Url;

pub use account::{Account, Accounts, OpenBreakers, Standing, standing};
pub use breaker::{BreakerState, Open};
pub use budget::LimitView;
pub use client::{Answer, Client, Ruling, Seams};
pub use collector::start_telemetry;
pub use egress::{Decision, Egress, Refusal, is_loopback, same_origin};
pub use notices::Notices;
pub use personal::without;
pub use policy::Policy;
pub use priority::Priority;
pub use redact::{message as said, scrub, url as redacted};
pub use server_clock::fresh_date;
pub use spool::{Spool, Spooled};
pub use told::{Told, told};
pub use transport::{HttpTransport, Look};
pub use trouble::unanswered;
pub use usage::{BreakerChanged, Meter, Meters, Usage};

use crate::{
    config::plan::AnswerRule,
    model::{BoxFuture, Fault},
};

/// One attempt as it leaves. It has no Debug, because it carries credentials.
#[derive(Clone)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// A larger answer is refused.
    pub body_bytes_max: usize,
    /// Takes the body of an accepted answer that is longer than memory should hold.
    pub spool: Option<Spool>,
    /// Texts the signer put in. They are taken out of everything that is shown about this attempt.
    pub secrets: Vec<SecretString>,
    /// How far the server's clock was from ours, as far as known, when this was signed.
    pub offset: TimeDelta,
    /// The same after the answer came.
    pub offset_learned: TimeDelta,
}

/// One answer, read whole.
#[derive(Clone, Debug)]
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
    /// Nothing was sent: our own certificate cannot be read.
    ClientCertificate(String),
    /// Nothing was taken: the server does not accept our certificate, or wants one.
    ClientRefused(String),
    /// Nothing was sent: the address is not allowed.
    Egress(String),
    /// The time ran out. What the server did is unknown.
    Timeout,
    /// The connection broke. What the server did is unknown.
    Broken(String),
    /// The answer's head came, its body did not come whole.
    Truncated { status: StatusCode },
    /// The answer's body is over the limit, counted after decompression.
    BodyTooLarge { status: StatusCode },
    /// The answer came, and the disk did not take it.
    Unkept { is_full: bool, why: String },
    /// A redirect to somewhere else, or one too many.
    Redirect { to: String },
}

impl SendError {
    /// Whether it is certain that the server got nothing of the request.
    pub fn is_unsent(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_) | Self::Tls(_) | Self::ClientCertificate(_) | Self::ClientRefused(_) | Self::Egress(_)
        )
    }
}

/// Told about each attempt of a call whose effect must be known: a write that is not to be sent twice.
pub trait Departure: Send + Sync {
    /// The attempt leaves when this resolves, and not if it fails.
    fn leaving(&self) -> BoxFuture<'_, Result<(), Fault>>;

    /// The attempt that left had no effect: nothing of it was sent, or the server did not take it on.
    fn stayed(&self);
}

/// Watches nothing.
struct Unwatched;

impl Departure for Unwatched {
    fn leaving(&self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn stayed(&self) {}
}

/// Sends one attempt. The real one is [`HttpTransport`]; the simulation has its own. The caller drops the future when
/// the attempt's time is up.
pub trait Transport: Send + Sync {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, SendError>>;
}

/// Puts credentials on an attempt. Implemented in `auth/`.
pub trait Signer: Send + Sync {
    /// Adds credentials to headers or URL, and to [`Request::secrets`].
    fn sign<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<(), Fault>>;

    /// The server answered 401 to `request`, which this signer signed. Returns true when there are newer credentials
    /// than the request carried and one more try makes sense.
    fn refused<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<bool, Fault>>;

    /// Keeps the credentials from ending, for as long as it is polled: a call waits for quota. It never ends by itself.
    fn keep(&self) -> BoxFuture<'_, Infallible> {
        Box::pin(std::future::pending())
    }
}

/// Signs nothing.
#[derive(Clone, Copy, Default, Debug)]
pub struct Unsigned;

impl Signer for Unsigned {
    fn sign<'a>(&'a self, _: &'a mut Request) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }

    fn refused<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async { Ok(false) })
    }
}

/// What a caller wants done.
#[derive(Clone, Debug)]
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
    /// When the caller stops waiting. No wait and no attempt outlives it.
    pub deadline: Option<Instant>,
    /// This call's own rules about answers, tried before the connection's.
    pub answers: Vec<AnswerRule>,
    /// Personal values that it carries in the clear. No message about it repeats them.
    pub hides: Vec<SecretString>,
    /// Its URL carries all that it needs, and nobody else's credentials belong there.
    pub unsigned: bool,
    /// Takes the body of an accepted answer that is longer than memory should hold. Its bounds replace the attempt timeout.
    pub spool: Option<Spool>,
}
