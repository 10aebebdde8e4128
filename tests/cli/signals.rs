//! Real signals to real processes.

use std::process::{Child, Command};

use crate::harness::{Stage, fast, slow};
use renkei::sandbox::FaultPlan;

pub fn signal(child: &Child, name: &str) {
    // A shell's own `kill` is there wherever a shell is.
    let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", child.id())).status().unwrap();
    assert!(sent.success());
}

fn stopped_by(name: &str, code: i32) {
    let stage = Stage::leads(fast(400), slow());
    let mut child = stage.start(&["run", "demo-leads"]);
    stage.until(&mut child, |counters| counters.created > 20);
    signal(&child, name);
    let ran = stage.ended(child);
    assert_eq!(ran.code, code, "{}", ran.transcript());
    assert!(ran.stdout.contains("stopped after a clean checkpoint"), "{}", ran.transcript());
    assert!(ran.events().iter().any(|event| event["event"] == "stopping"), "{}", ran.stderr);

    let run = &stage.renkei(&["runs", "--output", "json"]).json()[0];
    let counts = &run["counts"];
    let number = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!(run["state"], "stopped");
    assert!(number("read") < 400, "it stopped early: {counts}");
    assert!(number("created") > 0, "{counts}");
    let verdicts = number("created") + number("skipped") + number("rejected");
    let staged = stage.renkei(&["status", "--output", "json"]).json()[0]["staged"].as_u64().unwrap();
    assert!(number("read") == verdicts || staged > 0, "{counts}");

    stage.world(|world| world.set_faults(FaultPlan::none()));
    let report = stage.run_until_nothing_is_lost();
    assert_eq!((report.lost, report.doubled), (0, 0), "{:?}", report.lost_ids);
}

#[test]
fn ctrl_c_ends_a_run_with_a_clean_checkpoint_and_130() {
    stopped_by("INT", 130);
}

#[test]
fn sigterm_ends_a_run_with_a_clean_checkpoint_and_143() {
    stopped_by("TERM", 143);
}

#[test]
fn a_second_signal_ends_at_once_and_nothing_is_lost() {
    let stalled = FaultPlan { stall: 0.5, stall_ms: 60_000, ..FaultPlan::none() };
    let stage = Stage::leads(fast(60), stalled);
    // Without a run timeout in sight: every second answer never comes.
    let connector = std::fs::read_to_string(stage.path().join("connectors/crm/connector.yaml")).unwrap();
    stage.write("connectors/crm/connector.yaml", &connector.replace("attempt: 2s", "attempt: 5m"));
    let shop = std::fs::read_to_string(stage.path().join("connectors/shop/connector.yaml")).unwrap();
    stage.write("connectors/shop/connector.yaml", &shop.replace("attempt: 2s", "attempt: 100ms"));
    let mut child = stage.start(&["run", "demo-leads"]);
    stage.until(&mut child, |counters| counters.reads > 0);
    signal(&child, "INT");
    while child.try_wait().unwrap().is_none() {
        signal(&child, "INT");
        stage.breathe();
    }
    assert_eq!(stage.ended(child).code, 130);
    stage.world(|world| world.set_faults(FaultPlan::none()));
    let report = stage.run_until_nothing_is_lost();
    assert_eq!((report.lost, report.doubled), (0, 0));
}

#[test]
fn the_sandbox_says_its_address_first_and_stops_when_asked() {
    use std::io::{BufRead, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let mut child = crate::harness::program(folder.path())
        .args(["sandbox", "--listen", "127.0.0.1:0", "--customers", "3"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut first).unwrap();
    assert!(first.starts_with("http://127.0.0.1:"), "{first}");
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
