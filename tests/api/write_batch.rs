//! Writing several records in one request: partial failures, silence, and the search for a poison record.

use std::collections::BTreeSet;

use renkei::{
    config::plan::{AnswerShape, MatchBy, Operation},
    model::{Code, Verdict, idempotency_key_of_batch},
    sink::Sink,
};
use serde_json::{Value, json};

use super::{
    server::{Asked, Reply, Server, ok, path, status},
    writing::{create_batch, items, positional, sink, staged},
};

fn inputs(asked: &Asked) -> Vec<String> {
    let inputs = asked.json()["inputs"].as_array().unwrap().clone();
    inputs.iter().map(|input| input["key"].as_str().unwrap().to_owned()).collect()
}

fn is_bad(key: &str) -> bool {
    key.ends_with('3')
}

fn by_position(asked: &Asked) -> Reply {
    let results: Vec<Value> = inputs(asked)
        .iter()
        .map(|key| match is_bad(key) {
            true => json!({"ok": false, "errors": ["bad"]}),
            false => json!({"ok": true, "id": format!("crm-{key}")}),
        })
        .collect();
    ok(json!({"results": results}).to_string())
}

fn in_lists(asked: &Asked) -> Reply {
    let (bad, good): (Vec<String>, Vec<String>) = inputs(asked).into_iter().rev().partition(|key| is_bad(key));
    let good: Vec<Value> = good.iter().map(|key| json!({"key": key, "id": format!("crm-{key}")})).collect();
    let bad: Vec<Value> = bad.iter().map(|key| json!({"key": key, "message": "bad"})).collect();
    status(207, json!({"results": good, "errors": bad}).to_string())
}

fn listed() -> AnswerShape {
    let matched = MatchBy::Field { answer: path("key"), sent: path("id") };
    AnswerShape::Listed { ok: path("results"), errors: Some(path("errors")), matched: matched.into() }
}

#[tokio::test]
async fn a_partial_failure_rejects_the_refused_records_and_no_others() {
    for (shape, answer) in [(positional(), by_position as fn(&Asked) -> Reply), (listed(), in_lists)] {
        let server = Server::answering(answer).await;
        let verdicts = sink(&server.url, create_batch(10, shape)).write(&staged(items(25))).await.unwrap();
        let sizes: BTreeSet<usize> = server.asked().iter().map(|asked| inputs(asked).len()).collect();
        assert_eq!((server.asked().len(), sizes), (3, BTreeSet::from([5, 10])));
        for (at, verdict) in verdicts.iter().enumerate() {
            let key = format!("l{at}");
            match verdict {
                Verdict::Rejected(reason) => assert!(is_bad(&key) && reason.code == Code::RecordRefused),
                verdict => assert_eq!(verdict, &Verdict::Created(Some(format!("crm-{key}")))),
            }
        }
    }
}

#[tokio::test]
async fn a_request_is_named_by_its_records_and_has_the_same_name_when_it_is_sent_again() {
    let server = Server::answering(by_position).await;
    let batch = staged(items(25));
    for _ in 0..2 {
        sink(&server.url, create_batch(10, positional())).write(&batch).await.unwrap();
    }
    let sent: Vec<(Vec<String>, String)> = server
        .asked()
        .iter()
        .map(|asked| (inputs(asked), asked.header("idempotency-key").unwrap().to_owned()))
        .collect();
    let distinct: BTreeSet<_> = sent.iter().cloned().collect();
    assert_eq!((sent.len(), distinct.len()), (6, 3));
    let first = idempotency_key_of_batch(batch.items()[..10].iter().map(|item| item.idempotency_key.as_str()));
    assert!(sent.iter().any(|(_, key)| *key == first));
}

