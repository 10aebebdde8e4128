//! The replicas behind real sockets on 127.0.0.1, one port for each connection. A request takes effect in one step under the lock;
//! what the network does to its answer comes after.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, Request, State},
    response::Response,
};
use bytes::Bytes;
use futures_util::stream;
use http::{StatusCode, header};
use tokio::{
    net::TcpListener,
    sync::{Notify, Semaphore},
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{
    replica::{Answer, World, wait},
    weather::Strike,
};
use crate::{
    model::{Clock, SystemClock},
    sandbox::{Door, Line},
};

/// Connections of one replica; more wait.
const CONNECTIONS_MAX: usize = 128;
/// A request of a pipeline that sends more is refused.
const BODY_BYTES_MAX: usize = 16 << 20;

/// A port that is taken before its replica is built, because addresses are a part of the plan.
pub struct Taken {
    listener: TcpListener,
    pub port: u16,
}

impl Taken {
    pub async fn any() -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }
}

/// Serves a world. Dropping it ends all of it.
pub struct Server {
    world: Arc<Mutex<World>>,
    /// Told when the process that asks shall be killed.
    kill: Arc<Notify>,
    trouble: Arc<Mutex<Option<Instant>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Server {
    pub fn new(world: World) -> Self {
        Self { world: Arc::new(Mutex::new(world)), kill: Arc::default(), trouble: Arc::default(), tasks: Vec::new() }
    }

    /// Begins to serve the replica of a connection.
    pub fn serve(&mut self, site: &str, taken: Taken) {
        let (world, kill, trouble) = (self.world.clone(), self.kill.clone(), self.trouble.clone());
        let desk = Desk { world, kill, trouble, site: site.into() };
        let door = Door { listener: taken.listener, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)) };
        let service = Router::new().fallback(answer).with_state(desk).into_make_service_with_connect_info::<Line>();
        self.tasks.push(tokio::spawn(async move {
            // Serving ends with the task only, and never with an error.
            let _ = axum::serve(door, service).await;
        }));
    }

    /// The world itself. No request is answered while the guard is held, so it is not held across an await.
    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    /// When trouble struck first since the last time that it was forgotten.
    pub fn trouble(&self) -> Option<Instant> {
        *lock(&self.trouble)
    }

    pub fn forget_trouble(&self) {
        *lock(&self.trouble) = None;
    }

    /// Resolves when the process that asks shall be killed.
    pub async fn kill(&self) {
        self.kill.notified().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

#[derive(Clone)]
struct Desk {
    world: Arc<Mutex<World>>,
    kill: Arc<Notify>,
    trouble: Arc<Mutex<Option<Instant>>>,
    site: Arc<str>,
}

fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(desk): State<Desk>, ConnectInfo(line): ConnectInfo<Line>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        let mut refused = Response::new(Body::empty());
        *refused.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return refused;
    };
    let (strike, answer) =
        lock(&desk.world).handle(&desk.site, http::Request::from_parts(parts, body), SystemClock.now());
    if strike != Strike::Nothing {
        lock(&desk.trouble).get_or_insert_with(Instant::now);
    }
    match strike {
        Strike::Late => {
            sleep(wait(strike)).await;
            answer.map(Body::from)
        }
        Strike::SlowBody => slow(answer, strike),
        Strike::Cut => {
            line.reset();
            Response::new(Body::empty())
        }
        Strike::Kill => {
            desk.kill.notify_one();
            // Whoever asked is gone before this ends.
            sleep(wait(Strike::Late) * 20).await;
            line.reset();
            Response::new(Body::empty())
        }
        Strike::Nothing | Strike::Throttle(_) | Strike::Revoke => answer.map(Body::from),
    }
}

/// The head and the first half at once, and the other half too late.
fn slow(answer: Answer, strike: Strike) -> Response {
    let (mut parts, body) = answer.into_parts();
    parts.headers.insert(header::CONTENT_LENGTH, body.len().into());
    let half = body.len() / 2;
    let pieces = [(false, body.slice(..half)), (true, body.slice(half..))];
    let pieces = stream::unfold(pieces.into_iter(), move |mut pieces| async move {
        let (late, piece) = pieces.next()?;
        if late {
            sleep(wait(strike)).await;
        }
        Some((Ok::<Bytes, io::Error>(piece), pieces))
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}
