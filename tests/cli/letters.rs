//! Dead letters from the command line: found, mended, sent again and dropped, against the sandbox and its account.

use serde_json::Value;

use crate::harness::{Stage, fast, slow};
use renkei::sandbox::FaultPlan;

/// A stage whose first run left letters, and their ids.
fn with_letters(customers: usize) -> (Stage, Vec<String>) {
    let stage = Stage::leads(fast(customers), FaultPlan::none());
    assert_eq!(stage.renkei(&["run"]).code, 1);
    let ids = ids(&stage, &[]);
    assert!(ids.len() >= 2, "{ids:?}");
    (stage, ids)
}

fn ids(stage: &Stage, filters: &[&str]) -> Vec<String> {
    let args = [&["dead-letters", "list", "--output", "json"], filters].concat();
    let listed = stage.renkei(&args).json();
    listed.as_array().unwrap().iter().map(|letter| letter["id"].as_str().unwrap().to_owned()).collect()
}

fn mend(stage: &Stage, id: &str) {
    let set = format!(r#"email="mended-{id}@example.com""#);
    let ran = stage.renkei(&["dead-letters", "edit", id, "--set", &set]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
}

#[test]
fn filters_find_letters_by_code_age_and_expression_and_say_what_is_wrong_with_them() {
    let (stage, all) = with_letters(300);
    assert_eq!(ids(&stage, &["demo-leads", "--code", "rk401", "--newer-than", "1h"]), all);
    assert!(ids(&stage, &["--code", "RK0404"]).is_empty() && ids(&stage, &["--older-than", "1h"]).is_empty());
    let one = format!("letter.id == \"{}\" and record.email is defined", all[1]);
    assert_eq!(ids(&stage, &["--where", &one]), all[1..2]);
    for (filter, words) in [
        (["--where", "letter.cod == 1"], "did you mean `letter.code`?"),
        (["--where", "record.email +"], "the expression `record.email +`"),
        (["--where", "record.email"], "must be true or false"),
        (["--code", "RK9999"], "there is no code `RK9999`"),
        (["--older-than", "soon"], "`soon` is no time"),
    ] {
        let ran = stage.renkei(&["dead-letters", "list", filter[0], filter[1]]);
        assert!(ran.code == 2 && ran.stderr.contains(words), "{}", ran.transcript());
    }
    assert_eq!(stage.renkei(&["dead-letters", "replay"]).code, 2, "all letters only where somebody says so");
}

#[test]
fn a_mended_letter_is_replayed_once_and_gone_and_the_others_stay() {
    let (stage, all) = with_letters(300);
    mend(&stage, &all[0]);
    let shown = stage.renkei(&["dead-letters", "show", &all[0]]);
    assert!(shown.stdout.contains("as read") && shown.stdout.contains("edited    {"), "{}", shown.stdout);
    let before = stage.report().leads;
    let ran = stage.renkei(&["dead-letters", "replay", &all[0], &all[1], "--output", "json"]);
    let counts = &ran.json()["runs"][0]["counts"];
    let number = |name: &str| counts[name].as_u64().unwrap();
    assert_eq!((ran.code, number("read"), number("created"), number("rejected")), (1, 2, 1, 1), "{}", ran.transcript());
    assert_eq!((stage.report().leads, stage.report().doubled), (before + 1, 0));
    let mut left = ids(&stage, &[]);
    left.sort();
    let mut expected = all[1..].to_vec();
    expected.sort();
    assert_eq!(left, expected);
    let again = stage.renkei(&["run", "--full-refresh", "customers"]);
    assert_eq!(stage.report().doubled, 0, "{}", again.transcript());
}

#[test]
fn an_edit_that_makes_the_record_unusable_is_refused_and_changes_nothing() {
    let (stage, all) = with_letters(300);
    let before = stage.renkei(&["dead-letters", "show", &all[0], "--output", "json"]).json();
    stage.write("list.json", "[1]");
    stage.write("nameless.json", r#"{"id":null}"#);
    for change in
        [["--set", "id=\"another\""], ["--set", "id=none"], ["--file", "list.json"], ["--file", "nameless.json"]]
    {
        let file = stage.path().join(change[1]);
        let value = if change[0] == "--file" { file.to_str().unwrap() } else { change[1] };
        let ran = stage.renkei(&["dead-letters", "edit", &all[0], change[0], value]);
        assert!(ran.code == 3 && ran.stderr.contains("RK0811"), "{change:?} {}", ran.transcript());
    }
    assert_eq!(stage.renkei(&["dead-letters", "show", &all[0], "--output", "json"]).json(), before);
    stage.write("patch.json", r#"{"email":"a@b.example","nickname":7}"#);
    let file = stage.path().join("patch.json");
    let ran = stage.renkei(&["dead-letters", "edit", &all[0], "--file", file.to_str().unwrap(), "--output", "json"]);
    let edited: Value = ran.json();
    assert_eq!((&edited["edited"]["nickname"], &edited["source"]), (&7.into(), &before["source"]));
    stage.renkei(&["dead-letters", "edit", &all[0], "--undo"]);
    assert_eq!(stage.renkei(&["dead-letters", "show", &all[0], "--output", "json"]).json(), before);
}

#[test]
fn letters_are_dropped_only_when_somebody_agreed() {
    let (stage, all) = with_letters(300);
    let asked = stage.renkei(&["dead-letters", "drop", "--all"]);
    assert!(asked.code == 2 && asked.stderr.contains("add --yes"), "{}", asked.transcript());
    assert_eq!(ids(&stage, &[]), all);
    let one = stage.renkei(&["dead-letters", "drop", &all[0], "--yes"]);
    assert_eq!((one.code, one.stdout.as_str()), (0, "1 dead letter dropped\n"));
    let rest = stage.renkei(&["dead-letters", "drop", "--pipeline", "demo-leads", "--yes", "--output", "json"]);
    assert_eq!(rest.json()["dropped"], all.len() - 1);
    assert!(ids(&stage, &[]).is_empty());
}

#[test]
fn a_replay_that_is_killed_leaves_each_letter_or_its_lead_and_another_one_ends_the_rest() {
    let (stage, all) = with_letters(300);
    all.iter().for_each(|id| mend(&stage, id));
    let before = stage.report().leads;
    stage.world(|world| world.set_faults(slow()));
    let mut child = stage.start(&["dead-letters", "replay", "--all"]);
    let begun = stage.counters().requests;
    stage.until(&mut child, |counters| counters.requests >= begun + 3);
    child.kill().unwrap();
    child.wait().unwrap();
    stage.world(|world| world.set_faults(FaultPlan::none()));
    let ran = stage.renkei(&["dead-letters", "replay", "--all"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let report = stage.report();
    assert_eq!((report.leads, report.doubled), (before + all.len() as u64, 0));
    assert!(ids(&stage, &[]).is_empty());
}

#[test]
fn a_run_that_refuses_more_than_its_pipeline_allows_stops_and_says_so() {
    let stage = Stage::leads(fast(300), FaultPlan::none());
    let path = "pipelines/demo-leads.yaml";
    let text = std::fs::read_to_string(stage.path().join(path)).unwrap();
    stage.write(path, &format!("{text}limits: {{ rejects_max: 1 }}\n"));
    let ran = stage.renkei(&["run", "--log-format", "text"]);
    assert!(
        ran.code == 5 && ran.stderr.contains("error[RK0810]") && ran.stderr.contains("the pipeline allows 1"),
        "{}",
        ran.transcript()
    );
    stage.write(path, &text);
    assert_eq!(stage.renkei(&["run"]).code, 1);
    assert_eq!((stage.report().lost, stage.report().doubled), (0, 0));
}
