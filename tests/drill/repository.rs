//! The pipelines that this repository has: nothing is lost or doubled in any scenario.

use std::path::Path;

use tempfile::TempDir;

use super::rig::{copy_into, drill, is_good, renkei, scenario};

const ALL: [&str; 8] = ["calm", "storm", "slow", "lost-answers", "revoked", "drift", "skew", "crash"];

fn repository() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for part in ["connectors", "pipelines"] {
        copy_into(&root.join(part), &folder.path().join(part));
    }
    std::fs::copy(root.join("renkei.yaml"), folder.path().join("renkei.yaml")).unwrap();
    folder
}

#[test]
fn the_demo_pipeline_keeps_its_promises_in_every_scenario() {
    let folder = repository();
    let ran = drill(folder.path(), "demo-leads", &[]);
    is_good(folder.path(), "demo-leads", &ran);
    let json = ran.json();
    let played = json["scenarios"].as_array().unwrap().iter().map(|played| played["scenario"].as_str().unwrap());
    assert_eq!(played.collect::<Vec<_>>(), ALL);
    let says = |scenario: &str, word: &str| {
        let reactions = crate::rig::scenario(&ran, scenario)["reactions"].to_string();
        assert!(reactions.contains(word), "no {word} in {scenario}: {reactions}");
    };
    says("storm", "refusals obeyed");
    says("slow", "retries");
    says("lost-answers", "answered by their keys");
    says("revoked", "new sign-in");
    says("drift", "RK0701");
    says("crash", "kills");
    assert!(scenario(&ran, "calm")["skipped"].as_u64().unwrap() > 0, "its filter has nothing to do");
    assert!(scenario(&ran, "crash")["recovered_ms"].is_u64());
    assert_eq!(json["cannot_play"], serde_json::json!([]));
}

#[test]
fn a_pipeline_into_files_keeps_its_promises_in_every_scenario() {
    let folder = repository();
    is_good(folder.path(), "orders-to-files", &drill(folder.path(), "orders-to-files", &[]));
}

#[test]
fn what_init_makes_can_be_drilled() {
    let folder = tempfile::tempdir().unwrap();
    let made = renkei(folder.path(), &["init", "made"]);
    assert_eq!(made.code, 0, "{}", made.transcript());
    let made = folder.path().join("made");
    is_good(&made, "customers", &drill(&made, "customers", &["--scenario", "crash", "--scenario", "lost-answers"]));
}

#[test]
fn a_drill_is_a_table_for_people() {
    let folder = repository();
    let args = ["drill", "demo-leads", "--seed", "7", "--records", "12", "--scenario", "calm", "--scenario", "calm"];
    let ran = renkei(folder.path(), &args);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines[0].starts_with("scenario  lost  doubled  arrived"), "{}", ran.stdout);
    assert!(lines[1].starts_with("calm         0        0       13"), "{}", ran.stdout);
    assert_eq!(lines.last(), Some(&"lost 0, doubled 0  (seed 7, 12 records)"));
    assert!(ran.stderr.contains("no real server is asked"), "{}", ran.stderr);
}
