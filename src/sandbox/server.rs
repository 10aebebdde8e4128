//! A world behind real sockets on 127.0.0.1. The world decides what is answered; this file adds what only a network can
//! do to the answer. A request takes effect in one step under the lock, between two waits, so a client that hangs up
//! cannot stop it half way.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, Request, State},
    response::Response,
};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::{JoinHandle, yield_now},
    time::{sleep, timeout},
};

use super::{
    call::{Answer, Refusal, error},
    config::WorldConfig,
    faults::{FaultKind, FaultPlan},
    line::{Door, Line},
    world::World,
};
use crate::model::{Clock, SystemClock};

const HEADER_BYTES_MAX: usize = 32 << 10;
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
const STOP_TIME_MAX: Duration = Duration::from_secs(2);

/// What a served world needs besides itself.
#[derive(Clone)]
pub struct SandboxConfig {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    pub world: WorldConfig,
    pub faults: FaultPlan,
    /// Connections beyond this wait to be accepted.
    pub connections_max: usize,
    pub clock: Arc<dyn Clock>,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            port: 0,
            world: WorldConfig::default(),
            faults: FaultPlan::none(),
            connections_max: 256,
            clock: Arc::new(SystemClock),
        }
    }
}

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address} (is another sandbox running there? port 0 takes a free one)")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("the faults make no sense: {0}")]
    Faults(String),
}

