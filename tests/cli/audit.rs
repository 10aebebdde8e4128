//! The audit log of a real service and of real commands: what is in it, that it is written first, and that whoever changes it is found.

use std::{fs, path::PathBuf};

use renkei::sandbox::FaultPlan;
use serde_json::{Value, json};

use crate::{
    admin::{Admin, TOKEN, with_admin},
    harness::{Ran, Stage, fast},
    serve::{edit, scheduled},
};

fn log(stage: &Stage) -> PathBuf {
    stage.path().join("state/audit/000000000001.jsonl")
}

fn lines(stage: &Stage) -> Vec<String> {
    fs::read_to_string(log(stage)).unwrap().lines().map(str::to_owned).collect()
}

fn renkei(stage: &Stage, args: &[&str]) -> Ran {
    Ran::of(stage.command(args).env("ADMIN", TOKEN).output().unwrap())
}

/// A service that some people did something with.
fn used() -> Admin {
    let admin =
        Admin::start(with_admin(scheduled(Stage::leads(fast(300), FaultPlan::none()), "{ cron: \"0 0 1 1 *\" }")));
    assert_eq!(admin.post("/api/v1/pipelines/demo-leads/pause").status, 200);
    assert_eq!(admin.post("/api/v1/pipelines/demo-leads/trigger").status, 409);
    assert_eq!(admin.post("/api/v1/pipelines/demo-leads/resume").status, 200);
    assert_eq!(admin.post("/api/v1/pipelines/demo-leads/trigger").status, 202);
    admin.until(|shown| shown["state"] == "idle" && shown["dead_letters"].as_u64() > Some(1));
    admin
}

#[test]
fn what_people_do_is_noted_with_who_and_what_and_nothing_of_records_or_secrets() {
    let admin = used();
    let letters = admin.get("/api/v1/dead-letters");
    let id = letters["dead_letters"][0]["id"].as_str().unwrap().to_owned();
    let change = json!({ "patch": { "email": "mended@example.com" } });
    assert_eq!(admin.send("POST", &format!("/api/v1/dead-letters/{id}/edit"), Some(&change)).status, 200);
    let which = json!({ "which": { "ids": [id] } });
    assert_eq!(admin.send("POST", "/api/v1/dead-letters/replay", Some(&which)).status, 202);
    admin.until(|shown| shown["state"] == "idle");
    let Admin { stage, mut serving, .. } = admin;
    edit(&stage, "pipelines/demo-leads.yaml", "0 0 1 1 *", "0 0 2 1 *");
    serving.until(&stage, "changed files are taken over", 1);
    assert_eq!(serving.stop("TERM").code, Some(0));
    let left = renkei(&stage, &["dead-letters", "list", "--output", "json"]).json();
    let dropped = left[0]["id"].as_str().unwrap();
    assert_eq!(renkei(&stage, &["dead-letters", "drop", dropped, "--yes"]).code, 0);
    assert_eq!(renkei(&stage, &["auth", "logout", "shop"]).code, 0);

    let entries: Vec<Value> = lines(&stage).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<String> = entries
        .iter()
        .map(|entry| format!("{} {}", entry["via"].as_str().unwrap(), entry["what"].as_str().unwrap()))
        .collect();
    let expected = [
        "service serve",
        "api pause",
        "api trigger",
        "api refused",
        "api resume",
        "api trigger",
        "api edit",
        "api replay",
        "service reload",
        "command drop",
        "command sign_out",
    ];
    assert_eq!(said, expected);
    assert_eq!((&entries[1]["peer"], &entries[1]["on"]), (&json!("127.0.0.1"), &json!("demo-leads")));
    assert_eq!(entries[3]["details"], json!({ "refused": "trigger", "code": "RK0934" }));
    assert_eq!(entries[6]["details"], json!({ "letters": 1, "ids": [id] }));
    assert_eq!(entries[8]["details"]["names"], json!(["demo-leads"]));
    let whole = lines(&stage).join("\n");
    assert!(!whole.contains("mended@example.com") && !whole.contains(TOKEN), "{whole}");

    let verified = renkei(&stage, &["audit", "verify", "--output", "json"]);
    assert_eq!(verified.code, 0, "{}", verified.transcript());
    let told = verified.json();
    assert_eq!((&told["verified"]["entries"], &told["verified"]["last"]), (&json!(11), &json!(11)));
    let head = told["verified"]["hash"].as_str().unwrap();
    let exported = renkei(&stage, &["audit", "export"]);
    let exported: Vec<&str> = exported.stdout.lines().collect();
    assert!(exported[..11] == lines(&stage) && exported[11].contains(head), "{exported:?}");
    assert_eq!(renkei(&stage, &["audit", "verify", "--noted", head]).code, 0);
    // Somebody begins the log anew, with everything in order: only the noted head tells.
    fs::remove_dir_all(stage.path().join("state/audit")).unwrap();
    assert_eq!(renkei(&stage, &["auth", "logout", "shop"]).code, 0);
    assert_eq!(renkei(&stage, &["audit", "verify"]).code, 0);
    let anew = renkei(&stage, &["audit", "verify", "--noted", head]);
    assert!(anew.code == 6 && anew.stderr.contains("RK0941"), "{}", anew.transcript());
}

