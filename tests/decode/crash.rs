//! A process that dies inside of a large answer, wherever: each record is in the file once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use renkei::{
    engine::{Options, Stopper},
    model::Position,
};

use super::rig::{Stage, array, assert_ids, ok};

const RECORDS: usize = 30_300;

/// Runs the pipeline, and kills it after so many commits. False: it ended well before.
async fn dies_after(stage: &Stage, commits: usize) -> bool {
    let dies = async {
        let mut known = stage.checkpoint().await;
        for _ in 0..commits {
            while stage.checkpoint().await == known {
                tokio::task::yield_now().await;
            }
            known = stage.checkpoint().await;
        }
    };
    tokio::select! {
        ran = stage.run() => {
            assert_eq!(ran.1, None);
            false
        }
        () = dies => true,
    }
}

/// Runs the pipeline until it ends well, and kills it after so many commits each time. Returns how often it died.
pub async fn through_crashes(stage: &Stage, commits: usize) -> usize {
    for deaths in 0..1_000 {
        if !dies_after(stage, commits).await {
            return deaths;
        }
    }
    panic!("it never ended");
}

#[tokio::test]
async fn each_record_is_delivered_once_wherever_the_process_dies() {
    for commits in 1..4 {
        let body = array(RECORDS);
        let stage = Stage::new("get: /t\nkey: id\nlarge: {}", move |_| ok(body.clone())).await;
        let deaths = through_crashes(&stage, commits).await;
        assert!(deaths >= 3 - commits.min(2), "{deaths} deaths");
        assert_ids(&stage.lines(), RECORDS);
        assert!(stage.vendor.count() <= deaths + 1, "the answer is fetched at most once in each life");
    }
}

#[tokio::test]
async fn a_life_goes_on_inside_of_the_answer_and_not_at_its_start() {
    let body = array(RECORDS);
    let stage = Stage::new("get: /t\nkey: id\nlarge: {}", move |_| ok(body.clone())).await;
    let (engine, stop) = (stage.engine(), Stopper::new().1);
    let inside = async {
        loop {
            let scan = stage.checkpoint().await.and_then(|at| at.scan);
            if let Some(Position::Within { records, .. }) = scan.and_then(|scan| scan.position) {
                return records;
            }
            tokio::task::yield_now().await;
        }
    };
    let through = tokio::select! {
        _ = engine.run("p", Options::default(), &stop) => panic!("it was not killed"),
        records = inside => records,
    };
    drop(engine);
    let run = stage.well().await;
    assert!(
        run.counts.read + run.counts.resumed <= RECORDS as u64 - through,
        "{:?}, and {through} were through",
        run.counts
    );
    assert_ids(&stage.lines(), RECORDS);
}

#[tokio::test]
async fn an_answer_that_is_another_one_after_a_crash_begins_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    // Each time it is asked there are three records less at the front.
    let answer = move |_: &_| {
        let gone = 3 * counted.fetch_add(1, Ordering::Relaxed);
        let all: Vec<serde_json::Value> = serde_json::from_str(&array(RECORDS)).unwrap();
        ok(serde_json::to_string(&all[gone..]).unwrap())
    };
    let stage = Stage::new("get: /t\nkey: id\nlarge: {}", answer).await;
    for _ in 0..2 {
        assert!(dies_after(&stage, 1).await);
    }
    stage.well().await;
    assert!(asked.load(Ordering::Relaxed) <= 3, "what was fetched is read, and not fetched again");
    let mut ids: Vec<u64> = stage.lines().iter().map(|line| line["id"].as_u64().unwrap()).collect();
    let in_file = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), in_file, "no record is in the file twice");
    let last = 3 * (asked.load(Ordering::Relaxed) as u64 - 1);
    assert!((last..RECORDS as u64).all(|id| ids.binary_search(&id).is_ok()), "nothing of the last answer is missing");
}
