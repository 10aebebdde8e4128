//! `renkei connectors check`: a connector against a document, and a document against an older one.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::proposing::{Ran, document, renkei};

/// Fits `documents/cursor.yaml`.
const CONNECTOR: &str = "version: 1
auth: { bearer: {} }
streams:
  contacts:
    get: /v1/contacts
    query: { limit: 100 }
    records: contacts
    key: id
    paginate: { cursor: { next: meta.next_cursor, query: cursor } }
    incremental: { field: updated_at, format: rfc3339, since: updated_since }
operations:
  create:
    post: /v1/contacts
    body: { json: { id: \"{{ record.id }}\", email: \"{{ record.email }}\" } }
    makes: create
    repeat: { idempotency_key: { header: Idempotency-Key, format: raw, retention: 24h } }
    sink_id: id
  change: { patch: \"/v1/contacts/{{ sink.id }}\", makes: update, repeat: { upsert: { unique: id } }, sink_id: id }
  remove: { delete: \"/v1/contacts/{{ sink.id }}\", makes: delete, repeat: { upsert: { unique: id } } }
";

fn stage(connector: &str, documents: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::create_dir_all(folder.path().join("connectors/vendor")).unwrap();
    fs::write(folder.path().join("connectors/vendor/connector.yaml"), connector).unwrap();
    for (name, text) in documents {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn text() -> String {
    fs::read_to_string(document("cursor.yaml")).unwrap()
}

fn check(connector: &str, document: &str) -> Ran {
    let folder = stage(connector, &[("api.yaml", document)]);
    renkei(folder.path(), &["connectors", "check", "vendor", "--openapi", "api.yaml", "--output", "json"])
}

fn told(ran: &Ran, key: &str) -> Vec<String> {
    let all: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}{}", ran.stdout, ran.stderr));
    let line = |one: &Value| format!("{}: {}", one["in"].as_str().unwrap(), one["about"].as_str().unwrap());
    all[key].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn a_connector_that_fits_says_how_much_was_compared() {
    let ran = check(CONNECTOR, &text());
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(told(&ran, "misfits"), [""; 0]);
    assert_eq!(told(&ran, "untold"), ["operation change: the body is the record as a pipeline maps it"]);
    let all: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((all["calls"].as_u64(), all["document"]["version"].as_str()), (Some(4), Some("2026-01")));
    assert!(all["compared"].as_u64().unwrap() >= 10, "{all}");
    // What `connectors new` proposes from a document fits that document.
    let folder = stage("version: 1\n", &[]);
    let file = document("cursor.yaml");
    let file = file.to_str().unwrap();
    assert_eq!(renkei(folder.path(), &["connectors", "new", "made", "--openapi", file]).code, 0);
    let ran = renkei(folder.path(), &["connectors", "check", "made", "--openapi", file, "--output", "text"]);
    assert!(ran.code == 0 && ran.stdout.contains("fits Tokens in answers 2026-01"), "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn every_part_that_is_not_there_is_one_line_that_says_where() {
    for (from, to, wanted) in [
        (
            "get: /v1/contacts\n",
            "get: /v1/contcts\n",
            "stream contacts: GET /v1/contcts is not there; did you mean /v1/contacts?",
        ),
        ("patch: ", "put: ", "operation change: PUT /v1/contacts/{} is not there; the path has GET, PATCH, DELETE"),
        (
            "limit: 100",
            "limitt: 100",
            "stream contacts: the query parameter `limitt` is not there; did you mean `limit`?",
        ),
        (
            "query: cursor",
            "query: curser",
            "stream contacts: the query parameter `curser` is not there; did you mean `cursor`?",
        ),
        ("since: updated_since", "since: since", "stream contacts: the query parameter `since` is not there"),
        (
            "records: contacts",
            "records: contact",
            "stream contacts: `contact` of the answer is not there; did you mean `contacts`?",
        ),
        (
            "records: contacts",
            "records: meta.next_cursor",
            "stream contacts: `meta.next_cursor` of the answer is string or null and no list",
        ),
        ("key: id", "key: ids", "stream contacts: `ids` of a record is not there; did you mean `id`?"),
        ("meta.next_cursor", "meta.next", "stream contacts: `meta.next` of the answer is not there: it has no `next`"),
        ("field: updated_at", "field: changed_at", "stream contacts: `changed_at` of a record is not there"),
        ("email: \\\"", "mail: \\\"", "operation create: `email` is required in the body and not sent"),
        (
            "email: \\\"{{ record.email }}\\\"",
            "email: 7",
            "operation create: `email` of the body is string, and a number is sent",
        ),
    ] {
        let (from, to) = (from.replace('\\', ""), to.replace('\\', ""));
        assert!(CONNECTOR.contains(&from), "{from}");
        let ran = check(&CONNECTOR.replacen(&from, &to, 1), &text());
        assert_eq!(ran.code, 3, "{wanted}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("RK0146"), "{}", ran.stderr);
        let misfits = told(&ran, "misfits");
        assert!(misfits.contains(&wanted.to_owned()) && misfits.len() <= 2, "{wanted}: {misfits:#?}");
    }
}

#[test]
fn what_a_document_requires_and_the_connector_does_not_send_is_told() {
    let required =
        text().replace("in: query, schema: { type: integer", "in: query, required: true, schema: { type: integer");
    let without = CONNECTOR.replace("    query: { limit: 100 }\n", "");
    let ran = check(&without, &required);
    assert_eq!(told(&ran, "misfits"), ["stream contacts: the query parameter `limit` is required and not sent"]);
    let header = text().replace("in: header, schema", "in: header, required: true, schema");
    assert_eq!(check(CONNECTOR, &header).code, 0, "the idempotency key is sent");
    let form = text().replacen("content: { application/json: { schema: { $ref: '#/components/schemas/contact' } } } }\n      responses: { '201'", "content: { application/x-www-form-urlencoded: { schema: { $ref: '#/components/schemas/contact' } } } }\n      responses: { '201'", 1);
    let ran = check(CONNECTOR, &form);
    assert_eq!(told(&ran, "misfits"), ["operation create: JSON is sent, and the document takes no JSON"]);
}

#[test]
fn what_a_document_does_not_describe_is_no_misfit() {
    let bare = text().replace("properties:\n                  contacts: { type: array, items: { $ref: '#/components/schemas/contact' } }\n                  meta: { type: object, properties: { next_cursor: { type: [string, 'null'] } } }", "description: anything");
    let ran = check(CONNECTOR, &bare);
    assert_eq!((ran.code, told(&ran, "misfits").len()), (0, 0), "{}{}", ran.stdout, ran.stderr);
    assert!(
        told(&ran, "untold").iter().any(|one| one.contains("`contacts` of the answer is not described")),
        "{}",
        ran.stdout
    );
    let map = text().replace(
        "required: [id, email]\n      properties:",
        "additionalProperties: { type: string }\n      properties:",
    );
    let ran = check(&CONNECTOR.replace("field: updated_at", "field: custom"), &map);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
}

#[test]
fn a_base_url_with_a_path_and_a_server_with_one_are_the_same_call() {
    let server = text().replace("{account}.vendor.example'", "{account}.vendor.example/api'");
    let based = CONNECTOR.replace("version: 1\n", "version: 1\nbase_url: https://x.vendor.example/api\n");
    for (connector, document) in [(CONNECTOR, &server), (&based, &server)] {
        let ran = check(connector, document);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    }
    assert_eq!(check(&based, &text()).code, 3);
}

#[test]
fn what_changed_since_an_older_document_is_told_for_the_calls_that_are_used() {
    let older = text();
    let newer = older
        .replace(
            "{ name: updated_since, in: query, schema: { type: string, format: date-time } }",
            "{ name: tenant, in: query, required: true, schema: {} }",
        )
        .replace("email: { type: string }", "email: { type: [string, 'null'] }\n        phone: { type: string }")
        .replace("operationId: deleteContact", "operationId: deleteContact, deprecated: true");
    let folder = stage(CONNECTOR, &[("new.yaml", &newer), ("old.yaml", &older)]);
    let args = ["connectors", "check", "vendor", "--openapi", "new.yaml", "--since", "old.yaml", "--output", "json"];
    let ran = renkei(folder.path(), &args);
    assert_eq!(ran.code, 3, "{}", ran.stdout);
    let changes = told(&ran, "changes");
    for wanted in [
        "stream contacts: the parameter `tenant` is new, and required",
        "stream contacts: the parameter `updated_since` is gone",
        "stream contacts: answer: `contacts[].email` may be null now; it was string",
        "stream contacts: answer: `contacts[].phone` is new",
        "operation create: body: `phone` is new",
        "operation remove: the call is deprecated now",
    ] {
        assert!(changes.contains(&wanted.to_owned()), "{wanted}: {changes:#?}");
    }
    let same = ["connectors", "check", "vendor", "--openapi", "old.yaml", "--since", "old.yaml", "--output", "json"];
    assert_eq!(told(&renkei(folder.path(), &same), "changes"), [""; 0]);
}

#[test]
fn what_cannot_be_checked_is_one_clear_error() {
    let dangling = text().replacen("#/components/schemas/contact", "#/components/schemas/gone", 1);
    let circle = format!("{}    ring: {{ $ref: '#/components/schemas/ring' }}\n", text());
    for (document, code, why) in [
        (dangling.as_str(), "RK0142", "is not there"),
        (circle.as_str(), "RK0142", "circle"),
        ("a: 1\n", "RK0142", "no OpenAPI document"),
        ("a: [1", "RK0142", "no YAML"),
    ] {
        let ran = check(CONNECTOR, document);
        assert!(ran.code == 3 && ran.stderr.contains(code) && ran.stderr.contains(why), "{why}: {}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    }
    let ran = check("version: 1\nstrems: {}\n", &text());
    assert!(ran.code == 3 && ran.stderr.contains("did you mean `streams`?"), "{}", ran.stderr);
    let folder = stage(CONNECTOR, &[("api.yaml", &text())]);
    let ran = renkei(folder.path(), &["connectors", "check", "vendr", "--openapi", "api.yaml", "--output", "text"]);
    assert!(ran.code == 2 && ran.stderr.contains("vendor"), "{}", ran.stderr);
}
