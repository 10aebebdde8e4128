//! The sandbox over real sockets: what a client sees when the network misbehaves, checked against the world's own
//! account of what took effect.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic like the tests themselves")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use renkei::model::Clock;
use renkei::sandbox::{FaultKind, FaultPlan, Quota, Sandbox, SandboxConfig, WorldConfig};
use serde_json::{Value, json};

/// A clock that only the test moves.
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.0.load(Ordering::SeqCst), 0).unwrap()
    }
}

struct Client {
    sandbox: Sandbox,
    clock: Arc<HandClock>,
    http: reqwest::Client,
    token: String,
}

fn calm() -> WorldConfig {
    WorldConfig { customers: 20, shop_quota: None, crm_quota: None, ..WorldConfig::default() }
}

async fn client(world: WorldConfig) -> Client {
    // Another test of this process may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let clock = Arc::new(HandClock(AtomicI64::new(1_800_000_000)));
    let config = SandboxConfig { world, clock: clock.clone(), ..SandboxConfig::default() };
    let sandbox = Sandbox::start(config).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let form = "grant_type=client_credentials";
    let request = http.post(format!("{}/oauth/token", sandbox.url())).basic_auth("demo", Some("demo-secret"));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let answer: Value = json_of(request.send().await.unwrap()).await;
    let token = answer["access_token"].as_str().unwrap().to_owned();
    Client { sandbox, clock, http, token }
}

async fn json_of(answer: reqwest::Response) -> Value {
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

impl Client {
    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(format!("{}{path}", self.sandbox.url())).bearer_auth(&self.token)
    }

    fn create_without_key(&self, body: &Value) -> reqwest::RequestBuilder {
        let request = self.http.post(format!("{}/crm/leads", self.sandbox.url())).bearer_auth(&self.token);
        request.body(body.to_string())
    }

    fn create(&self, key: &str, body: &Value) -> reqwest::RequestBuilder {
        self.create_without_key(body).header("idempotency-key", key)
    }

    fn next(&self, faults: &[FaultKind]) {
        let plan = FaultPlan { next: faults.iter().copied().collect(), latency_ms: 1, ..FaultPlan::none() };
        self.sandbox.world().set_faults(plan);
    }

    fn leads(&self) -> usize {
        self.sandbox.world().leads().len()
    }
}

/// Sends the same create until an answer comes, as a client does that never learns whether the last one took effect.
async fn insist(client: &Client, request: impl Fn() -> reqwest::RequestBuilder) {
    for _ in 0..100 {
        if let Ok(answer) = request().send().await
            && answer.status() == 201
            && answer.bytes().await.is_ok()
        {
            return;
        }
    }
    panic!("no answer in 100 attempts: {:?}", client.sandbox.world().counters());
}

fn lead(name: &str) -> Value {
    json!({ "external_id": "cus_1", "email": "a@example.com", "name": name })
}

#[tokio::test]
async fn the_same_key_and_body_is_answered_from_memory_and_another_body_is_refused() {
    let client = client(calm()).await;
    let first = client.create("k", &lead("A")).send().await.unwrap();
    assert_eq!(first.status(), 201);
    assert!(!first.headers().contains_key("idempotency-replayed"));
    let again = client.create("k", &lead("A")).send().await.unwrap();
    assert_eq!((again.status().as_u16(), again.headers()["idempotency-replayed"].to_str().unwrap()), (201, "true"));
    assert_eq!(json_of(first).await, json_of(again).await);
    let other = client.create("k", &lead("B")).send().await.unwrap();
    assert_eq!(other.status(), 422);
    assert_eq!(json_of(other).await["error"], "idempotency_key_reused");
    assert_eq!(client.leads(), 1);
    assert_eq!(client.sandbox.world().counters().replayed, 1);
    client.sandbox.stop().await;
}

