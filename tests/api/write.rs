//! Writing records one by one.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use chrono::TimeDelta;
use http::Method;
use renkei::{
    config::plan::{AnswerRule, Body, Changed, KeyFormat, KeyPlan, Makes, Meaning, Operation, Repeat, When},
    model::{Code, Disposition, Verdict},
    sink::{Durability, Sink},
};
use serde_json::json;
use tokio::sync::Barrier;

use super::{
    server::{Asked, Reply, Server, api, noon, ok, path, request, status, template},
    writing::{create, item, items, keyed, object, resumed, sink, sink_of, staged, value},
};

fn created(id: &str) -> Verdict {
    Verdict::Created(Some(id.to_owned()))
}

/// Makes every lead and names it after its key.
fn accept(asked: &Asked) -> Reply {
    status(201, json!({"id": format!("crm-{}", asked.json()["id"].as_str().unwrap())}).to_string())
}

fn code_of(verdict: &Verdict) -> Option<Code> {
    match verdict {
        Verdict::Rejected(reason) | Verdict::Parked(reason) => Some(reason.code),
        _ => None,
    }
}

#[tokio::test]
async fn each_record_is_sent_with_its_own_bytes_and_key_and_answered_in_its_place() {
    let server = Server::answering(accept).await;
    let batch = staged(items(20));
    let sink = sink(&server.url, create());
    assert_eq!(sink.durability(), Durability::Outbox);
    let verdicts = sink.write(&batch).await.unwrap();
    let expected: Vec<Verdict> = (0..20).map(|at| created(&format!("crm-l{at}"))).collect();
    assert_eq!(verdicts, expected);
    for asked in server.asked() {
        let item = batch.items().iter().find(|item| item.fields.as_str() == asked.body).unwrap();
        assert_eq!(asked.header("idempotency-key"), Some(item.idempotency_key.as_str()));
        assert_eq!(asked.header("content-type"), Some("application/json"));
    }
    assert_eq!(server.asked().len(), 20);
}

#[tokio::test]
async fn as_many_requests_are_under_way_as_the_budget_allows() {
    // No request is answered before four of them are there: with fewer at once this would never end.
    let barrier = Arc::new(Barrier::new(4));
    let server = Server::start(move |asked| {
        let barrier = barrier.clone();
        async move {
            barrier.wait().await;
            accept(&asked)
        }
    })
    .await;
    let mut connection = api(&server.url);
    connection.budget.concurrency = 4;
    let sink = sink_of(connection, create(), Changed::Same, noon());
    assert_eq!(sink.write(&staged(items(8))).await.unwrap().len(), 8);
}

#[tokio::test]
async fn records_of_one_name_are_never_under_way_together_and_keep_their_order() {
    let under_way = Arc::new(AtomicUsize::new(0));
    let gauge = under_way.clone();
    let server = Server::start(move |asked| {
        let gauge = gauge.clone();
        async move {
            let same = asked.json()["id"] == "same";
            assert!(!same || gauge.fetch_add(1, Ordering::SeqCst) == 0, "two of one name at once");
            tokio::task::yield_now().await;
            if same {
                gauge.fetch_sub(1, Ordering::SeqCst);
            }
            accept(&asked)
        }
    })
    .await;
    let mut all = vec![item("same", "1"), item("other", "x"), item("same", "2"), item("third", "y"), item("same", "3")];
    all[4].sink_key = Some(all[0].key.clone());
    all[4].key = renkei::model::Key::new("another source key");
    let sink = sink(&server.url, create());
    assert_eq!(sink.write(&staged(all)).await.unwrap().len(), 5);
    let names: Vec<_> = server.asked().iter().map(Asked::json).filter(|lead| lead["id"] == "same").collect();
    assert_eq!(names.iter().map(|lead| lead["name"].as_str().unwrap()).collect::<Vec<_>>(), ["1", "2", "3"]);
}

#[tokio::test]
async fn a_key_is_written_in_the_vendors_format() {
    let server = Server::answering(accept).await;
    for format in [KeyFormat::Raw, KeyFormat::Quoted, KeyFormat::Uuid] {
        let repeat = vec![Repeat::IdempotencyKey(KeyPlan { format, ..keyed() })];
        sink(&server.url, Operation { repeat, ..create() }).write(&staged(items(1))).await.unwrap();
    }
    let asked = server.asked();
    let sent: Vec<&str> = asked.iter().map(|asked| asked.header("idempotency-key").unwrap()).collect();
    assert_eq!((sent[0].len(), sent[1]), (32, format!("\"{}\"", sent[0]).as_str()));
    assert_eq!((sent[2].len(), &sent[2][..8], &sent[2][14..15]), (36, &sent[0][..8], "4"));
}

