//! `state import`: a pipeline goes on where another tool stopped.

use std::fs;

use renkei::sandbox::FaultPlan;
use serde_json::json;

use crate::harness::{Stage, fast};

fn counts(stage: &Stage) -> (u64, u64) {
    let ran = stage.renkei(&["run", "--output", "json"]).json();
    let counts = &ran["runs"][0]["counts"];
    (counts["read"].as_u64().unwrap(), counts["created"].as_u64().unwrap())
}

fn forget(stage: &Stage) {
    fs::remove_dir_all(stage.path().join("state")).unwrap();
}

#[test]
fn a_pipeline_goes_on_where_a_tap_or_a_source_stopped() {
    let stage = Stage::leads(fast(60), FaultPlan::none());
    let (read, created) = counts(&stage);
    assert!((read, created > 0) == (60, true), "{read} {created}");
    let shown = stage.renkei(&["state", "show", "--output", "json"]).json();
    let cursor = shown[0]["checkpoint"]["cursor"]["instant"].clone();
    assert!(cursor.is_string(), "{shown}");

    forget(&stage);
    let singer = json!({"type": "STATE", "value": {"bookmarks": {"customers": {"updated_at": cursor}, "other": {}}}});
    stage.write("singer.json", &singer.to_string());
    let imported = stage.renkei(&["state", "import", "demo-leads", "singer.json"]);
    assert!(
        imported.code == 0 && imported.stdout.contains("Singer's `updated_at` of customers"),
        "{}",
        imported.transcript()
    );
    assert!(imported.stdout.contains("links import demo-leads"), "{}", imported.transcript());
    let (read, _) = counts(&stage);
    assert!(read < 60, "only what came since, and the overlap, but it read {read}");

    forget(&stage);
    let airbyte = json!([{"streamDescriptor": {"name": "people"}, "streamState": {"at": "2001-02-03", "n": 3}}]);
    stage.write("airbyte.json", &airbyte.to_string());
    let import =
        ["state", "import", "demo-leads", "airbyte.json", "--stream", "people", "--field", "at", "--output", "json"];
    let imported = stage.renkei(&import).json();
    assert_eq!(imported["imported"]["cursor"], "2001-02-03T00:00:00.000000000Z");
    assert_eq!(counts(&stage).0, 60, "all of them changed since");
    let audit = stage.renkei(&["audit", "export"]).stdout;
    assert!(audit.contains("import_state"), "{audit}");
}

#[test]
fn a_state_that_cannot_be_meant_changes_nothing() {
    let stage = Stage::leads(fast(20), FaultPlan::none());
    let state = |value: serde_json::Value| json!({"bookmarks": {"customers": value}}).to_string();
    stage.write("several.json", &state(json!({"a": 1, "b": "x"})));
    stage.write("future.json", &state(json!({"updated_at": "2999-01-01T00:00:00Z"})));
    stage.write("odd.json", &state(json!({"updated_at": "soon"})));
    stage.write("empty.json", &state(json!({})));
    stage.write("none.json", "{}");
    for (arguments, why) in [
        (&["demo-leads", "several.json"][..], "has several fields, name one with --field: a, b"),
        (&["demo-leads", "several.json", "--field", "c"][..], "has no field `c`; it has a, b"),
        (&["demo-leads", "future.json"][..], "lies in the future"),
        (&["demo-leads", "odd.json"][..], "is no cursor of this stream"),
        (&["demo-leads", "empty.json"][..], "holds no cursor"),
        (&["demo-leads", "none.json"][..], "tells of no stream"),
        (&["demo-leads", "future.json", "--stream", "custmers"][..], "did you mean `customers`?"),
        (&["demo-leeds", "future.json"][..], "did you mean `demo-leads`?"),
        (&["demo-leads", "nowhere.json"][..], "No such file"),
    ] {
        let refused = stage.renkei(&[&["state", "import"], arguments].concat());
        assert!(refused.code == 2 && refused.stderr.contains(why), "{arguments:?}\n{}", refused.transcript());
    }
    assert_eq!(stage.renkei(&["state", "show", "--output", "json"]).json(), json!([]));
    stage.renkei(&["run"]);
    stage.write("good.json", &state(json!({"updated_at": "2001-01-01T00:00:00Z"})));
    let begun = stage.renkei(&["state", "import", "demo-leads", "good.json"]);
    assert!(begun.code == 2 && begun.stderr.contains("`renkei state reset"), "{}", begun.transcript());
}
