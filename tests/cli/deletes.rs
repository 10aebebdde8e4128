//! What is gone at the source goes at the sink, as a person meets it: told by tombstones and by sweeps, held back by the brake,
//! allowed once, and foretold by a plan.

use std::fs;

use renkei::{
    model::{Clock, SystemClock},
    sandbox::{FaultPlan, WorldConfig},
};
use serde_json::{Value, json};

use crate::harness::{Ran, Stage, fast};

const PIPELINE: &str = "pipelines/demo-leads.yaml";

/// Leads of 100 customers, delivered by a pipeline that deletes.
fn stage(deletes: &str) -> Stage {
    let stage = Stage::leads(WorldConfig { bad_email: 0.0, ..fast(100) }, FaultPlan::none());
    let pipeline = fs::read_to_string(stage.path().join(PIPELINE)).unwrap();
    assert!(pipeline.contains("  operation: create_lead\n"), "{pipeline}");
    stage.write(
        PIPELINE,
        &pipeline.replace("  operation: create_lead\n", &format!("  operation: create_lead\n  deletes: {deletes}\n")),
    );
    assert_eq!(stage.run_until_nothing_is_lost().lost, 0);
    stage
}

/// Deletes customers that have a lead, or brings them back.
fn turn(stage: &Stage, customers: usize) {
    let leads: Vec<String> = stage.world(|world| {
        world.leads().iter().filter_map(|lead| lead.text("external_id").map(str::to_owned)).take(customers).collect()
    });
    turn_these(stage, &leads);
}

fn turn_these(stage: &Stage, ids: &[String]) {
    assert_eq!(stage.world(|world| world.delete(SystemClock.now(), ids)), ids.len());
}

/// Runs until nothing lingers: what was deleted in the last second is left to the next run.
fn run_until_nothing_lingers(stage: &Stage) {
    for _ in 0..1_000 {
        let ran = stage.renkei(&["run", "demo-leads"]);
        assert_eq!(ran.code, 0, "{}", ran.transcript());
        let report = stage.report();
        if report.lingering == 0 && report.lost == 0 {
            return;
        }
        stage.breathe();
    }
    panic!("{:?}", stage.report());
}

fn run_until_it_fails(stage: &Stage) -> Ran {
    (0..1_000)
        .map(|_| {
            stage.breathe();
            stage.renkei(&["run", "demo-leads"])
        })
        .find(|ran| ran.code != 0)
        .expect("the brake holds it back")
}

const DELETE: &str = "{ propagate: { operation: delete_lead } }";

#[test]
fn a_deleted_customer_loses_its_lead_and_one_that_comes_back_gets_a_new_one() {
    let stage = stage(DELETE);
    let before = stage.report();
    turn(&stage, 5);
    run_until_nothing_lingers(&stage);
    let gone = stage.report();
    assert_eq!((gone.leads, gone.counters.deleted), (before.leads - 5, 5));
    let idle = stage.renkei(&["run", "demo-leads", "--output", "json"]).json();
    assert_eq!(idle["runs"][0]["counts"]["deleted"], 0, "a tombstone that is read again deletes nothing again");
    let back: Vec<String> = stage.world(|world| {
        let deleted = world.entries(0).filter(|entry| entry.method == "DELETE");
        deleted.filter_map(|entry| entry.external_id.clone()).collect()
    });
    turn_these(&stage, &back);
    for _ in 0..1_000 {
        assert_eq!(stage.renkei(&["run", "demo-leads"]).code, 0);
        if stage.report().lost == 0 {
            break;
        }
        stage.breathe();
    }
    let after = stage.report();
    assert_eq!((after.lost, after.doubled, after.leads), (0, 0, before.leads), "{after:?}");
    assert_eq!(after.counters.created - before.counters.created, 5);
}

#[test]
fn an_archived_lead_is_closed_and_stays() {
    let stage = stage("{ archive: { operation: update_lead, fields: { status: \"'closed'\" } } }");
    let before = stage.report();
    turn(&stage, 3);
    run_until_nothing_lingers(&stage);
    let after = stage.report();
    assert_eq!((after.leads, after.counters.deleted), (before.leads, 0));
    let closed = stage.world(|world| world.leads().iter().filter(|lead| lead.text("status") == Some("closed")).count());
    assert_eq!(closed, 3);
}

#[test]
fn too_many_deletions_are_held_back_until_they_are_allowed_once() {
    let stage = stage(DELETE);
    let before = stage.report();
    turn(&stage, 30);
    let braked = run_until_it_fails(&stage);
    assert_eq!(braked.code, 5, "{}", braked.transcript());
    let told = &braked.stderr;
    for words in ["error[RK0812]", "of 9", "renkei run demo-leads", "--allow-deletes", "renkei plan demo-leads"] {
        assert!(told.contains(words), "{words} is missing in {told}");
    }
    assert_eq!(stage.report().leads, before.leads, "nothing is deleted before somebody decides");
    let status = stage.renkei(&["status"]);
    assert!(status.stdout.contains("deletions are held back"), "{}", status.transcript());
    let again = stage.renkei(&["run", "demo-leads"]);
    assert_eq!((again.code, stage.report().leads), (5, before.leads), "{}", again.transcript());

    let plan = stage.renkei(&["plan", "demo-leads", "--output", "json"]).json();
    assert_eq!((&plan["counts"]["delete"], &plan["held_back"]["code"]), (&json!(30), &json!("RK0812")), "{plan}");
    let few = stage.renkei(&["run", "demo-leads", "--allow-deletes", "29"]);
    assert_eq!(few.code, 5, "{}", few.transcript());
    let allowed = stage.renkei(&["run", "demo-leads", "--allow-deletes", "30"]);
    assert_eq!(allowed.code, 0, "{}", allowed.transcript());
    let after = stage.report();
    assert_eq!((after.lingering, after.leads), (0, before.leads - 30), "{after:?}");

    turn(&stage, 2);
    run_until_nothing_lingers(&stage);
    assert_eq!(stage.report().leads, before.leads - 32, "an allowance is for once, and so is the brake");
}