#[tokio::test]
async fn a_key_whose_first_request_is_still_in_flight_answers_409() {
    let client = client(calm()).await;
    // The request is busy until the sandbox's clock says otherwise, and that clock stands still.
    let late = FaultPlan { latency: 1.0, latency_ms: 600_000, ..FaultPlan::none() };
    client.sandbox.world().set_faults(late);
    let slow = tokio::spawn(client.create("k", &lead("A")).send());
    while client.leads() == 0 {
        tokio::task::yield_now().await;
    }
    client.sandbox.world().set_faults(FaultPlan::none());
    let second = client.create("k", &lead("A")).send().await.unwrap();
    assert_eq!((second.status().as_u16(), second.headers()["retry-after"].to_str().unwrap()), (409, "1"));
    assert_eq!(json_of(second).await["error"], "idempotency_key_in_flight");
    assert_eq!(client.leads(), 1);
    slow.abort();
    client.sandbox.stop().await;
}

#[tokio::test]
async fn a_reset_looks_the_same_before_and_after_the_effect_and_the_account_tells_them_apart() {
    let client = client(calm()).await;
    for (fault, leads) in [(FaultKind::ResetBefore, 0), (FaultKind::ResetAfter, 1)] {
        client.next(&[fault]);
        let error = client.create("k", &lead("A")).send().await.unwrap_err();
        assert!(!error.is_timeout() && !error.is_status(), "{error:?}");
        assert_eq!(client.leads(), leads, "{fault:?}");
    }
    let again = client.create("k", &lead("A")).send().await.unwrap();
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(client.sandbox.world().report().doubled, 0);
    client.sandbox.stop().await;
}

#[tokio::test]
async fn a_reset_is_a_real_one_and_not_an_end_of_stream() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let client = client(calm()).await;
    client.next(&[FaultKind::ResetBefore]);
    let mut socket = tokio::net::TcpStream::connect(client.sandbox.address()).await.unwrap();
    socket.write_all(b"GET /shop/customers HTTP/1.1\r\nHost: sandbox\r\n\r\n").await.unwrap();
    let error = socket.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    client.sandbox.stop().await;
}

#[tokio::test]
async fn an_error_after_the_effect_hides_a_lead_that_is_there() {
    let client = client(calm()).await;
    client.next(&[FaultKind::ErrorBefore, FaultKind::ErrorAfter]);
    assert!(client.create("k", &lead("A")).send().await.unwrap().status().is_server_error());
    assert_eq!(client.leads(), 0);
    assert!(client.create("k", &lead("A")).send().await.unwrap().status().is_server_error());
    assert_eq!(client.leads(), 1);
    client.sandbox.stop().await;
}

#[tokio::test]
async fn a_half_body_breaks_off_inside_its_declared_length() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let client = client(calm()).await;
    let whole = client.get("/shop/customers").send().await.unwrap().bytes().await.unwrap();
    client.next(&[FaultKind::HalfBody]);
    let mut socket = tokio::net::TcpStream::connect(client.sandbox.address()).await.unwrap();
    let head = format!("GET /shop/customers HTTP/1.1\r\nHost: s\r\nAuthorization: Bearer {}\r\n\r\n", client.token);
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut raw = Vec::new();
    socket.read_to_end(&mut raw).await.unwrap();
    let text = String::from_utf8_lossy(&raw);
    assert!(text.contains(&format!("content-length: {}", whole.len())), "{text}");
    let body = raw.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| &raw[at + 4..]).unwrap();
    assert_eq!(body, &whole[..whole.len() / 2]);
    client.next(&[FaultKind::HalfBody]);
    let cut = client.get("/shop/customers").send().await.unwrap();
    assert!(cut.bytes().await.is_err(), "a client that takes half a body for a whole one loses records");
    client.sandbox.stop().await;
}

