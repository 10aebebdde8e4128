//! What goes wrong between us and the servers in one history, and the clock it happens on.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;
use renkei::{
    http::{Request, Response, SendError, Transport},
    model::{BoxFuture, Clock},
    sandbox::World,
};
use tokio::{sync::Notify, time::Instant};

/// Wall time that follows the runtime's paused timers, and jumps between a history's lives.
pub struct SimClock {
    epoch: DateTime<Utc>,
    started: Instant,
    jumped_ms: AtomicI64,
    /// How far our clock is from the servers'.
    skew: TimeDelta,
}

impl SimClock {
    pub fn new(epoch: DateTime<Utc>, skew: TimeDelta) -> Self {
        Self { epoch, started: Instant::now(), jumped_ms: AtomicI64::new(0), skew }
    }

    pub fn server_now(&self) -> DateTime<Utc> {
        let jumped = TimeDelta::milliseconds(self.jumped_ms.load(Ordering::Relaxed));
        self.epoch + TimeDelta::from_std(self.started.elapsed()).unwrap() + jumped
    }

    pub fn jump(&self, by: Duration) {
        self.jumped_ms.fetch_add(by.as_millis() as i64, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> DateTime<Utc> {
        self.server_now() + self.skew
    }
}

/// Chances per request.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// The request never arrives.
    pub lost_before: f64,
    /// The request takes effect and its answer never arrives.
    pub lost_after: f64,
    /// The answer is cut.
    pub cut: f64,
    /// The request takes effect, and something in front of the server answers that it is busy.
    pub busy: f64,
    /// Every access token ends just before the request arrives.
    pub revoked: f64,
}

impl Weather {
    pub const FAIR: Self = Self { lost_before: 0.0, lost_after: 0.0, cut: 0.0, busy: 0.0, revoked: 0.0 };
}

/// Another server beside the world.
pub type Server = Box<dyn FnMut(DateTime<Utc>, http::Request<Bytes>) -> http::Response<Bytes> + Send>;

/// The world behind a network with weather. The process may be killed at a request.
pub struct SimTransport {
    pub world: Mutex<World>,
    /// By their ports.
    servers: Mutex<BTreeMap<u16, Server>>,
    /// Nothing reaches the server of this port; 0: all are reached.
    down: AtomicU64,
    /// Requests take so many times as long as usual.
    slow: AtomicU64,
    pub clock: Arc<SimClock>,
    dice: Mutex<fastrand::Rng>,
    weather: Mutex<Weather>,
    /// Requests until the process is killed; 0: it lives.
    kill_in: AtomicU64,
    pub killed: Notify,
    /// Creations that honour no key: those that were sent, less those whose answer arrived.
    pub unanswered: AtomicU64,
}

/// What happens to one request, drawn at once so that a history is the same however its futures are polled.
enum Fate {
    Arrives,
    LostBefore { hangs: bool },
    LostAfter { hangs: bool },
    Cut,
    Busy,
    Revoked,
}

impl SimTransport {
    pub fn new(world: World, clock: Arc<SimClock>, seed: u64) -> Self {
        Self {
            world: Mutex::new(world),
            servers: Mutex::default(),
            down: AtomicU64::new(0),
            slow: AtomicU64::new(1),
            clock,
            dice: Mutex::new(fastrand::Rng::with_seed(seed)),
            weather: Mutex::new(Weather::FAIR),
            kill_in: AtomicU64::new(0),
            killed: Notify::new(),
            unanswered: AtomicU64::new(0),
        }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub fn beside(&self, port: u16, server: Server) {
        self.servers.lock().unwrap().insert(port, server);
    }

    /// Nothing reaches the server of this port from now on; 0 lets all be reached.
    pub fn set_down(&self, port: u16) {
        self.down.store(port.into(), Ordering::Relaxed);
    }

    /// Requests take so many times as long from now on.
    pub fn set_slow(&self, times: u64) {
        self.slow.store(times, Ordering::Relaxed);
    }

    pub fn set_weather(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }

    /// Kills the process at the `n`-th request from now, before or after it takes effect by chance; 0 lets it live.
    pub fn kill_in(&self, n: u64) {
        self.kill_in.store(n, Ordering::Relaxed);
        // A process that was killed while it lost its power anyway was told of by nobody.
        let _ = self.killed.notified().now_or_never();
    }

    fn fate(&self) -> (Fate, Duration) {
        let weather = *self.weather.lock().unwrap();
        let mut dice = self.dice.lock().unwrap();
        let latency = Duration::from_millis(dice.u64(1..60) * self.slow.load(Ordering::Relaxed));
        let (draw, hangs) = (dice.f64(), dice.bool());
        let fates = [
            (weather.lost_before, Fate::LostBefore { hangs }),
            (weather.lost_after, Fate::LostAfter { hangs }),
            (weather.cut, Fate::Cut),
            (weather.busy, Fate::Busy),
            (weather.revoked, Fate::Revoked),
        ];
        let mut below = 0.0;
        let struck = fates.into_iter().find(|(chance, _)| {
            below += chance;
            draw < below
        });
        (struck.map_or(Fate::Arrives, |(_, fate)| fate), latency)
    }

    /// Whether the process is killed at this request, and whether the request still takes effect.
    fn is_killed_now(&self) -> Option<bool> {
        let left = self.kill_in.load(Ordering::Relaxed);
        self.kill_in.store(left.saturating_sub(1), Ordering::Relaxed);
        (left == 1).then(|| self.dice.lock().unwrap().bool())
    }

    fn serve(&self, request: Request) -> Response {
        let mut message = http::Request::builder().method(request.method).uri(request.url.as_str());
        *message.headers_mut().unwrap() = request.headers;
        let (now, message) = (self.clock.server_now(), message.body(request.body).unwrap());
        let port = request.url.port().unwrap_or_default();
        let answer = match self.servers.lock().unwrap().get_mut(&port) {
            Some(server) => server(now, message),
            None => self.world().handle(now, message),
        };
        let (parts, body): (_, Bytes) = answer.into_parts();
        Response { status: parts.status, headers: parts.headers, body }
    }
}

fn busy() -> Response {
    let headers = [(http::header::RETRY_AFTER, http::HeaderValue::from_static("1"))].into_iter().collect();
    Response { status: http::StatusCode::SERVICE_UNAVAILABLE, headers, body: Bytes::new() }
}

async fn lose(hangs: bool) -> Result<Response, SendError> {
    if hangs {
        std::future::pending::<()>().await;
    }
    Err(SendError::Broken("the connection was reset".into()))
}

impl Transport for SimTransport {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, SendError>> {
        Box::pin(async move {
            let (fate, latency) = self.fate();
            let is_plain = request.url.path() == "/crm/leads/plain";
            self.unanswered.fetch_add(is_plain.into(), Ordering::Relaxed);
            tokio::time::sleep(latency / 2).await;
            if let Some(takes_effect) = self.is_killed_now() {
                if takes_effect {
                    self.serve(request);
                }
                self.killed.notify_one();
                return std::future::pending().await;
            }
            if self.down.load(Ordering::Relaxed) == u64::from(request.url.port().unwrap_or(u16::MAX)) {
                return lose(false).await;
            }
            match fate {
                Fate::LostBefore { hangs } => return lose(hangs).await,
                Fate::LostAfter { hangs } => {
                    self.serve(request);
                    return lose(hangs).await;
                }
                Fate::Cut => {
                    let status = self.serve(request).status;
                    return Err(SendError::Truncated { status });
                }
                Fate::Busy => {
                    self.serve(request);
                    return Ok(busy());
                }
                Fate::Revoked => self.world().revoke_tokens(),
                Fate::Arrives => {}
            }
            let response = self.serve(request);
            tokio::time::sleep(latency / 2).await;
            self.unanswered.fetch_sub(is_plain.into(), Ordering::Relaxed);
            Ok(response)
        })
    }
}
