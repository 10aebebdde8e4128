//! Streams that are exports: a job is made, asked after, read, and deleted, through everything that can go wrong with it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use renkei::{
    config::{self, MapEnvironment},
    model::{Code, Position},
};
use serde_json::json;

use super::{
    crash::through_crashes,
    rig::{Asked, Reply, Stage, Vendor, assert_ids, ok, status},
};

/// A query job: its rows come as CSV, and a header names the next set.
const BULK: &str = r#"
post: /jobs
body: { json: { operation: query, query: "SELECT Id FROM Account WHERE Changed >= {{ window.since or 'ever' }}" } }
key: id
decode: { csv: {} }
large: {}
paginate: { cursor: { header: Locator, query: locator } }
incremental: { field: at, format: rfc3339, overlap: 0s }
export:
  id: id
  poll: { get: "/jobs/{{ job.id }}", every: 100ms, wait_max: 1s, state: state, done: Done, failed: [Failed, Aborted] }
  download: { get: "/jobs/{{ job.id }}/results", query: { maxRecords: "2" } }
  delete: "/jobs/{{ job.id }}"
"#;

/// A job whose files are at URLs.
const FILES: &str = r#"
post: /jobs
key: id
large: {}
export:
  id: job.id
  poll: { post: "/status", query: { v: "1" }, body: { json: { id: "{{ job.id }}" } }, every: 100ms, state: state, done: [done] }
  download: { urls: files }
"#;

fn path(asked: &Asked) -> (&str, &str) {
    asked.line.split_once(' ').unwrap()
}

