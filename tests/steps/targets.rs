//! A pipeline with several targets.

use renkei::{
    engine::{Engine, Options, Stopper},
    store::Run,
};
use serde_json::json;

use crate::rig::{Asked, Reply, Rig, ok};

const STREAMS: &str =
    "  main: { get: /main, records: data, key: id, paginate: { cursor: { next: next, query: token } } }\n";
const TARGETS: &str = "from: { connection: shop, stream: main }\nsteps:\n  - set: { kind: \"'even' if record.id % 2 == 0 else 'odd'\" }\n\
                       to:\n  - { name: even, connection: files, file: even, when: record.kind == 'even' }\n  - { name: all, connection: \
                       files, file: all, fields: { id: record.id } }\n";

/// Five pages of two records.
fn five_pages(asked: &Asked) -> Reply {
    let page: u64 = asked.parameter("token").parse().unwrap_or(0);
    let next = if page < 4 { json!((page + 1).to_string()) } else { json!(null) };
    ok(json!({"data": [{"id": page * 2}, {"id": page * 2 + 1}], "next": next}).to_string())
}

async fn over(answer: impl Fn(&Asked) -> Reply + Clone + Send + Sync + 'static) -> Rig {
    let rig = Rig::new(STREAMS, "", answer).await;
    rig.pipeline(TARGETS);
    rig
}

async fn run(engine: &Engine, pipeline: &str) -> Run {
    let (run, fault) = engine.run(pipeline, Options::default(), &Stopper::new().1).await.unwrap();
    assert_eq!((fault, run.counts.balance()), (None, 0));
    run
}

#[tokio::test]
async fn targets_at_work_together_read_each_page_once_and_each_has_its_verdicts() {
    let rig = over(five_pages).await;
    let engine = rig.engine();
    let (even, all) = tokio::join!(run(&engine, "p.even"), run(&engine, "p.all"));
    assert_eq!((even.counts.read, even.counts.created, even.counts.skipped), (10, 5, 5));
    assert_eq!((all.counts.read, all.counts.created, all.counts.skipped), (10, 10, 0));
    assert_eq!(rig.asked().len(), 5);
    assert_eq!(rig.written_to("even").len(), 5);
    assert_eq!(rig.written_to("even")[1], json!({"id": 2, "kind": "even"}));
    assert_eq!(rig.written_to("all").len(), 10);
    assert_eq!(rig.written_to("all")[3], json!({"id": 3}));
}

#[tokio::test]
async fn a_target_that_comes_later_reads_for_itself_what_is_there_now() {
    let rig = over(five_pages).await;
    let engine = rig.engine();
    run(&engine, "p.even").await;
    assert_eq!((rig.asked().len(), rig.written_to("all").len()), (5, 0));
    run(&engine, "p.all").await;
    assert_eq!((rig.asked().len(), rig.written_to("all").len()), (5, 10));
}

#[tokio::test]
async fn what_stops_one_target_does_not_stop_the_other() {
    let rig = over(five_pages).await;
    rig.pipeline(&TARGETS.replace("record.kind == 'even'", "record.kind.none < 3"));
    let engine = rig.engine();
    let (_, stop) = Stopper::new();
    let (even, all) = tokio::join!(engine.run("p.even", Options::default(), &stop), run(&engine, "p.all"));
    let (even, _) = even.unwrap();
    assert_eq!((even.counts.created, even.counts.rejected, all.counts.created), (0, 10, 10));
    // The letters are of the one target, and so is their replay.
    rig.pipeline(TARGETS);
    let letters = rig.letters().await;
    assert!(letters.iter().all(|letter| letter.pipeline == "p.even"));
    let (again, fault) = rig.engine().replay("p.even", letters, false, &stop).await.unwrap();
    assert_eq!((fault, again.counts.created, again.counts.skipped), (None, 5, 5));
    assert_eq!((rig.written_to("even").len(), rig.written_to("all").len()), (5, 10));
}
