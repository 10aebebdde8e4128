//! Calls that a vendor says will end.

use super::rig::{Stage, order};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_will_end_is_told_with_its_date_once_for_each_run() {
    let stage = Stage::new((1..=5).map(order).collect(), "", "", "").await;
    stage.world.lock().unwrap().headers =
        vec![("deprecation", "@1767225600".to_owned()), ("sunset", "Fri, 31 Dec 2027 23:59:59 GMT".to_owned())];
    let told = "shop: GET /orders (orders) is deprecated as of 2026-01-01 and ends on 2027-12-31";
    for pass in 0..2 {
        let ran = stage.renkei(&["run", "--output", "text", "--log-format", "text"]);
        assert_eq!(ran.code, 0, "{}", ran.transcript());
        assert_eq!(ran.stdout.matches(told).count(), 1, "{}", ran.transcript());
        assert_eq!(ran.stderr.matches(told).count(), 1, "three pages, one warning: {}", ran.transcript());
        // Nothing is written the second time.
        assert_eq!(ran.stdout.contains("POST /taken (take)"), pass == 0, "{}", ran.transcript());
    }
    let (_, run) = stage.run();
    assert_eq!(run["notices"][0]["sunset_at"], "2027-12-31T23:59:59Z", "{run}");
    stage.world.lock().unwrap().headers.clear();
    let (ran, run) = stage.run();
    assert!(run.get("notices").is_none() && !ran.stderr.contains("deprecated"), "{}", ran.transcript());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_cannot_be_read_says_no_date() {
    let stage = Stage::new(vec![order(1)], "", "", "").await;
    stage.world.lock().unwrap().headers = vec![("deprecation", "true".to_owned()), ("sunset", "some day".to_owned())];
    let ran = stage.renkei(&["run", "--output", "text"]);
    assert!(ran.stdout.contains("shop: GET /orders (orders) is deprecated\n"), "{}", ran.transcript());
}
