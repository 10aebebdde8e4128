//! The admin API of a real service over real sockets: what it shows, what people ask of pipelines, events, metrics.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use renkei::{sandbox::FaultPlan, telemetry::FAMILIES};
use serde_json::{Value, json};

use crate::{
    harness::{Stage, fast, slow},
    raw::{Answer, raw},
    serve::{Serving, edit, now, scheduled},
};

pub const TOKEN: &str = "a-token-that-nobody-guesses";

/// A service with its admin API, and the sandbox that it speaks to.
pub struct Admin {
    pub stage: Stage,
    pub serving: Serving,
    pub address: SocketAddr,
}

/// A workspace with an admin API on a free port.
pub fn with_admin(stage: Stage) -> Stage {
    let admin = "serve: { admin: { address: \"127.0.0.1:0\", token: \"${ADMIN}\" } }\n";
    edit(&stage, "renkei.yaml", "version: 1\n", &format!("version: 1\n{admin}"));
    stage
}

impl Admin {
    pub fn start(stage: Stage) -> Self {
        let mut serving = Serving::start_with(&stage, &[("ADMIN", TOKEN)]);
        let listens = serving.until(&stage, "the admin API listens", 1);
        let address = listens["address"].as_str().unwrap().trim_start_matches("http://").parse().unwrap();
        serving.until(&stage, "serving", 1);
        Self { stage, serving, address }
    }

    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string).unwrap_or_default();
        let (host, length) = (self.address, body.len());
        let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        raw(
            host,
            &format!(
                "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {TOKEN}\r\n{kind}content-length: {length}\r\n\
                 connection: close\r\n\r\n{body}"
            ),
        )
    }

    pub fn get(&self, path: &str) -> Value {
        let answer = self.send("GET", path, None);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    pub fn post(&self, path: &str) -> Answer {
        self.send("POST", path, None)
    }

    pub fn pipeline(&self) -> Value {
        self.get("/api/v1/pipelines/demo-leads")
    }

    /// Waits until the pipeline shows what the test waits for.
    pub fn until(&self, seen: impl Fn(&Value) -> bool) -> Value {
        let began = now();
        loop {
            let shown = self.pipeline();
            if seen(&shown) {
                return shown;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "never: {shown:#}");
            self.stage.breathe();
        }
    }
}

const YEARLY: &str = "{ cron: \"0 0 1 1 *\" }";

#[test]
fn every_route_of_the_openapi_document_answers_and_every_route_that_answers_is_in_it() {
    let admin = Admin::start(with_admin(scheduled(Stage::leads(fast(20), FaultPlan::none()), "{ every: 1s }")));
    admin.until(|shown| shown["runs"].as_array().is_some_and(|runs| !runs.is_empty()));
    let run = admin.pipeline()["runs"][0]["id"].as_str().unwrap().to_owned();
    let document = admin.get("/openapi.json");
    let paths = document["paths"].as_object().unwrap();
    let mut shown = 0;
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            let real = path.replace("{pipeline}", "demo-leads").replace("{run}", &run);
            if method == "post" {
                // Nothing of it is there, so it is known and refused.
                let nothing = path.replace("{pipeline}", "nobody").replace("{letter}", "nothing");
                let answer = admin.send("POST", &nothing, Some(&json!({ "which": { "ids": ["nothing"] } })));
                assert!([400, 404].contains(&answer.status), "{path}: {answer:?}");
                let unsent = admin.send("GET", &nothing, None);
                assert!([404, 405].contains(&unsent.status), "{path}: {unsent:?}");
                continue;
            }
            if real.contains('{') || path.ends_with("/events") {
                continue;
            }
            let answer = admin.send("GET", &real, None);
            let expected = operation["responses"].as_object().unwrap().keys().next().unwrap().clone();
            assert_eq!(answer.status.to_string(), expected, "{path}: {answer:?}");
            let kind = operation["responses"][&expected]["content"].as_object().unwrap().keys().next().unwrap().clone();
            assert!(
                answer.small_head().contains(&format!("content-type: {}", kind.to_lowercase())),
                "{path}: {answer:?}"
            );
            assert!(answer.small_head().contains("cache-control: no-store"), "{answer:?}");
            shown += 1;
            let is_open = operation.get("security").is_none();
            let bare = raw(
                admin.address,
                &format!("GET {real} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", admin.address),
            );
            assert_eq!(bare.status, if is_open { 200 } else { 401 }, "{path}");
        }
    }
    assert!(shown >= 14 && paths.len() >= 20, "{shown} of {}", paths.len());
    let beside = admin.stage.command(&["status"]).env("ADMIN", TOKEN).output().unwrap();
    let said = String::from_utf8_lossy(&beside.stderr).into_owned();
    assert!(said.contains("RK0501") && said.contains(&format!("answers at {}", admin.address)), "{said}");
    for path in ["/api", "/api/v1", "/api/v2/pipelines", "/metrics/", "/debug"] {
        assert_eq!(admin.send("GET", path, None).refusal(), (404, "RK0933".to_owned()), "{path}");
        assert!(!paths.contains_key(path));
    }
    let ended = admin.serving.stop("TERM");
    assert_eq!(ended.code, Some(0), "{:#?}", ended.log);
}

