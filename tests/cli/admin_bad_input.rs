//! What must not get in: tokens, hosts, sites, bodies, paths, names, and configurations that would let everybody in.

use std::{io::Write, net::TcpStream};

use renkei::sandbox::FaultPlan;
use serde_json::json;

use crate::{
    admin::{Admin, TOKEN, with_admin},
    harness::{Stage, fast},
    raw::raw,
    serve::{edit, scheduled},
};

fn admin() -> Admin {
    Admin::start(with_admin(scheduled(Stage::leads(fast(5), FaultPlan::none()), "{ cron: \"0 0 1 1 *\" }")))
}

const PAUSE: &str = "POST /api/v1/pipelines/demo-leads/pause HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n";

#[test]
fn without_the_token_from_another_site_or_under_another_name_nobody_gets_in() {
    let admin = admin();
    let (at, right) = (admin.address, format!("authorization: Bearer {TOKEN}\r\n"));
    let sent = |headers: &str| raw(at, &format!("{PAUSE}{headers}\r\n"));
    let host = format!("host: {at}\r\n");
    let nobody = (401, "RK0930".to_owned());
    let foreign = (403, "RK0931".to_owned());
    let wrong = [
        String::new(),
        "authorization: Bearer \r\n".to_owned(),
        format!("authorization: Bearer {}\r\n", &TOKEN[1..]),
        format!("authorization: Bearer {TOKEN}x\r\n"),
        format!("authorization: Basic {TOKEN}\r\n"),
        format!("authorization: {TOKEN}\r\n"),
        format!("authorization: Bearer wrong\r\n{right}"),
    ];
    for token in &wrong {
        assert_eq!(sent(&format!("{host}{token}")).refusal(), nobody, "{token}");
    }
    // A page that lets its own name point to this machine, and one that sends a form.
    let hosts = [
        "host: evil.example\r\n",
        "host: evil.example:80\r\n",
        "host: localhost.evil.example\r\n",
        "host: 127.0.0.1.evil.example\r\n",
    ];
    for host in hosts.into_iter().chain([
        "host: 127.0.0.1@evil.example\r\n",
        "host: \r\n",
        "host: localhost\r\nhost: evil.example\r\n",
    ]) {
        let answer = sent(&format!("{host}{right}"));
        assert!([400, 403].contains(&answer.status), "{host}: {answer:?}");
    }
    let whole = raw(
        at,
        &format!(
            "POST http://evil.example/api/v1/pipelines/demo-leads/pause HTTP/1.1\r\nconnection: close\r\n{host}{right}\r\n"
        ),
    );
    assert_eq!(whole.refusal(), foreign);
    let sites = [
        "origin: https://evil.example\r\n".to_owned(),
        "origin: null\r\n".to_owned(),
        format!("origin: https://{at}\r\n"),
        format!("origin: http://{at}.evil.example\r\n"),
        format!("origin: http://{at}\r\norigin: https://evil.example\r\n"),
        "sec-fetch-site: cross-site\r\n".to_owned(),
        "sec-fetch-site: same-site\r\n".to_owned(),
    ];
    for site in &sites {
        assert_eq!(sent(&format!("{host}{right}{site}")).refusal(), foreign, "{site}");
    }
    assert_eq!(admin.pipeline()["state"], "idle", "none of them did anything");
    let own = sent(&format!("{host}{right}origin: http://{at}\r\nsec-fetch-site: same-origin\r\n"));
    assert_eq!(own.status, 200, "the service's own page may: {own:?}");
    let preflight = raw(
        at,
        &format!(
            "OPTIONS /api/v1/pipelines HTTP/1.1\r\nconnection: close\r\n{host}{right}origin: https://evil.example\r\n\r\n"
        ),
    );
    assert!(preflight.status == 405 && !preflight.small_head().contains("access-control"), "{preflight:?}");
    let ended = admin.serving.stop("TERM");
    assert!(!format!("{:?}", ended.log).contains(&TOKEN[1..]), "a token that was sent is in no log");
}