#[tokio::test]
async fn a_refused_record_is_a_dead_letter_without_its_values_and_the_others_arrive() {
    let server = Server::answering(|asked| match asked.json()["id"].as_str() {
        Some("lead-1") => status(400, r#"{"message":"lead-1 (Annabel): name is taken"}"#),
        _ => accept(asked),
    })
    .await;
    let mut all = items(3);
    all[1] = item("lead-1", "Annabel");
    let verdicts = sink(&server.url, create()).write(&staged(all)).await.unwrap();
    let Verdict::Rejected(reason) = &verdicts[1] else { panic!("{verdicts:?}") };
    assert_eq!(reason.code, Code::RecordRefused);
    assert!(reason.message.contains("*** (***): name is taken"), "{}", reason.message);
    assert_eq!((&verdicts[0], &verdicts[2]), (&created("crm-l0"), &created("crm-l2")));
}

#[tokio::test]
async fn a_key_that_is_still_in_flight_is_asked_again_under_the_same_key() {
    let server = Server::answering(|asked| match asked.number {
        0 => status(409, r#"{"error":"in flight"}"#).header("retry-after", "0"),
        _ => accept(asked),
    })
    .await;
    let verdicts = sink(&server.url, create()).write(&staged(items(1))).await.unwrap();
    assert_eq!(verdicts, [created("crm-l0")]);
    let asked = server.asked();
    assert_eq!(asked[0].header("idempotency-key"), asked[1].header("idempotency-key"));
}

#[tokio::test]
async fn a_key_that_came_with_another_body_parks_the_record_and_is_never_replaced() {
    let server = Server::answering(|_| status(422, r#"{"message":"key reused"}"#)).await;
    let verdicts = sink(&server.url, create()).write(&staged(items(1))).await.unwrap();
    assert!(matches!(&verdicts[0], Verdict::Parked(reason) if reason.code == Code::KeyMismatch), "{verdicts:?}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_connectors_rule_tells_a_bad_record_from_a_misused_key_by_the_body() {
    let server = Server::answering(|_| status(422, r#"{"errors":[{"message":"no email"}]}"#)).await;
    let mut connection = api(&server.url);
    let when = When { status: vec![(422, 422)], body: Some((path("errors"), Vec::new())), ..When::default() };
    connection.answers = vec![AnswerRule { when, is: Meaning::Reject }];
    let verdicts = sink_of(connection, create(), Changed::Same, noon()).write(&staged(items(1))).await.unwrap();
    assert_eq!(code_of(&verdicts[0]), Some(Code::RecordRefused));
    assert!(matches!(verdicts[0], Verdict::Rejected(_)));
}

#[tokio::test]
async fn a_write_that_is_too_old_to_repeat_is_parked_without_being_sent() {
    let server = Server::answering(accept).await;
    let day = TimeDelta::hours(24);
    // All our waiting and all attempts must be over before the vendor forgets: 60 s and 3 x 30 s here.
    let patience = TimeDelta::seconds(60 + 3 * 30) + TimeDelta::milliseconds(3 * 2);
    for (age, sent) in [(day - patience - TimeDelta::milliseconds(1), 1), (day - patience, 0), (day, 0)] {
        let batch = resumed(items(1), noon().0 - age).await;
        let before = server.asked().len();
        let verdicts = sink(&server.url, create()).write(&batch).await.unwrap();
        assert_eq!(server.asked().len() - before, sent);
        assert_eq!(code_of(&verdicts[0]), (sent == 0).then_some(Code::KeyExpired));
    }
    // Repeating an upsert changes nothing, however old it is.
    let upsert =
        Operation { repeat: vec![Repeat::Upsert { unique: "id".to_owned() }], makes: Makes::Upsert, ..create() };
    let batch = resumed(items(1), noon().0 - day).await;
    assert_eq!(code_of(&sink(&server.url, upsert).write(&batch).await.unwrap()[0]), None);
}

fn update() -> Operation {
    let mut request = request(Method::PATCH, "/leads/{{ sink.id }}");
    request.body = Some(Body::Json(object(&[("name", value("record.name"))])));
    Operation { name: "update_lead".to_owned(), request, makes: Makes::Update, ..create() }
}

#[tokio::test]
async fn a_record_that_changed_after_it_was_created_is_sent_to_the_id_it_got() {
    let server = Server::answering(|asked| match asked.method {
        Method::PATCH => ok(r#"{"id":"7/x"}"#),
        _ => accept(asked),
    })
    .await;
    let mut changed = item("l1", "Bea");
    (changed.generation, changed.sink_id) = (1, Some("7/x".to_owned()));
    let both = || vec![item("l0", "Ann"), changed.clone()];
    let sink_with = |changed| sink_of(api(&server.url), create(), changed, noon());
    let verdicts = sink_with(Changed::Operation(Arc::new(update()))).write(&staged(both())).await.unwrap();
    assert_eq!(verdicts, [created("crm-l0"), Verdict::Updated(Some("7/x".to_owned()))]);
    let asked = server.asked();
    let patch = asked.iter().find(|asked| asked.method == Method::PATCH).unwrap();
    assert_eq!((patch.path.as_str(), patch.body.as_str()), ("/leads/7%2Fx", r#"{"name":"Bea"}"#));
    let verdicts = sink_with(Changed::Same).write(&staged(both())).await.unwrap();
    assert_eq!(code_of(&verdicts[1]), Some(Code::ChangedCreate));
}

#[tokio::test]
async fn deleting_what_is_gone_is_deleted() {
    let server = Server::answering(|asked| match asked.path.as_str() {
        "/leads/l0" => status(404, "{}"),
        _ => status(204, ""),
    })
    .await;
    let request = request(Method::DELETE, "/leads/{{ record.id }}");
    let delete = Operation { request, makes: Makes::Delete, sink_id: None, ..create() };
    let verdicts = sink(&server.url, delete).write(&staged(items(2))).await.unwrap();
    assert_eq!(verdicts, [Verdict::Deleted, Verdict::Deleted]);
}

#[tokio::test]
async fn a_wrong_address_stops_the_run_instead_of_rejecting_every_record() {
    let server = Server::answering(|_| status(404, "{}")).await;
    let fault = sink(&server.url, create()).write(&staged(items(5))).await.unwrap_err();
    assert_eq!((fault.code, fault.disposition), (Code::NotFound, Disposition::Halt));
    let verdicts =
        sink(&server.url, Operation { makes: Makes::Update, ..update_of_record() }).write(&staged(items(1))).await;
    assert_eq!(code_of(&verdicts.unwrap()[0]), Some(Code::RecordRefused));
}

fn update_of_record() -> Operation {
    let mut request = request(Method::PUT, "/leads/{{ record.id }}");
    request.body = Some(Body::Json(value("record")));
    Operation { request, ..create() }
}

#[tokio::test]
async fn a_server_that_fails_leaves_the_batch_without_verdicts() {
    let server = Server::answering(|asked| match asked.json()["id"].as_str() {
        Some("l1") => status(503, "{}"),
        _ => accept(asked),
    })
    .await;
    let fault = sink(&server.url, create()).write(&staged(items(3))).await.unwrap_err();
    assert_eq!(fault.code, Code::ServerError);
    assert!(matches!(fault.disposition, Disposition::Retry { .. }));
}

#[tokio::test]
async fn nothing_more_leaves_after_a_fault() {
    let server = Server::answering(|_| status(503, "{}")).await;
    let mut connection = api(&server.url);
    connection.budget.concurrency = 1;
    connection.retry.attempts = 1;
    sink_of(connection, create(), Changed::Same, noon()).write(&staged(items(50))).await.unwrap_err();
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_request_that_a_record_cannot_fill_rejects_that_record_only() {
    let server = Server::answering(accept).await;
    let mut operation = create();
    operation.request.headers =
        vec![("x-name".parse().unwrap(), template("{{ record.name | upper }}-{{ record.nick }}"))];
    let mut all = items(2);
    all[1].fields = renkei::model::Fields::parse(br#"{"id":"l1","name":"Ann","nick":"A"}"#).unwrap();
    let verdicts = sink(&server.url, operation).write(&staged(all)).await.unwrap();
    assert_eq!(code_of(&verdicts[0]), Some(Code::BodyTemplate));
    assert_eq!(verdicts[1], created("crm-l1"));
    assert_eq!(server.asked()[0].header("x-name"), Some("ANN-A"));
}

#[tokio::test]
async fn a_form_body_nests_with_brackets() {
    let server = Server::answering(|_| status(200, r#"{"id":"cus_1"}"#)).await;
    let mut operation = create();
    let metadata = object(&[("id", value("record.id"))]);
    operation.request.body = Some(Body::Form(object(&[("name", value("record.name")), ("metadata", metadata)])));
    sink(&server.url, operation).write(&staged(items(1))).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked[0].header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(asked[0].body, "name=Ann&metadata%5Bid%5D=l0");
}
