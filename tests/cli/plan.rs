//! `plan` and `run --plan`: what a run would do, told by a command that the sandbox's account shows to have written nothing.

use std::{collections::BTreeMap, fs};

use crate::harness::{Stage, fast, slow};
use renkei::{
    model::{Clock, SystemClock},
    sandbox::{Counters, FaultPlan},
};
use serde_json::{Value, json};

/// What the sandbox counts of writes, and all that the store tells.
fn everything(stage: &Stage) -> (Vec<u64>, BTreeMap<String, Value>) {
    let Counters { created, updated, unchanged, replayed, refused, .. } = stage.counters();
    let listings = [
        vec!["state", "show"],
        vec!["runs"],
        vec!["links", "show", "demo-leads", "--limit", "10000"],
        vec!["dead-letters", "list", "--limit", "10000"],
    ];
    let shown = listings.into_iter().map(|args| {
        let told = stage.renkei(&[args.clone(), vec!["--output", "json"]].concat()).json();
        (args.join(" "), told)
    });
    (vec![created, updated, unchanged, replayed, refused], shown.collect())
}

fn plan(stage: &Stage, more: &[&str]) -> Value {
    let ran = stage.renkei(&[&["plan", "demo-leads", "--output", "json"], more].concat());
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    ran.json()
}

#[test]
fn a_plan_foretells_the_run_and_writes_nothing_anywhere() {
    let stage = Stage::leads(fast(200), FaultPlan::none());
    let before = everything(&stage);
    let told = plan(&stage, &[]);
    assert_eq!(everything(&stage), before);
    assert_eq!((&told["counts"]["read"], told["samples"].as_array().map(Vec::len)), (&json!(200), Some(20)));
    let ran = stage.renkei(&["run", "--output", "json"]).json();
    let done = &ran["runs"][0]["counts"];
    // What the CRM refuses for rules of its own nobody can foretell.
    let written = done["created"].as_u64().unwrap() + done["rejected"].as_u64().unwrap();
    assert_eq!(told["counts"]["create"].as_u64(), Some(written));
    assert_eq!(told["counts"]["skip"], done["skipped"]);

    let same = plan(&stage, &["--full-refresh"]);
    assert_eq!((&same["counts"]["update"], &same["counts"]["unchanged"]), (&json!(0), &done["created"]), "{same}");
    let path = "pipelines/demo-leads.yaml";
    let pipeline = fs::read_to_string(stage.path().join(path)).unwrap();
    stage.write(path, &pipeline.replace("company: record.company", "company: record.company ~ \"x\""));
    let before = everything(&stage);
    let told = plan(&stage, &["--full-refresh", "--limit", "1000"]);
    assert_eq!(everything(&stage), before);
    let ran = stage.renkei(&["run", "--full-refresh", "customers", "--output", "json"]).json();
    let done = &ran["runs"][0]["counts"];
    let update = told["counts"]["update"].as_u64().unwrap();
    assert!(update > 0 && done["updated"].as_u64() == Some(update), "{told} {done}");
    assert_eq!((&told["counts"]["unchanged"], &told["counts"]["read"]), (&done["unchanged"], &done["read"]));
    let samples = told["samples"].as_array().unwrap();
    let updates = samples.iter().filter(|sample| sample["does"] == "update").count() as u64;
    assert_eq!(updates, update);
}

#[test]
fn what_is_about_people_is_masked_in_text_and_json() {
    let stage = Stage::leads(fast(100), FaultPlan::none());
    let (text, json) = (
        stage.renkei(&["plan", "demo-leads", "--limit", "1000"]).stdout,
        plan(&stage, &["--limit", "1000"]).to_string(),
    );
    assert!(text.contains("\"name\":\"***\"") && text.contains("\"external_id\":\"cus_"), "{text}");
    stage.world(|world| {
        for customer in world.customers() {
            for part in [Some(&customer.name), customer.email.as_ref(), Some(&customer.phone)].into_iter().flatten() {
                let seen = part.len() > 3 && (text.contains(part.as_str()) || json.contains(part.as_str()));
                assert!(!seen, "{part} is shown");
            }
        }
    });
}