#[test]
fn bodies_and_parameters_that_make_no_sense_are_refused_with_a_reason() {
    let admin = admin();
    let (at, edit) = (admin.address, "/api/v1/dead-letters/x/edit");
    let head = format!("host: {at}\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n");
    let body = |kind: &str, body: &str| {
        raw(
            at,
            &format!(
                "POST {edit} HTTP/1.1\r\n{head}content-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ),
        )
    };
    let json = "application/json";
    let refused = |status: u16| (status, "RK0932".to_owned());
    assert_eq!(body(json, "{ \"undo\": tru").refusal(), refused(400));
    assert_eq!(body(json, "{ \"undoo\": true }").refusal(), refused(400));
    assert_eq!(body(json, "{}").refusal(), refused(400), "it says nothing");
    assert_eq!(
        body(json, "{ \"undo\": true, \"set\": { \"a\": \"1\" } }").refusal(),
        refused(400),
        "it says two things"
    );
    assert_eq!(
        body(json, &format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000))).refusal(),
        refused(400),
        "it is deep"
    );
    assert_eq!(body("text/plain", "{ \"undo\": true }").refusal(), refused(415), "a form can send that");
    assert_eq!(body(json, &" ".repeat((1 << 20) + 1)).refusal(), refused(413));
    assert_eq!(
        admin.send("POST", "/api/v1/dead-letters/drop", Some(&json!({ "which": {} }))).refusal(),
        refused(400),
        "nothing is never all"
    );
    for path in [
        "/api/v1/runs?limit=0",
        "/api/v1/runs?limit=x",
        "/api/v1/runs?before=zz",
        "/api/v1/runs?pipelin=x",
        "/api/v1/dead-letters?code=RK9999",
        "/api/v1/dead-letters?where=record.(",
        "/api/v1/dead-letters?older_than=soon",
    ] {
        assert_eq!(admin.send("GET", path, None).refusal(), refused(400), "{path}");
    }
    let near = admin.send("GET", "/api/v1/runs?pipelin=x", None).json();
    assert_eq!(near["help"], "did you mean `pipeline`?");
    let unknown = admin.send("POST", "/api/v1/pipelines/demo-laeds/trigger", None);
    assert_eq!((unknown.refusal().0, &unknown.json()["help"]), (404, &json!("did you mean `demo-leads`?")));
    for path in [
        "/api/v1/pipelines/..%2f..%2fetc",
        "/api/v1/../v1/pipelines",
        "//metrics",
        "/metrics%00",
        "/api/v1/runs/%ff",
        "/api/v1/pipelines/a%00b",
    ] {
        assert_eq!(admin.send("GET", path, None).refusal(), (404, "RK0933".to_owned()), "{path}");
    }
    let wrong = admin.send("DELETE", "/api/v1/pipelines", None);
    assert!(wrong.refusal() == refused(405) && wrong.small_head().contains("allow: get"), "{wrong:?}");
    let listener = raw(at, &format!("GET /api/v1/events HTTP/1.1\r\n{head}last-event-id: yesterday\r\n\r\n"));
    assert_eq!(listener.refusal(), refused(400));
    // Whoever opens a line and says nothing holds up nobody.
    let silent: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(at).unwrap()).collect();
    silent.iter().for_each(|mut line| line.write_all(b"GET / HT").unwrap());
    assert_eq!(admin.get("/livez")["status"], "live");
    drop(silent);
    assert_eq!(admin.serving.stop("TERM").code, Some(0));
}

#[test]
fn a_port_in_use_and_an_api_that_is_open_to_everybody_are_told_before_anything_begins() {
    let stage = with_admin(scheduled(Stage::leads(fast(1), FaultPlan::none()), "{ every: 1s }"));
    let serve = |stage: &Stage| {
        let output = stage.command(&["serve"]).env("ADMIN", TOKEN).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().to_string();
    edit(&stage, "renkei.yaml", "127.0.0.1:0", &port);
    let (code, said) = serve(&stage);
    assert!(code == Some(6) && said.contains("RK0901") && said.contains(&port), "{said}");
    edit(&stage, "renkei.yaml", &format!("\"{port}\", token: \"${{ADMIN}}\""), "\"0.0.0.0:0\"");
    let (code, said) = serve(&stage);
    assert!(code == Some(3) && said.contains("RK0140") && said.contains("renkei.yaml:3:28"), "{said}");
    edit(&stage, "renkei.yaml", "\"0.0.0.0:0\"", "nowhere, token: \"${ADMIN:-short}\"");
    let validated = stage.renkei(&["validate"]);
    assert!(
        validated.code == 3 && validated.stdout.contains("RK0141") && validated.stdout.contains("RK0130"),
        "{}",
        validated.transcript()
    );
    assert_eq!(stage.counters().requests, 0);
}