#[test]
fn metrics_are_those_of_the_table_and_of_its_page_and_tell_what_happened() {
    let admin = Admin::start(with_admin(scheduled(Stage::leads(fast(40), FaultPlan::none()), "{ every: 1s }")));
    admin.until(|shown| shown["records"]["created"].as_u64() > Some(0) && shown["fresh_as_of"].is_string());
    let began = now();
    let text = loop {
        // What is read from the store is a few seconds old at times.
        let text = admin.send("GET", "/metrics", None).body;
        if text.contains("renkei_token_expiry_timestamp_seconds{connection=\"shop\"}") {
            break text;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{text}");
        admin.stage.breathe();
    };
    let typed: Vec<String> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(str::to_owned).collect();
    let table: Vec<String> = FAMILIES.iter().map(|family| format!("{} {}", family.name, family.kind.name())).collect();
    assert_eq!(typed, table);
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md")).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `renkei_")).collect();
    let expected: Vec<String> = FAMILIES
        .iter()
        .map(|family| {
            let labels = family.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
            format!("| `{}` | {} | {labels} | {} |", family.name, family.kind.name(), family.help)
        })
        .collect();
    assert_eq!(rows, expected, "docs/metrics.md is not the table:\n{}", expected.join("\n"));
    // Every sample belongs to a family and carries exactly its labels.
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let family = FAMILIES.iter().find(|family| family.name == name || family.name == base).unwrap();
        for label in family.labels {
            assert!(line.contains(&format!("{label}=\"")), "{line}");
        }
    }
    let sum = |start: &str| -> f64 {
        let own = text.lines().filter(|line| line.starts_with(start));
        own.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    assert!(sum("renkei_records_total{pipeline=\"demo-leads\",verdict=\"created\"}") > 0.0, "{text}");
    assert!(sum("renkei_runs_total{pipeline=\"demo-leads\",outcome=\"done\"}") > 0.0, "{text}");
    let requests = sum("renkei_requests_total{connection=\"crm\",method=\"POST\"");
    assert!(
        requests > 0.0 && requests == sum("renkei_request_duration_seconds_count{connection=\"crm\",method=\"POST\""),
        "{text}"
    );
    assert!(
        sum("renkei_store_bytes ") > 1e4 && sum("renkei_token_expiry_timestamp_seconds{connection=\"shop\"}") > 1e9
    );
    assert!(sum("renkei_freshness_seconds{pipeline=\"demo-leads\"}") < 60.0);
    assert!(text.contains("renkei_pipelines{state=\"paused\"} 0\n") && text.contains("renkei_series_left_out 0\n"));
    assert_eq!(admin.serving.stop("TERM").code, Some(0));
}

