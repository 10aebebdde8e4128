//! Servers that allow less than declared, and servers that say what they allow.

use std::time::Duration;

use renkei::config::plan::{Budget, Window};

use crate::{
    load::{SECOND, Wire, api, bucket, call, callers, client_over},
    strict::{Rule, Says},
};

/// What came of a minute of calls: accepted and refused ones, and those that came before they were asked to.
struct Came {
    accepted: usize,
    refused: usize,
    impatient: usize,
    /// Of the refused ones, those in the last half of the minute.
    late: usize,
}

async fn a_minute(budget: Budget, rules: &[Rule], says: Says) -> Came {
    let (api, wire) = (api(Budget { concurrency: 8, ..budget }), Wire::new(rules, says, 11));
    let client = client_over(&api, wire.clone());
    let orders = call(&api, "orders");
    callers(&client, &orders, 16, 30 * SECOND).await;
    let half = wire.server.lock().unwrap().refused;
    callers(&client, &orders, 16, 30 * SECOND).await;
    let server = wire.server.lock().unwrap();
    let (accepted, refused, impatient) = (server.accepted, server.refused, server.impatient);
    Came { accepted, refused, impatient, late: refused - half }
}

/// A server that only refuses. However many calls were under way, they are one refusal to the limits: after the third of
/// them nothing is refused any more.
#[tokio::test(start_paused = true)]
async fn a_server_stricter_than_declared_is_met_within_three_refusals_and_every_retry_after_is_obeyed() {
    for (declared, real) in [(10, 5), (10, 8), (10, 2), (100, 50), (100, 13)] {
        for rule in [Rule::Sliding(real, SECOND), Rule::Lazy(real, SECOND), Rule::Apart(SECOND / real as u32)] {
            let came = a_minute(bucket(declared, SECOND), std::slice::from_ref(&rule), Says::Nothing).await;
            let episodes = 3;
            // Those already under way when the first refusal of an episode was on its way are refused with it.
            let in_flight = 1 + (declared as usize * 53).div_ceil(1000);
            assert!(came.refused <= episodes * in_flight, "{rule:?} of {declared}: {} refused", came.refused);
            assert_eq!(came.late, 0, "{rule:?} of {declared}: refused again in the second half");
            assert!(came.accepted as f64 >= 0.2 * 60.0 * real as f64, "{rule:?} of {declared}: {}", came.accepted);
        }
    }
}

/// Whoever was not yet on the way when the server asked to wait waits, to the second.
#[tokio::test(start_paused = true)]
async fn nobody_comes_before_the_time_that_was_named_but_those_who_were_on_the_way() {
    let came = a_minute(bucket(10, SECOND), &[Rule::Lazy(20, 10 * SECOND)], Says::Nothing).await;
    // 32 ms of network hold one call at ten per second.
    assert!(came.impatient <= came.refused, "{} impatient, {} refused", came.impatient, came.refused);
    assert!(came.refused <= 6, "{} refused", came.refused);
    assert!((100..=120).contains(&came.accepted), "{} of 120", came.accepted);
}

#[tokio::test(start_paused = true)]
async fn the_fields_of_the_ietf_draft_are_obeyed_from_the_first_answer_on() {
    let per = 10 * SECOND;
    for rule in [Rule::Lazy(50, per), Rule::Sliding(50, per), Rule::Fixed(50, per, 4 * SECOND)] {
        // Declared twice as fast, and not declared at all.
        for budget in [bucket(10, SECOND), Budget::default()] {
            let came = a_minute(budget, std::slice::from_ref(&rule), Says::RateLimit).await;
            assert_eq!(came.refused, 0, "{rule:?}: {} accepted", came.accepted);
            assert!(came.accepted >= 240, "{rule:?}: {} of 300", came.accepted);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_smaller_than_declared_is_known_from_what_is_left_of_it() {
    let header = |name: &str| name.parse().unwrap();
    let per = 10 * SECOND;
    let window = Window {
        requests: 100,
        per,
        left: Some(renkei::config::plan::LeftHeader::Remaining(header("x-left"))),
        reset: Some(header("x-reset")),
    };
    let budget = Budget { windows: vec![window], ..Budget::default() };
    let came = a_minute(budget, &[Rule::Lazy(40, per)], Says::Left).await;
    assert_eq!(came.refused, 0);
    assert!((190..=240).contains(&came.accepted), "{} of 240", came.accepted);
}

#[tokio::test(start_paused = true)]
async fn after_a_pause_one_call_goes_alone_and_twice_as_many_after_each_answer() {
    let budget = Budget { concurrency: 64, ..Budget::default() };
    let (api, wire) = (api(budget), Wire::new(&[Rule::Lazy(10, 10 * SECOND)], Says::Nothing, 3));
    let client = client_over(&api, wire.clone());
    // Sixty-four at once; ten are taken, the others are refused together.
    callers(&client, &call(&api, "orders"), 64, 25 * SECOND).await;
    let server = wire.server.lock().unwrap();
    // Then one, two, four and eight of them: the last five at the most are too many.
    assert!((54..=54 + 2 * 5).contains(&server.refused), "{} refused in three windows", server.refused);
    assert!((28..=30).contains(&server.accepted), "{} of 30", server.accepted);
}

#[tokio::test(start_paused = true)]
async fn the_pace_comes_back_after_the_bad_hour() {
    let (api, wire) = (api(bucket(10, SECOND)), Wire::new(&[Rule::Sliding(5, SECOND)], Says::Nothing, 5));
    let client = client_over(&api, wire.clone());
    let orders = call(&api, "orders");
    callers(&client, &orders, 4, 60 * SECOND).await;
    assert!(wire.server.lock().unwrap().refused > 0);
    *wire.server.lock().unwrap() = crate::strict::Strict::new(&[Rule::Sliding(10, SECOND)], Says::Nothing);
    callers(&client, &orders, 4, Duration::from_secs(3600)).await;
    let before = wire.server.lock().unwrap().accepted;
    callers(&client, &orders, 4, 60 * SECOND).await;
    let server = wire.server.lock().unwrap();
    assert!(server.accepted - before >= 580 && server.refused == 0, "{} in the last minute", server.accepted - before);
}

#[tokio::test(start_paused = true)]
async fn stray_refusals_cost_a_moment_each_and_not_the_pace() {
    let (api, wire) = (api(bucket(10, SECOND)), Wire::straying(&[Rule::Sliding(10, SECOND)], 5, 0.01));
    let client = client_over(&api, wire.clone());
    callers(&client, &call(&api, "orders"), 8, Duration::from_secs(600)).await;
    let server = wire.server.lock().unwrap();
    assert!(server.refused == 0 && server.accepted >= 5_600, "{} of 6000", server.accepted);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_names_no_time_is_met_all_the_same() {
    for rule in [Rule::Sliding(5, SECOND), Rule::Lazy(50, 10 * SECOND), Rule::Apart(SECOND / 5)] {
        let came = a_minute(bucket(10, SECOND), std::slice::from_ref(&rule), Says::No429Time).await;
        assert!(came.refused <= 12 && came.late <= 3, "{rule:?}: {} and {} refused", came.refused, came.late);
        assert!(came.accepted >= 150, "{rule:?}: {} of 300", came.accepted);
    }
}
