//! A hundred callers at once, with keys and requests that are sent twice, and a sink on a good and on a bad day. A dozen
//! records each, or with `RENKEI_LONG=1` for a minute.

use std::time::Duration;

use renkei::sandbox::FaultPlan;
use tokio::{task::JoinSet, time::Instant};

use crate::rig::{Rig, lead, send};

const CALLERS: usize = 100;
const EACH: usize = 12;
const MINUTE: Duration = Duration::from_secs(60);

/// Pushes record after record, every twentieth twice, as from a sender that did not hear its answer. Returns how many
/// records, and the time that each answer took.
async fn caller(address: std::net::SocketAddr, caller: usize, is_long: bool) -> (usize, Vec<Duration>) {
    let (start, mut records, mut times) = (Instant::now(), 0, Vec::new());
    while if is_long { start.elapsed() < MINUTE } else { records < EACH } {
        let id = format!("c{caller}n{records}");
        for _ in 0..if (caller + records).is_multiple_of(20) { 2 } else { 1 } {
            let began = Instant::now();
            let key = format!("\"{id}\"");
            let headers = [("idempotency-key", key.as_str())];
            let answer = send(address, "POST", "/in/leads", &headers, lead(&id, 1).as_bytes()).await;
            assert!((200..=202).contains(&answer.status), "{answer:?}");
            times.push(began.elapsed());
        }
        records += 1;
    }
    (records, times)
}

async fn a_hundred_callers(faults: FaultPlan) {
    #[expect(clippy::disallowed_methods, reason = "a test asks its runner how long it may take")]
    let is_long = std::env::var("RENKEI_LONG").is_ok();
    let rig = Rig::with(", mode: sync", faults).await;
    let address = rig.address();
    let mut callers = JoinSet::new();
    (0..CALLERS)
        .for_each(|number| drop(callers.spawn(async move { (number, caller(address, number, is_long).await) })));
    let (mut ids, mut times) = (Vec::new(), Vec::new());
    while let Some(done) = callers.join_next().await {
        let (caller, (records, took)) = done.unwrap();
        ids.extend((0..records).map(|n| format!("c{caller}n{n}")));
        times.extend(took);
    }
    times.sort_unstable();
    let (slowest, p95) = (times[times.len() - 1], times[times.len() * 95 / 100]);
    println!("{} records, {} answers, p95 {p95:?}, slowest {slowest:?}", ids.len(), times.len());
    assert!(slowest < Duration::from_secs(5), "a caller waited {slowest:?}");
    rig.sandbox.world().set_faults(FaultPlan::none());
    let all_there = async {
        while ids.iter().any(|id| rig.leads(id) == 0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let lost = tokio::time::timeout(Duration::from_secs(60), all_there).await.is_err();
    assert!(!lost, "lost {:?}", ids.iter().filter(|id| rig.leads(id) == 0).collect::<Vec<_>>());
    let doubled: Vec<&String> = ids.iter().filter(|id| rig.leads(id) > 1).collect();
    assert!(doubled.is_empty(), "doubled {doubled:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_callers_are_answered_in_time_and_nothing_is_lost_or_doubled() {
    a_hundred_callers(FaultPlan {
        latency: 0.3,
        latency_ms: 30,
        reset_before: 0.01,
        reset_after: 0.02,
        error_before: 0.02,
        error_after: 0.02,
        half_body: 0.01,
        ..FaultPlan::none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_callers_of_a_healthy_sink_are_answered_in_time() {
    a_hundred_callers(FaultPlan { latency: 1.0, latency_ms: 20, ..FaultPlan::none() }).await;
}
