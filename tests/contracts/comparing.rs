//! `renkei contract diff`.

use std::fs;

use tempfile::TempDir;

use super::harness::{Ran, renkei};

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn diff(folder: &TempDir, args: &[&str]) -> Ran {
    renkei(folder.path(), &[&["contract", "diff"], args].concat())
}

const OLD: &str = r#"{"required":["id"],"properties":{"id":{"type":"integer"},"state":{"enum":["open"]},"note":{}}}"#;
const NEW: &str =
    "required: [id, mail]\nproperties:\n  id: { type: integer }\n  state: { enum: [open, lost] }\n  mail: {}\n";

#[test]
fn changes_are_told_by_who_they_break_and_breaking_ones_fail() {
    let folder = folder(&[("old.json", OLD), ("new.yaml", NEW)]);
    let read = diff(&folder, &["old.json", "new.yaml", "--output", "text"]);
    let told =
        "breaking    note is gone\nbreaking    state may be \"lost\" now\ncompatible  mail is new, and must be there\n";
    assert_eq!((read.code, read.stdout.as_str()), (3, told), "{}", read.transcript());
    assert!(read.stderr.contains("RK0145") && read.stderr.contains("2 changes break"), "{}", read.transcript());
    let sent = diff(&folder, &["old.json", "new.yaml", "--sent", "--output", "text"]);
    let told =
        "breaking    note is gone\nbreaking    mail is new, and must be there\ncompatible  state may be \"lost\" now\n";
    assert_eq!((sent.code, sent.stdout.as_str()), (3, told), "{}", sent.transcript());
    let same = diff(&folder, &["old.json", "old.json", "--output", "text"]);
    assert_eq!((same.code, same.stdout.as_str()), (0, "nothing changed\n"));
    let json = diff(&folder, &["old.json", "new.yaml", "--output", "json"]).json();
    assert_eq!((json["breaking"].as_u64(), json["changes"][0]["path"].as_str()), (Some(2), Some("note")));
}

#[test]
fn two_versions_of_a_connector_are_compared_stream_by_stream_and_operation_by_operation() {
    let version = |stream: &str, operation: &str, more: &str| {
        format!(
            "version: 1\nbase_url: https://api.example.com\nstreams:\n  people: {{ get: /people, key: id, schema: {stream} }}\n{more}operations:\n  add: {{ \
             post: /people, makes: upsert, repeat: {{ upsert: {{ unique: id }} }}, schema: {operation} }}\n"
        )
    };
    let wider = "{ properties: { id: { type: [integer, \"null\"] } } }";
    let (old, new) = (
        version("{ properties: { id: { type: integer } } }", "people.json", "  gone: { get: /gone, key: id }\n"),
        version(wider, wider, "  more: { get: /more, key: id }\n"),
    );
    let folder = folder(&[
        ("v1/connector.yaml", &old),
        ("v1/people.json", r#"{"properties":{"id":{"type":"integer"}}}"#),
        ("v2/connector.yaml", &new),
        ("v3/connector.yaml", "version: 1\nstrams: {}\n"),
    ]);
    let ran = diff(&folder, &["v1", "v2", "--output", "text"]);
    let told = "breaking    stream gone: . is gone\nbreaking    stream people: id may be null now; it was integer\n\
        compatible  stream more: . is new\ncompatible  operation add: id may be null now; it was integer\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (3, told), "{}", ran.transcript());
    let broken = diff(&folder, &["v1", "v3"]);
    assert!(broken.code == 3 && broken.stderr.contains("did you mean `streams`?"), "{}", broken.transcript());
    assert_eq!(diff(&folder, &["v1", "v1"]).code, 0);
}

#[test]
fn what_is_no_schema_is_one_clear_error() {
    let folder = folder(&[
        ("ok.json", OLD),
        ("bad.json", "{"),
        ("list.yaml", "- 1\n"),
        ("circle.yaml", "$ref: '#/$defs/a'\n$defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } }\n"),
        ("type.yaml", "type: thing\n"),
        ("dir/x", ""),
    ]);
    for (other, why) in [
        ("bad.json", "no JSON"),
        ("list.yaml", "no JSON object"),
        ("circle.yaml", "in a circle"),
        ("type.yaml", "type"),
        ("gone.json", "No such file"),
    ] {
        for args in [["ok.json", other], [other, "ok.json"]] {
            let ran = diff(&folder, &args);
            assert!(ran.code == 3 && ran.stderr.contains("RK0143") && ran.stderr.contains(why), "{}", ran.transcript());
            assert_eq!(ran.stderr.matches("error[RK0143]").count(), 1, "{}", ran.transcript());
        }
    }
    for args in [vec!["ok.json", "dir"], vec!["dir", "dir", "--sent"]] {
        assert_eq!(diff(&folder, &args).code, 2);
    }
}
