//! The whole allowance is used, and not one call more: alone, and by two pipelines and an interactive caller together.

use std::time::Duration;

use renkei::{
    config::plan::{Budget, LeftHeader, Tier, Window},
    http::Priority,
};

use crate::{
    load::{MS, SECOND, Wire, api, bucket, call, callers, client_over, interactive},
    strict::{Rule, Says},
};

const TIME: Duration = Duration::from_secs(60);

fn window(requests: u32, per: Duration, says: Says) -> Budget {
    let header = |name: &str| name.parse().unwrap();
    let (left, reset) = match says {
        Says::Left => (Some(LeftHeader::Remaining(header("x-left"))), Some(header("x-reset"))),
        Says::Nothing | Says::No429Time | Says::RateLimit => (None, None),
    };
    Budget { windows: vec![Window { requests, per, left, reset }], concurrency: 100, ..Budget::default() }
}

/// Sixteen callers for a minute. Returns the share of the allowance that was used; nothing may be refused.
async fn used(budget: &Budget, rules: &[Rule], says: Says, allowance: f64) -> f64 {
    let (api, wire) = (api(budget.clone()), Wire::new(rules, says, 7));
    let client = client_over(&api, wire.clone());
    callers(&client, &call(&api, "orders"), 16, TIME).await;
    let server = wire.server.lock().unwrap();
    assert_eq!(server.refused, 0, "{rules:?} {says:?} {budget:?}: {} were accepted", server.accepted);
    server.accepted as f64 / allowance
}

