//! Callers that never rest, and a network on a paused clock between them and a strict server.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use renkei::{
    config::plan::{Api, Bucket, Budget, Retry, Timeouts},
    http::{Call, Client, Policy, Priority, Request, Response, Seams, SendError, Transport, Unsigned},
    model::{BoxFuture, Clock, Entropy, SystemEntropy},
};
use tokio::time::{Instant, sleep};
use url::Url;

use crate::strict::{Rule, Says, Strict};

pub const SECOND: Duration = Duration::from_secs(1);
pub const MS: Duration = Duration::from_millis(1);

/// Time of day that goes with the paused clock.
pub struct PausedClock(Instant);

impl PausedClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for PausedClock {
    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::days(20_000) + self.0.elapsed()
    }
}

/// A strict server behind a network whose delays are drawn from a seed.
pub struct Wire {
    pub server: Mutex<Strict>,
    began: Instant,
    there: Duration,
    jitter: Duration,
    work: Duration,
    /// This part of all calls is refused for nothing, without a word about time.
    stray: f64,
    dice: SystemEntropy,
}

impl Wire {
    pub fn new(rules: &[Rule], says: Says, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            server: Mutex::new(Strict::new(rules, says)),
            began: Instant::now(),
            there: 10 * MS,
            jitter: 2 * MS,
            work: 30 * MS,
            stray: 0.0,
            dice: SystemEntropy::seeded(seed),
        })
    }

    /// The same with refusals that have no reason.
    pub fn straying(rules: &[Rule], seed: u64, stray: f64) -> Arc<Self> {
        let wire = Arc::into_inner(Self::new(rules, Says::Nothing, seed)).unwrap();
        Arc::new(Self { stray, ..wire })
    }

    /// The same with calls that take this long at the server.
    pub fn working(rules: &[Rule], says: Says, seed: u64, work: Duration) -> Arc<Self> {
        let wire = Arc::into_inner(Self::new(rules, says, seed)).unwrap();
        Arc::new(Self { work, ..wire })
    }
}

impl Transport for Wire {
    fn send(&self, _: Request) -> BoxFuture<'_, Result<Response, SendError>> {
        Box::pin(async move {
            sleep(self.there + self.jitter.mul_f64(self.dice.share())).await;
            if self.dice.share() < self.stray {
                sleep(self.there).await;
                let (status, headers) = (StatusCode::TOO_MANY_REQUESTS, HeaderMap::new());
                return Ok(Response { status, headers, body: Bytes::new() });
            }
            let said = self.server.lock().unwrap().call(self.began.elapsed());
            if said.status.is_success() {
                sleep(self.work).await;
                self.server.lock().unwrap().ends(self.work);
            }
            sleep(self.there).await;
            let headers = said.headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            Ok(Response { status: said.status, headers: headers.collect(), body: Bytes::from_static(b"[]") })
        })
    }
}

pub fn api(budget: Budget) -> Api {
    Api {
        budget,
        timeouts: Timeouts { connect: SECOND, attempt: 60 * SECOND },
        retry: Retry { attempts: 3, base: MS, cap: 2 * MS },
        body_bytes_max: 1 << 20,
        ..Api::new("shop", Url::parse("http://127.0.0.1:9").unwrap())
    }
}

pub fn bucket(requests: u32, per: Duration) -> Budget {
    let buckets = vec![Bucket { requests, per, burst: 1 }];
    Budget { buckets, concurrency: 100, ..Budget::default() }
}

pub fn client_over(api: &Api, transport: Arc<dyn Transport>) -> Client {
    let (clock, entropy) = (PausedClock::new(), Arc::new(SystemEntropy::seeded(1)));
    Client::new(Policy::of(api), Seams { transport, signer: Arc::new(Unsigned), clock, entropy })
}

pub fn call(api: &Api, name: &str) -> Call {
    Call {
        name: name.into(),
        route: "/calls".into(),
        method: Method::GET,
        url: api.base_url.join("/calls").unwrap(),
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

/// Calls without a rest until the time is over, by so many callers side by side. Returns how many calls were answered.
pub async fn callers(client: &Client, call: &Call, number: usize, time: Duration) -> usize {
    let (until, answered) = (Instant::now() + time, Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..number)
        .map(|_| {
            let (client, call, answered) = (client.clone(), call.clone(), answered.clone());
            tokio::spawn(async move {
                while Instant::now() < until {
                    // Whoever is still waiting at the end goes home.
                    let Ok(ended) = tokio::time::timeout_at(until, client.execute(&call)).await else { return };
                    ended.unwrap();
                    answered.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    answered.load(Relaxed)
}

/// What an interactive caller met who calls every `every`: calls, and the longest of them.
pub async fn interactive(client: &Client, call: &Call, every: Duration, time: Duration) -> (usize, Duration) {
    let (client, until) = (client.at(Priority::Interactive), Instant::now() + time);
    let (mut calls, mut longest) = (0, Duration::ZERO);
    while Instant::now() < until {
        let began = Instant::now();
        client.execute(call).await.unwrap();
        calls += 1;
        longest = longest.max(began.elapsed());
        sleep(every).await;
    }
    (calls, longest)
}
