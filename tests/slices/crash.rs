//! A process that dies at every request in turn: each record is in the file once, whatever was under way.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use renkei::engine::{Options, Stopper};
use serde_json::Value;

use super::rig::{Stage, World};

/// Runs the pipeline until it ends well, and kills it after its first commit and a number of further requests each time.
async fn through_crashes(stage: &Stage, every: usize) -> usize {
    let deaths = AtomicUsize::new(0);
    for _ in 0..1000 {
        let stop = Stopper::new().1;
        let (engine, known) = (stage.engine(), stage.checkpoint().await);
        let dies = async {
            // A process that always dies before its first commit never gets anywhere.
            while stage.checkpoint().await == known {
                tokio::task::yield_now().await;
            }
            let begun = stage.count();
            while stage.count() < begun + every {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ran = engine.run("p", Options::default(), &stop) => {
                let (_, fault) = ran.unwrap();
                assert_eq!(fault, None);
                return deaths.into_inner();
            }
            () = dies => { deaths.fetch_add(1, Ordering::Relaxed); }
        }
    }
    panic!("it never ended");
}

#[tokio::test]
async fn each_child_is_delivered_once_wherever_the_process_dies() {
    for every in [0, 1, 2, 3, 5, 8] {
        let stage = Stage::new(World::of(30, 5, 0), "issues").await;
        let deaths = through_crashes(&stage, every).await;
        assert!(deaths >= 1, "{deaths} deaths, {every} requests after a commit");
        let name = |line: &Value| format!("{}/{}", line["repo"], line["number"]);
        let mut once = stage.sorted(name);
        once.dedup();
        assert_eq!((once.len(), stage.lines().len()), (150, 150), "dies {every} requests after a commit");
    }
}

#[tokio::test]
async fn the_state_of_many_slices_is_small_and_goes_on() {
    let stage = Arc::new(Stage::new(World::of(300, 1, 0), "new_issues").await);
    let deaths = through_crashes(&stage, 5).await;
    assert!(deaths >= 1);
    assert_eq!(stage.lines().len(), 300);
    let checkpoint = stage.checkpoint().await.unwrap();
    let bytes = serde_json::to_vec(&checkpoint).unwrap().len();
    assert!(bytes < 500, "the checkpoint of 300 slices has {bytes} bytes");
}