#[tokio::test]
async fn a_client_that_waits_as_long_as_it_is_told_is_let_in() {
    let one = Some(Quota { per_second: 1, burst: 1 });
    let client = client(WorldConfig { shop_quota: one, ..calm() }).await;
    let first = client.get("/shop/customers").send().await.unwrap();
    assert_eq!((first.status().as_u16(), first.headers()["x-ratelimit-remaining"].to_str().unwrap()), (200, "0"));
    let refused = client.get("/shop/customers").send().await.unwrap();
    assert_eq!(refused.status(), 429);
    let wait = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    client.clock.0.fetch_add(wait, Ordering::SeqCst);
    assert_eq!(client.get("/shop/customers").send().await.unwrap().status(), 200);
    assert_eq!(client.sandbox.world().counters().throttled, 1);
    client.sandbox.stop().await;
}

#[tokio::test]
async fn on_a_harsh_day_a_key_is_the_difference_between_one_lead_and_several() {
    let faults = FaultPlan { latency_ms: 2, stall: 0.05, stall_ms: 2, ..FaultPlan::harsh() };
    for keyed in [true, false] {
        let client = client(calm()).await;
        client.sandbox.world().set_faults(faults.clone());
        for number in 0..300 {
            let lead = json!({ "external_id": format!("x{number}"), "email": "a@example.com" });
            insist(&client, || {
                let request = client.create(&format!("k{number}"), &lead);
                if keyed { request } else { client.create_without_key(&lead) }
            })
            .await;
        }
        let report = client.sandbox.world().report();
        assert_eq!(report.counters.faults.len(), 8, "{:?}", report.counters.faults);
        assert!(report.leads >= 300);
        assert_eq!(report.doubled == 0, keyed, "keyed {keyed}: {} doubled", report.doubled);
        client.sandbox.stop().await;
    }
}

#[tokio::test]
async fn a_stalled_answer_never_comes_and_stopping_does_not_wait_for_it() {
    let client = client(calm()).await;
    let stall = FaultPlan { next: [FaultKind::StallAfter].into(), stall_ms: 600_000, ..FaultPlan::none() };
    client.sandbox.world().set_faults(stall);
    let pending = tokio::spawn(client.create("k", &lead("A")).send());
    while client.leads() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!pending.is_finished());
    client.sandbox.stop().await;
    let ended = tokio::time::timeout(Duration::from_secs(20), pending).await.expect("the stall outlived the sandbox");
    assert!(ended.unwrap().is_err());
}

#[tokio::test]
async fn requests_beyond_the_bounds_are_refused() {
    let client = client(WorldConfig { body_bytes_max: 1000, ..calm() }).await;
    let big = json!({ "email": "a@b", "notes": "x".repeat(2000) });
    assert_eq!(client.create("k", &big).send().await.unwrap().status(), 413);
    let long = client.get("/shop/customers").header("x-long", "x".repeat(40_000));
    assert_eq!(long.send().await.unwrap().status(), 431);
    assert_eq!(client.get("/nothing").send().await.unwrap().status(), 404);
    client.sandbox.stop().await;
}

#[tokio::test]
async fn the_control_routes_need_no_token_and_suffer_no_faults() {
    let client = client(calm()).await;
    let url = client.sandbox.url();
    let always = json!({ "reset_before": 1.0 }).to_string();
    assert_eq!(client.http.post(format!("{url}/sandbox/faults")).body(always).send().await.unwrap().status(), 200);
    assert!(client.get("/shop/customers").send().await.is_err());
    let account = client.http.get(format!("{url}/sandbox/account")).send().await.unwrap();
    let account = json_of(account).await;
    assert_eq!((&account["customers"], &account["counters"]["faults"]["reset_before"]), (&json!(20), &json!(1)));
    let wrong = client.http.post(format!("{url}/sandbox/faults")).body(r#"{"reset":1}"#).send().await.unwrap();
    assert_eq!(wrong.status(), 400);
    client.sandbox.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_it() {
    let client = client(calm()).await;
    let taken = SandboxConfig { port: client.sandbox.address().port(), ..SandboxConfig::default() };
    let error = Sandbox::start(taken).await.err().unwrap().to_string();
    assert!(error.contains(&client.sandbox.address().to_string()), "{error}");
    client.sandbox.stop().await;
}
