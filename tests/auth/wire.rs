//! The sandbox's world at the end of a wire: requests reach it in no time or after a delay, answers can be lost, and the
//! process at this end can be cut off at any commit.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, Method};
use renkei::{
    auth::{self, Ground, Vault},
    config::plan::{Api, Auth, ClientAuth, Grant, OAuth2},
    http::{Call, Client, Request, Response, SendError, Transport},
    model::{BoxFuture, Clock, SystemEntropy},
    sandbox::{World, WorldConfig},
    store::{Memory, Seal},
};
use tokio::time::{Instant, sleep};
use url::Url;

pub const BASE_URL: &str = "http://sandbox.test";

/// Wall time that follows the runtime's paused timers. The server's clock may differ from ours.
pub struct PausedClock {
    epoch: DateTime<Utc>,
    started: Instant,
    pub skew: TimeDelta,
}

impl PausedClock {
    pub fn new(skew: TimeDelta) -> Arc<Self> {
        Arc::new(Self { epoch: WorldConfig::default().epoch + TimeDelta::hours(1), started: Instant::now(), skew })
    }

    pub fn server_now(&self) -> DateTime<Utc> {
        self.epoch + TimeDelta::from_std(self.started.elapsed()).unwrap()
    }
}

impl Clock for PausedClock {
    fn now(&self) -> DateTime<Utc> {
        self.server_now() + self.skew
    }
}

/// What becomes of a token request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Arrives,
    /// It never reaches the server, and nothing says so.
    LostBefore,
    /// It takes effect, and its answer never arrives.
    LostAfter,
}

/// The way to the world.
pub struct Wire {
    world: Mutex<World>,
    pub clock: Arc<PausedClock>,
    /// How long an answer takes.
    pub latency: Duration,
    /// What becomes of the next token requests, and of all after them.
    fates: Mutex<(Vec<Fate>, Fate)>,
    /// So many token answers from now on carry a token of a kind that is not known here.
    pub spoiled: AtomicU64,
    pub token_requests: AtomicU64,
    pub refused: AtomicU64,
}

impl Wire {
    pub fn new(config: WorldConfig, clock: Arc<PausedClock>, latency: Duration) -> Arc<Self> {
        Arc::new(Self {
            world: Mutex::new(World::new(config)),
            clock,
            latency,
            fates: Mutex::new((Vec::new(), Fate::Arrives)),
            spoiled: AtomicU64::new(0),
            token_requests: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// From now on token requests fare like this.
    pub fn fare(&self, next: &[Fate], then: Fate) {
        *self.fates.lock().unwrap() = (next.iter().rev().copied().collect(), then);
    }

    fn fate(&self) -> Fate {
        let (next, then) = &mut *self.fates.lock().unwrap();
        next.pop().unwrap_or(*then)
    }

    fn serve(&self, request: Request) -> Response {
        let mut message = http::Request::builder().method(request.method).uri(request.url.as_str());
        *message.headers_mut().unwrap() = request.headers;
        let answer = self.world().handle(self.clock.server_now(), message.body(request.body).unwrap());
        let (parts, body): (_, Bytes) = answer.into_parts();
        self.refused.fetch_add(u64::from(!parts.status.is_success()), Relaxed);
        Response { status: parts.status, headers: parts.headers, body }
    }
}

impl Wire {
    fn spoil(&self, response: Response) -> Response {
        if self.spoiled.load(Relaxed) == 0 {
            return response;
        }
        self.spoiled.fetch_sub(1, Relaxed);
        let body = String::from_utf8_lossy(&response.body).replace("\"bearer\"", "\"mac\"");
        Response { body: Bytes::from(body), ..response }
    }
}

impl Transport for Wire {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, SendError>> {
        Box::pin(async move {
            sleep(self.latency / 2).await;
            if request.url.path() != "/oauth/token" {
                let response = self.serve(request);
                sleep(self.latency / 2).await;
                return Ok(response);
            }
            self.token_requests.fetch_add(1, Relaxed);
            match self.fate() {
                Fate::Arrives => {
                    let response = self.spoil(self.serve(request));
                    sleep(self.latency / 2).await;
                    Ok(response)
                }
                Fate::LostBefore => std::future::pending().await,
                Fate::LostAfter => {
                    self.serve(request);
                    std::future::pending().await
                }
            }
        })
    }
}

/// A process's memory of its store.
pub fn ground(store: Memory, clock: Arc<PausedClock>, seed: u64) -> Ground {
    Ground {
        vault: Vault::new(Arc::new(store), Arc::new(Seal::plain())),
        clock,
        entropy: Arc::new(SystemEntropy::seeded(seed)),
    }
}

pub fn client(oauth2: OAuth2, wire: &Arc<Wire>, ground: &Ground) -> Client {
    auth::client_over(&api(BASE_URL, Auth::OAuth2(Box::new(oauth2))), wire.clone(), ground).unwrap()
}

pub fn refreshing(base_url: &str) -> OAuth2 {
    oauth2(base_url, Grant::RefreshToken { token: "demo-refresh".into() })
}

pub fn oauth2(base_url: &str, grant: Grant) -> OAuth2 {
    OAuth2 {
        grant,
        token_url: format!("{base_url}/oauth/token").parse().unwrap(),
        client_id: "demo".to_owned(),
        client: ClientAuth::Basic { secret: "demo-secret".into() },
        scopes: Vec::new(),
        parameters: Vec::new(),
    }
}

pub fn api(base_url: &str, auth: Auth) -> Api {
    Api { auth, ..Api::new("shop", Url::parse(base_url).unwrap()) }
}

/// Reads a page of customers.
pub fn customers(base_url: &str) -> Call {
    Call {
        name: "customers".into(),
        route: "/shop/customers".into(),
        method: Method::GET,
        url: format!("{base_url}/shop/customers?limit=1").parse().unwrap(),
        headers: HeaderMap::from_iter([(http::header::ACCEPT, http::HeaderValue::from_static("application/json"))]),
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

/// A world without quotas.
pub fn calm() -> WorldConfig {
    WorldConfig { customers: 5, shop_quota: None, crm_quota: None, ..WorldConfig::default() }
}
