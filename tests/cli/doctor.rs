//! `renkei doctor` against servers that are well and against each way in which they are not. Every line says what was seen,
//! nothing that stands on a failed line is tried, and no screen shows a secret.

use std::{
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use renkei::sandbox::{FaultPlan, Rotation, WorldConfig};
use serde_json::Value;

use crate::{
    harness::{Ran, Stage, fast, slow},
    vendor::{Desk, Vendor, answer, people},
};

/// `dns ok, connect failed, ..` of the one connection.
pub fn states(ran: &Ran) -> String {
    let all = ran.json();
    let lines = all[0]["lines"].as_array().unwrap();
    let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    let lines: Vec<String> = lines.iter().map(|line| text(line, "check") + " " + &text(line, "state")).collect();
    lines.join(", ")
}

/// One check of the one connection.
pub fn line(ran: &Ran, check: &str) -> Value {
    let all = ran.json();
    let lines = all[0]["lines"].as_array().unwrap();
    lines.iter().find(|line| line["check"] == check).unwrap_or_else(|| panic!("no {check}: {all}")).clone()
}

pub fn json(desk: &Desk, connection: &str) -> Ran {
    desk.renkei(&["doctor", connection, "--output", "json"])
}

const AUTH: &str = "{ oauth2: { grant: { refresh_token: {} }, token_url: /oauth/token, client_id: demo } }";
const ACCOUNT: &str =
    "{ oauth2: { client_secret: \"${SHOP_SECRET}\", grant: { refresh_token: { token: demo-refresh } } } }";
const GRANTED: &str = "{ oauth2: { grant: { client_credentials: {} }, token_url: /oauth/token, client_id: demo } }";

/// Products of the sandbox, with a refresh token that is good once.
fn stage(secret: &str, faults: FaultPlan) -> (Stage, impl Fn(&Stage, &[&str]) -> Ran) {
    let account = ACCOUNT.replace("demo-refresh", "\"${SHOP_REFRESH}\"");
    let stage = Stage::products(WorldConfig { rotation: Rotation::SingleUse, ..fast(5) }, faults, AUTH, &account);
    let secret = secret.to_owned();
    let typed = move |stage: &Stage, args: &[&str]| {
        let mut command = stage.command(args);
        let ran = Ran::of(command.env("SHOP_SECRET", &secret).env("SHOP_REFRESH", "demo-refresh").output().unwrap());
        let shown = ran.transcript();
        for secret in ["sbx_", "sbr_", "demo-refresh", "demo-secret", "planted"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        ran
    };
    (stage, typed)
}

#[test]
fn what_is_well_says_so_and_a_token_is_spent_once() {
    let (stage, typed) = stage("demo-secret", FaultPlan::none());
    let ran = typed(&stage, &["doctor", "--output", "json", "--log-level", "trace"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let all = ran.json();
    let shop = all.as_array().unwrap().iter().find(|checkup| checkup["connection"] == "shop").unwrap();
    let lines = shop["lines"].as_array().unwrap();
    let checks: Vec<&str> = lines.iter().map(|line| line["check"].as_str().unwrap()).collect();
    assert_eq!(checks, ["dns", "connect", "tls", "clock", "sign_in", "scopes", "read", "quota"]);
    assert!(lines.iter().all(|line| line["state"] == "ok" && line.get("help").is_none()), "{shop}");
    let read = lines.iter().find(|line| line["check"] == "read").unwrap();
    assert_eq!(
        (&read["facts"]["stream"], &read["facts"]["records"]),
        (&"products".into(), &1.into()),
        "the smallest page"
    );
    let seen = stage.world(|world| world.sign_ins());
    assert_eq!((seen.refreshes, seen.refused), (1, 0));

    let ran = typed(&stage, &["doctor", "shop"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert!(
        ran.stdout.contains("the kept token is used") && ran.stdout.contains("1 connection: 1 well"),
        "{}",
        ran.stdout
    );
    assert_eq!(typed(&stage, &["run", "--log-level", "off"]).code, 0);
    assert_eq!(stage.world(|world| world.sign_ins()).refreshes, 1, "a token that holds is not spent");
    assert_eq!(stage.counters().created, 0);
}

#[test]
fn a_sign_in_that_is_refused_says_what_to_do_and_nothing_is_read() {
    let (stage, typed) = stage("planted-wrong", FaultPlan::none());
    let ran = typed(&stage, &["doctor", "shop", "--output", "json"]);
    assert_eq!(ran.code, 4, "{}", ran.transcript());
    let states = states(&ran);
    assert!(
        states.ends_with("clock ok, sign_in failed, scopes not_tried, read not_tried, quota not_tried"),
        "{states}"
    );
    let failed = line(&ran, "sign_in");
    assert_eq!((&failed["code"], &failed["exit_code"]), (&"RK0603".into(), &4.into()));
    assert!(failed["help"].as_str().unwrap().contains("client id"), "{failed}");
    assert_eq!(stage.counters().reads, 0);
    let text = typed(&stage, &["doctor", "shop"]);
    assert!(text.stdout.contains("[RK0603] the token endpoint") && text.stdout.contains("1 failed"), "{}", text.stdout);
}

#[test]
fn a_name_that_does_not_resolve_and_a_port_nobody_listens_on_leave_the_rest_untried() {
    let vendor = Vendor::new(|_| answer("200 OK", "{}"));
    let desk = Desk::to_files(&vendor, "people");
    desk.edit("renkei.yaml", &vendor.url, "http://shop.invalid");
    let ran = json(&desk, "vendor");
    assert_eq!(ran.code, 5, "{}", ran.transcript());
    assert_eq!(
        states(&ran),
        "dns failed, connect not_tried, tls not_tried, clock not_tried, sign_in ok, read not_tried, quota not_tried"
    );
    let dns = line(&ran, "dns");
    assert!(dns["seen"].as_str().unwrap().starts_with("shop.invalid has no address"), "{dns}");

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    desk.edit("renkei.yaml", "http://shop.invalid", &format!("http://{free}"));
    let ran = json(&desk, "vendor");
    assert_eq!(ran.code, 5, "{}", ran.transcript());
    let states = states(&ran);
    assert!(states.starts_with("dns ok, connect failed, tls not_tried, clock not_tried"), "{states}");
    let connect = line(&ran, "connect");
    assert!(connect["code"] == "RK0201" && connect["help"].as_str().unwrap().contains("base_url"), "{connect}");
    assert!(!desk.path().join("state").exists(), "looking makes no store");
}

#[test]
fn a_clock_that_is_ten_minutes_off_is_a_warning_with_its_direction() {
    for (minutes, words) in [(10, "10 min behind the server's"), (-10, "10 min ahead of the server's")] {
        let vendor = Vendor::new(move |asked| {
            let date = std::time::SystemTime::from(
                renkei::model::Clock::now(&renkei::model::SystemClock) + chrono::TimeDelta::minutes(minutes),
            );
            let head = format!("200 OK\r\ndate: {}", httpdate::fmt_http_date(date));
            answer(&head, if asked.line.starts_with("HEAD") { "" } else { r#"{"data":[]}"# })
        });
        let ran = json(&Desk::to_files(&vendor, "people"), "vendor");
        assert_eq!(ran.code, 0, "{}", ran.transcript());
        let clock = line(&ran, "clock");
        assert_eq!(clock["state"], "warning", "{clock}");
        assert!(clock["seen"].as_str().unwrap().contains(words), "{clock}");
        assert!(clock["help"].as_str().unwrap().contains("timedatectl"), "{clock}");
    }
}

/// A vendor whose token answer grants `scope`, and which answers reads like this.
fn granting(scope: &'static str, status: &'static str, asked: Arc<Mutex<Vec<String>>>) -> Vendor {
    Vendor::new(move |request| {
        asked.lock().unwrap().push(request.line.clone());
        match request.line.as_str() {
            "POST /oauth/token" => {
                answer("200 OK", &format!(r#"{{"access_token":"planted-access","expires_in":600{scope}}}"#))
            }
            line if line.starts_with("HEAD") => answer("404 Not Found", ""),
            _ if status.starts_with("200") => answer(status, &people(0..2)),
            // As careless servers do.
            _ => answer(status, r#"{"message":"planted-access may not do this"}"#),
        }
    })
}

fn signed_in(vendor: &Vendor, scopes: &str) -> Desk {
    let desk = Desk::to_files(vendor, "people");
    let auth = GRANTED.replace("client_id: demo", &format!("client_id: demo, scopes: [{scopes}]"));
    desk.write("secret", "planted-secret");
    let account = "auth: { oauth2: { client_secret: \"${file:secret}\" } }";
    desk.edit("renkei.yaml", "    connector: vendor", &format!("    connector: vendor\n    {account}"));
    desk.edit("connectors/vendor/connector.yaml", "version: 1\n", &format!("version: 1\nauth: {auth}\n"));
    desk
}

#[test]
fn a_scope_that_was_not_granted_is_named() {
    for (scope, scopes, state, seen) in [
        (r#","scope":"people.read other planted-word""#, "people.read", "ok", "granted: people.read, and 2 more"),
        ("", "people.read", "ok", "asked for: people.read"),
        (
            r#","scope":"people.read,x""#,
            "people.read, people.write",
            "warning",
            "not granted: people.write, and 1 more",
        ),
        (r#","scope":["people.read"]"#, "people.read, people.write", "warning", "not granted: people.write"),
        (r#","scope":"""#, "people.read", "warning", "not granted: people.read"),
    ] {
        let asked = Arc::default();
        let desk = signed_in(&granting(scope, "200 OK", Arc::clone(&asked)), scopes);
        let ran = json(&desk, "vendor");
        assert_eq!(ran.code, 0, "{}", ran.transcript());
        let found = line(&ran, "scopes");
        assert_eq!(found["state"], state, "{found}");
        assert!(found["seen"].as_str().unwrap().starts_with(seen), "{found}");
        assert_eq!(line(&ran, "read")["facts"]["records"], 2);
        assert!(!ran.transcript().contains("planted"), "{}", ran.transcript());
        assert_eq!(*asked.lock().unwrap(), ["HEAD /", "POST /oauth/token", "GET /people"], "and nothing else");
    }
}

#[test]
fn a_read_that_is_refused_says_whose_move_it_is() {
    for (status, code, exit) in
        [("403 Forbidden", "RK0602", 4), ("500 Oops", "RK0210", 5), ("200 OK\r\nx-odd: 1", "RK0301", 5)]
    {
        let vendor = match status.starts_with("200") {
            true => Vendor::new(|request| match request.line.as_str() {
                "POST /oauth/token" => answer("200 OK", r#"{"access_token":"planted-access"}"#),
                _ => answer("200 OK", "<html>planted-access</html>"),
            }),
            false => granting("", status, Arc::default()),
        };
        let desk = signed_in(&vendor, "people.read");
        let ran = json(&desk, "vendor");
        assert_eq!(ran.code, exit, "{}", ran.transcript());
        let states = states(&ran);
        assert!(states.contains("sign_in ok, scopes ok, read failed"), "{states}");
        let read = line(&ran, "read");
        assert_eq!(read["code"], code, "{read}");
        assert!(read["help"].is_string(), "{read}");
        for shown in [&ran, &desk.renkei(&["doctor", "vendor", "--log-level", "trace"])] {
            assert!(!shown.transcript().contains("planted"), "{}", shown.transcript());
        }
    }
}

#[test]
fn limits_that_are_declared_and_not_told_or_told_and_not_declared_are_a_warning() {
    let vendor = Vendor::new(|asked| {
        let head = "200 OK\r\nratelimit-policy: \"a\";q=30;w=60\r\nx-left: 4";
        answer(head, if asked.line.starts_with("HEAD") { "" } else { r#"{"data":[]}"# })
    });
    let desk = Desk::to_files(&vendor, "people");
    let connector = "connectors/vendor/connector.yaml";
    desk.edit(
        connector,
        "version: 1\n",
        "version: 1\nbudget:\n  - window: { requests: 20, per: 1m, remaining_header: X-Left }\n",
    );
    let quota = line(&json(&desk, "vendor"), "quota");
    assert_eq!((&quota["state"], &quota["facts"]["seen"]["x-left"]), (&"ok".into(), &"4".into()), "{quota}");
    desk.edit(connector, "requests: 20", "requests: 40");
    let quota = line(&json(&desk, "vendor"), "quota");
    assert!(quota["help"].as_str().unwrap().contains("allows 30 in 60 s"), "{quota}");
    desk.edit(connector, "X-Left", "X-Elsewhere");
    let quota = line(&json(&desk, "vendor"), "quota");
    assert_eq!((&quota["state"], &quota["facts"]["missing"][0]), (&"warning".into(), &"x-elsewhere".into()), "{quota}");
}

#[test]
fn a_connector_without_a_stream_is_sent_nothing_but_a_look() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let vendor = Vendor::new(move |request| {
        assert!(request.line.starts_with("HEAD"), "{}", request.line);
        count.fetch_add(1, Relaxed);
        answer("200 OK", "")
    });
    let desk = Desk::to_files(&vendor, "people");
    std::fs::remove_file(desk.path().join("pipelines/people.yaml")).unwrap();
    let whole = std::fs::read_to_string(desk.path().join("connectors/vendor/connector.yaml")).unwrap();
    let (head, rest) = whole.split_once("streams:").unwrap();
    let (_, operations) = rest.split_once("operations:").unwrap();
    desk.write("connectors/vendor/connector.yaml", &format!("{head}operations:{operations}"));
    let ran = json(&desk, "vendor");
    assert_eq!((ran.code, asked.load(Relaxed)), (0, 1), "{}", ran.transcript());
    assert!(line(&ran, "read")["seen"].as_str().unwrap().contains("no stream"));
}

#[test]
fn while_a_run_holds_the_tokens_what_needs_none_is_told() {
    let (stage, typed) = stage("demo-secret", slow());
    stage.world(|world| assert_eq!(world.sign_ins().refreshes, 0));
    let mut command = stage.command(&["run", "--log-level", "off"]);
    command.env("SHOP_SECRET", "demo-secret").env("SHOP_REFRESH", "demo-refresh");
    let mut run = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    stage.until(&mut run, |seen| seen.tokens > 0);
    let ran = typed(&stage, &["doctor", "shop", "--output", "json"]);
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!(ran.code, 7, "{}", ran.transcript());
    let states = states(&ran);
    assert!(states.starts_with("dns ok, connect ok, tls ok, clock ok, sign_in failed, scopes not_tried"), "{states}");
    assert_eq!(line(&ran, "sign_in")["code"], "RK0501");
}

#[test]
fn folders_and_databases_are_tried_in_their_own_way_and_no_url_is_shown() {
    let vendor = Vendor::new(|_| answer("200 OK", "{}"));
    let desk = Desk::to_files(&vendor, "people");
    let ran = json(&desk, "files");
    assert_eq!((ran.code, states(&ran).as_str()), (0, "folder ok"), "{}", ran.transcript());
    assert!(line(&ran, "folder")["seen"].as_str().unwrap().contains("is made by the first run"));
    assert_eq!(std::fs::read_dir(desk.path()).unwrap().count(), 3, "and nothing is left behind");
    desk.write("out", "a file where the folder should be");
    desk.edit("renkei.yaml", "path: out", "path: out/deep");
    let ran = json(&desk, "files");
    assert_eq!((ran.code, states(&ran).as_str()), (6, "folder failed"), "{}", ran.transcript());
    assert_eq!(line(&ran, "folder")["code"], "RK0409");

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    desk.write("url", &format!("postgres://me:planted-word@{free}/crm?sslmode=disable"));
    desk.edit("renkei.yaml", "  files:", "  base: { postgres: { url: \"${file:url}\" } }\n  files:");
    let ran = json(&desk, "base");
    assert_eq!((ran.code, states(&ran).as_str()), (5, "connect failed, schema not_tried"), "{}", ran.transcript());
    let text = desk.renkei(&["doctor", "--log-level", "trace"]);
    assert!(
        text.stdout.contains("3 connections:") && text.stdout.contains(&format!("{free}/crm")),
        "{}",
        text.transcript()
    );
    assert!(!(ran.transcript() + &text.transcript()).contains("planted"));
}

#[test]
fn a_name_that_nobody_declared_gets_a_suggestion() {
    let vendor = Vendor::new(|_| answer("200 OK", "{}"));
    let ran = Desk::to_files(&vendor, "people").renkei(&["doctor", "files", "vendro"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("there is no connection `vendro`"), "{}", ran.stderr);
    assert!(ran.stderr.contains("did you mean `vendor`?"), "{}", ran.stderr);
}
