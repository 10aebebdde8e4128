//! The JSON Schemas that editors use, and how a report looks.

use std::{fs, path::Path};

use super::{tests_load::Workspace, *};

fn file(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Workspace => "workspace",
        FileKind::Connector => "connector",
        FileKind::Pipeline => "pipeline",
        FileKind::Case => "case",
    }
}

const KINDS: [FileKind; 4] = [FileKind::Workspace, FileKind::Connector, FileKind::Pipeline, FileKind::Case];

/// The files in `docs/schema` are what editors load and those in `docs/reference` what people read, so they must be what the program
/// accepts. With `RENKEI_BLESS` set to
/// anything the test writes them instead.
#[test]
fn the_schemas_and_references_in_the_repository_are_those_of_the_types() {
    for kind in KINDS {
        let json = format!("{}\n", serde_json::to_string_pretty(&schema(kind)).unwrap());
        for (path, text) in [
            (format!("docs/schema/{}.json", file(kind)), json),
            (format!("docs/reference/{}.md", file(kind)), reference(kind)),
        ] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
            if SystemEnvironment.variable("RENKEI_BLESS").is_some() {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, &text).unwrap();
            }
            let stored = fs::read_to_string(&path).unwrap_or_default();
            assert!(stored == text, "{} differs: run this test once with RENKEI_BLESS=1", path.display());
        }
    }
}

#[test]
fn the_reference_tells_every_type_once_and_links_to_nothing_else() {
    for kind in KINDS {
        let page = reference(kind);
        let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        let links = page.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap());
        let links: std::collections::BTreeSet<&str> = links.collect();
        assert_eq!(headings.iter().copied().collect::<std::collections::BTreeSet<_>>(), links, "{}", file(kind));
        assert_eq!(headings.len(), links.len(), "{}: a heading stands twice", file(kind));
    }
}

#[test]
fn every_key_of_a_schema_is_described_and_unknown_keys_are_refused() {
    for kind in KINDS {
        let schema = schema(kind);
        let mut objects = vec![(file(kind).to_owned(), &schema)];
        let definitions = schema["definitions"].as_object().unwrap();
        objects.extend(definitions.iter().map(|(name, definition)| (name.clone(), definition)));
        for (name, object) in objects {
            let Some(properties) = object["properties"].as_object() else { continue };
            assert_eq!(object["additionalProperties"], false, "{name}");
            for (key, property) in properties {
                assert!(property["description"].is_string(), "{name}.{key} has no description");
            }
        }
    }
}

#[test]
fn a_report_looks_like_this() {
    let workspace = Workspace::new(&[
        (
            "renkei.yaml",
            "version: 1\nconnections:\n  crm:\n    connector: crm\n    auth: { bearer: { token: hunter2 } }\n    budgt: []\n",
        ),
        (
            "connectors/crm/connector.yaml",
            "version: 1\nbase_url: https://api.example.com\nauth: { basic: {} }\nstreams:\n  people:\n    get: /people\n    key: id\n    query: { page: 1, q: \"{{ conifg.q }}\" }\n    paginate: { page: { query: page } }\noperations:\n  add: { put: /people, makes: create }\n",
        ),
    ]);
    insta::assert_snapshot!(workspace.report().render(false));
}

#[test]
fn colors_change_nothing_but_the_colors() {
    let report = Workspace::with("renkei.yaml", "version: 2\n").report();
    let plain = report.render(false);
    let mut colored = report.render(true);
    assert!(colored.contains("\x1b[1;31merror[RK0107]\x1b[0m"));
    for style in ["\x1b[1;31m", "\x1b[1;34m", "\x1b[1m", "\x1b[0m"] {
        colored = colored.replace(style, "");
    }
    assert_eq!(colored, plain);
}

#[test]
fn a_report_as_json_has_what_a_program_needs() {
    let report = Workspace::with("renkei.yaml", "version: 1\nstor: {}\n").report();
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        json["diagnostics"][0],
        serde_json::json!({
            "code": "RK0103", "severity": "error", "file": "renkei.yaml", "line": 2, "column": 1, "length": 4,
            "message": "unknown key `stor`", "snippet": "stor: {}", "help": "did you mean `store`?", "related": []
        })
    );
}

const REFERENCE: &str = include_str!("../../docs/configuration.md");
const CASES: &str = include_str!("../../docs/write-a-connector.md");

#[test]
fn the_examples_of_the_reference_are_a_workspace() {
    let blocks = REFERENCE.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap());
    let named = blocks.map(|block| (block.lines().next().unwrap().trim_start_matches("# "), block));
    let files: Vec<(&str, &str)> = named.collect();
    assert_eq!(files.len(), 5);
    let keys = ["a", "1", "2"].map(|digit| digit.repeat(64));
    let personal = ["PERSONAL_HASH_KEY", "PERSONAL_KEY_1", "PERSONAL_KEY_2"];
    let mut variables = vec![("BILLING_ID", "a"), ("BILLING_SECRET", "b"), ("PGPASSWORD", "c")];
    variables.push(("RENKEI_ADMIN_TOKEN", "of-sixteen-letters"));
    variables.extend(personal.into_iter().zip(keys.iter().map(String::as_str)));
    let checked = Workspace::new(&files).check(&variables);
    assert!(checked.report.is_empty(), "{}", checked.report);
    assert_eq!(checked.plan.unwrap().pipelines.len(), 4);
}

#[test]
fn the_reference_names_every_key() {
    let written = format!("{REFERENCE}{CASES}");
    let words: Vec<&str> = written.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    for kind in KINDS {
        let schema = schema(kind);
        let definitions = schema["definitions"].as_object().unwrap().values();
        for object in definitions.chain([&schema]) {
            for key in object["properties"].as_object().into_iter().flat_map(|properties| properties.keys()) {
                assert!(
                    words.contains(&key.as_str()),
                    "neither docs/configuration.md nor docs/write-a-connector.md names `{key}`"
                );
            }
        }
    }
}