#[test]
fn a_pipeline_is_triggered_paused_over_a_restart_resumed_and_cancelled() {
    let admin = Admin::start(with_admin(scheduled(Stage::leads(fast(30), FaultPlan::none()), YEARLY)));
    let shown = admin.pipeline();
    assert_eq!(
        (&shown["state"], &shown["from"], &shown["schedule"]),
        (&json!("idle"), &json!("shop/customers"), &json!("cron 0 0 1 1 * in UTC"))
    );
    assert_eq!(shown["next_times"].as_array().unwrap().len(), 5);
    assert_eq!(admin.post("/api/v1/pipelines/demo-leads/trigger").status, 202);
    let shown = admin.until(|shown| shown["records"]["created"].as_u64() > Some(0) && shown["state"] == "idle");
    let run = &shown["runs"][0];
    assert_eq!((&run["state"], &run["pipeline"]), (&json!("done"), &json!("demo-leads")));
    let told = admin.get(&format!("/api/v1/runs/{}", run["id"].as_str().unwrap()));
    assert_eq!(told["counts"], run["counts"]);
    assert_eq!(admin.get("/api/v1/runs?pipeline=demo-leads&limit=1")["runs"][0]["id"], run["id"]);
    assert!(admin.get("/api/v1/checkpoints")["checkpoints"][0]["checkpoint"]["cursor"].is_object());

    assert_eq!(admin.post("/api/v1/pipelines/demo-leads/pause").json()["state"], "paused");
    assert_eq!(admin.post("/api/v1/pipelines/demo-leads/trigger").refusal(), (409, "RK0934".to_owned()));
    let Admin { stage, serving, .. } = admin;
    assert_eq!(serving.stop("TERM").code, Some(0));

    let admin = Admin::start(stage);
    assert_eq!(admin.pipeline()["state"], "paused", "a pause outlives the process");
    assert_eq!(admin.post("/api/v1/pipelines/demo-leads/resume").json()["state"], "idle");
    assert_eq!(
        admin.post("/api/v1/pipelines/demo-leads/cancel").refusal(),
        (409, "RK0934".to_owned()),
        "nothing to cancel"
    );
    admin.stage.world(|world| {
        world.set_faults(slow());
        world.change(renkei::model::Clock::now(&renkei::model::SystemClock) - chrono::TimeDelta::seconds(30), 400);
    });
    assert_eq!(admin.post("/api/v1/pipelines/demo-leads/trigger").status, 202);
    admin.until(|shown| shown["state"] == "running");
    assert_eq!(admin.post("/api/v1/pipelines/demo-leads/trigger").refusal(), (409, "RK0934".to_owned()), "it is busy");
    assert_eq!(admin.post("/api/v1/pipelines/demo-leads/cancel").status, 202);
    let shown = admin.until(|shown| shown["state"] == "idle");
    assert_eq!((&shown["runs"][0]["state"], &shown["owed"]), (&json!("stopped"), &json!(0)));
    let Admin { stage, serving, .. } = admin;
    assert_eq!(serving.stop("TERM").code, Some(0));
    stage.world(|world| world.set_faults(FaultPlan::none()));
    while stage.report().lost > 0 {
        let ran = stage.command(&["run", "demo-leads"]).env("ADMIN", TOKEN).output().unwrap();
        assert!([Some(0), Some(1)].contains(&ran.status.code()), "{ran:?}");
    }
    assert_eq!((stage.report().doubled, stage.report().counters.replayed), (0, 0));
}