/// A running sandbox. Dropping it stops it without waiting.
pub struct Sandbox {
    address: SocketAddr,
    world: Arc<Mutex<World>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Sandbox {
    /// Listens and serves in the background of the current runtime. Requests are answered as soon as this returns.
    pub async fn start(config: SandboxConfig) -> Result<Self, StartError> {
        config.faults.check().map_err(StartError::Faults)?;
        let asked = SocketAddr::from((Ipv4Addr::LOCALHOST, config.port));
        let listen = |source| StartError::Listen { address: asked, source };
        let listener = TcpListener::bind(asked).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let body_bytes_max = config.world.body_bytes_max;
        let mut world = World::new(config.world);
        world.set_faults(config.faults);
        let world = Arc::new(Mutex::new(world));
        let (stop, stopped) = watch::channel(false);
        let desk = Desk { world: world.clone(), clock: config.clock, stopped: stopped.clone(), body_bytes_max };
        let door = Door { listener, places: Arc::new(Semaphore::new(config.connections_max.max(1))) };
        let service = Router::new().fallback(answer).with_state(desk).into_make_service_with_connect_info::<Line>();
        let task = tokio::spawn(async move {
            // Serving ends with the stop signal only, and never with an error.
            let _ = axum::serve(door, service).with_graceful_shutdown(until_stopped(stopped)).await;
        });
        Ok(Self { address, world, stop, task })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:port`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The world itself, to change it and to read its report. No request is answered while the guard is held, so do not
    /// hold it across an await.
    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    /// Stops listening, ends late and stalled answers, and waits a little for open connections.
    pub async fn stop(mut self) {
        // Without a receiver the server has ended already.
        let _ = self.stop.send(true);
        if timeout(STOP_TIME_MAX, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// What every request is answered with.
#[derive(Clone)]
struct Desk {
    world: Arc<Mutex<World>>,
    clock: Arc<dyn Clock>,
    stopped: watch::Receiver<bool>,
    body_bytes_max: usize,
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn until_stopped(mut stopped: watch::Receiver<bool>) {
    // An error means that the sandbox was dropped, which stops it too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn answer(State(desk): State<Desk>, ConnectInfo(line): ConnectInfo<Line>, request: Request) -> Response {
    let request = match whole(request, desk.body_bytes_max).await {
        Ok(request) => request,
        Err(refusal) => return (*refusal).map(Body::from),
    };
    let (fate, answer) = take_effect(&desk, request);
    if !fate.wait.is_zero() {
        tokio::select! {
            () = sleep(fate.wait) => {}
            () = until_stopped(desk.stopped.clone()) => {}
        }
    }
    match fate.end {
        End::Whole => answer.map(Body::from),
        End::Half => half(answer),
        End::Reset => {
            line.reset();
            Response::new(Body::empty())
        }
    }
}

/// How an answer leaves.
struct Fate {
    wait: Duration,
    end: End,
}

enum End {
    Whole,
    Half,
    Reset,
}

/// Draws the fault and lets the world answer, or not, in one step.
fn take_effect(desk: &Desk, request: http::Request<Bytes>) -> (Fate, Answer) {
    let mut world = lock(&desk.world);
    let now = desk.clock.now();
    let fate = |wait_ms, end| Fate { wait: Duration::from_millis(wait_ms), end };
    let nothing = Answer::default;
    let stall_ms = world.faults().stall_ms;
    match world.draw_fault(request.uri().path()) {
        None => (fate(0, End::Whole), world.handle(now, request)),
        Some(FaultKind::Latency) => {
            let below = world.faults().latency_ms;
            let wait_ms = 1 + world.draw_below(below);
            let answer = world.handle_slowly(now, request, Duration::from_millis(wait_ms));
            (fate(wait_ms, End::Whole), answer)
        }
        Some(FaultKind::StallBefore) => (fate(stall_ms, End::Reset), nothing()),
        Some(FaultKind::StallAfter) => (fate(stall_ms, End::Reset), world.handle(now, request)),
        Some(FaultKind::ResetBefore) => (fate(0, End::Reset), nothing()),
        Some(FaultKind::ResetAfter) => (fate(0, End::Reset), world.handle(now, request)),
        Some(FaultKind::ErrorBefore) => (fate(0, End::Whole), outage(world.draw_below(2) == 0, true)),
        Some(FaultKind::ErrorAfter) => {
            world.handle(now, request);
            (fate(0, End::Whole), outage(world.draw_below(2) == 0, false))
        }
        Some(FaultKind::Throttle) => (fate(0, End::Whole), throttled()),
        Some(FaultKind::HalfBody) => (fate(0, End::Half), world.handle(now, request)),
    }
}

/// A 500 of the application, or the HTML page of a proxy in front of it: 503 if it did not pass the request on, 502 if
/// it did and lost the answer.
fn outage(application: bool, before: bool) -> Answer {
    if application {
        return *error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong on our side");
    }
    let mut answer = Answer::new(Bytes::from_static(b"<html><body><h1>Temporarily unavailable</h1></body></html>"));
    *answer.status_mut() = if before { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::BAD_GATEWAY };
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    answer
}

fn throttled() -> Answer {
    let mut answer = Answer::new(Bytes::from_static(b"<html><body><h1>Too many requests</h1></body></html>"));
    *answer.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
    answer
}

/// Promises the whole body, sends the first half of it, and breaks off.
fn half(answer: Answer) -> Response {
    let (mut parts, body) = answer.into_parts();
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let first = body.slice(..body.len() / 2);
    let pieces = stream::unfold(Some(first), |piece| async move {
        match piece {
            Some(first) if !first.is_empty() => Some((Ok(first), Some(Bytes::new()))),
            _ => {
                // Yielding lets the server flush the half before it learns that there is no more.
                yield_now().await;
                Some((Err(io::Error::from(io::ErrorKind::ConnectionAborted)), None))
            }
        }
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}

/// The request with its body in memory, or why it is refused.
async fn whole(request: Request, body_bytes_max: usize) -> Result<http::Request<Bytes>, Refusal> {
    let (parts, body) = request.into_parts();
    let header_bytes: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if header_bytes + parts.uri.to_string().len() > HEADER_BYTES_MAX {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(error(status, "headers_too_large", "the headers are too large"));
    }
    match timeout(BODY_TIME_MAX, to_bytes(body, body_bytes_max)).await {
        Ok(Ok(body)) => Ok(http::Request::from_parts(parts, body)),
        Ok(Err(_)) => Err(error(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body is too large or broke off")),
        Err(_) => Err(error(StatusCode::REQUEST_TIMEOUT, "body_too_slow", "the body did not arrive in time")),
    }
}
