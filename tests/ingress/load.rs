//! A hundred callers at once, with keys and requests that are sent twice, and a sink on a bad day.

use std::time::Duration;

use renkei::sandbox::FaultPlan;
use tokio::{task::JoinSet, time::Instant};

use crate::rig::{Rig, lead, send};

const CALLERS: usize = 100;
const EACH: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_callers_are_answered_in_time_and_nothing_is_lost_or_doubled() {
    let faults = FaultPlan {
        latency: 0.3,
        latency_ms: 30,
        reset_before: 0.01,
        reset_after: 0.02,
        error_before: 0.02,
        error_after: 0.02,
        half_body: 0.01,
        ..FaultPlan::none()
    };
    let rig = Rig::with(", mode: sync", faults).await;
    let address = rig.address();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        callers.spawn(async move {
            let mut times = Vec::new();
            for n in 0..EACH {
                let id = format!("c{caller}n{n}");
                // Every twentieth comes twice, as from a sender that did not hear its answer.
                for _ in 0..if (caller * EACH + n).is_multiple_of(20) { 2 } else { 1 } {
                    let began = Instant::now();
                    let key = format!("\"{id}\"");
                    let headers = [("idempotency-key", key.as_str())];
                    let answer = send(address, "POST", "/in/leads", &headers, lead(&id, 1).as_bytes()).await;
                    assert!((200..=202).contains(&answer.status), "{answer:?}");
                    times.push(began.elapsed());
                }
            }
            times
        });
    }
    let mut times = Vec::new();
    while let Some(done) = callers.join_next().await {
        times.extend(done.unwrap());
    }
    times.sort_unstable();
    let (slowest, p95) = (times[times.len() - 1], times[times.len() * 95 / 100]);
    println!("{} answers, p95 {p95:?}, slowest {slowest:?}", times.len());
    assert!(slowest < Duration::from_secs(5), "a caller waited {slowest:?}");
    rig.sandbox.world().set_faults(FaultPlan::none());
    let ids: Vec<String> = (0..CALLERS).flat_map(|caller| (0..EACH).map(move |n| format!("c{caller}n{n}"))).collect();
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
