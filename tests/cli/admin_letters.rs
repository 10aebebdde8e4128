//! Dead letters over the admin API: mended and sent again while the service runs.

use renkei::sandbox::FaultPlan;
use serde_json::{Value, json};

use crate::{
    admin::{Admin, with_admin},
    harness::{Stage, fast},
    serve::scheduled,
};

/// A service whose sink refused some records, and their letters.
fn refused() -> (Admin, Vec<Value>) {
    let admin =
        Admin::start(with_admin(scheduled(Stage::leads(fast(300), FaultPlan::none()), "{ cron: \"0 0 1 1 *\" }")));
    assert_eq!(admin.post("/api/v1/pipelines/demo-leads/trigger").status, 202);
    admin.until(|shown| shown["state"] == "idle" && shown["runs"][0]["state"] == "done");
    let letters = admin.get("/api/v1/dead-letters?pipeline=demo-leads")["dead_letters"].as_array().unwrap().clone();
    assert!(letters.len() >= 2, "{letters:?}");
    (admin, letters)
}

#[test]
fn letters_are_listed_mended_sent_again_and_dropped_while_the_service_runs() {
    let (admin, letters) = refused();
    assert!(letters.iter().all(|letter| letter.get("source").is_none()), "a list shows no record");
    let id = |at: usize| letters[at]["id"].as_str().unwrap();
    let path = format!("/api/v1/dead-letters/{}", id(0));
    let edit = |body: Value| admin.send("POST", &format!("{path}/edit"), Some(&body));
    assert!(admin.get(&path)["source"].is_object());

    let unusable = (422, "RK0811".to_owned());
    assert_eq!(edit(json!({ "patch": { "id": "another" } })).refusal(), unusable, "it would be another record");
    assert_eq!(edit(json!({ "patch": { "id": null } })).refusal(), unusable, "it would be none");
    assert_eq!(edit(json!({ "set": { "email": "record.(" } })).refusal(), (400, "RK0932".to_owned()));
    assert_eq!(admin.get(&path).get("edited"), None, "none of them changed anything");
    let mended = edit(json!({ "set": { "name": "\"Ada\"" } }));
    assert_eq!((mended.status, &mended.json()["edited"]["name"]), (200, &json!("Ada")));
    assert_eq!(edit(json!({ "undo": true })).json().get("edited"), None);

    // One is mended and goes its way once, one is dropped, and the others stay.
    assert_eq!(edit(json!({ "patch": { "email": "mended@example.com" } })).status, 200);
    let drop = json!({ "which": { "ids": [id(1)] } });
    let dropped = admin.send("POST", "/api/v1/dead-letters/drop", Some(&drop));
    assert_eq!(dropped.json(), json!({ "dropped": 1, "ids": [id(1)] }));
    assert_eq!(admin.send("POST", "/api/v1/dead-letters/drop", Some(&drop)).refusal(), (404, "RK0933".to_owned()));
    let before = admin.stage.report().leads;
    let replayed = admin.send("POST", "/api/v1/dead-letters/replay", Some(&json!({ "which": { "ids": [id(0)] } })));
    assert_eq!(replayed.status, 202, "{replayed:?}");
    assert_eq!(replayed.json(), json!({ "replays": [{ "pipeline": "demo-leads", "ids": [id(0)] }], "held_back": [] }));
    let left = letters.len() - 2;
    admin.until(|shown| shown["state"] == "idle" && shown["dead_letters"] == left);
    let counts = &admin.get("/api/v1/runs")["runs"][0]["counts"];
    assert_eq!((&counts["read"], &counts["created"]), (&json!(1), &json!(1)), "{counts}");
    assert_eq!((admin.stage.report().leads, admin.stage.report().doubled), (before + 1, 0));
    assert_eq!(admin.serving.stop("TERM").code, Some(0));
}