async fn uses_its_allowance(budget: Budget, rules: &[Rule], says: Says, allowance: f64) {
    let share = used(&budget, rules, says, allowance).await;
    assert!(share >= 0.97, "{:.1} % of {rules:?}, {says:?}, {budget:?}", share * 100.0);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_is_used_to_97_percent_and_nothing_is_refused_however_the_server_counts() {
    for (requests, allowance) in [(10, 600.0), (100, 6000.0)] {
        let most = requests as usize;
        for rule in [Rule::Sliding(most, SECOND), Rule::Fixed(most, SECOND, 345 * MS), Rule::Lazy(most, SECOND)] {
            uses_its_allowance(bucket(requests, SECOND), &[rule], Says::Nothing, allowance).await;
        }
    }
    // Not one call closer to the one before than declared: our spacing keeps a margin of 2 %, the network here takes 2 ms.
    uses_its_allowance(bucket(10, SECOND), &[Rule::Apart(98 * MS)], Says::Nothing, 600.0).await;
}

#[tokio::test(start_paused = true)]
async fn a_window_is_used_to_97_percent_wherever_the_server_lets_its_windows_begin() {
    let per = 10 * SECOND;
    for says in [Says::Nothing, Says::Left] {
        for rule in [
            Rule::Sliding(100, per),
            Rule::Fixed(100, per, Duration::ZERO),
            Rule::Fixed(100, per, 3456 * MS),
            Rule::Lazy(100, per),
        ] {
            uses_its_allowance(window(100, per, says), &[rule], says, 600.0).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn eight_places_are_always_taken_and_never_nine() {
    let (api, work) = (api(Budget { concurrency: 8, ..Budget::default() }), 700 * MS);
    let wire = Wire::working(&[Rule::AtOnce(8)], Says::Nothing, 7, work);
    let client = client_over(&api, wire.clone());
    callers(&client, &call(&api, "orders"), 16, TIME).await;
    let server = wire.server.lock().unwrap();
    // A place is empty for as long as an answer and the next request are on their way: 21 of 721 ms.
    let share = server.busy.as_secs_f64() / (8.0 * TIME.as_secs_f64());
    assert!(server.refused == 0 && share >= 0.95, "{:.1} %, {} refused", share * 100.0, server.refused);
}

#[tokio::test(start_paused = true)]
async fn all_shapes_at_once_are_as_good_as_the_tightest() {
    let per = 10 * SECOND;
    let budget = Budget {
        buckets: bucket(20, SECOND).buckets,
        tiers: vec![Tier {
            connector: "shop".to_owned(),
            calls: ["orders".to_owned()].into(),
            bucket: Some(bucket(15, SECOND).buckets[0].clone()),
            concurrency: None,
        }],
        ..window(100, per, Says::Left)
    };
    uses_its_allowance(budget, &[Rule::Lazy(100, per), Rule::Sliding(20, SECOND)], Says::Left, 600.0).await;
}

/// Two pipelines and an interactive caller on one connection.
async fn together(budget: Budget, rules: &[Rule], allowance: f64) -> (f64, Duration, [usize; 2]) {
    let (api, wire) = (api(budget), Wire::new(rules, Says::Nothing, 7));
    let client = client_over(&api, wire.clone());
    let (orders, contacts, lookup) = (call(&api, "orders"), call(&api, "contacts"), call(&api, "lookup"));
    let (incremental, backfill) = (client.at(Priority::Incremental), client.at(Priority::Backfill));
    let (one, two, (calls, longest)) = tokio::join!(
        callers(&incremental, &orders, 16, TIME),
        callers(&backfill, &contacts, 16, TIME),
        interactive(&client, &lookup, SECOND, TIME),
    );
    let server = wire.server.lock().unwrap();
    assert_eq!(server.refused, 0, "{rules:?}");
    assert!(calls >= 50, "{calls} interactive calls");
    (server.accepted as f64 / allowance, longest, [one, two])
}

#[tokio::test(start_paused = true)]
async fn two_pipelines_and_an_interactive_caller_keep_the_same_figures_and_nobody_starves() {
    for requests in [10, 100] {
        let allowance = f64::from(requests) * 60.0;
        let rules = [Rule::Sliding(requests as usize, SECOND)];
        let (share, longest, [incremental, backfill]) = together(bucket(requests, SECOND), &rules, allowance).await;
        assert!(share >= 0.97, "{:.1} %", share * 100.0);
        // The next slot, or the one after it: the network takes 52 ms.
        let spacing = SECOND / requests;
        assert!(longest <= 60 * MS + 2 * spacing, "{longest:?} at {requests}/s");
        let part = backfill as f64 / (incremental + backfill) as f64;
        assert!((0.15..0.25).contains(&part), "{incremental} and {backfill}");
    }
}

#[tokio::test(start_paused = true)]
async fn together_they_keep_a_window_and_eight_places_too() {
    let per = 10 * SECOND;
    let budget = Budget { concurrency: 8, ..window(100, per, Says::Nothing) };
    let (api, wire) = (api(budget), Wire::new(&[Rule::Lazy(100, per), Rule::AtOnce(8)], Says::Nothing, 7));
    let client = client_over(&api, wire.clone());
    let (orders, contacts) = (call(&api, "orders"), call(&api, "contacts"));
    let backfill = client.at(Priority::Backfill);
    tokio::join!(callers(&client, &orders, 16, TIME), callers(&backfill, &contacts, 16, TIME));
    let server = wire.server.lock().unwrap();
    assert!(server.refused == 0 && server.accepted >= 582, "{} of 600, {} refused", server.accepted, server.refused);
}

#[tokio::test(start_paused = true)]
async fn a_slow_tier_holds_nobody_else_up() {
    let tier = Tier {
        connector: "shop".to_owned(),
        calls: ["export".to_owned()].into(),
        bucket: Some(bucket(1, 10 * SECOND).buckets[0].clone()),
        concurrency: Some(1),
    };
    let budget = Budget { tiers: vec![tier], ..bucket(50, SECOND) };
    let (api, wire) = (api(budget), Wire::new(&[Rule::Sliding(50, SECOND)], Says::Nothing, 7));
    let client = client_over(&api, wire.clone());
    let (export, orders) = (call(&api, "export"), call(&api, "orders"));
    let (exports, orders) = tokio::join!(callers(&client, &export, 20, TIME), callers(&client, &orders, 16, TIME));
    assert!((5..=7).contains(&exports) && orders >= 2_900, "{exports} exports, {orders} orders");
}
