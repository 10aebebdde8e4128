//! Servers that keep failing and callers that do not wait for ever, on a paused clock against a scripted server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{Instant, advance};

use super::{
    super::script::{Script, answer, api},
    tests::{SECOND, blind_post, client, client_of, get},
    *,
};
use crate::{
    config::plan::{Auth, Bucket},
    model::Code,
};

fn export() -> Call {
    Call { name: "export".into(), ..get() }
}

/// Fails every export while it is dead; everything else is well.
fn dying() -> (Arc<Script>, Arc<AtomicBool>) {
    let is_dead = Arc::new(AtomicBool::new(true));
    let dead = is_dead.clone();
    let server = Script::new(SECOND / 10, move |request, _| match request.headers.contains_key("x-export") {
        true if dead.load(Relaxed) => answer(503, &[], ""),
        _ => answer(200, &[], "[]"),
    });
    (server, is_dead)
}

fn marked(call: Call) -> Call {
    let mut call = call;
    call.headers.insert("x-export", http::HeaderValue::from_static("1"));
    call
}

/// Calls until the breaker refuses, and returns how many attempts that took.
async fn until_it_rests(client: &Client, server: &Script) -> usize {
    for _ in 0..100 {
        let fault = client.execute(&marked(export())).await.unwrap_err();
        if fault.code == Code::Resting {
            return server.seen().len();
        }
        assert_eq!(fault.code, Code::ServerError);
    }
    panic!("it never rested");
}

