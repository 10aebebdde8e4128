//! Measures what right timeouts, backoff and keys are worth against a server that fails a little all the time.
//!
//! ```text
//!   naive      reqwest::Client::new() and a loop: POST, and on any error or any status but 2xx wait 1 s and try again,
//!              three tries in all. No timeout, because reqwest has none unless told; no idempotency key
//!   naive, 2   the same with two tries
//!   defaults   renkei's client as a connection has it that says nothing: connect 1 s, attempt 5 s, 3 attempts with full
//!              jitter from 500 ms, one pause for all where 429s are many, breaker; a key per record
//!   crm        the same with what connectors/crm declares for this very sandbox: attempt 2 s, 6 attempts from 200 ms
//!   outbox     the failed calls of `crm` again under the same keys, until none is left, as the next runs send them
//! ```
//!
//! The server is the sandbox: a POST makes a lead, 94 of 100 are answered within 100 ms, 2 % get 500 or 503, 1 % a reset, 2 % a
//! stall of 10 s that ends in a reset, and 1 % a 429 without a word about time. Of resets and stalls half took effect. So
//! its own account tells which leads are missing and which are there twice. Each client meets the same faults, drawn from
//! the same seed, in rounds that are interleaved. A call's time is from its caller's wish to its end, all waits included.

#![expect(clippy::expect_used, reason = "a measurement that fails has nothing to say")]
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock and its arguments")]
#![expect(clippy::disallowed_macros, reason = "a measurement prints its figures")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, header};
use renkei::{
    config::plan::{AnswerRule, Api, Budget, Meaning, Retry, Timeouts, When},
    http::{Call, Client, HttpTransport, Policy, Seams, Unsigned},
    model::{SystemClock, SystemEntropy},
    sandbox::{FaultPlan, Sandbox, SandboxConfig, WorldConfig},
};

const IN_FLIGHT: usize = 100;
const ROUNDS: usize = 5;
const NAMES: [&str; 4] = ["naive", "naive, 2", "defaults", "crm"];

/// What a client's rounds came to.
#[derive(Default)]
struct Figures {
    ms: Vec<f64>,
    failed: usize,
    attempts: u64,
    trips: u64,
    lost: u64,
    doubled: u64,
    seconds: f64,
    /// Only for the client with an outbox: what it left undone, and how many more passes that took.
    left: usize,
    passes: usize,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let calls: usize = std::env::args().nth(1).map_or(10_000, |text| text.parse().expect("usage: faulty [CALLS]"));
    let mut all: BTreeMap<&str, Figures> = BTreeMap::new();
    for round in 0..ROUNDS {
        for step in 0..NAMES.len() {
            // Whoever comes first is not always the same.
            let name = NAMES[(round + step) % NAMES.len()];
            one_round(name, calls / ROUNDS, round as u64 + 1, all.entry(name).or_default()).await;
        }
    }
    println!("{calls} calls each, {IN_FLIGHT} in flight, {ROUNDS} interleaved rounds; times in ms");
    println!("client     p50    p95    p99     max  failed  attempts  trips  missing  doubled  seconds");
    for name in NAMES {
        let of = &all[name];
        println!(
            "{name:<9} {:>4.0} {:>6.0} {:>6.0} {:>7.0} {:>7} {:>9.3} {:>6} {:>8} {:>8} {:>8.1}",
            quantile(of, 0.5),
            quantile(of, 0.95),
            quantile(of, 0.99),
            quantile(of, 1.0),
            of.failed,
            of.attempts as f64 / calls as f64,
            of.trips,
            of.lost,
            of.doubled,
            of.seconds
        );
    }
    let (crm, defaults) = (&all["crm"], &all["defaults"]);
    println!("outbox: {} left after {} more passes over what failed with `crm`", crm.left, crm.passes);
    for naive in ["naive", "naive, 2"] {
        for (name, ours) in [("defaults", defaults), ("crm", crm)] {
            let times = quantile(&all[naive], 0.95) / quantile(ours, 0.95);
            println!("{naive:<9} to {name:<9} p95 {times:.1} x, failed {} to {}", all[naive].failed, ours.failed);
        }
    }
}

