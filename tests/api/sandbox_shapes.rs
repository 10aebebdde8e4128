//! The shapes of answers that the sandbox's CRM gives, while it loses answers; what arrived is what its own account says.

use std::time::Duration;

use http::Method;
use renkei::{
    config::plan::{
        AnswerShape, BatchPlan, Body, Changed, CreatedTest, FirstError, JobPlan, Makes, MatchBy, Operation, Poll,
        Repeat, ResultForm, ResultPlan, RowTest, RowsAre, WholeAnswer,
    },
    model::Verdict,
    sandbox::FaultKind,
    sink::Sink,
    store::Item,
};

use super::{
    sandbox::{Crm, ids},
    server::{noon, path, request},
    writing::{create, item, items, object, sink_of, staged, value},
};

/// A hundred leads, one of which has no usable address.
fn one_poison(at: usize) -> Vec<Item> {
    let mut all = items(100);
    all[at] = item(&format!("l{at}"), "nobody");
    all
}

/// A lead whose name decides whether its address is one.
fn each() -> renkei::config::plan::Node {
    object(&[
        ("external_id", value("record.id")),
        ("email", value("\"nowhere\" if record.name == \"nobody\" else record.id ~ \"@x.test\"")),
    ])
}

fn batch(route: &str, answer: AnswerShape) -> Operation {
    let mut request = request(Method::POST, route);
    request.body = Some(Body::Json(object(&[("inputs", value("batch"))])));
    Operation { request, batch: Some(BatchPlan { size: 100, each: each() }), answer, ..create() }
}

fn rejected(verdicts: &[Verdict]) -> Vec<usize> {
    (0..verdicts.len()).filter(|at| matches!(verdicts[*at], Verdict::Rejected(_))).collect()
}

#[tokio::test]
async fn an_atomic_batch_with_one_poison_record_costs_two_requests_more_and_writes_each_lead_once() {
    let crm = Crm::start().await;
    let answer = AnswerShape::Positional { list: path("ids"), test: RowTest::default() };
    let message = Some(path("error.message"));
    let first_error = Some(FirstError { index: path("error.index"), after: None, from: 0, message });
    let operation = Operation { first_error, sink_id: Some(path(".")), ..batch("/crm/leads/batch/atomic", answer) };
    let before = crm.requests();

    let sink = sink_of(crm.api(4), operation, Changed::Same, noon());
    let verdicts = sink.write(&staged(one_poison(42))).await.unwrap();
    assert_eq!((rejected(&verdicts), ids(&verdicts), crm.account().0), (vec![42], 99, 99));
    assert_eq!(crm.requests() - before, 3);
    crm.next(&[FaultKind::ErrorBefore, FaultKind::ErrorAfter, FaultKind::HalfBody]);
    let again = sink.write(&staged(one_poison(42))).await.unwrap();
    assert_eq!((again, crm.account().0), (verdicts, 99));
    crm.sandbox.stop().await;
}

#[tokio::test]
async fn a_remote_call_that_says_no_with_200_is_a_refused_record() {
    let crm = Crm::start().await;
    let mut operation = create();
    operation.request = request(Method::POST, "/crm/rpc/lead.upsert");
    operation.request.body = Some(Body::Json(each()));
    operation.answer = AnswerShape::Whole(WholeAnswer { ok: Some(path("ok")), errors: vec![path("errors")] });
    operation.sink_id = Some(path("lead.id"));
    crm.next(&[FaultKind::ResetAfter, FaultKind::HalfBody]);
    let sink = sink_of(crm.api(4), operation, Changed::Same, noon());
    let verdicts = sink.write(&staged(one_poison(7)[..10].to_vec())).await.unwrap();
    assert_eq!((rejected(&verdicts), ids(&verdicts), crm.account().0), (vec![7], 9, 9));
    let Verdict::Rejected(reason) = &verdicts[7] else { panic!() };
    assert_eq!(reason.message, "the sink refused the record: email must contain @");
    crm.sandbox.stop().await;
}

fn job(results: Vec<ResultPlan>) -> Operation {
    let job = JobPlan {
        id: path("id"),
        poll: Poll {
            request: request(Method::GET, "/crm/jobs/{{ job.id }}"),
            every: Duration::from_millis(1),
            wait_max: Duration::from_secs(30),
            state: path("state"),
            done: vec!["done".to_owned()],
            failed: Vec::new(),
        },
        results,
        matched: MatchBy::Field { answer: path("external_id"), sent: path("id") }.into(),
    };
    let created = Some(CreatedTest::Field { path: path("created"), values: Vec::new() });
    Operation { makes: Makes::Upsert, created, ..batch("/crm/jobs", AnswerShape::Job(Box::new(job))) }
}

fn file(name: &str, form: ResultForm, rows: RowsAre) -> ResultPlan {
    ResultPlan { request: Some(request(Method::GET, &format!("/crm/jobs/{{{{ job.id }}}}/{name}"))), form, rows }
}

#[tokio::test]
async fn a_job_is_waited_for_and_its_results_are_read_in_json_and_csv_though_answers_are_lost() {
    let crm = Crm::start().await;
    let csv = || ResultForm::Csv { delimiter: ',', open_end: false };
    let test = RowTest { ok: Some(path("success")), errors: Some(path("error")) };
    let in_csv = vec![
        file("accepted.csv", csv(), RowsAre::Accepted),
        file("refused.csv", csv(), RowsAre::Refused(Some(path("error")))),
    ];
    let in_json = vec![file("results", ResultForm::Json(path("rows")), RowsAre::Either(test))];
    for (results, repeat) in
        [(in_csv, create().repeat), (in_json, vec![Repeat::Upsert { unique: "external_id".to_owned() }])]
    {
        crm.next(&[FaultKind::ResetAfter, FaultKind::ErrorBefore, FaultKind::HalfBody, FaultKind::ErrorAfter]);
        let operation = Operation { repeat, ..job(results) };
        let sink = sink_of(crm.api(6), operation, Changed::Same, noon());
        let verdicts = sink.write(&staged(one_poison(42))).await.unwrap();
        assert_eq!(rejected(&verdicts), [42]);
        let Verdict::Rejected(reason) = &verdicts[42] else { panic!() };
        assert_eq!(reason.message, "the sink refused the record: email must contain @");
        assert!(verdicts.iter().all(|verdict| !matches!(verdict, Verdict::Created(None) | Verdict::Updated(None))));
        assert_eq!(crm.account().0, 99, "a second job after a lost answer changes nothing");
    }
    assert!(crm.is_without_doubles());
    crm.sandbox.stop().await;
}
