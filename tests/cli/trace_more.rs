//! A record's way where other rules meet it: it is gone at the source, or what it holds is declared personal.

use std::fs;

use renkei::{
    model::{Clock, SystemClock},
    sandbox::{FaultPlan, WorldConfig},
};
use serde_json::{Value, json};

use crate::harness::{Ran, Stage, fast};

const PIPELINE: &str = "pipelines/demo-leads.yaml";

fn edit(stage: &Stage, path: &str, from: &str, to: &str) {
    let text = fs::read_to_string(stage.path().join(path)).unwrap();
    assert!(text.contains(from), "{path} has no {from}");
    stage.write(path, &text.replacen(from, to, 1));
}

fn typed(stage: &Stage, args: &[&str]) -> Ran {
    let mut command = stage.command(args);
    command.env("HASH", "a".repeat(64)).env("K1", "1".repeat(64));
    let ran = Ran::of(command.output().unwrap());
    assert!([0, 1].contains(&ran.code), "{}", ran.transcript());
    ran
}

fn events(stage: &Stage, key: &str) -> Vec<Value> {
    let told = typed(stage, &["trace", key, "--output", "json"]).json();
    told["pipelines"][0]["events"].as_array().unwrap().clone()
}

#[test]
fn a_record_that_is_gone_at_the_source_is_followed_to_its_deletion_and_beyond() {
    let stage = Stage::leads(WorldConfig { bad_email: 0.0, ..fast(40) }, FaultPlan::none());
    let deletes = "operation: create_lead\n  deletes: { propagate: { operation: delete_lead } }";
    edit(&stage, PIPELINE, "operation: create_lead", deletes);
    assert_eq!(stage.run_until_nothing_is_lost().lost, 0);
    let key = stage.world(|world| world.leads()[0].text("external_id").unwrap().to_owned());
    stage.world(|world| world.delete(SystemClock.now(), std::slice::from_ref(&key)));
    // What was deleted in the last second is left to the next run.
    for _ in 0..1_000 {
        typed(&stage, &["run"]);
        if stage.report().lingering == 0 {
            break;
        }
        stage.breathe();
    }
    typed(&stage, &["run"]);
    let all = events(&stage, &key);
    let verdicts: Vec<&str> = all.iter().map(|event| event["verdict"].as_str().unwrap()).collect();
    let deleted = verdicts.iter().position(|verdict| *verdict == "deleted").unwrap();
    assert_eq!((verdicts[0], &all[deleted]["deed"]), ("created", &json!("delete")), "{verdicts:?}");
    assert_eq!(all[deleted]["sent"][0]["operation"], "delete_lead");
    // A tombstone is read again as long as it lies within the overlap.
    let beyond = all[deleted + 1..].iter().all(|event| event["verdict"] == "unchanged");
    assert!(beyond && verdicts.len() > deleted + 1, "{verdicts:?}");
    assert!(all.last().unwrap()["why"].as_str().unwrap().starts_with("it is gone at the source, and its deletion"));
    let text = typed(&stage, &["trace", &key]).stdout;
    assert!(text.contains("deleted as lead_") && text.contains("state    gone at the source, "), "{text}");
}

/// Leads of people whose data is declared personal; their e-mail addresses are sent in the clear.
fn personal(rules: &str) -> Stage {
    let stage = Stage::leads(fast(60), FaultPlan::none());
    let keys = "personal: { hash_key: \"${HASH}\", keys: [{ id: k1, key: \"${K1}\" }] }\nconnections:\n";
    edit(&stage, "renkei.yaml", "connections:\n", keys);
    edit(&stage, PIPELINE, "steps:\n", &format!("{rules}steps:\n"));
    stage
}

#[test]
fn a_record_of_a_hashed_key_is_followed_by_the_key_of_the_source_and_by_its_hash() {
    let stage = personal("personal: { id: hash }\n");
    typed(&stage, &["run"]);
    let key = stage.world(|world| world.customers().find(|customer| customer.consent).unwrap().id.clone());
    let all = events(&stage, &key);
    assert_eq!(all.len(), 1);
    let hashed = all[0]["fields"]["external_id"].as_str().unwrap();
    assert!(hashed.starts_with("rk:h1:"), "{hashed}");
    assert_eq!(events(&stage, hashed), all);
    let without = stage.renkei(&["trace", &key]);
    assert!(without.code == 3 && without.stderr.contains("RK0118"), "{}", without.transcript());
}

#[test]
fn what_is_sent_in_the_clear_is_compared_with_the_sink_and_shown_nowhere() {
    let stage = personal("personal: { company: encrypt }\n");
    edit(&stage, PIPELINE, "  key: external_id\n", "  key: external_id\n  clear: company\n");
    typed(&stage, &["run"]);
    let clear = stage.world(|world| world.leads().iter().all(|lead| !lead.text("company").unwrap().contains("rk:")));
    assert!(clear, "the CRM got companies in the clear");
    // Another tier and the same company: one field differs, and the encrypted one does not.
    edit(&stage, PIPELINE, "tier: record.tier", "tier: record.tier ~ \"_x\"");
    let full = ["plan", "demo-leads", "--full-refresh", "--limit", "1000", "--output", "json"];
    let told = typed(&stage, &full).json();
    let updates: Vec<&Value> =
        told["samples"].as_array().unwrap().iter().filter(|sample| sample["does"] == "update").collect();
    assert!(updates.len() > 20, "{}", told["counts"]);
    for update in &updates {
        let changes = update["difference"]["fields"]["changes"].as_array().unwrap();
        assert_eq!((changes.len(), &changes[0]["field"]), (1, &json!("tier")), "{update}");
    }
    // Somebody at the CRM gave every company one code: it looks like what may be shown, and is hidden because it is declared.
    stage.world(|world| {
        let token = http::Request::post("/oauth/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body("grant_type=client_credentials&client_id=demo&client_secret=demo-secret".into());
        let answered = world.handle(SystemClock.now(), token.unwrap());
        let token: Value = serde_json::from_slice(answered.body()).unwrap();
        let ids: Vec<String> = world.leads().iter().map(|lead| lead.id.clone()).collect();
        for id in ids {
            let patch = http::Request::patch(format!("/crm/leads/{id}"))
                .header("content-type", "application/json")
                .header("authorization", format!("Bearer {}", token["access_token"].as_str().unwrap()))
                .body(json!({ "company": "code_7" }).to_string().into());
            assert_eq!(world.handle(SystemClock.now(), patch.unwrap()).status(), 200);
        }
    });
    let told = typed(&stage, &full);
    let (samples, hidden) = (told.json(), json!({"field": "company", "from": "***", "to": "***"}));
    for update in samples["samples"].as_array().unwrap().iter().filter(|sample| sample["does"] == "update") {
        let changes = update["difference"]["fields"]["changes"].as_array().unwrap();
        assert_eq!((changes.len(), changes.contains(&hidden)), (2, true), "{update}");
    }
    assert!(!told.stdout.contains("code_7"), "{}", told.stdout);
    stage.world(|world| {
        for customer in world.customers() {
            assert!(!told.stdout.contains(customer.company.as_str()), "{} is shown", customer.company);
        }
    });
}
