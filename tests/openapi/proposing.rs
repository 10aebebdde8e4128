//! From a document to records in a file, with nothing added but credentials.

use std::{fs, path::Path, process::Command};

use serde_json::Value;
use tempfile::TempDir;

use crate::mock::{Mock, SECRET, Served, expected};

pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

pub fn renkei(folder: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_renkei"));
    command.current_dir(folder).args(args).env("NO_COLOR", "1");
    for (name, value) in [("TOKEN", SECRET), ("KEY", SECRET), ("PASSWORD", SECRET), ("USER", "ann")] {
        command.env(format!("VENDOR_{name}"), value);
    }
    command.env("VENDOR_CLIENT_ID", "us").env("VENDOR_CLIENT_SECRET", SECRET);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

pub fn document(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi/documents").join(name)
}

pub fn tree(text: &str) -> Value {
    renkei::config::yaml_document(text, 2_000_000).unwrap()
}

/// Proposes a connector, validates it, and reads its first stream. The connector's text comes back.
fn reads(file: &Path) -> String {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    fs::write(at.join("renkei.yaml"), "version: 1\n").unwrap();
    let made = renkei(at, &["connectors", "new", "vendor", "--openapi", file.to_str().unwrap(), "--output", "json"]);
    assert_eq!(made.code, 0, "{}{}", made.stdout, made.stderr);
    let told: Value = serde_json::from_str(&made.stdout).unwrap();
    let text = fs::read_to_string(at.join("connectors/vendor/connector.yaml")).unwrap();
    let valid = renkei(at, &["validate", "--without-secrets"]);
    assert_eq!(valid.code, 0, "{}{}\n{text}", valid.stdout, valid.stderr);
    let connector = tree(&text);
    let first = told["streams"][0].as_str().unwrap().to_owned();
    let stream = connector["streams"][&first].clone();
    let source = fs::read_to_string(file).unwrap();
    let auth = connector["auth"].clone();
    let mock = Mock::start(Served { document: tree(&source), stream: stream.clone(), auth: auth.clone() });
    let connection = told["connection"].as_str().unwrap();
    let connection: String =
        connection.lines().filter(|line| !line.contains("base_url:")).map(|line| format!("{line}\n")).collect();
    // People sign in with a browser once; here the refresh token of that is given.
    let refresh = format!(
        "oauth2: {{ grant: {{ refresh_token: {{ token: \"${{VENDOR_TOKEN}}\" }} }}, token_url: {}/token, ",
        mock.url
    );
    let connection = if auth["oauth2"].is_object() { connection.replace("oauth2: { ", &refresh) } else { connection };
    let workspace =
        format!("version: 1\n{connection}    base_url: {}\n  files: {{ jsonl: {{ path: out }} }}\n", mock.url);
    fs::write(at.join("renkei.yaml"), &workspace).unwrap();
    fs::create_dir_all(at.join("pipelines")).unwrap();
    let pipeline = format!(
        "version: 1\nfrom: {{ connection: vendor, stream: {first} }}\nto: {{ connection: files, file: all }}\n"
    );
    fs::write(at.join("pipelines/all.yaml"), pipeline).unwrap();
    let ran = renkei(at, &["run", "--log-format", "text"]);
    assert_eq!(ran.code, 0, "{first}: {}{}\n{workspace}\n{text}", ran.stdout, ran.stderr);
    let files = fs::read_dir(at.join("out")).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let lines: usize = files.map(|text| text.lines().count()).sum();
    assert_eq!(lines as u64, expected(&stream), "{stream}");
    eprintln!(
        "{}: {} streams, {} operations, {} things to look at; first {first}: {lines} records\n{:#}",
        file.display(),
        told["streams"].as_array().unwrap().len(),
        told["operations"].as_array().unwrap().len(),
        told["look_at"].as_array().unwrap().len(),
        told["look_at"]
    );
    text
}

#[test]
fn a_token_in_the_answer_is_followed_and_a_bearer_token_is_sent() {
    let text = reads(&document("cursor.yaml"));
    assert!(text.contains("paginate: { cursor: { next: meta.next_cursor, query: cursor } }"), "{text}");
    assert!(text.contains("incremental: { field: updated_at, format: rfc3339, since: updated_since }"), "{text}");
    assert!(text.contains("query: { limit: 200 }"), "{text}");
    assert!(text.contains("repeat: { idempotency_key: { header: Idempotency-Key } }"), "{text}");
    assert!(text.contains("repeat: { never: {} }") && !text.contains("upsert: {"), "{text}");
    assert!(text.contains("patch: \"/v1/contacts/{{ sink.id }}\""), "{text}");
}

#[test]
fn pages_are_counted_and_a_key_is_sent_in_a_header() {
    let text = reads(&document("pages.json"));
    assert!(
        text.contains("page: { query: page, size: { query: per_page, records: 50 }, total_pages: total_pages }"),
        "{text}"
    );
    assert!(text.contains("api_key: { header: X-Api-Key }"), "{text}");
}

#[test]
fn offsets_are_counted_and_a_password_is_sent() {
    let text = reads(&document("offset.json"));
    assert!(text.contains("offset: { query: offset, size: { query: limit, records: 20 }, total: total }"), "{text}");
    assert!(text.contains("basic: {}"), "{text}");
}

#[test]
fn an_old_document_with_links_in_headers_and_a_key_in_the_query_is_read() {
    let text = reads(&document("link-swagger2.json"));
    assert!(text.contains("paginate: { link: {} }") && text.contains("api_key: { query: key }"), "{text}");
    assert!(text.contains("base_url: \"https://api.vendor.example/v3\""), "{text}");
}

#[test]
fn the_last_records_key_goes_on_and_a_form_is_sent() {
    let text = reads(&document("last.json"));
    assert!(text.contains("cursor: { last: id, query: starting_after, more: has_more }"), "{text}");
    assert!(text.contains("body: { form: \"{{ record }}\" }"), "{text}");
    assert!(text.contains("# incremental: { field: created, format: epoch_seconds, since: \"created[gte]\""), "{text}");
}

#[test]
fn a_next_url_is_followed_and_an_access_token_is_got() {
    let text = reads(&document("next-url.yaml"));
    assert!(text.contains("paginate: { next_url: { next: links.next } }"), "{text}");
    assert!(
        text.contains("authorization_code") && text.contains("token_url: \"https://auth.vendor.example/token\""),
        "{text}"
    );
}

#[test]
fn a_search_by_post_is_a_stream_whose_body_carries_the_token() {
    let text = reads(&document("search.yaml"));
    assert!(text.contains("body: { json: { start_cursor: \"{{ page.token }}\", page_size: 100 } }"), "{text}");
    assert!(text.contains("headers: { X-Version: "), "{text}");
}

#[test]
fn nothing_is_overwritten_without_being_told() {
    let folder = TempDir::new().unwrap();
    let file = document("pages.json");
    let args = ["connectors", "new", "vendor", "--openapi", file.to_str().unwrap()];
    assert_eq!(renkei(folder.path(), &args).code, 0);
    let written = folder.path().join("connectors/vendor/connector.yaml");
    fs::write(&written, "mine").unwrap();
    let refused = renkei(folder.path(), &args);
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert_eq!(fs::read_to_string(&written).unwrap(), "mine");
    assert_eq!(renkei(folder.path(), &[&args[..], &["--overwrite"]].concat()).code, 0);
    assert_ne!(fs::read_to_string(&written).unwrap(), "mine");
}

/// Documents of vendors, which stay out of the repository: a folder of them is named by `RENKEI_SPECS`.
#[test]
fn documents_of_vendors_become_connectors_that_read() {
    let Some(folder) = std::env::var_os("RENKEI_SPECS") else { return };
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| !file.ends_with("manifest.json"));
    files.sort();
    let failed: Vec<_> = files.iter().filter(|file| std::panic::catch_unwind(|| drop(reads(file))).is_err()).collect();
    assert!(failed.is_empty(), "{failed:?}");
}
