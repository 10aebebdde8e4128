//! What a plan asks the sink: whether a record is there, what it holds, and what an update would change. The sandbox's account
//! shows that nothing is written by it.

use std::fs;

use crate::{
    harness::{Stage, fast},
    vendor::{Desk, Vendor, answer, people},
};
use renkei::{
    model::{Clock, SystemClock},
    sandbox::FaultPlan,
};
use serde_json::{Value, json};

const PIPELINE: &str = "pipelines/demo-leads.yaml";
const CONNECTOR: &str = "connectors/crm/connector.yaml";

fn plan(stage: &Stage, more: &[&str]) -> Value {
    let before = writes(stage);
    let ran = stage
        .renkei(&[&["plan", "demo-leads", "--full-refresh", "--limit", "1000", "--output", "json"], more].concat());
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    assert_eq!(writes(stage), before, "a plan writes nothing");
    ran.json()
}

/// What the sandbox counts of writes. It counts a reading that finds nothing as refused.
fn writes(stage: &Stage) -> [u64; 4] {
    let counters = stage.counters();
    [counters.created, counters.updated, counters.unchanged, counters.replayed]
}

fn edit(stage: &Stage, path: &str, from: &str, to: &str) {
    let text = fs::read_to_string(stage.path().join(path)).unwrap();
    assert!(text.contains(from), "{path} has no {from}");
    stage.write(path, &text.replace(from, to));
}

/// Writes into another operation, whose text goes into the connector.
fn into(stage: &Stage, operation: &str, text: &str) {
    let connector = fs::read_to_string(stage.path().join(CONNECTOR)).unwrap();
    stage.write(CONNECTOR, &format!("{connector}\n  {operation}:\n{text}"));
    edit(stage, PIPELINE, "operation: create_lead", &format!("operation: {operation}"));
}

fn samples<'a>(told: &'a Value, does: &str) -> Vec<&'a Value> {
    told["samples"].as_array().unwrap().iter().filter(|sample| sample["does"] == does).collect()
}

#[test]
fn an_update_shows_field_by_field_what_differs_from_what_the_sink_holds() {
    let stage = Stage::leads(fast(60), FaultPlan::none());
    stage.renkei(&["run"]);
    let expressions = "tier: record.tier ~ \"_x\"\n    email: \"'a' ~ record.email\"";
    edit(&stage, PIPELINE, "    email: record.email\n", "");
    edit(&stage, PIPELINE, "tier: record.tier", expressions);
    let told = plan(&stage, &[]);
    let updates = samples(&told, "update");
    assert_eq!((updates.len() as u64, &told["equal"]), (told["counts"]["update"].as_u64().unwrap(), &json!(0)));
    assert_eq!(told["compared"], told["counts"]["update"]);
    for update in updates {
        let changes = update["difference"]["fields"]["changes"].as_array().unwrap();
        let named: Vec<&Value> = changes.iter().map(|change| &change["field"]).collect();
        assert_eq!(named, ["tier", "email"], "{update}");
        let (from, to) = (changes[0]["from"].as_str().unwrap(), changes[0]["to"].as_str().unwrap());
        assert_eq!(to, format!("{from}_x"));
        assert_eq!((&changes[1]["from"], &changes[1]["to"]), (&json!("***"), &json!("***")));
        assert_eq!(update["difference"]["fields"]["equal"], 6);
    }
    let text = stage.renkei(&["plan", "demo-leads", "--full-refresh", "--limit", "1"]).stdout;
    assert!(text.contains(", 6 fields as they are\n    tier \"") && text.contains("_x\"\n"), "{text}");
    assert!(text.contains("    email \"***\" -> \"***\" (masked; they differ)\n") && !text.contains('@'), "{text}");
    assert!(text.contains("updates were compared with what the sink holds: each of them changes something"), "{text}");
    stage.world(|world| {
        for lead in world.leads() {
            let email = lead.text("email").unwrap();
            assert!(!told.to_string().contains(email), "{email} is shown");
        }
    });
}