#[test]
fn a_plan_of_deletions_is_applied_as_it_was_made() {
    let stage = stage(DELETE);
    let before = stage.report();
    turn(&stage, 20);
    let plan = (0..1_000)
        .map(|_| stage.renkei(&["plan", "demo-leads", "--out", "plan.json", "--output", "json"]).json())
        .find(|plan| plan["counts"]["delete"] == 20)
        .expect("deletions that have settled are foretold");
    let sample = plan["samples"].as_array().unwrap().iter().find(|sample| sample["does"] == "delete").unwrap();
    assert!(sample["sink_id"].as_str().unwrap().starts_with("lead_"), "{sample}");
    assert_eq!(stage.report().leads, before.leads);
    let ran = stage.renkei(&["run", "--plan", "plan.json"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert_eq!(stage.report().leads, before.leads - 20);
}

/// The same customers, read whole each time.
fn swept() -> Stage {
    let stage = Stage::leads(WorldConfig { bad_email: 0.0, ..fast(100) }, FaultPlan::none());
    let connector = fs::read_to_string(stage.path().join("connectors/shop/connector.yaml")).unwrap();
    let whole = "streams:\n  everybody:\n    get: /shop/customers\n    query: { limit: 25 }\n    records: data\n    key: id\n    \
                 paginate: { cursor: { next: next_cursor, query: cursor } }\n    deletions: { sweep: {} }\n";
    stage.write("connectors/shop/connector.yaml", &connector.replacen("streams:\n", whole, 1));
    let pipeline = fs::read_to_string(stage.path().join(PIPELINE)).unwrap();
    let pipeline = pipeline.replace("stream: customers", "stream: everybody");
    let deletes = format!("  operation: create_lead\n  deletes: {DELETE}\n");
    stage.write(PIPELINE, &pipeline.replace("  operation: create_lead\n", &deletes));
    assert_eq!(stage.run_until_nothing_is_lost().lost, 0);
    stage
}

#[test]
fn a_sweep_says_how_many_of_how_many_it_misses_and_deletes_none_of_too_many() {
    let stage = swept();
    let before = stage.report();
    turn(&stage, 4);
    run_until_nothing_lingers(&stage);
    assert_eq!(stage.report().leads, before.leads - 4);
    turn(&stage, 25);
    let braked = stage.renkei(&["run", "demo-leads", "--output", "json"]);
    assert_eq!(braked.code, 5, "{}", braked.transcript());
    let live = before.leads - 4;
    let fault = &braked.json()["runs"][0]["fault"];
    let message = format!("25 of {live} records would be deleted, more than the pipeline allows");
    assert_eq!((&fault["code"], &fault["message"]), (&json!("RK0812"), &Value::from(message)));
    assert_eq!(stage.report().leads, live);
    let allowed = stage.renkei(&["run", "demo-leads", "--allow-deletes", "25"]);
    assert_eq!(allowed.code, 0, "{}", allowed.transcript());
    assert_eq!(stage.report().leads, live - 25);
}

#[test]
fn an_empty_listing_never_deletes_whatever_is_allowed() {
    let stage = swept();
    let before = stage.report();
    let everybody: Vec<String> = stage.world(|world| world.customers().map(|customer| customer.id.clone()).collect());
    turn_these(&stage, &everybody);
    let ran = stage.renkei(&["run", "demo-leads", "--allow-deletes", "1000"]);
    assert_eq!(ran.code, 5, "{}", ran.transcript());
    assert!(
        ran.stderr.contains("error[RK0813]") && ran.stderr.contains("an empty listing never deletes"),
        "{}",
        ran.stderr
    );
    assert_eq!(stage.report().leads, before.leads);
}

#[test]
fn a_deletion_that_is_refused_is_a_letter_and_goes_again_as_a_deletion() {
    let stage = stage(DELETE);
    let connector = fs::read_to_string(stage.path().join("connectors/crm/connector.yaml")).unwrap();
    let path = "    delete: /crm/leads/{{ sink.id }}\n";
    // An id that the CRM cannot read: it refuses the request, and not for good.
    let broken = connector.replace(
        path,
        &format!("{path}    headers: {{ Content-Type: text/plain }}\n    body: {{ json: \"{{{{ record }}}}\" }}\n"),
    );
    assert_ne!(broken, connector);
    let refusing = broken.replace("answers:\n", "answers:\n  - when: { status: 204 }\n    is: reject\n");
    stage.write("connectors/crm/connector.yaml", &refusing);
    turn(&stage, 1);
    for _ in 0..1_000 {
        stage.renkei(&["run", "demo-leads"]);
        if stage.report().counters.deleted > 0 {
            break;
        }
        stage.breathe();
    }
    let letters = stage.renkei(&["dead-letters", "list", "--output", "json"]).json();
    let letter = letters.as_array().unwrap().first().expect("a letter").clone();
    stage.write("connectors/crm/connector.yaml", &connector);
    let created = stage.report().counters.created;
    let ran = stage.renkei(&["dead-letters", "replay", letter["id"].as_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert_eq!(stage.report().counters.created, created, "a tombstone is never written as a record");
    assert_eq!(stage.renkei(&["dead-letters", "list", "--output", "json"]).json(), json!([]));
}
