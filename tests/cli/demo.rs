//! The demo is what a newcomer sees first, so it is tested as it is shown.

use crate::harness::program;

#[test]
fn the_demo_kills_itself_and_proves_by_the_sandboxs_account_that_nothing_was_lost_or_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let played =
        program(folder.path()).args(["demo", "--output", "json"]).env("TMPDIR", folder.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&played.stderr);
    assert_eq!(played.status.code(), Some(0), "{stderr}");
    let told: serde_json::Value = serde_json::from_slice(&played.stdout).unwrap();
    println!("seed {}", told["seed"]);
    assert_eq!((&told["lost"], &told["doubled"]), (&0.into(), &0.into()));
    assert_eq!(told["account"]["leads"], told["account"]["eligible"]);
    let runs = told["runs"].as_array().unwrap();
    assert_eq!(runs[0]["state"], "running", "the first run never said how it ended");
    assert!(runs.len() >= 3 && runs.last().unwrap()["state"] == "done");
    assert!(told["account"]["counters"]["faults"].as_object().is_some_and(|faults| faults.len() > 4));
    let workspace = std::path::PathBuf::from(told["workspace"].as_str().unwrap());
    assert!(workspace.starts_with(folder.path()) && workspace.join("renkei.yaml").exists());
}
