//! `renkei limits`, and a run whose sink is dead: what is staged stays staged, the operation is left alone, and the next
//! run delivers each record once.

use std::fs;

use crate::harness::{Stage, fast, slow};
use renkei::sandbox::FaultPlan;

fn edit(stage: &Stage, path: &str, from: &str, to: &str) {
    let text = fs::read_to_string(stage.path().join(path)).unwrap();
    assert!(text.contains(from), "{path} has no {from:?} any more");
    stage.write(path, &text.replacen(from, to, 1));
}

#[test]
fn declared_limits_are_shown_before_the_first_run() {
    let stage = Stage::leads(fast(10), FaultPlan::none());
    let ran = stage.renkei(&["limits"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert!(ran.stdout.contains("5000 per 1s") && ran.stdout.contains("8 at once"), "{}", ran.stdout);
    let shop = stage.renkei(&["limits", "shop", "--output", "json"]).json();
    assert_eq!((shop.as_array().unwrap().len(), &shop[0]["connection"]), (1, &"shop".into()));
    assert!(shop[0]["known_at"].is_null() && shop[0]["runs"].as_array().unwrap().is_empty(), "{shop}");
    let ran = stage.renkei(&["limits", "shp"]);
    assert!(ran.code == 2 && ran.stderr.contains("did you mean `shop`?"), "{}", ran.transcript());
}

#[test]
fn what_was_used_and_waited_is_shown_after_a_run() {
    let stage = Stage::leads(fast(50), FaultPlan::none());
    edit(
        &stage,
        "connectors/crm/connector.yaml",
        "budget:\n",
        "budget:\n  - daily: { requests: 1000, reserve: 10% }\n",
    );
    assert_eq!(stage.renkei(&["run", "demo-leads"]).code, 0);
    let crm = stage.renkei(&["limits", "crm", "--output", "json"]).json();
    let day = crm[0]["limits"].as_array().unwrap().iter().find(|limit| limit["limit"] == "1000 a day").unwrap();
    let used = 1000 - day["left"].as_u64().unwrap();
    assert!(used >= 40 && day["reserve"] == 100 && day["of"] == 1000, "{day}");
    assert_eq!(crm[0]["runs"][0]["pipeline"], "demo-leads");
    assert!(crm[0]["runs"][0]["requests"].as_u64().unwrap() >= used, "{crm}");
    let text = stage.renkei(&["limits", "crm"]).stdout;
    assert!(text.contains("100 left to others") && text.contains("last runs (UTC)"), "{text}");
}

#[test]
fn a_dead_sink_is_left_alone_what_is_staged_stays_and_the_next_run_delivers_it_once() {
    let stage = Stage::leads(fast(60), FaultPlan::none());
    let crm = "  crm:\n    connector: crm\n    base_url: \"${RENKEI_SANDBOX:-http://127.0.0.1:4010}\"\n    auth: { oauth2: { client_id";
    let well = fs::read_to_string(stage.path().join("renkei.yaml")).unwrap();
    // Signing in works; where the leads go nobody listens.
    let dead = "  crm:
    connector: crm
    base_url: http://127.0.0.1:1
    retry: { attempts: 10, base: 1ms, cap: 1ms }
    breaker: { of: 4, pause: 1h }
    auth: { oauth2: { token_url: \"${RENKEI_SANDBOX}/oauth/token\", client_id";
    edit(&stage, "renkei.yaml", crm, dead);
    let ran = stage.renkei(&["run", "demo-leads"]);
    assert_eq!(ran.code, 5, "{}", ran.transcript());
    assert!(
        ran.stderr.contains("create_lead is left alone for 3600 s, because 4 of its last 4"),
        "{}",
        ran.transcript()
    );
    assert!(ran.stderr.contains("error[RK0217]"), "{}", ran.transcript());
    let limits = stage.renkei(&["limits", "crm", "--output", "json"]).json();
    let alone = &limits[0]["left_alone"][0];
    assert!(alone["call"] == "create_lead" && alone["rests"] == 1 && alone["until"].is_string(), "{limits}");
    assert!(stage.renkei(&["limits", "crm"]).stdout.contains("left alone, because it kept failing"));
    let staged = stage.renkei(&["status", "--output", "json"]).json()[0]["staged"].as_u64().unwrap();
    assert!(staged > 0);
    stage.write("renkei.yaml", &well);
    let report = stage.run_until_nothing_is_lost();
    assert_eq!((report.lost, report.doubled), (0, 0), "{report:?}");
    assert!(report.eligible > 40, "{report:?}");
}

#[test]
fn while_a_run_is_under_way_the_declared_limits_are_shown() {
    let stage = Stage::leads(fast(400), slow());
    let mut run = stage.start(&["run", "demo-leads"]);
    stage.until(&mut run, |seen| seen.created > 0);
    let ran = stage.renkei(&["limits", "--output", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert!(ran.stderr.contains("a run is under way"), "{}", ran.transcript());
    assert!(ran.json()[0]["known_at"].is_null());
    run.kill().unwrap();
    run.wait().unwrap();
}
