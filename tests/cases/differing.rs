//! What is said of a case that does not come out as it says, or cannot be played.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::harness::{Ran, renkei};

const CONNECTOR: &str = r#"
version: 1
base_url: https://api.vendor.example
auth: { bearer: {} }
streams:
  people:
    get: /people
    query: { limit: 2 }
    records: data
    key: id
    paginate: { cursor: { next: next, query: after } }
operations:
  add:
    post: /people
    makes: create
    repeat: { idempotency_key: { header: Idempotency-Key } }
    sink_id: id
"#;

const READING: &str = r#"
version: 1
stream: people
exchanges:
  - request: { get: /people, query: { limit: 2 }, headers: { Authorization: Bearer stand-in-token } }
    answer: { json: { data: [{ id: 1, name: Ada }], next: n2 } }
  - request: { get: /people, query: { limit: 2, after: n2 } }
    answer: { json: { data: [{ id: 2, name: Bob }] } }
expect:
  keys: ["1", "2"]
  records: [{ name: Ada }, { name: Bob }]
"#;

const WRITING: &str = r#"
version: 1
operation: add
given: { records: [{ fields: { name: Ada } }] }
exchanges:
  - request: { post: /people, headers: { Idempotency-Key: <key> }, json: { name: Ada } }
    answer: { lost: {} }
  - request: { post: /people, headers: { Idempotency-Key: <key> }, json: { name: Ada } }
    answer: { status: 201, json: { id: 7 } }
expect:
  verdicts: [{ is: created, id: "7" }]
"#;

fn workspace(case: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let vendor = folder.path().join("connectors/vendor");
    fs::create_dir_all(vendor.join("cases")).unwrap();
    fs::write(vendor.join("connector.yaml"), CONNECTOR).unwrap();
    fs::write(vendor.join("cases/one.yaml"), case).unwrap();
    folder
}

fn tried(case: &str) -> Ran {
    renkei(workspace(case).path(), &["try", "vendor", "--output", "text"])
}

/// Plays a case that was changed in one place, and returns what is said.
fn changed(case: &str, from: &str, to: &str) -> Ran {
    assert_eq!(case.matches(from).count(), 1, "{from}");
    tried(&case.replace(from, to))
}

fn says(ran: &Ran, words: &[&str]) {
    for word in words {
        assert!(ran.stdout.contains(word), "`{word}` is not in {}", ran.transcript());
    }
    assert_eq!(ran.code, 3, "{}", ran.transcript());
    assert!(ran.stderr.contains("RK0990"), "{}", ran.transcript());
}

#[test]
fn cases_that_come_out_as_they_say_are_counted() {
    for case in [READING, WRITING] {
        let ran = tried(case);
        assert_eq!(ran.code, 0, "{}", ran.transcript());
        assert!(ran.stdout.contains("1 case, all as they say"), "{}", ran.transcript());
    }
}

#[test]
fn another_request_is_told_with_what_was_expected_and_where_the_case_says_so() {
    let ran = changed(READING, "limit: 2, after: n2", "limit: 3, after: n2");
    says(&ran, &["connectors/vendor/cases/one.yaml:7:14", "query limit: expected \"3\", got \"2\""]);
    says(&changed(READING, "limit: 2, after: n2", "limit: 2"), &["query after: expected none, got n2"]);
    says(&changed(READING, "Bearer stand-in-token", "Bearer x"), &["header authorization: expected \"Bearer x\""]);
    says(
        &changed(READING, "get: /people, query: { limit: 2 },", "get: /persons, query: { limit: 2 },"),
        &["expected GET https://api.vendor.example/persons, got GET https://api.vendor.example/people"],
    );
    let other = WRITING.replacen("json: { name: Ada }", "json: { name: Bob }", 1);
    let ran = tried(&other.replacen("json: { name: Ada }", "json: { name: Bob }", 1));
    says(&ran, &["body.name: expected \"Bob\", got \"Ada\""]);
}

