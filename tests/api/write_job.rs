//! Asynchronous jobs that go wrong in every way: each is a fault with a code, and the batch stays as it is.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Method;
use renkei::{
    config::plan::{AnswerShape, JobPlan, Operation, ResultForm, ResultPlan, RowTest, RowsAre},
    model::{Code, Verdict},
    sink::Sink,
};

use super::{
    model::Shape,
    server::{Asked, Reply, Server, ok, path, request, status},
    writing::{create_batch, items, sink, staged},
};

/// A job of which `change` is otherwise than usual, for three records.
fn operation(change: impl Fn(&mut JobPlan)) -> Operation {
    let mut job = Shape::JobInCsv.job();
    change(&mut job);
    create_batch(10, AnswerShape::Job(Box::new(job)))
}

const GOOD: &str = "ref,id\nl0,crm-l0\nl2,crm-l2\n";
const BAD: &str = "ref,message\nl1,is taken\n";

/// Answers a usual job, but for the path that is given.
fn job(path: &'static str, body: &'static str) -> impl Fn(&Asked) -> Reply + Clone {
    move |asked| match asked.path.as_str() {
        given if given == path => ok(body),
        "/leads/batch" => status(202, r#"{"job":{"id":"7"}}"#),
        "/jobs/7" => ok(r#"{"state":"done"}"#),
        "/jobs/7/good" => ok(GOOD),
        "/jobs/7/bad" => ok(BAD),
        _ => status(404, "{}"),
    }
}

#[tokio::test]
async fn a_job_in_order_gives_each_record_its_verdict() {
    let server = Server::answering(job("", "")).await;
    let verdicts = sink(&server.url, operation(|_| ())).write(&staged(items(3))).await.unwrap();
    let created = |id: &str| Verdict::Created(Some(id.to_owned()));
    assert_eq!((&verdicts[0], &verdicts[2]), (&created("crm-l0"), &created("crm-l2")));
    let Verdict::Rejected(reason) = &verdicts[1] else { panic!("{verdicts:?}") };
    assert_eq!(reason.message, "the sink refused the record: is taken");
    let asked = server.asked();
    let accepts: Vec<_> = asked.iter().map(|asked| asked.header("accept").unwrap()).collect();
    assert_eq!(accepts, ["application/json", "application/json", "text/csv", "text/csv"]);
}

#[tokio::test]
async fn a_job_that_disappoints_is_a_fault_with_a_code_and_leaves_the_batch_staged() {
    for (path, body, code, says) in [
        ("/leads/batch", "{}", Code::StrangeAnswer, "names no job"),
        ("/leads/batch", r#"{"job":{"id":""}}"#, Code::StrangeAnswer, "names no job"),
        ("/jobs/7", r#"{"state":"running"}"#, Code::JobUnfinished, "still `running`"),
        ("/jobs/7", r#"{"state":"failed","message":"disk is full"}"#, Code::JobFailed, "`failed`: disk is full"),
        ("/jobs/7", r#"{"status":"done"}"#, Code::StrangeAnswer, "no state"),
        ("/jobs/7", "<html>", Code::StrangeAnswer, "no state"),
        ("/jobs/7/good", "ref,id\nl0,crm-l0\nl2,crm-", Code::ResultFile, "not ended"),
        ("/jobs/7/good", "ref,id\nl0,crm-l0\nl2\n", Code::ResultFile, "line 3 has 1 fields for 2 names"),
        ("/jobs/7/good", "ref,id\nl0,\"crm-l0\nl2,crm-l2\n", Code::ResultFile, "has no end"),
        ("/jobs/7/good", "ref,id\nl0,crm-l0\n", Code::Unanswered, "speaks of 2"),
        ("/jobs/7/good", "", Code::Unanswered, "speaks of 1"),
        ("/jobs/7/good", "ref,id\nl0,1\nl2,3\nl9,4\n", Code::StrangeAnswer, "was not sent"),
        ("/jobs/7/good", "ref,id\nl0,1\nl2,3\nl2,4\n", Code::StrangeAnswer, "twice"),
        ("/jobs/7/bad", "ref,message\nl1,no\nl0,no\n", Code::StrangeAnswer, "twice"),
        ("/jobs/7/bad", "name,message\nl1,no\n", Code::StrangeAnswer, "names no record"),
    ] {
        let server = Server::answering(job(path, body)).await;
        let batch = staged(items(3));
        let operation = || operation(|job| job.poll.wait_max = Duration::from_millis(20));
        let fault = sink(&server.url, operation()).write(&batch).await.unwrap_err();
        assert_eq!(fault.code, code, "{path} {body}: {fault}");
        assert!(fault.message.contains(says), "{path} {body}: {fault}");
        assert!(fault.help.contains("stays staged"), "{}", fault.help);
        // What was mended meanwhile is asked for under the same key.
        let mended = Server::answering(job("", "")).await;
        assert_eq!(sink(&mended.url, operation()).write(&batch).await.unwrap().len(), 3);
        let key = |server: &Server| server.asked()[0].header("idempotency-key").unwrap().to_owned();
        assert_eq!(key(&server), key(&mended));
    }
}

#[tokio::test]
async fn a_result_in_json_without_its_list_cannot_be_read() {
    for body in ["{}", r#"{"rows":7}"#, r#"{"rows":[{"ref":"l0""#, ""] {
        let server = Server::answering(job("/jobs/7/all", body)).await;
        let all = || ResultPlan {
            request: Some(request(Method::GET, "/jobs/{{ job.id }}/all")),
            form: ResultForm::Json(path("rows")),
            rows: RowsAre::Either(RowTest { ok: Some(path("ok")), errors: None }),
        };
        let sink = sink(&server.url, operation(|job| job.results = vec![all()]));
        let fault = sink.write(&staged(items(3))).await.unwrap_err();
        assert_eq!(fault.code, Code::ResultFile, "{body}: {fault}");
        assert!(fault.message.contains("/jobs/{{ job.id }}/all"), "{fault}");
    }
}

#[tokio::test]
async fn a_wait_that_is_longer_than_allowed_is_not_begun() {
    let server = Server::answering(|asked| match asked.method {
        Method::POST => status(202, r#"{"job":{"id":7}}"#),
        _ => ok(r#"{"state":"queued"}"#).header("retry-after", "3600"),
    })
    .await;
    let fault = sink(&server.url, operation(|_| ())).write(&staged(items(3))).await.unwrap_err();
    assert_eq!(fault.code, Code::JobUnfinished);
    assert!(fault.message.contains("asks to wait 3600s more"), "{fault}");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn after_a_crash_the_same_key_names_the_same_job() {
    let jobs: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let kept = Arc::clone(&jobs);
    let server = Server::answering(move |asked| {
        if asked.method == Method::POST {
            let mut jobs = kept.lock().unwrap();
            let next = jobs.len();
            let id = *jobs.entry(asked.header("idempotency-key").unwrap().to_owned()).or_insert(next);
            return status(202, format!(r#"{{"job":{{"id":"{id}"}}}}"#));
        }
        match asked.path.as_str() {
            // The first process ends here.
            _ if asked.number == 1 => status(403, "{}"),
            "/jobs/0" => ok(r#"{"state":"done"}"#),
            "/jobs/0/good" => ok(GOOD),
            "/jobs/0/bad" => ok(BAD),
            _ => status(404, "{}"),
        }
    })
    .await;
    let batch = staged(items(3));
    let usual = || operation(|_| ());
    assert_eq!(sink(&server.url, usual()).write(&batch).await.unwrap_err().code, Code::Forbidden);
    assert_eq!(sink(&server.url, usual()).write(&batch).await.unwrap().len(), 3);
    assert_eq!(jobs.lock().unwrap().len(), 1);
}
