//! `run` and everything that looks at what it left behind.

use crate::harness::{Stage, fast, slow};
use renkei::sandbox::FaultPlan;

/// A line without its times, which are never the same twice.
fn counts(stdout: &str) -> &str {
    stdout.lines().find(|line| line.trim_start().starts_with("read ")).unwrap().trim()
}

#[test]
fn before_the_first_run_every_listing_says_so_and_makes_no_state() {
    let stage = Stage::init(fast(1));
    for (args, stderr) in [
        (vec!["runs"], "no runs yet: renkei run\n"),
        (vec!["state", "show"], "nothing is remembered yet: renkei run\n"),
        (vec!["dead-letters", "list"], "no dead letters\n"),
        (vec!["state", "reset", "customers"], "nothing is remembered yet, so there is nothing to forget\n"),
    ] {
        assert_eq!(stage.renkei(&args).transcript(), format!("exit 0\n--- stdout\n--- stderr\n{stderr}"), "{args:?}");
    }
    insta::assert_snapshot!(stage.renkei(&["status"]).transcript(), @r"
    exit 0
    --- stdout
    pipeline   last run (UTC)  state  staged  dead letters  delivered up to
    customers  never           -           0             0  -
    --- stderr
    ");
    assert!(!stage.path().join("state/format").exists());
}

#[test]
fn a_run_ends_with_a_verdict_for_every_record_and_dead_letters_are_exit_code_1() {
    let stage = Stage::leads(fast(200), FaultPlan::none());
    let ran = stage.renkei(&["run", "demo-leads"]);
    let report = stage.report();
    assert_eq!((ran.code, report.lost, report.doubled), (1, 0, 0), "{}", ran.transcript());
    assert!(ran.stdout.starts_with("demo-leads done with dead letters in "), "{}", ran.stdout);

    let events = ran.events();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap_or_default()).collect();
    assert_eq!((names.first(), names.last()), (Some(&"started"), Some(&"ended")), "{}", ran.stderr);
    let counted = &events.last().unwrap()["run"]["counts"];
    let number = |name: &str| counted[name].as_u64().unwrap();
    assert_eq!(number("read"), 200);
    assert_eq!(number("created"), report.leads);
    assert_eq!(number("created") + number("skipped") + number("rejected"), 200);

    let letters = stage.renkei(&["dead-letters", "list", "--output", "json"]).json();
    assert_eq!(letters.as_array().unwrap().len() as u64, number("rejected"));
    let id = letters[0]["id"].as_str().unwrap();
    assert!(letters[0].get("source").is_none(), "a list shows no record");
    let shown = stage.renkei(&["dead-letters", "show", id]);
    assert!(
        shown.stdout.contains("rejected  RK0401") && shown.stdout.contains("\"consent\": true"),
        "{}",
        shown.stdout
    );
    let unknown = stage.renkei(&["dead-letters", "show", &id[1..]]);
    assert!(unknown.code == 2 && unknown.stderr.contains(&format!("did you mean `{id}`")), "{}", unknown.stderr);
}

#[test]
fn a_second_run_reads_only_what_changed_and_a_full_refresh_writes_nothing_twice() {
    let stage = Stage::leads(fast(120), FaultPlan::none());
    stage.renkei(&["run"]);
    let again = stage.renkei(&["run"]);
    assert_eq!(
        counts(&again.stdout),
        "read 0  created 0  updated 0  unchanged 0  deleted 0  skipped 0  rejected 0  parked 0"
    );
    let created = stage.counters().created;
    let full = stage.renkei(&["run", "--full-refresh", "customers", "--output", "json"]).json();
    let full = &full["runs"][0]["counts"];
    assert_eq!((&full["read"], &full["created"], &full["unchanged"]), (&120.into(), &0.into(), &created.into()));
    assert_eq!(stage.counters().created, created);
}

#[test]
fn a_limit_ends_a_run_early_and_the_next_one_goes_on_from_there() {
    let stage = Stage::leads(fast(100), FaultPlan::none());
    let first = stage.renkei(&["run", "--limit", "30", "--output", "json"]).json();
    assert_eq!(first["runs"][0]["counts"]["read"], 30);
    stage.renkei(&["run"]);
    let report = stage.report();
    assert_eq!((report.lost, report.doubled), (0, 0));
    assert!(stage.renkei(&["run", "--limit", "0"]).code == 2);
}

