//! What is looked up: how often, and what becomes of a record for which it fails.

use renkei::{engine::Options, model::Code};
use serde_json::json;

use crate::rig::{Asked, Reply, Rig, ok};

const STREAMS: &str = "  main: { get: /main, records: data, key: id, paginate: { cursor: { next: next, query: after } } }\n  \
                       firms: { get: /firms, records: data, key: id }\n";

const FIRMS: [(&str, &str); 3] = [("1", "Ada Ltd"), ("2", "Bee KK"), ("3", "Cee AG")];

/// Two pages of five people each, whose firms come again and again.
fn answer(asked: &Asked) -> Reply {
    if asked.path == "/main" {
        let (from, next) = if asked.parameter("after").is_empty() { (0, "\"x\"") } else { (5, "null") };
        let person = |n: usize| format!(r#"{{"id":{},"firm":{}}}"#, from + n, n % 3 + 1);
        let people: Vec<String> = (0..5).map(person).collect();
        return ok(format!(r#"{{"data":[{}],"next":{next}}}"#, people.join(",")));
    }
    let wanted = asked.parameter("ids").to_owned();
    let one = asked.path.strip_prefix("/firms/").map(str::to_owned);
    if wanted.split(',').any(|id| id == "bad") || one.as_deref() == Some("bad") {
        return (400, None, r#"{"message":"no such id"}"#.to_owned());
    }
    let firm = |(id, name): &(&str, &str)| format!(r#"{{"id":{id},"name":"{name}"}}"#);
    if let Some(one) = one {
        let found = FIRMS.iter().find(|(id, _)| *id == one);
        return found.map_or((404, None, "{}".to_owned()), |found| ok(firm(found)));
    }
    let chosen = FIRMS.iter().filter(|(id, _)| wanted.is_empty() || wanted.split(',').any(|other| other == *id));
    ok(format!(r#"{{"data":[{}]}}"#, chosen.map(firm).collect::<Vec<_>>().join(",")))
}

fn step(how: &str) -> String {
    format!("steps:\n  - lookup: {{ connection: shop, {how}, by: id, into: company }}\n")
}

const MANY: &str = "stream: firms, query: { ids: \"{{ lookup.values | join(',') }}\" }";

fn firms_asked(rig: &Rig) -> Vec<String> {
    let asked = rig.asked().into_iter().filter(|asked| asked.path.starts_with("/firms"));
    asked.map(|asked| format!("{} {}", asked.path, asked.parameter("ids"))).collect()
}

#[tokio::test]
async fn values_are_asked_for_together_and_each_once_a_run() {
    let rig = Rig::new(STREAMS, &step(&format!("{MANY}, batch: 2, match: record.firm")), answer).await;
    assert_eq!(rig.run().await.created, 10);
    let mut asked = firms_asked(&rig);
    asked.sort();
    assert_eq!(asked, ["/firms 1,2", "/firms 3"]);
    assert_eq!(rig.column("company")[4], json!({"id":2,"name":"Bee KK"}));
    assert_eq!(rig.forecast().await.tally.create + rig.forecast().await.tally.update, 10);
}

#[tokio::test]
async fn a_stream_without_a_filter_is_read_once_and_a_vendor_of_single_records_is_asked_for_each() {
    let rig = Rig::new(STREAMS, &step("stream: firms, match: record.firm"), answer).await;
    assert_eq!(rig.run().await.created, 10);
    assert_eq!(firms_asked(&rig), ["/firms "]);
    let single = step("get: \"/firms/{{ lookup.value }}\", match: record.firm + 1, missing: empty");
    let one = Rig::new(STREAMS, &single, answer).await;
    assert_eq!(one.run().await.created, 10);
    let mut asked = firms_asked(&one);
    asked.sort();
    assert_eq!(asked, ["/firms/2 ", "/firms/3 ", "/firms/4 "]);
    assert_eq!(
        one.column("company")[..3],
        [json!({"id":2,"name":"Bee KK"}), json!({"id":3,"name":"Cee AG"}), json!(null)]
    );
}

#[tokio::test]
async fn one_value_that_is_refused_rejects_its_records_alone_and_a_missing_one_too() {
    let matched = "match: \"'bad' if record.firm == 2 else (9 if record.firm == 3 else 1)\"";
    let rig = Rig::new(STREAMS, &step(&format!("{MANY}, {matched}")), answer).await;
    let counts = rig.run().await;
    assert_eq!((counts.read, counts.created, counts.rejected), (10, 4, 6));
    let reasons = rig.reasons().await;
    assert!(reasons[0].starts_with("RK0524 step 1 (lookup): shop/firms has no record of this value"), "{reasons:?}");
    assert!(reasons[5].starts_with("RK0527 step 1 (lookup): "), "{reasons:?}");
    // A replay goes the same way.
    rig.steps(&step(&format!("{MANY}, match: record.firm")));
    let replayed = rig.replay().await;
    assert_eq!((replayed.read, replayed.created), (6, 6));
}

#[tokio::test]
async fn a_request_that_is_refused_for_every_value_stops_the_run() {
    let steps = step(&format!("{MANY}, batch: 1, match: \"'bad'\""));
    let rig =
        Rig::new(
            STREAMS,
            &steps,
            |asked: &Asked| {
                if asked.path == "/main" { answer(asked) } else { (400, None, "{}".to_owned()) }
            },
        );
    let rig = rig.await;
    // One value: nobody can tell, so its records are rejected.
    assert_eq!(rig.run().await.rejected, 10);
    rig.steps(&step(&format!("{MANY}, match: record.firm")));
    let (run, fault) = rig.run_with(Options { full_refresh: true, ..Options::default() }).await;
    assert_eq!((fault.unwrap().code, run.counts.read), (Code::LookUpRefused, 0));
}

#[tokio::test]
async fn several_records_of_one_value_are_not_chosen_from_and_too_many_are_an_error() {
    let twice = |asked: &Asked| match asked.path.as_str() {
        "/main" => answer(asked),
        _ => ok(r#"{"data":[{"id":1,"tax":"T"},{"id":2,"tax":"T"}]}"#),
    };
    let by_tax = "steps:\n  - lookup: { connection: shop, stream: firms, by: tax, match: \"'T'\", into: company";
    let rig = Rig::new(STREAMS, &format!("{by_tax} }}\n"), twice).await;
    assert_eq!(rig.run().await.rejected, 10);
    assert!(rig.reasons().await[0].starts_with("RK0525"));
    rig.steps(&step("stream: firms, match: record.firm, max: 1"));
    let (_, fault) = rig.run_with(Options { full_refresh: true, ..Options::default() }).await;
    assert_eq!(fault.unwrap().code, Code::LookUpTooLarge);
}
