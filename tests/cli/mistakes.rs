//! Files that are wrong: every kind of mistake is one coded error with its place, and nothing runs.

use crate::vendor::{Desk, Vendor, answer, people};

/// What is changed in which file, and what `validate` and `run` say: the code, and words of the message or the help.
type Mistake = (&'static str, &'static str, &'static str, &'static str, &'static str);

const RENKEI: &str = "renkei.yaml";
const CONNECTOR: &str = "connectors/vendor/connector.yaml";
const PIPELINE: &str = "pipelines/people.yaml";

const MISTAKES: [Mistake; 18] = [
    (
        RENKEI,
        "    connector: vendor\n",
        "    connector: vendor\n    timeuots: {}\n",
        "RK0103",
        "did you mean `timeouts`?",
    ),
    (PIPELINE, "version: 1\n", "version: 1\nversion: 1\n", "RK0104", "`version`"),
    (CONNECTOR, "attempts: 2", "attempts: two", "RK0105", "expected"),
    (CONNECTOR, "attempts: 2", "attempts: 2000", "RK0107", "out of bounds"),
    (RENKEI, "connector: vendor", "connector: vndor", "RK0108", "did you mean `vendor`?"),
    (PIPELINE, "stream: people", "stream: peopel", "RK0108", "did you mean `people`?"),
    (
        PIPELINE,
        "connection: files, file: people",
        "connection: vendor, operation: put_peple",
        "RK0108",
        "did you mean `put_people`?",
    ),
    (RENKEI, "path: out", "path: \"${NOWHERE_SET}\"", "RK0109", "export NOWHERE_SET"),
    (
        RENKEI,
        "connector: vendor",
        "connector: vendor\n    auth: { bearer: { token: hunter2 } }",
        "RK0110",
        "version control",
    ),
    (CONNECTOR, "repeat: { upsert: { unique: id } }", "headers: { x-a: b }", "RK0111", "idempotency_key"),
    (
        CONNECTOR,
        "get: /people\n    records: data\n    key: id\n  paged",
        "get: \"/people/{{ config.region }}\"\n    records: data\n    key: id\n  paged",
        "RK0112",
        "unknown setting `config.region`",
    ),
    (
        CONNECTOR,
        "batch: { size: 100 }",
        "batch: { size: 100 }\n    query: { q: \"${HOME}\" }",
        "RK0112",
        "`${}` is not filled",
    ),
    (PIPELINE, "version: 1", "version: 1\nsteps: &a [*a]", "RK0102", ""),
    (PIPELINE, "file: people", "file: ../people", "RK0116", "the base name of a file"),
    (PIPELINE, "file: people", "file: a/people", "RK0116", "the base name of a file"),
    (PIPELINE, "file: people", "file: ..", "RK0116", "the base name of a file"),
    (PIPELINE, "file: people", "table: people", "RK0108", "write `file:` for this connection"),
    (RENKEI, "base_url: http", "base_url: ftp", "RK0116", "only http and https"),
];

#[test]
fn every_kind_of_mistake_in_a_file_is_one_coded_error_with_its_place_and_nothing_runs() {
    let vendor = Vendor::new(|_| answer("200 OK", &people(0..3)));
    for (file, from, to, code, words) in MISTAKES {
        let desk = Desk::to_files(&vendor, "people");
        desk.edit(file, from, to);
        let (report, ran) = (desk.renkei(&["validate"]), desk.renkei(&["run"]));
        let about = report.transcript();
        assert_eq!((report.code, ran.code), (3, 3), "{about}");
        assert_eq!(report.stdout.matches("error[").count(), 1, "{about}");
        assert!(report.stdout.starts_with(&format!("error[{code}]: ")), "{about}");
        assert!(report.stdout.contains(&format!("--> {file}:")) && report.stdout.contains(words), "{about}");
        assert!(!about.contains("hunter2"), "a secret is not shown");
        assert_eq!(ran.stderr, report.stdout, "`run` says the same");
        assert!(!desk.path().join("state/format").exists() && desk.lines().is_empty(), "nothing ran");
    }
}

#[test]
fn an_alias_bomb_is_refused_before_it_expands() {
    let vendor = Vendor::new(|_| answer("200 OK", &people(0..3)));
    let desk = Desk::to_files(&vendor, "people");
    let mut bomb = String::from("version: 1\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    desk.write(PIPELINE, &bomb);
    let report = desk.renkei(&["validate"]);
    assert!(report.code == 3 && report.stdout.contains("error[RK0113]: "), "{}", report.transcript());
}

#[test]
fn a_name_that_would_not_fit_into_the_stores_keys_is_refused_and_the_longest_one_runs() {
    let vendor = Vendor::new(|_| answer("200 OK", &people(0..3)));
    let desk = Desk::to_files(&vendor, "people");
    let pipeline = std::fs::read_to_string(desk.path().join(PIPELINE)).unwrap();
    desk.write(&format!("pipelines/{}.yaml", "p".repeat(101)), &pipeline.replace("file: people", "file: other"));
    desk.edit(CONNECTOR, "  people:", &format!("  {}:", "s".repeat(65)));
    let report = desk.renkei(&["validate"]);
    assert_eq!(report.code, 3);
    for words in ["the pipeline's name is 101 bytes long", "cannot be the name of a stream"] {
        assert!(report.stdout.contains(words), "{}", report.transcript());
    }
    assert_eq!(report.stdout.matches("error[RK0116]").count(), 2, "{}", report.transcript());

    let desk = Desk::to_files(&vendor, &"s".repeat(64));
    desk.edit(CONNECTOR, "  people:", &format!("  {}:", "s".repeat(64)));
    // A record without its key leaves the longest key of all, that of a dead letter.
    vendor.mend(|_| answer("200 OK", r#"{"data":[{"id":1},{"no":"key"}]}"#));
    let long = desk.path().join(format!("pipelines/{}.yaml", "p".repeat(100)));
    std::fs::rename(desk.path().join(PIPELINE), long).unwrap();
    let ran = desk.renkei(&["run", "--log-level", "off"]);
    assert_eq!((ran.code, desk.lines().len()), (1, 1), "{}", ran.transcript());
}

#[test]
fn a_run_needs_only_the_variables_of_the_connections_it_uses_and_validate_names_them_all() {
    let vendor = Vendor::new(|_| answer("200 OK", &people(0..3)));
    let desk = Desk::to_files(&vendor, "people");
    let other = "  files: { jsonl: { path: out } }\n  other:\n    connector: other\n    auth: { bearer: { token: \"${OTHER_TOKEN}\" } }\n";
    desk.edit(RENKEI, "  files: { jsonl: { path: out } }\n", other);
    desk.write(
        "connectors/other/connector.yaml",
        "version: 1\nbase_url: \"${OTHER_URL}\"\nstreams:\n  things: { get: /things, key: id }\n",
    );
    desk.write(
        "pipelines/things.yaml",
        "version: 1\nfrom: { connection: other, stream: things }\nto: { connection: files, file: things }\n",
    );
    let all = desk.renkei(&["validate"]);
    assert_eq!((all.code, all.stdout.matches("error[RK0109]").count()), (3, 2), "{}", all.transcript());

    let ran = desk.renkei(&["run", "people", "--log-level", "off"]);
    assert_eq!((ran.code, desk.lines().len()), (0, 3), "{}", ran.transcript());
    for args in [&["run"][..], &["run", "things"], &["run", "people", "things"]] {
        let refused = desk.renkei(args);
        assert_eq!((refused.code, refused.stderr.matches("error[RK0109]").count()), (3, 2), "{}", refused.transcript());
    }
    // What is not a missing variable is a mistake wherever it stands.
    desk.edit("connectors/other/connector.yaml", "key: id", "kye: id");
    assert_eq!(desk.renkei(&["run", "people"]).code, 3);
}
