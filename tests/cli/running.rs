//! `run` and everything that looks at what it left behind.

use crate::{
    harness::{Stage, fast, slow},
    vendor::{Desk, Vendor, answer, people},
};
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
    pipeline   last run (UTC)  state  next run (UTC)  staged  dead letters  delivered up to
    customers  never           -      -                    0             0  -
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
fn a_record_that_is_refused_again_stays_one_dead_letter_and_each_run_that_met_it_exits_with_1() {
    let stage = Stage::leads(fast(80), FaultPlan::none());
    stage.renkei(&["run"]);
    let before = stage.renkei(&["dead-letters", "list", "--output", "json"]).json();
    let again = stage.renkei(&["run", "--full-refresh", "customers", "--output", "json"]);
    let counts = &again.json()["runs"][0]["counts"];
    assert_eq!((again.code, &counts["rejected"]), (1, &before.as_array().unwrap().len().into()));

    let after = stage.renkei(&["dead-letters", "list", "--output", "json"]).json();
    let ids = |letters: &serde_json::Value| {
        let ids = letters.as_array().unwrap().iter().map(|letter| letter["id"].as_str().unwrap().to_owned());
        ids.collect::<std::collections::BTreeSet<_>>()
    };
    assert!(!ids(&before).is_empty());
    assert_eq!(ids(&before), ids(&after));
    for letter in after.as_array().unwrap() {
        assert_eq!(letter["times"], 2, "{letter}");
        assert!(letter["first_at"].as_str() < letter["at"].as_str(), "{letter}");
    }
    let list = stage.renkei(&["dead-letters", "list"]);
    let line = list.stdout.lines().nth(1).unwrap();
    assert!(line.contains("RK0401 must contain @ (the server refused"), "the cause comes first: {line}");
    let shown = stage.renkei(&["dead-letters", "show", after[0]["id"].as_str().unwrap()]);
    assert!(shown.stdout.contains("2 times since "), "{}", shown.stdout);
    let status = stage.renkei(&["status", "--output", "json"]).json();
    assert_eq!(status[0]["dead_letters"].as_u64(), Some(ids(&after).len() as u64));
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
fn the_status_of_a_stream_without_a_cursor_says_when_it_was_last_read_whole() {
    let vendor = Vendor::new(|_| answer("200 OK", &people(0..3)));
    let desk = Desk::to_files(&vendor, "people");
    assert_eq!(desk.renkei(&["run", "--log-level", "off"]).code, 0);
    let status = desk.renkei(&["status", "--output", "json"]).json();
    let at = status[0]["last_success_at"].as_str().unwrap().to_owned();
    assert_eq!((&status[0]["last_run"]["started_at"], &status[0]["full_listing"]), (&at.as_str().into(), &true.into()));
    let shown = |desk: &Desk| desk.renkei(&["status"]).stdout;
    let seconds = at[..19].replace('T', " ");
    assert!(shown(&desk).contains(&format!("all of it, read whole at {seconds}")), "{}", shown(&desk));

    // A run that fails does not take that back.
    vendor.mend(|_| answer("404 Not Found", "{}"));
    assert_eq!(desk.renkei(&["run", "--log-level", "off"]).code, 5);
    let after = shown(&desk);
    assert!(after.contains("failed RK0212") && after.contains(&seconds), "{after}");
}

#[test]
fn a_call_that_is_tried_again_says_in_words_what_happened_and_a_pause_is_no_warning() {
    let mut asked = 0;
    let vendor = Vendor::new(move |_| {
        asked += 1;
        match asked {
            1 => answer("503 Service Unavailable", r#"{"message":"back soon"}"#),
            2 => answer("429 Too Many Requests\r\nretry-after: 0", "{}"),
            _ => answer("200 OK", &people(0..3)),
        }
    });
    let desk = Desk::to_files(&vendor, "people");
    let ran = desk.renkei(&["run", "--log-format", "json", "--log-level", "info"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let logs: Vec<_> = ran.events().into_iter().filter(|line| line.get("level").is_some()).collect();
    let of = |level: &str| logs.iter().find(|line| line["level"] == level).unwrap_or_else(|| panic!("{}", ran.stderr));
    let warning = of("WARN");
    let message = warning["message"].as_str().unwrap();
    assert!(message.starts_with("the server failed (503): back soon; attempt 1 of 2, next try in 0."), "{message}");
    assert_eq!((&warning["route"], &warning["code"]), (&"/people".into(), &"RK0210".into()));
    let pause = of("INFO")["message"].as_str().unwrap();
    assert!(pause.contains("(429)") && pause.contains("everybody on this connection waits 0."), "{pause}");
    let others = logs.iter().filter(|line| line["target"] != "renkei_canonical").count();
    assert_eq!(others, 2, "{}", ran.stderr);
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
    let run = &stage.renkei(&["runs", "--output", "json"]).json()[0];
    assert!(run["requests"].as_u64() > Some(0) && run["pages"].as_u64() > Some(0), "what it did until then: {run}");
    stage.world(|world| world.set_faults(FaultPlan::none()));
    let report = stage.run_until_nothing_is_lost();
    assert_eq!((report.lost, report.doubled), (0, 0));
}
