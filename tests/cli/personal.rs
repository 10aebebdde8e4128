//! Personal fields from the command line: what is planted in the shop is looked for in every byte of the state directory, in all
//! that is logged and printed, and in what the CRM got.

use std::fs;

use renkei::sandbox::FaultPlan;
use serde_json::{Value, json};

use crate::harness::{Ran, Stage, fast};

const KEYS: &str = "personal: { hash_key: \"${HASH}\", keys: [{ id: k1, key: \"${K1}\" }] }\n";
const PIPELINE: &str = r#"version: 1
from: { connection: shop, stream: customers }
RULES
steps: [{ filter: record.consent }]
to:
  connection: crm
  operation: create_lead
  changed: { operation: update_lead }
  key: external_id
  fields: { external_id: record.id, email: record.email, name: record.name, phone: record.phone, company: record.company }
"#;
const RULES: &str = "personal: { email: encrypt, name: hash, phone: mask }";

fn stage(rules: &str, clear: &str) -> Stage {
    let stage = Stage::leads(fast(120), FaultPlan::none());
    let workspace = fs::read_to_string(stage.path().join("renkei.yaml")).unwrap();
    stage.write("renkei.yaml", &format!("{workspace}{KEYS}"));
    stage.write("pipelines/demo-leads.yaml", &format!("{}{clear}", PIPELINE.replace("RULES", rules)));
    stage
}

fn type_with(stage: &Stage, keys: [&str; 2], args: &[&str]) -> Ran {
    let mut command = stage.command(args);
    command.env("HASH", keys[0].repeat(64)).env("K1", keys[1].repeat(64));
    Ran::of(command.output().unwrap())
}

fn typed(stage: &Stage, args: &[&str]) -> Ran {
    type_with(stage, ["a", "1"], args)
}

/// Everything that some commands print and log, and every byte of the state directory.
fn everything(stage: &Stage) -> String {
    let mut all = String::new();
    for args in [
        &["plan", "demo-leads", "--limit", "1000"][..],
        &["plan", "demo-leads", "--limit", "1000", "--output", "json"],
        &["run", "--log-level", "debug", "--log-format", "json"],
        &["run", "--full-refresh", "customers", "--log-level", "debug", "--log-format", "text"],
        &["runs", "show", &run_id(stage)],
        &["dead-letters", "list", "--output", "json"],
        &["links", "show", "demo-leads", "--limit", "1000"],
        &["status"],
    ] {
        let ran = typed(stage, args);
        assert!([0, 1, 2].contains(&ran.code), "{}", ran.transcript());
        all += &ran.transcript();
    }
    assert!(all.contains("\"message\":\"attempt\""), "nothing was logged");
    for id in ids(stage) {
        for form in ["text", "json"] {
            let ran = typed(stage, &["dead-letters", "show", &id, "--output", form]);
            assert_eq!(ran.code, 0, "{}", ran.transcript());
            all += &ran.transcript();
        }
    }
    all += &String::from_utf8_lossy(&state(stage));
    all
}

/// Every byte of the state directory.
fn state(stage: &Stage) -> Vec<u8> {
    let mut folders = vec![stage.path().join("state")];
    let mut all = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => all.extend(fs::read(path).unwrap()),
            }
        }
    }
    assert!(all.len() > 10_000, "{} bytes", all.len());
    all
}

fn run_id(stage: &Stage) -> String {
    let runs = typed(stage, &["runs", "--output", "json"]).json();
    runs[0]["id"].as_str().unwrap_or("none").to_owned()
}

fn ids(stage: &Stage) -> Vec<String> {
    let listed = typed(stage, &["dead-letters", "list", "--output", "json"]).json();
    listed.as_array().unwrap().iter().map(|letter| letter["id"].as_str().unwrap().to_owned()).collect()
}

/// The personal values of all customers that can be told from other texts.
fn planted(stage: &Stage) -> Vec<String> {
    let of = |customer: &renkei::sandbox::Customer| {
        [customer.email.clone().unwrap_or_default(), customer.name.clone(), customer.phone.clone()]
    };
    let all: Vec<String> = stage.world(|world| world.customers().flat_map(of).collect());
    all.into_iter().map(|value| value.trim().to_owned()).filter(|value| value.len() > 9).collect()
}

fn found<'p>(all: &str, planted: &'p [String]) -> Vec<&'p String> {
    planted.iter().filter(|value| all.contains(value.as_str())).collect()
}