#[test]
fn events_come_live_and_who_comes_back_goes_on_where_it_was() {
    let admin = Admin::start(with_admin(scheduled(Stage::leads(fast(5), FaultPlan::none()), YEARLY)));
    let listen = |last: &str| {
        let mut line = TcpStream::connect(admin.address).unwrap();
        line.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let head =
            format!("GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n{last}\r\n");
        line.write_all(head.as_bytes()).unwrap();
        let mut reader = BufReader::new(line);
        until_line(&mut reader, ": listening");
        reader
    };
    let mut first = listen("");
    assert_eq!(admin.post("/api/v1/pipelines/demo-leads/trigger").status, 202);
    let asked = until_line(&mut first, "id: ");
    until_line(&mut first, "event: run_started");
    until_line(&mut first, "event: run_ended");
    let ended: Value = serde_json::from_str(until_line(&mut first, "data: ").trim_start_matches("data: ")).unwrap();
    assert_eq!(
        (&ended["pipeline"], &ended["outcome"], &ended["job"]),
        (&json!("demo-leads"), &json!("done"), &json!("run"))
    );
    assert!(ended["counts"]["read"].as_u64() > Some(0) && ended["run"].is_string(), "{ended}");
    drop(first);

    let last = format!("last-event-id: {}\r\n", asked.trim_start_matches("id: "));
    let mut second = listen(&last);
    assert!(until_line(&mut second, "event: ").ends_with("run_started"), "the one after the first is told again");
    assert_eq!(admin.post("/api/v1/pipelines/demo-leads/pause").status, 200);
    until_line(&mut second, "event: asked");
    // A stop ends the answer, so nobody is left hanging and the service is not held up.
    let ended = admin.serving.stop("TERM");
    assert_eq!(ended.code, Some(0));
    let mut rest = String::new();
    second.read_to_string(&mut rest).unwrap();
}

/// Reads up to a line that begins so.
fn until_line(reader: &mut impl BufRead, start: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "it ended before {start}");
        if line.starts_with(start) {
            return line.trim_end().to_owned();
        }
    }
}

#[test]
fn logs_in_json_name_the_run_of_every_call_that_it_makes() {
    let faults = FaultPlan { error_before: 0.3, ..FaultPlan::none() };
    let admin = Admin::start(with_admin(scheduled(Stage::leads(fast(60), faults), "{ every: 1s }")));
    admin.until(|shown| shown["records"]["created"].as_u64() >= Some(30));
    let ended = admin.serving.stop("TERM");
    let own = |line: &&Value| line["wait_ms"].is_u64() && line["call"].is_string();
    let retried: Vec<&Value> = ended.log.iter().filter(own).collect();
    assert!(!retried.is_empty(), "{:#?}", ended.log);
    for line in retried {
        assert!(line["run"].is_string() && line["pipeline"] == "demo-leads", "{line}");
    }
}

#[test]
fn over_tls_the_api_answers_those_who_speak_it_and_says_nothing_in_the_clear() {
    let stage = scheduled(Stage::leads(fast(1), FaultPlan::none()), YEARLY);
    let made = std::process::Command::new("openssl")
        .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -subj /CN=renkei".split(' '))
        .args("-addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=CA:FALSE".split(' '))
        .current_dir(stage.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let admin = "serve: { admin: { address: \"127.0.0.1:0\", token: \"${ADMIN}\", tls: { certificate: cert.pem, key: key.pem } } }\n";
    edit(&stage, "renkei.yaml", "version: 1\n", &format!("version: 1\n{admin}"));
    let mut serving = Serving::start_with(&stage, &[("ADMIN", TOKEN)]);
    let listens = serving.until(&stage, "the admin API listens", 1);
    let address: SocketAddr = listens["address"].as_str().unwrap().trim_start_matches("https://").parse().unwrap();
    let request = format!(
        "GET /metrics HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\r\n"
    );
    let clear = raw(address, &request);
    assert!(clear.status == 0 && !clear.small_head().contains("http"), "{clear:?}");

    let pem = std::fs::read(stage.path().join("cert.pem")).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(renkei::http::keys::certificates(&pem).unwrap().remove(0)).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = rustls::pki_types::ServerName::from(address.ip());
    let client = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let mut line = rustls::StreamOwned::new(client, TcpStream::connect(address).unwrap());
    line.write_all(request.as_bytes()).unwrap();
    let mut text = Vec::new();
    let _ = line.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("renkei_build_info{"), "{text}");
    assert_eq!(serving.stop("TERM").code, Some(0));

    std::fs::write(stage.path().join("key.pem"), "no key").unwrap();
    let ran = stage.command(&["serve"]).env("ADMIN", TOKEN).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.code() == Some(3) && said.contains("RK0119") && said.contains("key.pem"), "{said}");
}
