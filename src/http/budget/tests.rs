//! The budget on a paused clock: whose turn it is, how long everybody waits, and what strict servers say of it.

use std::sync::atomic::AtomicUsize;

use tokio::time::{advance, timeout};

use super::*;
use crate::http::Priority;

const PATIENCE: Duration = Duration::from_secs(900);

fn plan(buckets: &[(u32, u64, u32)], concurrency: u32) -> plan::Budget {
    let bucket =
        |&(requests, ms, burst): &(u32, u64, u32)| plan::Bucket { requests, per: Duration::from_millis(ms), burst };
    plan::Budget { buckets: buckets.iter().map(bucket).collect(), concurrency, ..plan::Budget::default() }
}

fn budget(buckets: &[(u32, u64, u32)], concurrency: u32) -> Arc<Budget> {
    Budget::new(&plan(buckets, concurrency), DateTime::UNIX_EPOCH)
}

fn ask(priority: Priority, call: &str) -> Ask {
    Ask { connector: "shop".into(), call: call.into(), priority }
}

async fn slot(budget: &Arc<Budget>) -> Slot {
    budget.slot(ask(Priority::Incremental, "orders"), PATIENCE).await.unwrap()
}

async fn times(budget: &Arc<Budget>, calls: usize) -> Vec<Duration> {
    let start = Instant::now();
    let mut times = Vec::new();
    for _ in 0..calls {
        drop(slot(budget).await);
        times.push(start.elapsed());
    }
    times
}

#[tokio::test(start_paused = true)]
async fn calls_are_paced_evenly_and_never_faster_than_declared() {
    let times = times(&budget(&[(10, 1000, 1)], 8), 101).await;
    for pair in times.windows(2) {
        let spacing = pair[1] - pair[0];
        assert!(spacing >= Duration::from_millis(101), "{spacing:?}");
        assert!(spacing <= Duration::from_millis(105), "{spacing:?}");
    }
    for (index, start) in times.iter().enumerate() {
        let in_window = times[index..].iter().filter(|time| **time < *start + Duration::from_secs(1)).count();
        assert!(in_window <= 10, "{in_window} calls in a second");
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_goes_through_at_once_after_a_rest() {
    let budget = budget(&[(10, 1000, 5)], 8);
    let times = times(&budget, 6).await;
    assert_eq!(times[4], Duration::ZERO);
    assert!(times[5] > Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn the_tightest_of_several_buckets_rules() {
    let times = times(&budget(&[(100, 1000, 1), (1, 1000, 1), (50, 1000, 1)], 8), 4).await;
    assert!(times[3] > Duration::from_millis(3050), "{times:?}");
    assert!(times[3] < Duration::from_millis(3200), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_under_way_than_allowed() {
    let budget = budget(&[], 2);
    let (first, _second) = (slot(&budget).await, slot(&budget).await);
    let third = timeout(Duration::from_secs(5), slot(&budget)).await;
    assert!(third.is_err());
    drop(first);
    assert!(timeout(Duration::from_secs(5), slot(&budget)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn nobody_overtakes() {
    let budget = budget(&[(10, 1000, 1)], 3);
    let order = Arc::new(Guarded::new(Vec::new()));
    let tasks: Vec<_> = (0..50)
        .map(|number| {
            let (budget, order) = (budget.clone(), order.clone());
            tokio::spawn(async move {
                let slot = slot(&budget).await;
                order.lock().unwrap().push(number);
                tokio::time::sleep(Duration::from_millis(250)).await;
                drop(slot);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn everybody_waits_for_the_pause_and_it_is_shown() {
    let budget = budget(&[], 8);
    assert_eq!(budget.waiting(), None);
    let until = budget.pause.begin(Instant::now(), Some(Duration::from_secs(30)), 0.0).until;
    assert_eq!(budget.waiting(), Some(until));
    let through = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..5)
        .map(|_| {
            let (budget, through) = (budget.clone(), through.clone());
            tokio::spawn(async move {
                drop(slot(&budget).await);
                through.fetch_add(1, Relaxed);
            })
        })
        .collect();
    tokio::task::yield_now().await;
    advance(Duration::from_secs(29)).await;
    assert_eq!(through.load(Relaxed), 0);
    for task in tasks {
        task.await.unwrap();
    }
    assert!(Instant::now() >= until);
    let waited = budget.waited();
    assert!(waited >= Duration::from_secs(30) && waited < Duration::from_secs(31), "five at a time: {waited:?}");
    assert_eq!(budget.waiting(), None);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_leaves_the_queue_and_what_is_shown() {
    let budget = budget(&[(1, 60_000, 1)], 8);
    drop(slot(&budget).await);
    let waiting = budget.clone();
    let task = tokio::spawn(async move { timeout(Duration::from_secs(1), slot(&waiting)).await.is_err() });
    tokio::task::yield_now().await;
    assert!(budget.waiting().is_some());
    assert!(task.await.unwrap());
    assert_eq!(budget.waiting(), None);
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_nothing_left_with_costs_no_quota() {
    let daily = plan::Daily { requests: 2, left: None, reserve: 0.0 };
    let budget = Budget::new(&plan::Budget { daily: vec![daily], ..plan::Budget::default() }, DateTime::UNIX_EPOCH);
    for _ in 0..5 {
        drop(slot(&budget).await);
    }
    for _ in 0..2 {
        slot(&budget).await.leaves();
    }
    let blocked = budget.slot(ask(Priority::Incremental, "orders"), PATIENCE).await.err().unwrap();
    assert_eq!(&*blocked.why, "2 a day");
    assert!(blocked.needed.unwrap() > Duration::from_secs(23 * 3600));
}

#[tokio::test(start_paused = true)]
async fn a_call_from_before_the_pause_does_not_hold_up_those_after_it_and_one_from_after_it_does() {
    let budget = budget(&[], 8);
    let (_hangs, refused) = (slot(&budget).await, slot(&budget).await);
    refused.refused(Instant::now(), Some(Duration::from_secs(1)), 0.0, true);
    drop(refused);
    let alone = timeout(Duration::from_secs(2), slot(&budget)).await.unwrap();
    assert!(timeout(Duration::from_secs(2), slot(&budget)).await.is_err(), "one call goes alone");
    drop(alone);
    assert!(timeout(Duration::from_secs(2), slot(&budget)).await.is_ok());
}
