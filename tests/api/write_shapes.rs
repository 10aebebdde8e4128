//! Every shape of answer is read back exactly, whatever the vendor makes of the records; and what finding a poison record
//! costs.

use std::collections::BTreeSet;

use renkei::{
    config::plan::{FirstError, Operation},
    model::{Code, Verdict},
    sink::Sink,
    store::Item,
};
use serde_json::{Value, json};

use super::{
    model::{Input, SHAPES, Shape, inputs},
    server::{Asked, Reply, Server, ok, path, status},
    writing::{create_batch, items, positional, sink, staged},
};

/// What each record must end with.
fn expected(shape: Shape, item: &Item, seed: u64) -> Verdict {
    let id = item.key.as_str();
    let sink_id = || Some(format!("crm-{id}"));
    match (Input::is_bad(id, seed), shape) {
        (true, _) => Verdict::Rejected(renkei::model::Reason::new(
            Code::RecordRefused,
            format!("the sink refused the record: {}", Input::complaint(id)),
        )),
        (false, Shape::ById) => Verdict::Updated(sink_id()),
        (false, Shape::NoWithStatus200) => Verdict::Created(None),
        (false, _) => Verdict::Created(sink_id()),
    }
}

#[tokio::test]
async fn every_record_gets_its_own_verdict_in_every_shape() {
    for shape in SHAPES {
        for seed in 0..16 {
            let mut chance = fastrand::Rng::with_seed(seed);
            let (count, size) = (chance.usize(1..40), chance.usize(1..30));
            let mut all = items(count);
            if shape == Shape::ById {
                all.iter_mut().for_each(|item| item.sink_id = Some(format!("crm-{}", item.key.as_str())));
            }
            let server = shape.serve(seed).await;
            let verdicts = sink(&server.url, shape.operation(size)).write(&staged(all.clone())).await;
            let verdicts = verdicts.unwrap_or_else(|fault| panic!("{shape:?}, seed {seed}: {fault}"));
            let expected: Vec<Verdict> = all.iter().map(|item| expected(shape, item, seed)).collect();
            assert_eq!(verdicts, expected, "{shape:?}, seed {seed}, {count} records in requests of {size}");
        }
    }
}

/// Refuses a request as a whole when it holds a poison record, and names its place by `name`.
fn blaming(
    poison: &'static [&'static str],
    name: impl Fn(usize) -> usize + Clone + Send + Sync + 'static,
) -> impl Fn(&Asked) -> Reply + Clone + Send + Sync {
    move |asked| {
        let keys = keys(asked);
        if let Some(at) = keys.iter().position(|key| poison.contains(&key.as_str())) {
            return status(400, json!({"error": {"index": name(at), "message": "this one is bad"}}).to_string());
        }
        let results: Vec<Value> = keys.iter().map(|key| json!({"ok": true, "id": key})).collect();
        ok(json!({"results": results}).to_string())
    }
}

fn keys(asked: &Asked) -> Vec<String> {
    let inputs = asked.json()["inputs"].as_array().unwrap().clone();
    inputs.iter().map(|input| input["key"].as_str().unwrap().to_owned()).collect()
}

fn with_first_error(size: usize) -> Operation {
    let message = Some(path("error.message"));
    let first_error = FirstError { index: path("error.index"), after: None, from: 0, message };
    Operation { first_error: Some(first_error), ..create_batch(size, positional()) }
}

fn rejected(verdicts: &[Verdict]) -> Vec<usize> {
    (0..verdicts.len()).filter(|at| matches!(verdicts[*at], Verdict::Rejected(_))).collect()
}