#[test]
fn what_comes_of_it_is_told_with_what_was_expected() {
    says(&changed(READING, "{ name: Bob }]", "{ name: Eve }]"), &["record.name: expected \"Eve\", got \"Bob\""]);
    says(&changed(READING, r#""1", "2""#, r#""1""#), &["keys: expected [1], got [1, 2]"]);
    says(&changed(WRITING, r#"id: "7""#, r#"id: "8""#), &["id: expected 8, got 7"]);
    says(&changed(WRITING, "is: created", "is: rejected"), &["verdict: expected rejected, got created"]);
    says(&changed(READING, "keys: [", "fault: RK0601\n  keys: ["), &["expected RK0601, and nothing failed"]);
}

#[test]
fn an_exchange_that_is_not_used_and_a_request_that_nobody_expects_are_told() {
    let more =
        "  - request: { get: /people, query: { limit: 2, after: n3 } }\n    answer: { json: { data: [] } }\nexpect:";
    says(&tried(&READING.replace("expect:", more)), &["this request never came: GET"]);
    let less = READING.replace("{ id: 2, name: Bob }] }", "{ id: 2, name: Bob }], next: n3 }");
    says(&tried(&less), &["no exchange is left for the request GET https://api.vendor.example/people"]);
}

#[test]
fn a_name_that_would_stand_for_two_values_is_told() {
    // Each record has a key of its own, so the second one cannot have the first one's.
    let two = WRITING
        .replace("[{ fields: { name: Ada } }]", "[{ fields: { name: Ada } }, { fields: { name: Bob } }]")
        .replace("{ lost: {} }", "{ status: 201, json: { id: 6 } }")
        .replacen(
            "json: { name: Ada } }\n    answer: { status: 201, json: { id: 7",
            "json: { name: Bob } }\n    answer: { status: 201, json: { id: 7",
            1,
        );
    says(&tried(&two), &["header idempotency-key: expected", "as before (<key>)"]);
}

#[test]
fn waits_are_looked_at_and_take_no_time() {
    let limited = READING.replace(
        "    answer: { json: { data: [{ id: 1",
        "    answer: { status: 429, headers: { Retry-After: 600 } }\n  - request: { get: /people, query: { limit: 2 } }\n    \
         after: 600s\n    answer: { json: { data: [{ id: 1",
    );
    let ran = tried(&limited);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
    says(&tried(&limited.replace("after: 600s", "within: 60s")), &["expected it no later than 60s"]);
    says(&tried(&limited.replace("after: 600s", "after: 20m")), &["expected it no sooner than 1200s"]);
}

#[test]
fn a_case_that_cannot_be_played_is_told_with_all_that_is_wrong() {
    let wrong = [
        (READING.replace("stream: people", "stream: peple"), "did you mean `people`?"),
        (READING.replace("exchanges:", "exchange:"), "did you mean `exchanges`?"),
        (READING.replace("stream: people", "stream: people\noperation: add"), "RK0138"),
        (WRITING.replace("records: [{ fields: { name: Ada } }]", "records: []"), "RK0138"),
        (WRITING.replace("json: { id: 7 }", "file: none.json"), "RK0137"),
        (WRITING.replace("json: { id: 7 }", "file: ../../connector.yaml"), "RK0137"),
        (WRITING.replace("status: 201", "status: 7"), "RK0107"),
        (READING.replace("expect:", "expect:\n  fault: RK9999"), "there is no code `RK9999`"),
    ];
    for (case, word) in wrong {
        let ran = tried(&case);
        assert_eq!(ran.code, 3, "{}", ran.transcript());
        assert!(ran.stderr.contains(word), "`{word}` is not in {}", ran.transcript());
    }
}

#[test]
fn the_example_of_the_guide_plays() {
    let guide = include_str!("../../docs/write-a-connector.md");
    let example = guide.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = workspace(example);
    let connector = r#"
version: 1
base_url: https://api.vendor.example
auth: { bearer: {} }
config: { region: { default: us } }
streams:
  customers:
    get: /v1/customers
    query: { limit: 100 }
    records: data
    key: id
    paginate: { cursor: { next: next, query: after } }
    incremental: { field: changed, format: rfc3339, since: since }
"#;
    fs::write(folder.path().join("connectors/vendor/connector.yaml"), connector).unwrap();
    let ran = renkei(folder.path(), &["try", "vendor"]);
    assert_eq!(ran.code, 0, "{}", ran.transcript());
}

#[test]
fn names_that_are_not_there_are_told_with_the_nearest_one() {
    let folder = workspace(READING);
    let ran = renkei(folder.path(), &["try", "vender"]);
    assert!(ran.code == 2 && ran.stderr.contains("vendor"), "{}", ran.transcript());
    let ran = renkei(folder.path(), &["try", "vendor", "ones"]);
    assert!(ran.code == 2 && ran.stderr.contains("`one`"), "{}", ran.transcript());
    fs::remove_file(folder.path().join("connectors/vendor/cases/one.yaml")).unwrap();
    let ran = renkei(folder.path(), &["try", "vendor"]);
    assert!(ran.code == 2 && ran.stderr.contains("has no cases"), "{}", ran.transcript());
    assert_eq!(renkei(Path::new(folder.path()), &["try"]).code, 0);
}