#[test]
fn a_plan_is_applied_exactly() {
    let stage = Stage::leads(fast(80), FaultPlan::none());
    let told = plan(&stage, &["--out", "leads.plan"]);
    let saved = fs::read_to_string(stage.path().join("leads.plan")).unwrap();
    assert!(!saved.contains("cus_") && !saved.contains('@'), "a plan file holds no record");
    let ran = stage.renkei(&["run", "--plan", "leads.plan", "--output", "json"]);
    let done = &ran.json()["runs"][0]["counts"];
    let written = done["created"].as_u64().unwrap() + done["rejected"].as_u64().unwrap();
    assert_eq!(told["counts"]["create"].as_u64(), Some(written), "{}", ran.transcript());
    assert_eq!((stage.report().lost, stage.report().doubled), (0, 0));
    // It is done: the same plan again is a plan of another world.
    let again = stage.renkei(&["run", "--plan", "leads.plan"]);
    assert!(again.code == 5 && again.stderr.contains("error[RK0802]"), "{}", again.transcript());
}

#[test]
fn a_plan_is_refused_whole_when_the_world_moved() {
    let stage = Stage::leads(fast(80), FaultPlan::none());
    plan(&stage, &["--out", "leads.plan"]);
    stage.world(|world| world.change(SystemClock.now(), 5));
    let before = everything(&stage);
    let ran = stage.renkei(&["run", "--plan", "leads.plan"]);
    assert!(ran.code == 5 && ran.stderr.contains("nothing was written; make the plan again"), "{}", ran.transcript());
    assert_eq!(everything(&stage), before);
}

#[test]
fn a_plan_file_of_another_pipeline_or_target_or_cut_short_is_refused() {
    let stage = Stage::leads(fast(20), FaultPlan::none());
    plan(&stage, &["--out", "leads.plan"]);
    let pipeline = fs::read_to_string(stage.path().join("pipelines/demo-leads.yaml")).unwrap();
    stage.write("pipelines/others.yaml", &pipeline);
    let refused = |args: &[&str]| {
        let ran = stage.renkei(args);
        assert!(ran.code == 3 && ran.stderr.contains("error[RK0803]"), "{}", ran.transcript());
    };
    refused(&["run", "others", "--plan", "leads.plan"]);
    let text = fs::read_to_string(stage.path().join("leads.plan")).unwrap();
    stage.write("cut.plan", &text[..text.len() - 60]);
    refused(&["run", "--plan", "cut.plan"]);
    refused(&["run", "--plan", "missing.plan"]);
    let upsert = pipeline.replace("operation: create_lead", "operation: upsert_lead");
    stage.write("pipelines/demo-leads.yaml", &upsert.replace("  changed: { operation: update_lead }\n", ""));
    refused(&["run", "--plan", "leads.plan"]);
    assert_eq!(stage.counters().created, 0);
}

#[test]
fn staged_batches_count_as_written_and_cannot_be_planned_around() {
    let stage = Stage::leads(fast(300), slow());
    let mut child = stage.start(&["run", "demo-leads"]);
    stage.until(&mut child, |counters| counters.created > 5);
    child.kill().unwrap();
    child.wait().unwrap();
    stage.world(|world| world.set_faults(FaultPlan::none()));
    let told = plan(&stage, &[]);
    assert!(told["staged"].as_u64() > Some(0), "{told}");
    let refused = stage.renkei(&["plan", "demo-leads", "--out", "leads.plan"]);
    assert!(refused.code == 2 && refused.stderr.contains("staged batches"), "{}", refused.transcript());
    assert!(!stage.path().join("leads.plan").exists());
}