#[tokio::test]
async fn a_poison_record_that_the_answer_names_costs_two_requests_more() {
    for (poison, at) in [(&["l0"], 0), (&["l42"], 42), (&["l99"], 99)] {
        let server = Server::answering(blaming(poison, |at| at)).await;
        let verdicts = sink(&server.url, with_first_error(100)).write(&staged(items(100))).await.unwrap();
        assert_eq!(rejected(&verdicts), [at]);
        let Verdict::Rejected(reason) = &verdicts[at] else { panic!() };
        assert_eq!(reason.message, "the sink refused the record: this one is bad");
        let sizes: Vec<usize> = server.asked().iter().map(|asked| keys(asked).len()).collect();
        assert_eq!(sizes, [100, 1, 99], "a record is rejected only when it was refused alone");
        let names: BTreeSet<String> =
            server.asked().iter().map(|asked| asked.header("idempotency-key").unwrap().to_owned()).collect();
        assert_eq!(names.len(), 3, "each part has a key of its own");
    }
    let server = Server::answering(blaming(&["l3", "l50", "l51"], |at| at)).await;
    let verdicts = sink(&server.url, with_first_error(100)).write(&staged(items(100))).await.unwrap();
    assert_eq!((rejected(&verdicts), server.asked().len()), (vec![3, 50, 51], 7));
}

#[tokio::test]
async fn a_vendor_that_counts_otherwise_than_declared_costs_requests_and_no_record() {
    type Count = fn(usize) -> usize;
    let from_one: Count = |at| at + 1;
    let always_the_first: Count = |_| 0;
    let beyond_the_batch: Count = |_| 1000;
    let wrong =
        [("from one", from_one), ("always the first", always_the_first), ("beyond the batch", beyond_the_batch)];
    for (name, wrong) in wrong {
        let server = Server::answering(blaming(&["l42"], wrong)).await;
        let verdicts = sink(&server.url, with_first_error(100)).write(&staged(items(100))).await.unwrap();
        assert_eq!(rejected(&verdicts), [42], "{name}");
        let arrived: Vec<String> =
            server.asked().iter().map(keys).filter(|keys| !keys.contains(&"l42".to_owned())).flatten().collect();
        assert_eq!((arrived.len(), arrived.iter().collect::<BTreeSet<_>>().len()), (99, 99), "{name}");
        let more = server.asked().len() - 1;
        assert!(more as f64 <= 2.0 * 100f64.log2() + 4.0, "{name}: {more} more requests");
    }
}

#[tokio::test]
async fn a_success_that_says_no_to_a_batch_is_searched_like_a_refusal() {
    let poisoned = |asked: &Asked| {
        let bad = inputs(asked).iter().any(|input| input.id == "l42");
        ok(json!({"ok": !bad, "error": bad.then_some("one is bad")}).to_string())
    };
    let server = Server::answering(poisoned).await;
    let operation = Shape::NoWithStatus200.operation(100);
    let verdicts = sink(&server.url, operation).write(&staged(items(100))).await.unwrap();
    assert_eq!(rejected(&verdicts), [42]);
    let more = server.asked().len() - 1;
    assert!(more as f64 <= 2.0 * 100f64.log2() + 2.0, "{more} more requests");
}

/// What was sent under which key, in order.
fn sent(server: &Server) -> Vec<(Vec<String>, String)> {
    let name = |asked: &Asked| asked.header("idempotency-key").unwrap().to_owned();
    server.asked().iter().map(|asked| (keys(asked), name(asked))).collect()
}

#[tokio::test]
async fn a_crash_in_the_middle_of_bisecting_repeats_the_same_requests_under_the_same_keys() {
    for operation in [|| create_batch(100, positional()), || with_first_error(100)] {
        let batch = staged(items(100));
        let undisturbed = Server::answering(blaming(&["l42"], |at| at)).await;
        let verdicts = sink(&undisturbed.url, operation()).write(&batch).await.unwrap();
        let whole = sent(&undisturbed);
        for crash in 1..whole.len() {
            // From this request on the account is locked, so the first process ends in the middle of its search.
            let answer = blaming(&["l42"], |at| at);
            let server = Server::answering(move |asked| match asked.number == crash {
                true => status(403, "{}"),
                false => answer(asked),
            })
            .await;
            sink(&server.url, operation()).write(&batch).await.unwrap_err();
            let again = sink(&server.url, operation()).write(&batch).await.unwrap();
            assert_eq!(again, verdicts);
            let sent = sent(&server);
            assert_eq!(sent[..=crash], whole[..=crash], "crash at request {crash}");
            assert_eq!(sent[crash + 1..], whole, "crash at request {crash}");
        }
    }
}