fn quantile(figures: &Figures, share: f64) -> f64 {
    let mut sorted = figures.ms.clone();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

async fn one_round(name: &str, calls: usize, seed: u64, into: &mut Figures) {
    let server = Server::start(seed);
    let token = server.token().await;
    let began = Instant::now();
    match name {
        "naive" => naive(&server, &token, calls, 3, into).await,
        "naive, 2" => naive(&server, &token, calls, 2, into).await,
        _ => ours(&server, &token, calls, name == "crm", into).await,
    }
    into.seconds += began.elapsed().as_secs_f64();
    let leads = server.sandbox.world();
    for at in 0..calls {
        match leads.leads_of(&format!("lead-{at}")).count() {
            0 => into.lost += 1,
            more => into.doubled += more as u64 - 1,
        }
    }
}

/// A sandbox in a thread of its own, so that it does not answer late because its client is busy.
struct Server {
    sandbox: Sandbox,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Server {
    fn start(seed: u64) -> Self {
        let faults = FaultPlan {
            latency: 0.94,
            latency_ms: 100,
            error_before: 0.02,
            reset_before: 0.005,
            reset_after: 0.005,
            stall: 0.02,
            stall_ms: 10_000,
            throttle: 0.01,
            ..FaultPlan::none()
        };
        let world =
            WorldConfig { seed, crm_quota: None, token_ttl: Duration::from_secs(3600), ..WorldConfig::default() };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let sandbox = std::thread::scope(|scope| {
            let config = SandboxConfig { world, faults, ..SandboxConfig::default() };
            scope.spawn(|| runtime.block_on(Sandbox::start(config))).join().expect("started").expect("a sandbox")
        });
        Self { sandbox, runtime: Some(runtime) }
    }

    /// Faults strike token requests too.
    async fn token(&self) -> String {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().expect("a client");
        loop {
            let request = client
                .post(format!("{}/oauth/token", self.sandbox.url()))
                .header("content-type", "application/x-www-form-urlencoded")
                .body("grant_type=client_credentials&client_id=demo&client_secret=demo-secret");
            let Ok(answer) = request.send().await else { continue };
            let Ok(body) = answer.bytes().await else { continue };
            let token = serde_json::from_slice::<serde_json::Value>(&body).ok();
            if let Some(token) = token.and_then(|json| json["access_token"].as_str().map(str::to_owned)) {
                return token;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn body(at: usize) -> String {
    format!(r#"{{"external_id":"lead-{at}","email":"l{at}@example.com"}}"#)
}

async fn naive(server: &Server, token: &str, calls: usize, tries: u32, into: &mut Figures) {
    let (client, url, attempts) = (reqwest::Client::new(), server.sandbox.url(), AtomicU64::new(0));
    let once = async |at: usize| {
        attempts.fetch_add(1, Ordering::Relaxed);
        let request = client.post(format!("{url}/crm/leads")).bearer_auth(token).body(body(at));
        let answer = request.header("content-type", "application/json").send().await.ok()?;
        let is_ok = answer.status().is_success();
        answer.bytes().await.ok().filter(|_| is_ok)
    };
    let ended: Vec<(f64, bool)> = stream::iter(0..calls)
        .map(|at| async move {
            let began = Instant::now();
            for attempt in 1..=tries {
                if once(at).await.is_some() {
                    return (milliseconds(began), true);
                }
                if attempt < tries {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            (milliseconds(began), false)
        })
        .buffer_unordered(IN_FLIGHT)
        .collect()
        .await;
    into.ms.extend(ended.iter().map(|(ms, _)| ms));
    into.failed += ended.iter().filter(|(_, ok)| !ok).count();
    into.attempts += attempts.load(Ordering::Relaxed);
}

async fn ours(server: &Server, token: &str, calls: usize, is_crm: bool, into: &mut Figures) {
    let api = api(&server.sandbox.url(), is_crm);
    let seams = Seams {
        transport: Arc::new(HttpTransport::new(&api)),
        signer: Arc::new(Unsigned),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::new()),
    };
    let client = Client::new(Policy::of(&api), seams);
    let (mut open, mut is_first) = ((0..calls).collect::<Vec<usize>>(), true);
    while !open.is_empty() && into.passes < 100 {
        let ended: Vec<(usize, f64, bool)> = stream::iter(open)
            .map(|at| {
                let (client, call) = (&client, create(&api, token, at));
                async move {
                    let began = Instant::now();
                    let ended = client.execute(&call).await.and_then(renkei::http::Answer::accepted);
                    (at, milliseconds(began), ended.is_ok())
                }
            })
            .buffer_unordered(IN_FLIGHT)
            .collect()
            .await;
        open = ended.iter().filter(|(.., ok)| !ok).map(|(at, ..)| *at).collect();
        if is_first {
            into.ms.extend(ended.iter().map(|(_, ms, _)| ms));
            into.failed += open.len();
            into.attempts += client.usage().requests;
            into.trips += client.trips();
            is_first = false;
        } else {
            into.passes += 1;
        }
        if !is_crm {
            return;
        }
    }
    into.left += open.len();
}

fn milliseconds(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1000.0
}

fn api(url: &str, is_crm: bool) -> Api {
    let ms = Duration::from_millis;
    let (timeouts, retry) = match is_crm {
        false => {
            (Timeouts { connect: ms(1000), attempt: ms(5000) }, Retry { attempts: 3, base: ms(500), cap: ms(30_000) })
        }
        true => {
            (Timeouts { connect: ms(1000), attempt: ms(2000) }, Retry { attempts: 6, base: ms(200), cap: ms(2000) })
        }
    };
    // The same key while its first request is still under way, as the operation declares it.
    let in_flight = When { status: vec![(409, 409)], ..When::default() };
    Api {
        budget: Budget { concurrency: IN_FLIGHT as u32, ..Budget::default() },
        timeouts,
        retry,
        answers: vec![AnswerRule { when: in_flight, is: Meaning::Retry { after: None } }],
        body_bytes_max: 1 << 20,
        ..Api::new("crm", url.parse().expect("a URL"))
    }
}

fn create(api: &Api, token: &str, at: usize) -> Call {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().expect("a header"));
    headers.insert("idempotency-key", format!("key-{at}").parse().expect("a header"));
    Call {
        name: "create_lead".into(),
        route: "/crm/leads".into(),
        method: Method::POST,
        url: api.base_url.join("/crm/leads").expect("a URL"),
        headers,
        body: body(at).into(),
        repeatable: true,
        timeout: None,
        deadline: None,
        answers: Vec::new(),
        hides: Vec::new(),
        unsigned: false,
        spool: None,
    }
}
