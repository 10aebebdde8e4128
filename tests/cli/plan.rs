//! `plan` and `run --plan`: what a run would do, told by a command that the sandbox's account shows to have written nothing.

use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex},
};

use crate::{
    harness::{Stage, fast, slow},
    vendor::{Desk, Vendor, answer},
};
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
fn a_plan_file_that_was_edited_or_is_of_another_version_or_no_plan_at_all_is_refused_and_nothing_is_asked() {
    let stage = Stage::leads(fast(20), FaultPlan::none());
    plan(&stage, &["--out", "leads.plan"]);
    let text = fs::read_to_string(stage.path().join("leads.plan")).unwrap();
    let line = text.lines().nth(1).unwrap().to_owned();
    let digit = if line.starts_with('0') { "1" } else { "0" };
    let other = format!("{digit}{}", &line[1..]);
    let before = stage.counters().requests;
    for (wrong, words) in [
        (text.replace(&line, &other), "it was changed or cut short"),
        (text.replace(&format!("{line}\n"), ""), "it was changed or cut short"),
        (text.replace("\"full_refresh\":false", "\"full_refresh\":true"), "it was changed or cut short"),
        (text.replace("\"renkei_plan\":1", "\"renkei_plan\":2"), "it has format 2, and this renkei reads 1"),
        (text.replace("demo-leads", "demo-lead"), "it was changed or cut short"),
        ("{}\n".to_owned(), "it is no plan"),
        (String::new(), "it is no plan"),
        ("\u{0}\u{1}".to_owned(), "it is no plan"),
    ] {
        stage.write("wrong.plan", &wrong);
        let ran = stage.renkei(&["run", "--plan", "wrong.plan"]);
        assert!(ran.code == 3 && ran.stderr.contains("error[RK0803]"), "{}", ran.transcript());
        let said = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(words) && said.contains("make the plan again"), "{words}: {said}");
    }
    // A whole plan of a pipeline that is no longer there.
    fs::rename(stage.path().join("pipelines/demo-leads.yaml"), stage.path().join("pipelines/leads.yaml")).unwrap();
    let ran = stage.renkei(&["run", "--plan", "leads.plan"]);
    assert!(ran.code == 2 && ran.stderr.contains("there is no pipeline `demo-leads`"), "{}", ran.transcript());
    assert_eq!(stage.counters().requests, before, "nothing was read");
}

/// Two pages of two people, read over and over; from the `moves_at`-th pass on the last of them is another one than before.
fn moving(moves_at: usize) -> (Vendor, Arc<Mutex<Vec<String>>>) {
    let sent: Arc<Mutex<Vec<String>>> = Arc::default();
    let (log, mut passes) = (sent.clone(), 0);
    let vendor = Vendor::new(move |asked| {
        if asked.line.starts_with("POST") {
            log.lock().unwrap().push(asked.body.clone());
            let ids: Value = serde_json::from_str(&asked.body).unwrap();
            let done: Vec<Value> =
                ids["inputs"].as_array().unwrap().iter().map(|one| json!({"id": one["id"]})).collect();
            return answer("200 OK", &json!({ "done": done }).to_string());
        }
        let body = match asked.line.contains("token=") {
            false => {
                passes += 1;
                json!({"data": [{"id": 0, "n": 1}, {"id": 1, "n": 1}], "next": "2"})
            }
            true => json!({"data": [{"id": 2, "n": 1}, {"id": 3, "n": if passes >= moves_at { 2 } else { 1 }}]}),
        };
        answer("200 OK", &body.to_string())
    });
    (vendor, sent)
}

#[test]
fn a_record_that_moves_while_the_plan_is_applied_ends_the_run_before_it_is_staged() {
    // The plan, the check before the run, and the run itself read a pass each.
    let (vendor, sent) = moving(3);
    let desk = Desk::new(&vendor, "paged", "{ connection: vendor, operation: put_people, key: id }");
    desk.edit("connectors/vendor/connector.yaml", "batch: { size: 100 }", "batch: { size: 2 }");
    assert_eq!(desk.renkei(&["plan", "people", "--out", "people.plan"]).code, 0);
    let ran = desk.renkei(&["run", "--plan", "people.plan", "--output", "json", "--log-level", "off"]);
    assert_eq!(ran.code, 5, "{}", ran.transcript());
    let run = &ran.json()["runs"][0];
    assert_eq!((&run["fault"]["code"], &run["state"]), (&json!("RK0802"), &json!("failed")));
    let said = run["fault"]["help"].as_str().unwrap();
    assert!(said.contains("what was written until now was planned"), "{said}");
    let written = sent.lock().unwrap().join(" ");
    assert!(!written.contains("\"n\":2"), "what is not in the plan is not sent: {written}");
    let status = desk.renkei(&["status", "--output", "json"]).json();
    assert_eq!(status[0]["staged"], 0, "and not staged either");
    // Without the plan it goes on where it stands, and everybody is written once.
    assert_eq!(desk.renkei(&["run", "--log-level", "off"]).code, 0);
    let all = sent.lock().unwrap().join(" ");
    for (id, n) in [(0, 1), (1, 1), (2, 1), (3, 2)] {
        assert_eq!(all.matches(&format!(r#"{{"id":{id},"n":{n}}}"#)).count(), 1, "{all}");
    }
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