#[test]
fn what_runs_left_behind_can_be_listed_and_parsed() {
    let stage = Stage::leads(fast(30), FaultPlan::none());
    stage.renkei(&["run"]);
    let status = stage.renkei(&["status", "--output", "json"]).json();
    assert_eq!((&status[0]["pipeline"], &status[0]["staged"]), (&"demo-leads".into(), &0.into()));
    assert_eq!(status[0]["last_run"]["counts"]["read"], 30);
    let runs = stage.renkei(&["runs", "demo-leads", "--output", "json"]).json();
    assert_eq!(runs[0]["state"], "done");
    let state = stage.renkei(&["state", "show", "--output", "json"]).json();
    assert!(state[0]["checkpoint"]["cursor"]["instant"].is_string(), "{state}");
    let text = stage.renkei(&["runs"]).stdout;
    assert!(text.starts_with("started (UTC)") && text.lines().count() == 2, "{text}");
    let reset = stage.renkei(&["state", "reset", "demo-leads"]);
    assert!(reset.stdout.contains("the next run reads everything again"), "{}", reset.transcript());
    let forgotten = stage.renkei(&["state", "show", "--output", "json"]).json();
    assert!(forgotten[0]["checkpoint"]["cursor"].is_null(), "{forgotten}");
    stage.renkei(&["run"]);
    assert_eq!((stage.report().lost, stage.report().doubled), (0, 0));
}

#[test]
fn mistyped_names_of_pipelines_and_streams_get_a_suggestion() {
    let stage = Stage::init(fast(1));
    for args in [vec!["run", "custmers"], vec!["runs", "custmers"], vec!["state", "reset", "custmers"]] {
        let ran = stage.renkei(&args);
        let expected = "error: there is no pipeline `custmers`\n  = help: did you mean `customers`?\n";
        assert_eq!(ran.transcript(), format!("exit 2\n--- stdout\n--- stderr\n{expected}"), "{args:?}");
    }
    let stream = stage.renkei(&["run", "--full-refresh", "custmers"]);
    assert!(stream.code == 2 && stream.stderr.contains("did you mean `customers`?"), "{}", stream.stderr);
}

#[test]
fn a_host_that_is_down_is_one_clear_block_and_exit_code_5() {
    let stage = Stage::init(fast(1));
    // Nobody listens on port 1 of this machine.
    let down = stage.command(&["run", "--log-level", "off"]).env("MYSHOP_URL", "http://127.0.0.1:1").output().unwrap();
    let stderr = String::from_utf8(down.stderr).unwrap();
    assert_eq!(down.status.code(), Some(5), "{stderr}");
    let block = &stderr[stderr.find("error[").unwrap()..];
    assert!(block.starts_with("error[RK0201]: "), "{block}");
    for part in ["  --> ", "  = help: ", "  = more: renkei explain RK0201\n"] {
        assert!(block.contains(part), "{block}");
    }
    let mut json = stage.command(&["run", "--log-level", "off", "--log-format", "json"]);
    let json = json.env("MYSHOP_URL", "http://127.0.0.1:1").output().unwrap();
    let stderr = String::from_utf8(json.stderr).unwrap();
    let lines: Vec<serde_json::Value> = stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.last().unwrap()["error"]["code"], "RK0201");
}

#[test]
fn two_processes_never_share_a_state_directory() {
    let stage = Stage::leads(fast(300), slow());
    let mut child = stage.start(&["run", "demo-leads"]);
    stage.until(&mut child, |counters| counters.created > 5);
    let pid = child.id();
    for args in [vec!["run"], vec!["status"], vec!["state", "reset", "demo-leads"]] {
        let refused = stage.renkei(&args);
        assert_eq!(refused.code, 7, "{}", refused.transcript());
        assert!(refused.stderr.contains("error[RK0501]") && refused.stderr.contains(&format!("kill {pid}")));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let cut = stage.renkei(&["status"]);
    assert!(cut.code == 0 && cut.stdout.contains("cut off"), "{}", cut.transcript());
    stage.world(|world| world.set_faults(FaultPlan::none()));
    let report = stage.run_until_nothing_is_lost();
    assert_eq!((report.lost, report.doubled), (0, 0));
}