#[test]
fn an_update_that_changes_nothing_and_one_of_a_record_that_is_gone_are_told_as_such() {
    let stage = Stage::leads(fast(60), FaultPlan::none());
    stage.renkei(&["run"]);
    let pairs: Vec<(String, String)> = stage.world(|world| {
        world.leads().into_iter().map(|lead| (lead.text("external_id").unwrap().to_owned(), lead.id.clone())).collect()
    });
    // Another store that knows the ids and not what was sent, and one id that the CRM has never given.
    fs::remove_dir_all(stage.path().join("state")).unwrap();
    let lines = pairs.iter().enumerate().map(|(at, (key, id))| match at {
        0 => format!("{key},lead_999999\n"),
        _ => format!("{key},{id}\n"),
    });
    stage.write("links.csv", &format!("key,sink_id\n{}", lines.collect::<String>()));
    assert_eq!(stage.renkei(&["links", "import", "demo-leads", "links.csv"]).code, 0);
    let told = plan(&stage, &[]);
    let all = pairs.len() as u64;
    assert_eq!(told["counts"]["update"].as_u64(), Some(all));
    assert_eq!((told["compared"].as_u64(), told["equal"].as_u64()), (Some(all - 1), Some(all - 1)), "{told}");
    let gone: Vec<&Value> =
        samples(&told, "update").into_iter().filter(|update| update["difference"] == "gone").collect();
    assert_eq!((gone.len(), &gone[0]["sink_id"]), (1, &json!("lead_999999")));
    let text = stage.renkei(&["plan", "demo-leads", "--limit", "1000"]).stdout;
    assert!(text.contains(&format!("{} of them change nothing", all - 1)), "{text}");
    assert!(text.contains(": the sink holds all of it already\n"), "{text}");
    assert!(text.contains("as lead_999999: the sink has no such record any more {"), "{text}");
}

#[test]
fn no_more_than_two_hundred_records_are_read_or_looked_up() {
    let stage = Stage::leads(fast(400), FaultPlan::none());
    stage.renkei(&["run"]);
    edit(&stage, PIPELINE, "tier: record.tier", "tier: record.tier ~ \"_x\"");
    let told = plan(&stage, &[]);
    let updates = told["counts"]["update"].as_u64().unwrap();
    assert!(updates > 250 && told["compared"] == 200, "{}", told["counts"]);
    // The pages of the shop, and one reading for each that was compared; the token was kept.
    assert_eq!(told["requests"].as_u64(), Some(told["pages"].as_u64().unwrap() + 200));
    let unread = samples(&told, "update").into_iter().filter(|update| update.get("difference").is_none());
    assert_eq!(unread.count() as u64, updates - 200);
}

#[test]
fn an_upsert_that_can_be_read_is_known_to_create_or_to_update() {
    let stage = Stage::leads(fast(60), FaultPlan::none());
    stage.renkei(&["run"]);
    let created = stage.counters().created;
    fs::remove_dir_all(stage.path().join("state")).unwrap();
    stage.world(|world| world.change(SystemClock.now(), 30));
    edit(&stage, PIPELINE, "operation: create_lead\n  changed: { operation: update_lead }", "operation: upsert_lead");
    let told = plan(&stage, &[]);
    let counts = &told["counts"];
    let known = counts["create"].as_u64().unwrap() + counts["update"].as_u64().unwrap();
    assert_eq!((counts["create_or_update"].as_u64(), counts["update"].as_u64() >= Some(created - 30)), (Some(0), true));
    let ran = stage.renkei(&["run", "--output", "json"]).json();
    let done = &ran["runs"][0]["counts"];
    let number = |name: &str| done[name].as_u64().unwrap();
    // The CRM says "updated" also where nothing changed; what it refuses nobody can foretell.
    assert_eq!(number("created") + number("updated") + number("rejected"), known);
    assert_eq!(counts["update"].as_u64(), Some(number("updated")));
}

const LOOK_UP: &str = r#"    post: /crm/leads/plain
    makes: create
    repeat:
      look_up:
        get: /crm/leads/search
        query: { external_id: "{{ record.external_id }}" }
        list: data
        id: id
        match: { answer: external_id, sent: external_id }
        update: update_lead
    sink_id: id
"#;

#[test]
fn a_look_up_tells_what_a_run_would_create_update_and_refuse_and_what_it_would_change() {
    let stage = Stage::leads(fast(60), FaultPlan::none());
    stage.renkei(&["run"]);
    let created = stage.counters().created;
    fs::remove_dir_all(stage.path().join("state")).unwrap();
    into(&stage, "find_lead", LOOK_UP);
    edit(&stage, PIPELINE, "tier: record.tier", "tier: record.tier ~ \"_x\"");
    // Someone who is not there yet, and one who is there twice.
    let twice = stage.world(|world| world.leads()[0].text("external_id").unwrap().to_owned());
    let runner = tokio::runtime::Runtime::new().unwrap();
    runner.block_on(double(&stage, &twice));
    let told = plan(&stage, &[]);
    let counts = &told["counts"];
    assert_eq!(
        (counts["update"].as_u64(), counts["create_or_update"].as_u64()),
        (Some(created - 1), Some(0)),
        "{counts}"
    );
    assert_eq!(told["compared"].as_u64(), Some(created - 1));
    let refused = samples(&told, "reject");
    let ambiguous = refused.iter().filter(|sample| sample["reason"]["code"] == "RK0421").count();
    assert_eq!(ambiguous, 1, "{refused:?}");
    let changed = &samples(&told, "update")[0]["difference"]["fields"];
    assert_eq!((&changed["changes"][0]["field"], &changed["equal"]), (&json!("tier"), &json!(7)));
    let ran = stage.renkei(&["run", "--output", "json"]).json();
    let done = &ran["runs"][0]["counts"];
    assert_eq!(done["updated"], counts["update"]);
    assert_eq!(done["parked"], 1);
    assert_eq!(
        done["created"].as_u64().unwrap() + done["rejected"].as_u64().unwrap(),
        counts["create"].as_u64().unwrap()
    );

    // The look-up is a hop of the record's way.
    let key = told["samples"][0]["key"].as_str().unwrap();
    let sent = &stage.renkei(&["trace", key, "--output", "json"]).json()["pipelines"][0]["events"][0]["sent"];
    assert_eq!((&sent[0]["asks"], &sent[0]["operation"]), (&json!("look_up"), &json!("find_lead")), "{sent}");
}