#[test]
fn nothing_planted_in_the_shop_is_printed_logged_or_kept_and_the_crm_gets_what_it_needs() {
    let stage_of = |rules, clear| {
        let stage = stage(rules, clear);
        (everything(&stage), stage)
    };
    let (all, stage) = stage_of(RULES, "  clear: email\n");
    let planted = planted(&stage);
    assert!(planted.len() > 300 && !ids(&stage).is_empty(), "{} values", planted.len());
    assert_eq!(found(&all, &planted), Vec::<&String>::new());
    assert!(all.contains("rk:e1:k1:") && all.contains("rk:h1:"));
    let (leads, clear) = stage.world(|world| {
        let customers: Vec<_> = world.customers().cloned().collect();
        let leads: Vec<Value> = customers
            .iter()
            .flat_map(|customer| world.leads_of(&customer.id).map(|lead| (customer.clone(), lead.clone())))
            .map(|(customer, lead)| {
                assert_eq!(lead.text("email").map(str::to_owned), customer.email);
                Value::from(lead.fields)
            })
            .collect();
        (leads.len(), Value::from(leads).to_string())
    });
    assert!(leads > 50, "{leads}");
    let others: Vec<String> = planted.iter().filter(|value| !value.contains('@')).cloned().collect();
    assert_eq!(found(&clear, &others), Vec::<&String>::new());
    assert_eq!(stage.report().doubled, 0);
    // The same search, without the rules.
    let (all, stage) = stage_of("", "");
    assert!(!found(&all, &self::planted(&stage)).is_empty());
}

#[test]
fn what_is_typed_into_a_personal_field_of_a_letter_is_protected_before_it_is_stored() {
    let stage = stage(RULES, "  clear: email\n");
    typed(&stage, &["run"]);
    let id = ids(&stage).remove(0);
    let edit =
        ["dead-letters", "edit", &id, "--set", "email=\"Mended.Typed@example.com\"", "--set", "name=\"Typed Name\""];
    let without = stage.renkei(&edit);
    assert!(without.code == 3 && without.stderr.contains("RK0118"), "{}", without.transcript());
    let ran = typed(&stage, &[&edit[..], &["--output", "json"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let edited = &ran.json()["edited"];
    assert!(edited["email"].as_str().unwrap().starts_with("rk:e1:k1:"), "{edited}");
    assert!(edited["name"].as_str().unwrap().starts_with("rk:h1:"), "{edited}");
    let shown = typed(&stage, &["dead-letters", "show", &id]);
    for text in [&ran.stdout, &shown.stdout] {
        assert!(!text.contains("Typed"), "{text}");
    }
    assert!(!state(&stage).windows(5).any(|window| window == b"Typed"));
    let before = stage.report().leads;
    let ran = typed(&stage, &["dead-letters", "replay", &id]);
    assert_eq!((ran.code, stage.report().leads), (0, before + 1), "{}", ran.transcript());
    let emails = stage.world(|world| {
        let customers: Vec<_> = world.customers().map(|customer| customer.id.clone()).collect();
        customers
            .iter()
            .flat_map(|id| world.leads_of(id))
            .filter_map(|lead| lead.text("email").map(str::to_owned))
            .collect::<Vec<_>>()
    });
    assert!(emails.contains(&"Mended.Typed@example.com".to_owned()), "the rule was not applied twice: {emails:?}");
}

#[test]
fn a_record_of_a_hashed_key_is_found_by_the_key_of_the_source_and_by_its_hash() {
    let stage = stage("personal: { id: hash }", "");
    // A filter leaves out who gave no consent.
    let (at, key) = stage.world(|world| {
        let mut all = world.customers().enumerate();
        all.find(|(_, customer)| customer.consent).map(|(at, customer)| (at, customer.id.clone())).unwrap()
    });
    let (key, lead) = (key.as_str(), format!("lead_{at}"));
    let csv = stage.world(|world| {
        world.customers().enumerate().map(|(at, customer)| format!("{},lead_{at}\n", customer.id)).collect::<String>()
    });
    stage.write("all.csv", &format!("key,sink_id\n{csv}"));
    let ran = typed(&stage, &["links", "import", "demo-leads", "all.csv"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let shown = typed(&stage, &["links", "show", "demo-leads", key, "--output", "json"]).json();
    let hashed = shown["key"].as_str().unwrap().to_owned();
    assert!(hashed.starts_with("rk:h1:") && shown["sink_id"] == *lead, "{shown}");
    // A hash needs no keys.
    let shown = stage.renkei(&["links", "show", "demo-leads", &hashed, "--output", "json"]).json();
    assert_eq!(shown["sink_id"], *lead);
    let without = stage.renkei(&["links", "show", "demo-leads", key]);
    assert!(without.code == 3 && without.stderr.contains("RK0118"), "{}", without.transcript());
    let told = typed(&stage, &["plan", "demo-leads", "--limit", "1000", "--output", "json"]).json();
    assert_eq!((&told["counts"]["create"], &told["counts"]["create_or_update"]), (&json!(0), &json!(0)), "{told}");
    assert!(told["samples"].to_string().contains(&hashed), "{told}");
    let other = type_with(&stage, ["b", "1"], &["run"]);
    assert!(other.code == 3 && other.stderr.contains("RK0118"), "{}", other.transcript());
    assert_eq!(typed(&stage, &["links", "forget", "demo-leads", key]).code, 0);
    assert_eq!(typed(&stage, &["links", "show", "demo-leads", key]).code, 2);
}