#[test]
fn an_entry_that_was_changed_removed_or_moved_is_found_and_named() {
    let Admin { stage, serving, .. } = used();
    let beside = renkei(&stage, &["audit", "verify"]);
    assert!(
        beside.code == 0 && beside.stdout.contains("6 entries hold together"),
        "it works beside a service: {}",
        beside.transcript()
    );
    assert_eq!(serving.stop("TERM").code, Some(0));
    let right = lines(&stage);
    type Tamper = fn(&mut Vec<String>);
    let cases: [(Tamper, &str); 5] = [
        (|lines| lines[1] = lines[1].replace("pause", "reset"), "000000000001.jsonl:2: it was changed"),
        (|lines| drop(lines.remove(2)), "000000000001.jsonl:3: it is entry 4, and entry 3 before it is missing"),
        (|lines| lines.swap(3, 4), "000000000001.jsonl:4: it is entry 5, and entry 4 before it is missing"),
        (
            |lines| lines.insert(4, lines[0].clone()),
            "000000000001.jsonl:5: it is entry 1, which does not belong behind entry 4",
        ),
        (|lines| lines.truncate(4), "entries 5 to 6 are missing at the end"),
    ];
    for (tamper, named) in cases {
        let mut lines = right.clone();
        tamper(&mut lines);
        fs::write(log(&stage), lines.join("\n") + "\n").unwrap();
        let ran = renkei(&stage, &["audit", "verify"]);
        assert!(ran.code == 6 && ran.stderr.contains("RK0941"), "{}", ran.transcript());
        let flat = ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(named), "{named}: {}", ran.transcript());
    }
    // Another key than the log's: nothing of it is believed.
    fs::write(log(&stage), right.join("\n") + "\n").unwrap();
    let other =
        stage.command(&["audit", "verify"]).env("ADMIN", TOKEN).env("RENKEI_KEY", "ab".repeat(32)).output().unwrap();
    assert!(String::from_utf8_lossy(&other.stderr).contains("is not signed with the log's key"), "{other:?}");
    assert_eq!(renkei(&stage, &["audit", "verify"]).code, 0);
}

#[test]
fn what_cannot_be_noted_is_not_done() {
    let Admin { stage, serving, .. } = used();
    assert_eq!(serving.stop("TERM").code, Some(0));
    fs::write(log(&stage), lines(&stage)[..3].join("\n") + "\n").unwrap();
    let admin = Admin::start(stage);
    let refused = admin.post("/api/v1/pipelines/demo-leads/pause");
    assert_eq!(refused.refusal(), (503, "RK0940".to_owned()));
    assert_eq!(admin.pipeline()["state"], "idle", "it was not done");
    let Admin { stage, serving, .. } = admin;
    let ended = serving.stop("TERM");
    assert!(ended.code == Some(0) && ended.log.iter().any(|line| line["code"] == "RK0940"), "{:#?}", ended.log);
    assert_eq!(renkei(&stage, &["state", "reset", "demo-leads"]).code, 6);
    let ran = renkei(&stage, &["run"]);
    assert!([0, 1].contains(&ran.code), "runs do not depend on it: {}", ran.transcript());
}
