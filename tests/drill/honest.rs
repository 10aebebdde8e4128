//! What a drill says where things are not well, or cannot be played.

use super::harness::Ran;
use super::rig::{drill, renkei, scenario, workspace, write};

#[test]
fn a_write_that_nothing_makes_safe_ends_uncertain_and_not_doubled() {
    let folder = workspace();
    let ran = drill(folder.path(), "write-never", &["--scenario", "lost-answers", "--scenario", "crash"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    for name in ["lost-answers", "crash"] {
        let played = scenario(&ran, name);
        assert!(played["uncertain"].as_u64().unwrap() > 0, "{played}");
        assert_eq!((&played["lost"], &played["doubled"]), (&0.into(), &0.into()), "{played}");
        assert!(played["reactions"].to_string().contains("RK0420"), "{played}");
    }
}

#[test]
fn records_of_another_shape_become_dead_letters_and_are_counted_as_refused() {
    let folder = workspace();
    let played = scenario(&drill(folder.path(), "read-next", &["--scenario", "drift"]), "drift");
    assert!(played["refused"].as_u64().unwrap() > 0 && played["lost"] == 0, "{played}");
}

#[test]
fn a_pipeline_that_stops_at_its_limit_of_refusals_is_started_again_and_loses_nothing() {
    let folder = workspace();
    let text = "version: 1\ndescription: Strict\nfrom: { connection: reads, stream: next }\nto: { connection: writes, operation: \
                put, key: ref, fields: { ref: record.id, email: record.email | lower } }\nlimits: { rejects_max: 1 }\n";
    write(&folder, "pipelines/strict.yaml", text);
    let ran = drill(folder.path(), "strict", &["--scenario", "drift", "--records", "200"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let played = scenario(&ran, "drift");
    assert!(played["reactions"].to_string().contains("RK0810"), "{played}");
    // One run of each phase ends well; how many stop before is a matter of how far reading is ahead.
    assert!(played["runs"].as_u64().unwrap() > 2 && played["lost"] == 0, "{played}");
}

#[test]
fn ends_without_a_replica_are_told_before_anything_starts() {
    let folder = workspace();
    for (pipeline, code) in
        [("database", "RK0956"), ("pushed", "RK0955"), ("strange", "RK0957"), ("nameless", "RK0958")]
    {
        let ran = renkei(folder.path(), &["drill", pipeline, "--seed", "1", "--scenario", "calm"]);
        assert!(ran.code == 3 && ran.stderr.contains(code), "{pipeline}: {}", ran.transcript());
        assert_eq!(ran.stdout, "", "{pipeline}");
    }
}

#[test]
fn mistyped_names_get_a_suggestion() {
    let folder = workspace();
    let said = |args: &[&str], what: &str| {
        let Ran { code, stderr, .. } = renkei(folder.path(), args);
        assert!(code == 2 && stderr.contains(what), "{code} {stderr}");
    };
    said(&["drill", "read-nxt"], "did you mean `read-next`?");
    said(&["drill", "read-next", "--scenario", "strom"], "did you mean `storm`?");
    said(&["drill", "read-next", "--records", "7"], "8..=900");
    said(&["drill"], "PIPELINE");
}

#[test]
fn a_broken_workspace_is_told_as_everywhere() {
    let folder = workspace();
    write(&folder, "pipelines/read-next.yaml", "version: 1\ndescription: x\nform: {}\n");
    let ran = renkei(folder.path(), &["drill", "read-next"]);
    assert!(ran.code == 3 && ran.stderr.contains("RK0103"), "{}", ran.transcript());
}

#[test]
fn one_seed_makes_one_drill() {
    let folder = workspace();
    // What a busy machine changes is how often something is tried again, and never what arrives.
    let account = || {
        let mut played = scenario(&drill(folder.path(), "write-put", &["--scenario", "drift"]), "drift");
        ["recovered_ms", "reactions", "runs"]
            .iter()
            .for_each(|name| drop(played.as_object_mut().unwrap().remove(*name)));
        played
    };
    let first = account();
    assert!(first["refused"].as_u64().unwrap() > 0, "{first}");
    assert_eq!(first, account());
}