fn ids(from: usize, to: usize) -> String {
    let one = |id: usize| format!(r#"{{"id":{id},"text":"{}"}}"#, "x".repeat(60));
    format!("[{}]", (from..to).map(one).collect::<Vec<_>>().join(","))
}

#[tokio::test]
async fn a_query_job_is_made_asked_after_read_set_by_set_and_deleted() {
    let polls = AtomicUsize::new(0);
    let answer = move |asked: &Asked| match path(asked) {
        ("POST", "/jobs") => ok(r#"{"id":"j1","state":"Queued"}"#),
        ("GET", "/jobs/j1") if polls.fetch_add(1, Ordering::Relaxed) < 2 => ok(r#"{"id":"j1","state":"Running"}"#),
        ("GET", "/jobs/j1") => ok(r#"{"id":"j1","state":"Done"}"#),
        ("GET", "/jobs/j1/results?maxRecords=2") => {
            ok("id,at\n1,2026-03-01T00:00:00Z\n2,2026-03-02T00:00:00Z\n").header("Locator: MTA")
        }
        ("GET", "/jobs/j1/results?maxRecords=2&locator=MTA") => {
            ok("id,at\n3,2026-03-03T00:00:00Z\n").header("Locator: null")
        }
        ("DELETE", "/jobs/j1") => status(204),
        other => panic!("{other:?}"),
    };
    let stage = Stage::new(BULK, answer).await;
    stage.well().await;
    let found: Vec<_> = stage.lines().iter().map(|line| line["id"].clone()).collect();
    assert_eq!(found, [json!("1"), json!("2"), json!("3")]);
    let first = stage.vendor.asked().remove(0);
    assert!(first.body.contains("Changed >= ever"), "{}", first.body);
    assert!(stage.checkpoint().await.unwrap().cursor.is_some(), "the cursor moved to where the job was made");
    assert_eq!(stage.vendor.lines().last().unwrap(), "DELETE /jobs/j1");
    assert_eq!(stage.vendor.count(), 1 + 3 + 2 + 1);
}

#[tokio::test]
async fn files_on_another_host_are_read_without_credentials() {
    let store = Vendor::new(|_| ok(ids(0, 3))).await;
    let url = format!("{}/signed?by=them", store.url);
    let host = store.url.trim_start_matches("http://").to_owned();
    let answer = move |asked: &Asked| match path(asked) {
        ("POST", "/jobs") => ok(r#"{"job":{"id":"gid://7"}}"#),
        ("POST", "/status?v=1") => ok(json!({"state": "done", "files": url}).to_string()),
        other => panic!("{other:?}"),
    };
    let auth = "auth: { basic: { user: me, password: \"${PASSWORD}\" } }";
    let more = format!(", egress: {{ hosts: [\"{host}\"] }}, {auth}");
    let stage = Stage::beside(&more, FILES, answer).await;
    stage.well().await;
    assert_ids(&stage.lines(), 3);
    let asked = stage.vendor.asked();
    assert!(asked[1].body.contains("gid://7") && asked[1].head.to_lowercase().contains("authorization: basic"));
    assert!(!store.asked()[0].head.to_lowercase().contains("authorization"), "{}", store.asked()[0].head);
    assert_eq!(store.lines(), ["GET /signed?by=them"]);
}

#[tokio::test]
async fn a_host_that_nobody_declared_is_not_asked() {
    let answer = |asked: &Asked| match path(asked) {
        ("POST", "/jobs") => ok(r#"{"job":{"id":"7"}}"#),
        _ => ok(r#"{"state":"done","files":["http://127.0.0.2:9/x"]}"#),
    };
    assert_eq!(Stage::new(FILES, answer).await.fault().await.code, Code::Egress);
}

#[tokio::test]
async fn a_job_without_records_has_no_files() {
    for files in ["null", "[]", "\"\""] {
        let answer = move |asked: &Asked| match path(asked) {
            ("POST", "/jobs") => ok(r#"{"job":{"id":7}}"#),
            _ => ok(format!(r#"{{"state":"done","files":{files}}}"#)),
        };
        let stage = Stage::new(FILES, answer).await;
        assert_eq!(stage.well().await.counts.read, 0, "{files}");
    }
}

/// Records of one file.
const FILE: usize = 9_500;

/// A vendor with a job of three files.
fn three_files(asked: &Asked, jobs: &AtomicUsize) -> Reply {
    match path(asked) {
        ("POST", "/jobs") => ok(format!(r#"{{"job":{{"id":{}}}}}"#, jobs.fetch_add(1, Ordering::Relaxed))),
        ("POST", "/status?v=1") => ok(r#"{"state":"done","files":["/f/0","/f/1","/f/2"]}"#),
        ("GET", file) => {
            let number: usize = file.trim_start_matches("/f/").parse().unwrap();
            ok(ids(number * FILE, (number + 1) * FILE))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_crash_goes_on_with_the_same_job_at_the_same_record_of_the_same_file() {
    for commits in 1..4 {
        let jobs = Arc::new(AtomicUsize::new(0));
        let counted = jobs.clone();
        let stage = Stage::new(FILES, move |asked| three_files(asked, &counted)).await;
        let deaths = through_crashes(&stage, commits).await;
        assert!(deaths >= 3 - commits.min(2), "{deaths} deaths");
        assert_ids(&stage.lines(), 3 * FILE);
        assert_eq!(jobs.load(Ordering::Relaxed), 1, "one job for all lives");
        let fetched = |file: &str| stage.vendor.lines().iter().filter(|line| line.ends_with(file)).count();
        assert!(fetched("/f/0") <= deaths, "a file that is through is not read again");
    }
}

#[tokio::test]
async fn a_job_that_fails_says_what_the_vendor_said_and_the_next_run_makes_another() {
    let jobs = AtomicUsize::new(0);
    let answer = move |asked: &Asked| match path(asked) {
        ("POST", "/jobs") => ok(format!(r#"{{"id":"j{}"}}"#, jobs.fetch_add(1, Ordering::Relaxed))),
        ("GET", "/jobs/j0") => ok(r#"{"state":"Failed","message":"INVALID_FIELD: no such column"}"#),
        ("GET", "/jobs/j1") => ok(r#"{"state":"Done"}"#),
        ("GET", "/jobs/j1/results?maxRecords=2") => ok("id,at\n1,2026-03-01T00:00:00Z\n"),
        ("DELETE", _) => status(500),
        other => panic!("{other:?}"),
    };
    let stage = Stage::new(BULK, answer).await;
    let fault = stage.fault().await;
    assert_eq!(fault.code, Code::ExportFailed);
    assert!(fault.message.contains("job j0 ended as `Failed`: INVALID_FIELD: no such column"), "{fault}");
    stage.well().await;
    assert_eq!(stage.lines().len(), 1);
}

#[tokio::test]
async fn a_job_that_never_ends_is_waited_for_again_by_the_next_run() {
    let done = Arc::new(AtomicUsize::new(0));
    let is_done = done.clone();
    let answer = move |asked: &Asked| match path(asked) {
        ("POST", "/jobs") => ok(r#"{"id":"j"}"#),
        ("GET", "/jobs/j") if is_done.load(Ordering::Relaxed) == 0 => ok(r#"{"state":"Running"}"#),
        ("GET", "/jobs/j") => ok(r#"{"state":"Done"}"#),
        ("GET", _) => ok("id,at\n1,2026-03-01T00:00:00Z\n"),
        _ => status(204),
    };
    let stage = Stage::new(BULK, answer).await;
    let fault = stage.fault().await;
    assert_eq!(fault.code, Code::ExportUnfinished);
    assert!(fault.message.contains("job j is still `Running` after"), "{fault}");
    let scan = stage.checkpoint().await.unwrap().scan.unwrap();
    assert_eq!(scan.position, Some(Position::Job { id: "j".into(), file: 0, inside: None }));
    done.store(1, Ordering::Relaxed);
    stage.well().await;
    assert_eq!(stage.lines().len(), 1);
    assert_eq!(stage.vendor.lines().iter().filter(|line| line.starts_with("POST")).count(), 1);
}

#[tokio::test]
async fn a_job_that_is_gone_is_made_anew_once() {
    for (gone, is_well) in [(1, true), (usize::MAX, false)] {
        let jobs = Arc::new(AtomicUsize::new(0));
        let counted = jobs.clone();
        let answer = move |asked: &Asked| {
            let made = counted.load(Ordering::Relaxed);
            match path(asked) {
                // The second file of the first jobs is gone when it is asked for.
                ("GET", "/f/1") if made <= gone => status(404),
                _ => three_files(asked, &counted),
            }
        };
        let stage = Stage::new(FILES, answer).await;
        let (_, fault) = stage.run().await;
        assert_eq!(fault.map(|fault| fault.code), if is_well { None } else { Some(Code::ExportGone) });
        assert_eq!(jobs.load(Ordering::Relaxed), 2);
        if is_well {
            assert_ids(&stage.lines(), 3 * FILE);
        }
    }
}

#[tokio::test]
async fn a_url_that_has_ended_is_asked_of_the_job_once_more() {
    let asked_after = Arc::new(Mutex::new(0));
    let counted = asked_after.clone();
    let answer = move |asked: &Asked| match path(asked) {
        ("POST", "/jobs") => ok(r#"{"job":{"id":7}}"#),
        ("POST", "/status?v=1") => {
            let mut times = counted.lock().unwrap();
            *times += 1;
            ok(json!({"state": "done", "files": [format!("/a?{times}"), format!("/b?{times}")]}).to_string())
        }
        ("GET", "/a?1") => ok(ids(0, 5)),
        ("GET", "/b?1") => status(403),
        ("GET", "/b?2") => ok(ids(5, 9)),
        other => panic!("{other:?}"),
    };
    let stage = Stage::new(FILES, answer).await;
    stage.well().await;
    assert_ids(&stage.lines(), 9);
    assert_eq!(*asked_after.lock().unwrap(), 2);
}

#[tokio::test]
async fn an_export_that_cannot_work_is_named_with_its_place() {
    let stream = r#"
post: /jobs
key: id
conditional: true
paginate: { link: {} }
incremental: { token: { next: next, query: since } }
export:
  id: id
  poll: { get: "/x", post: "/y", every: 1h, wait_max: 1s, state: s, done: [a], failed: [a] }
  download: { urls: files, query: { a: b } }
"#;
    let stage = Stage::new(stream, |_| ok("")).await;
    let report = config::load(stage.folder.path(), &MapEnvironment::default()).unwrap_err().render(false);
    for wanted in [
        "`every` is longer than `wait_max`",
        "a job is asked after in one way",
        "`a` is both done and failed",
        "`query` without `get`",
        "each URL is one whole file",
        "whether an export is new nobody can say",
        "the files of an export have no place for a token of changes",
    ] {
        assert!(report.contains(wanted), "{wanted} is not in\n{report}");
    }
}
