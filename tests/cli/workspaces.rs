//! `init`, `validate`, and what every command says about files that are wrong.

use std::fs;

use crate::harness::{Stage, fast, renkei};

#[test]
fn a_new_workspace_validates_runs_and_is_not_overwritten() {
    let stage = Stage::init(fast(40));
    let valid = stage.renkei(&["validate"]);
    assert_eq!(valid.transcript(), "exit 0\n--- stdout\nvalid: 1 pipeline, 2 connections\n--- stderr\n");

    let ran = stage.renkei(&["run"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    let written = fs::read_to_string(stage.path().join("out/customers.000000.jsonl")).unwrap();
    let expected =
        stage.world(|world| world.customers().filter(|customer| customer.consent && customer.email.is_some()).count());
    assert_eq!(written.lines().count(), expected);

    let before = fs::read_to_string(stage.path().join("renkei.yaml")).unwrap();
    let again = stage.renkei(&["init"]);
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains(". already has renkei.yaml and 6 more"), "{}", again.stderr);
    assert_eq!(fs::read_to_string(stage.path().join("renkei.yaml")).unwrap(), before);
}

#[test]
fn init_names_every_file_and_what_to_type_next() {
    let folder = tempfile::tempdir().unwrap();
    let ran = renkei(folder.path(), &["init", "ws"]);
    insta::assert_snapshot!(ran.transcript(), @r"
    exit 0
    --- stdout
    made ws
      renkei.yaml
      connectors/myshop/connector.yaml
      connectors/myshop/README.md
      pipelines/customers.yaml
      .gitignore
      .env.example
      state/README.md

    Next:
      cd ws
      renkei validate          check every file
      renkei sandbox           in a second terminal: a shop to read from
      renkei run               customers travel into out/
      renkei status            where everything stands
    --- stderr
    ");
    let made = renkei(folder.path(), &["--output", "json", "init", "other"]).json();
    assert_eq!(made["files"].as_array().unwrap().len(), 7);
}

#[test]
fn a_mistake_in_a_file_is_shown_with_its_line_and_stops_every_command() {
    let stage = Stage::init(fast(1));
    let pipeline = fs::read_to_string(stage.path().join("pipelines/customers.yaml")).unwrap();
    stage.write("pipelines/customers.yaml", &pipeline.replace("steps:", "stepps:"));
    let report = r"
error[RK0103]: unknown key `stepps`
 --> pipelines/customers.yaml:7:1
  |
7 | stepps:
  | ^^^^^^
  = help: did you mean `steps`?

1 error
";
    // The report is what `validate` is asked for; for the others it is the error.
    let report = report.trim_start();
    assert_eq!(stage.renkei(&["validate"]).transcript(), format!("exit 3\n--- stdout\n{report}--- stderr\n"));
    for args in [vec!["run"], vec!["status"], vec!["state", "show"], vec!["connectors"]] {
        assert_eq!(stage.renkei(&args).transcript(), format!("exit 3\n--- stdout\n--- stderr\n{report}"), "{args:?}");
    }
    let json = stage.renkei(&["validate", "--output", "json"]).json();
    assert_eq!((&json["errors"], &json["diagnostics"][0]["line"]), (&1.into(), &7.into()));
    assert!(!stage.path().join("state/format").exists(), "nothing ran");
}

#[test]
fn validate_can_do_without_secrets_and_run_cannot() {
    let stage = Stage::init(fast(1));
    let workspace = fs::read_to_string(stage.path().join("renkei.yaml")).unwrap();
    stage.write("renkei.yaml", &workspace.replace("${MYSHOP_SECRET:-demo-secret}", "${MYSHOP_SECRET}"));
    let strict = stage.renkei(&["validate"]);
    assert_eq!(strict.code, 3);
    assert!(strict.stdout.contains("error[RK0109]"), "{}", strict.stdout);
    assert_eq!(stage.renkei(&["validate", "--without-secrets"]).code, 0);
    assert_eq!(stage.renkei(&["run"]).code, 3);
    // Looking needs no secrets.
    assert_eq!(stage.renkei(&["status"]).code, 0);
}

#[test]
fn a_folder_without_a_workspace_says_how_to_make_one() {
    let folder = tempfile::tempdir().unwrap();
    let ran = renkei(folder.path(), &["status"]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.starts_with("error[RK0115]") && ran.stderr.contains("renkei init"), "{}", ran.stderr);
    let json = renkei(folder.path(), &["status", "--output", "json"]);
    let error: serde_json::Value = serde_json::from_str(&json.stderr).unwrap();
    assert_eq!(error["error"]["diagnostics"][0]["code"], "RK0115");
}

#[test]
fn connectors_are_listed_with_what_they_can_do() {
    let stage = Stage::init(fast(1));
    insta::assert_snapshot!(stage.renkei(&["connectors"]).transcript(), @r"
    exit 0
    --- stdout
    connector         connections  streams    operations
    jsonl (built in)  files        -          -
    myshop            myshop       customers  -
    --- stderr
    ");
    let json = stage.renkei(&["connectors", "--output", "json"]).json();
    assert_eq!(json["myshop"]["streams"][0], "customers");
}