/// Makes a second lead of a customer, past the pipeline.
async fn double(stage: &Stage, external_id: &str) {
    stage.world(|world| {
        let token = http::Request::post("/oauth/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body("grant_type=client_credentials&client_id=demo&client_secret=demo-secret".into());
        let answered = world.handle(SystemClock.now(), token.unwrap());
        let token: Value = serde_json::from_slice(answered.body()).unwrap();
        let token = token["access_token"].as_str().unwrap();
        let body = json!({ "external_id": external_id, "email": "a@b.example" }).to_string();
        let create = http::Request::post("/crm/leads/plain")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"))
            .body(body.into());
        assert_eq!(world.handle(SystemClock.now(), create.unwrap()).status(), 201);
    });
}

#[test]
fn a_revision_that_is_read_before_a_write_is_read_for_a_plan_too() {
    let stage = Stage::leads(fast(40), FaultPlan::none());
    stage.renkei(&["run"]);
    let connector = fs::read_to_string(stage.path().join(CONNECTOR)).unwrap();
    let locked = "  lock_lead:\n    patch: /crm/leads/{{ sink.id }}\n    makes: update\n    repeat:\n      revision:\n        read: { get: \"/crm/leads/{{ sink.id }}\" }\n        at: { header: ETag }\n";
    stage.write(CONNECTOR, &format!("{connector}\n{locked}"));
    edit(&stage, PIPELINE, "changed: { operation: update_lead }", "changed: { operation: lock_lead }");
    edit(&stage, PIPELINE, "tier: record.tier", "tier: record.tier ~ \"_x\"");
    let told = plan(&stage, &[]);
    assert!(told["compared"].as_u64() > Some(0) && told["compared"] == told["counts"]["update"], "{told}");
    let changed = &samples(&told, "update")[0]["difference"]["fields"];
    assert_eq!((&changed["changes"][0]["field"], &changed["equal"]), (&json!("tier"), &json!(7)));
}

#[test]
fn a_reading_that_the_sink_refuses_or_answers_strangely_leaves_the_plan_as_it_would_be_without() {
    let connector = |read: &str| {
        format!(
            "  update:\n    patch: \"/people/{{{{ sink.id }}}}\"\n    makes: update\n    repeat: {{ upsert: {{ unique: id }} }}\n    read: {{ get: \"/one/{{{{ record.id }}}}\"{read} }}\n"
        )
    };
    for (status, body, read, words) in [
        ("400 Bad Request", r#"{"error":"no"}"#, "", "asking the sink about it failed"),
        ("200 OK", "[1]", "", "has no fields at `.`"),
        ("200 OK", r#"{"data":"x"}"#, ", compare: { answer: data }", "has no fields at `data`"),
    ] {
        let vendor = Vendor::new(move |asked| match asked.line.starts_with("GET /one/") {
            true => answer(status, body),
            false => answer("200 OK", &people(0..1)),
        });
        let desk = Desk::new(&vendor, "people", "{ connection: vendor, operation: update }");
        let path = "connectors/vendor/connector.yaml";
        let text = fs::read_to_string(desk.path().join(path)).unwrap();
        desk.write(path, &format!("{text}{}", connector(read)));
        desk.write("links.csv", "key,sink_id\n0,7\n");
        assert_eq!(desk.renkei(&["links", "import", "people", "links.csv"]).code, 0);
        let ran = desk.renkei(&["plan", "people", "--output", "json"]);
        assert_eq!(ran.code, 0, "{}", ran.transcript());
        let told = ran.json();
        let why = told["samples"][0]["difference"]["unknown"]["message"].as_str().unwrap();
        assert!(why.contains(words) && told["compared"] == 0 && told["counts"]["update"] == 1, "{told}");
        let text = desk.renkei(&["plan", "people"]).stdout;
        assert!(text.contains("what the sink holds cannot be told: RK04"), "{text}");
    }
}
