//! JSON log lines of the real program: each names its run, and one of them tells how the run went.

use renkei::sandbox::FaultPlan;
use serde_json::Value;

use crate::{
    collector::{Answers, Collector},
    harness::{Ran, Stage, fast},
};

/// The names of the canonical line, which people build searches and alerts on.
const NAMES: [&str; 22] = [
    "pipeline",
    "run",
    "stream",
    "job",
    "took_ms",
    "read",
    "resumed",
    "written",
    "created",
    "updated",
    "deleted",
    "unchanged",
    "skipped",
    "refused",
    "rejected",
    "parked",
    "pages",
    "requests",
    "retries",
    "throttled",
    "waited_ms",
    "level",
];

/// The lines that tell how a run went.
fn canonical(ran: &Ran) -> Vec<Value> {
    ran.events().into_iter().filter(|line| line["target"] == "renkei_canonical").collect()
}

#[test]
fn a_run_tells_in_one_line_how_it_went_even_where_only_warnings_are_asked_for() {
    let stage = Stage::leads(fast(120), FaultPlan::none());
    let first = stage.renkei(&["run", "--output", "json", "--log-format", "json"]);
    let all = canonical(&first);
    let [line] = all.as_slice() else { panic!("{}", first.transcript()) };
    let run = &first.json()["runs"][0];
    for name in NAMES {
        assert!(line.get(name).is_some(), "{name} is not in {line}");
    }
    assert_eq!((&line["message"], &line["level"]), (&"run done".into(), &"INFO".into()));
    assert_eq!((&line["run"], &line["pipeline"], &line["job"]), (&run["id"], &"demo-leads".into(), &"run".into()));
    for (name, counted) in
        [("read", "read"), ("created", "created"), ("skipped", "skipped"), ("unchanged", "unchanged")]
    {
        assert_eq!(line[name], run["counts"][counted], "{name}");
    }
    assert_eq!((&line["requests"], &line["pages"]), (&run["requests"], &run["pages"]));
    assert!(line.get("cursor_before").is_none() && line["cursor_after"].is_string(), "{line}");
    assert!(line["cursor_age_ms"].is_i64() && line.get("code").is_none(), "{line}");
    let again = stage.renkei(&["run", "--log-format", "json"]);
    assert_eq!(canonical(&again)[0]["cursor_before"], line["cursor_after"], "{}", again.transcript());
}

#[test]
fn a_run_that_fails_says_why_and_how_often_each_cause_made_it_try_again() {
    let stage = Stage::leads(fast(1), FaultPlan::none());
    let vendor = Collector::start();
    vendor.answer(Answers::Status(500));
    let connector =
        "version: 1\nretry: { attempts: 3, base: 1ms, cap: 2ms }\nstreams: { people: { get: /people, key: id } }\n";
    stage.write("connectors/broken/connector.yaml", connector);
    let workspace = std::fs::read_to_string(stage.path().join("renkei.yaml")).unwrap();
    let broken = format!(
        "connections:\n  broken: {{ connector: broken, base_url: {} }}\n  out: {{ jsonl: {{ path: o }} }}\n",
        vendor.url
    );
    stage.write("renkei.yaml", &workspace.replacen("connections:\n", &broken, 1));
    let pipeline = "version: 1\nfrom: { connection: broken, stream: people }\nto: { connection: out, file: people }\n";
    stage.write("pipelines/people.yaml", pipeline);
    let ran = stage.renkei(&["run", "people", "--log-format", "json"]);
    let all = canonical(&ran);
    let [line] = all.as_slice() else { panic!("{}", ran.transcript()) };
    assert_eq!((&line["message"], &line["level"]), (&"run failed".into(), &"WARN".into()));
    let code = line["code"].as_str().unwrap();
    assert!(ran.stderr.contains(&format!("\"error\":{{\"code\":\"{code}\"")), "{}", ran.transcript());
    assert_eq!((&line["retries"], &line["requests"]), (&2.into(), &3.into()), "{line}");
    assert_eq!(line["retries_by"], format!("{code}=2"));
    assert!(line["why"].is_string() && line["place"].as_str().unwrap().contains("/people"), "{line}");
}

#[test]
fn every_line_within_a_run_names_it_and_text_for_people_has_no_such_line() {
    let stage = Stage::leads(fast(20), FaultPlan::none());
    let ran = stage.renkei(&["run", "--log-format", "json", "--log-level", "debug"]);
    let run = canonical(&ran)[0]["run"].clone();
    let attempts: Vec<Value> = ran.events().into_iter().filter(|line| line["message"] == "attempt").collect();
    let within = attempts.iter().filter(|line| line["run"] == run && line["pipeline"] == "demo-leads").count();
    assert!(within > 2 && within == attempts.len(), "{within} of {}: {}", attempts.len(), ran.transcript());
    let text = stage.renkei(&["run", "--log-format", "text"]);
    assert!(!text.stderr.contains("renkei_canonical"), "{}", text.transcript());
    let asked = stage.renkei(&["run", "--log-format", "text", "--log-level", "info"]);
    assert_eq!(asked.stderr.matches("run done").count(), 1, "{}", asked.transcript());
}
