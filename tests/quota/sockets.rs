//! The same figures over real sockets and in real time: a strict server in a thread of its own, a minute for each limit.
//! Only with `RENKEI_LONG=1`, because a minute is long and a machine that is busy with other tests is no network.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, extract::State, http::HeaderMap, response::IntoResponse, routing::get};
use renkei::{
    config::plan::{Budget, LeftHeader, Window},
    http::{Client, HttpTransport, Policy, Priority, Seams, Unsigned},
    model::{SystemClock, SystemEntropy},
};
use tokio::time::sleep;

use crate::{
    load::{MS, SECOND, api, bucket, call, callers, interactive},
    strict::{Rule, Says, Strict},
};

const TIME: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Desk {
    server: Arc<Mutex<Strict>>,
    began: Instant,
    work: Duration,
}

async fn answer(State(desk): State<Desk>) -> impl IntoResponse {
    let said = desk.server.lock().unwrap().call(desk.began.elapsed());
    if said.status.is_success() {
        sleep(desk.work).await;
        desk.server.lock().unwrap().ends(desk.work);
    }
    let headers: HeaderMap =
        said.headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    (said.status, headers, "[]")
}

/// Serves in a thread that ends with the process. Returns the base URL.
fn serve(rules: &[Rule], says: Says, work: Duration) -> (String, Arc<Mutex<Strict>>) {
    let server = Arc::new(Mutex::new(Strict::new(rules, says)));
    #[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
    let desk = Desk { server: server.clone(), began: Instant::now(), work };
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(format!("http://{}", listener.local_addr().unwrap())).unwrap();
            axum::serve(listener, Router::new().route("/calls", get(answer)).with_state(desk)).await.unwrap();
        });
    });
    (receiver.recv().unwrap(), server)
}

/// What a minute of two pipelines and an interactive caller came to.
async fn a_minute(budget: Budget, rules: &[Rule], says: Says, work: Duration) -> (usize, usize, Duration, f64) {
    let (base_url, server) = serve(rules, says, work);
    let mut api = api(budget);
    api.base_url = base_url.parse().unwrap();
    let seams = Seams {
        transport: Arc::new(HttpTransport::new(&api)),
        signer: Arc::new(Unsigned),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::seeded(1)),
    };
    let client = Client::new(Policy::of(&api), seams);
    let (orders, contacts, lookup) = (call(&api, "orders"), call(&api, "contacts"), call(&api, "lookup"));
    let backfill = client.at(Priority::Backfill);
    let (_, _, (_, longest)) = tokio::join!(
        callers(&client, &orders, 16, TIME),
        callers(&backfill, &contacts, 16, TIME),
        interactive(&client, &lookup, SECOND, TIME),
    );
    let server = server.lock().unwrap();
    (server.accepted, server.refused, longest, server.busy.as_secs_f64())
}

#[expect(clippy::disallowed_methods, reason = "a test asks how long it may take")]
fn is_long() -> bool {
    std::env::var("RENKEI_LONG").is_ok()
}

#[expect(clippy::disallowed_macros, reason = "figures are what this is for")]
fn tell(what: &str, used: f64, refused: usize, longest: Duration) {
    println!("{what}: {:.1} % of the allowance, {refused} refused, interactive calls up to {longest:?}", used * 100.0);
}

async fn keeps(what: &str, budget: Budget, rule: Rule, says: Says, allowance: f64) {
    if !is_long() {
        return;
    }
    let (accepted, refused, longest, _) = a_minute(budget, &[rule], says, 5 * MS).await;
    let used = accepted as f64 / allowance;
    tell(what, used, refused, longest);
    assert!(used >= 0.97 && refused == 0, "{what}: {accepted} of {allowance}, {refused} refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn ten_per_second() {
    keeps("bucket 10/s", bucket(10, SECOND), Rule::Sliding(10, SECOND), Says::Nothing, 600.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_hundred_per_second() {
    keeps("bucket 100/s", bucket(100, SECOND), Rule::Sliding(100, SECOND), Says::Nothing, 6000.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_hundred_in_ten_seconds() {
    let header = |name: &str| name.parse().unwrap();
    let window = Window {
        requests: 100,
        per: 10 * SECOND,
        left: Some(LeftHeader::Remaining(header("x-left"))),
        reset: Some(header("x-reset")),
    };
    let budget = Budget { windows: vec![window], ..Budget::default() };
    keeps("window 100 per 10 s", budget, Rule::Lazy(100, 10 * SECOND), Says::Left, 600.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn eight_at_once() {
    if !is_long() {
        return;
    }
    let work = 100 * MS;
    let budget = Budget { concurrency: 8, ..Budget::default() };
    let (_, refused, longest, busy) = a_minute(budget, &[Rule::AtOnce(8)], Says::Nothing, work).await;
    let used = busy / (8.0 * TIME.as_secs_f64());
    tell("eight at once", used, refused, longest);
    assert!(used >= 0.97 && refused == 0, "{:.1} %, {refused} refused", used * 100.0);
}