#[tokio::test]
async fn a_sink_that_answers_for_fewer_records_decides_nothing() {
    for (shape, body, code) in [
        (positional(), r#"{"results":[{"ok":true,"id":"1"},{"ok":true,"id":"2"}]}"#, Code::Unanswered),
        (listed(), r#"{"results":[{"key":"l0"},{"key":"l1"}],"errors":[]}"#, Code::Unanswered),
        (listed(), r#"{"results":[{"key":"l0"},{"key":"l1"},{"key":"l9"}]}"#, Code::StrangeAnswer),
        (listed(), r#"{"results":[{"key":"l0"},{"key":"l1"},{"key":"l1"}]}"#, Code::StrangeAnswer),
        (listed(), "<html>", Code::StrangeAnswer),
    ] {
        let server = Server::answering(move |_| ok(body)).await;
        let fault = sink(&server.url, create_batch(10, shape)).write(&staged(items(3))).await.unwrap_err();
        assert_eq!(fault.code, code, "{body}");
        assert!(fault.help.contains("stays staged"), "{}", fault.help);
    }
}

/// Refuses a request as a whole when it holds a poison record.
fn all_or_nothing(poison: &'static [&'static str]) -> impl Fn(&Asked) -> Reply + Clone {
    move |asked| {
        if inputs(asked).iter().any(|key| poison.contains(&key.as_str())) {
            return status(400, r#"{"message":"one of the inputs is bad"}"#);
        }
        let results: Vec<Value> = inputs(asked).iter().map(|key| json!({"ok": true, "id": key})).collect();
        ok(json!({"results": results}).to_string())
    }
}

#[tokio::test]
async fn one_poison_record_among_a_hundred_is_found_with_few_requests() {
    for poison in [&["l0"], &["l42"], &["l99"]] {
        let server = Server::answering(all_or_nothing(poison)).await;
        let verdicts = sink(&server.url, create_batch(100, positional())).write(&staged(items(100))).await.unwrap();
        for (at, verdict) in verdicts.iter().enumerate() {
            assert_eq!(matches!(verdict, Verdict::Rejected(_)), format!("l{at}") == poison[0], "{at}: {verdict:?}");
        }
        let more = server.asked().len() - 1;
        assert!(more as f64 <= 2.0 * 100f64.log2() + 2.0, "{more} more requests");
        let keys: BTreeSet<_> =
            server.asked().iter().map(|asked| asked.header("idempotency-key").unwrap().to_owned()).collect();
        assert_eq!(keys.len(), server.asked().len(), "each part has a key of its own");
    }
}

#[tokio::test]
async fn several_poison_records_are_all_found_and_the_others_arrive_once() {
    let poison = &["l1", "l2", "l17"];
    let server = Server::answering(all_or_nothing(poison)).await;
    let verdicts = sink(&server.url, create_batch(20, positional())).write(&staged(items(20))).await.unwrap();
    let rejected: Vec<usize> = (0..20).filter(|at| matches!(verdicts[*at], Verdict::Rejected(_))).collect();
    assert_eq!(rejected, [1, 2, 17]);
    let arrived: Vec<String> = server
        .asked()
        .iter()
        .map(inputs)
        .filter(|keys| !keys.iter().any(|key| poison.contains(&key.as_str())))
        .flatten()
        .collect();
    assert_eq!((arrived.len(), arrived.iter().collect::<BTreeSet<_>>().len()), (17, 17));
}

#[tokio::test]
async fn a_whole_request_under_a_misused_key_parks_all_its_records_without_searching() {
    let server = Server::answering(|_| status(422, r#"{"message":"key reused"}"#)).await;
    let verdicts = sink(&server.url, create_batch(10, positional())).write(&staged(items(10))).await.unwrap();
    assert!(
        verdicts.iter().all(|verdict| matches!(verdict, Verdict::Parked(reason) if reason.code == Code::KeyMismatch))
    );
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn an_answer_without_a_list_is_about_all_records_alike() {
    let server = Server::answering(|_| status(202, "")).await;
    let operation = Operation { sink_id: None, ..create_batch(10, AnswerShape::whole()) };
    let verdicts = sink(&server.url, operation).write(&staged(items(3))).await.unwrap();
    assert_eq!(verdicts, vec![Verdict::Created(None); 3]);
}