#[tokio::test(start_paused = true)]
async fn what_keeps_failing_is_left_alone_and_its_neighbours_go_on() {
    let (server, is_dead) = dying();
    let client = client(&server);
    assert_eq!(until_it_rests(&client, &server).await, 20);
    let fault = client.execute(&marked(export())).await.unwrap_err();
    assert!(matches!(fault.disposition, Disposition::Retry { after: Some(after) } if after > 25 * SECOND));
    assert!(fault.message.starts_with("export is left alone"), "{}", fault.message);
    assert_eq!(server.seen().len(), 20, "nothing is sent");
    client.execute(&get()).await.unwrap().accepted().unwrap();
    advance(30 * SECOND).await;
    is_dead.store(false, Relaxed);
    client.execute(&marked(export())).await.unwrap();
    client.execute(&marked(export())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_attempt_goes_alone_and_a_rest_that_ends_in_failure_is_followed_by_a_longer_one() {
    let (server, is_dead) = dying();
    let client = client(&server);
    until_it_rests(&client, &server).await;
    for rest in [30, 60, 120, 240, 300, 300] {
        let sent = server.seen().len();
        advance(rest * SECOND - SECOND).await;
        assert_eq!(client.execute(&marked(export())).await.unwrap_err().code, Code::Resting);
        advance(SECOND).await;
        let callers = (0..10).map(|_| async { client.execute(&marked(export())).await.unwrap_err().code });
        let ended = futures_util::future::join_all(callers).await;
        assert!(ended.iter().all(|code| *code == Code::Resting), "{ended:?}");
        assert_eq!(server.seen().len(), sent + 1, "one attempt of ten callers, after {rest} s");
    }
    is_dead.store(false, Relaxed);
    advance(300 * SECOND).await;
    assert!(client.execute(&marked(export())).await.is_ok());
    is_dead.store(true, Relaxed);
    let sent = server.seen().len();
    assert_eq!(until_it_rests(&client, &server).await - sent, 19, "the answer began the count anew, and is in it");
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_caller_gives_up_leaves_it_to_the_next_one() {
    let (server, is_dead) = dying();
    let client = client(&server);
    until_it_rests(&client, &server).await;
    is_dead.store(false, Relaxed);
    advance(30 * SECOND).await;
    assert!(timeout(SECOND / 20, client.execute(&marked(export()))).await.is_err());
    client.execute(&marked(export())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn refusals_and_being_asked_to_slow_down_are_no_failures() {
    for outcome in [answer(422, &[], ""), answer(404, &[], "")] {
        let server = Script::list(vec![outcome]);
        let client = client(&server);
        for _ in 0..100 {
            client.execute(&get()).await.unwrap();
        }
    }
    let server = Script::list(vec![answer(429, &[("retry-after", "0")], "")]);
    let client = client(&server);
    for _ in 0..3 {
        assert_eq!(client.execute(&get()).await.unwrap_err().code, Code::Throttled);
    }
}

#[tokio::test(start_paused = true)]
async fn less_than_the_declared_share_or_number_of_failures_changes_nothing() {
    let server = Script::new(Duration::ZERO, |_, number| answer(if number % 5 > 2 { 500 } else { 200 }, &[], ""));
    let client = client(&server);
    for _ in 0..300 {
        client.execute(&get()).await.unwrap();
        advance(SECOND / 20).await;
    }
    // And what is far apart is not counted together.
    let (server, _) = dying();
    let client = self::client(&server);
    for _ in 0..10 {
        assert_eq!(client.execute(&marked(export())).await.unwrap_err().code, Code::ServerError);
        advance(20 * SECOND).await;
    }
}

fn in_time(call: Call, time: Duration) -> Call {
    Call { deadline: Some(Instant::now() + time), ..call }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_does_not_outlive_its_caller() {
    let server = Script::new(600 * SECOND, |_, _| answer(200, &[], ""));
    let client = client(&server);
    let began = Instant::now();
    let fault = client.execute(&in_time(get(), 2 * SECOND)).await.unwrap_err();
    assert_eq!((fault.code, began.elapsed().as_millis()), (Code::Timeout, 2000));
    let fault = client.execute(&in_time(blind_post(), 2 * SECOND)).await.unwrap_err();
    assert_eq!((fault.disposition, began.elapsed().as_millis()), (Disposition::Park, 4000));
    assert_eq!(server.seen().len(), 2);
    // An impatient caller says nothing about the server: its breaker stays closed.
    for _ in 0..50 {
        let fault = client.execute(&in_time(get(), SECOND / 10)).await.unwrap_err();
        assert_eq!(fault.code, Code::Timeout);
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_quota_ends_with_the_callers_time_and_does_not_begin_where_it_is_too_short() {
    let mut slow = api(Auth::None);
    slow.budget.buckets = vec![Bucket { requests: 1, per: 10 * SECOND, burst: 1 }];
    let server = Script::list(vec![answer(200, &[], "")]);
    let client = client_of(&slow, &server);
    client.execute(&get()).await.unwrap();
    let began = Instant::now();
    let fault = client.execute(&in_time(get(), 5 * SECOND)).await.unwrap_err();
    assert_eq!((fault.code, began.elapsed()), (Code::Deadline, Duration::ZERO), "{fault:?}");
    assert!(fault.message.contains("1 per 10s"), "{}", fault.message);
    // Behind another one: the wait is not known, and it ends in time.
    let call = in_time(get(), 15 * SECOND);
    let (first, second) = tokio::join!(client.execute(&call), client.execute(&call));
    assert!(first.is_ok(), "{first:?}");
    assert_eq!(second.unwrap_err().code, Code::Deadline);
    assert!(began.elapsed() <= 15 * SECOND, "{:?}", began.elapsed());
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pause_or_a_delay_longer_than_the_callers_time_ends_the_call_at_once() {
    for outcome in [answer(429, &[("retry-after", "30")], ""), answer(500, &[("retry-after", "30")], "")] {
        let server = Script::list(vec![outcome, answer(200, &[], "")]);
        let began = Instant::now();
        let fault = client(&server).execute(&in_time(get(), 5 * SECOND)).await.unwrap_err();
        assert!(matches!(fault.code, Code::Deadline | Code::ServerError), "{fault:?}");
        assert!(matches!(fault.disposition, Disposition::Retry { after: Some(after) } if after >= 29 * SECOND));
        assert_eq!((server.seen().len(), began.elapsed()), (1, Duration::ZERO));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_time_is_up_already_is_not_sent() {
    let server = Script::list(vec![answer(200, &[], "")]);
    let fault = client(&server).execute(&in_time(get(), Duration::ZERO)).await.unwrap_err();
    assert_eq!((fault.code, server.seen().len()), (Code::Deadline, 0));
}
