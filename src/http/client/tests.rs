//! The path's order and bounds, on a paused clock against a scripted server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use http::Method;
use secrecy::ExposeSecret;
use tokio::time::Instant;

use super::*;
use crate::{
    config::plan::{AnswerRule, Api, Auth, Bucket, Meaning, When},
    http::{
        Unsigned,
        script::{Script, SetClock, answer, api, call},
    },
    model::{Blame, Code, SystemEntropy},
};

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn client_of(api: &Api, server: &Arc<Script>) -> Client {
    let seams = Seams {
        transport: server.clone(),
        signer: Arc::new(Unsigned),
        clock: SetClock::new(),
        entropy: Arc::new(SystemEntropy::seeded(3)),
    };
    Client::new(Policy::of(api), seams)
}

pub(super) fn client(server: &Arc<Script>) -> Client {
    client_of(&api(Auth::None), server)
}

pub(super) fn get() -> Call {
    call(Method::GET, "orders")
}

pub(super) fn blind_post() -> Call {
    Call { repeatable: false, ..call(Method::POST, "orders") }
}

fn times_out() -> Result<Response, SendError> {
    Err(SendError::Timeout)
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_sent_again_until_the_attempts_are_spent() {
    let server = Script::list(vec![times_out(), answer(500, &[], ""), answer(200, &[], "[]")]);
    let client = client(&server);
    let answer = client.execute(&get()).await.unwrap();
    assert_eq!((answer.attempts, &answer.body[..]), (3, &b"[]"[..]));
    let usage = client.usage();
    assert_eq!((usage.requests, usage.retries, usage.throttled), (3, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_failure_ends_with_its_code_its_place_and_what_is_safe() {
    let unreachable = Err(SendError::Unreachable("connection refused".to_owned()));
    let broken = Err(SendError::Broken("reset by peer".to_owned()));
    let truncated = Err(SendError::Truncated { status: StatusCode::OK });
    for (outcome, code) in [
        (times_out(), Code::Timeout),
        (unreachable, Code::Unreachable),
        (broken, Code::Broken),
        (truncated, Code::Truncated),
        (answer(502, &[], "<html>"), Code::ServerError),
    ] {
        let server = Script::list(vec![outcome]);
        let fault = client(&server).execute(&get()).await.unwrap_err();
        assert_eq!((fault.code, fault.blame), (code, Blame::Remote));
        assert!(matches!(fault.disposition, Disposition::Retry { .. }));
        assert!(fault.message.ends_with("(after 3 attempts)"), "{}", fault.message);
        assert_eq!(fault.place, ["GET /orders/{id} (orders)", "connection shop"]);
        assert!(fault.help.contains("Nothing is lost"));
        assert_eq!(server.seen().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_must_not_be_repeated_is_not_sent_again_once_a_byte_may_have_left() {
    let truncated = Err(SendError::Truncated { status: StatusCode::OK });
    for outcome in [times_out(), answer(500, &[], ""), Err(SendError::Broken("reset".to_owned())), truncated] {
        let server = Script::list(vec![outcome, answer(200, &[], "")]);
        let fault = client(&server).execute(&blind_post()).await.unwrap_err();
        assert_eq!(fault.disposition, Disposition::Park);
        assert!(fault.message.contains("whether it took effect is unknown"), "{}", fault.message);
        assert_eq!(server.seen().len(), 1);
    }
    let unreachable = Err(SendError::Unreachable("refused".to_owned()));
    let server = Script::list(vec![unreachable, answer(429, &[], ""), answer(200, &[], "")]);
    assert_eq!(client(&server).execute(&blind_post()).await.unwrap().attempts, 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_must_not_be_repeated_waits_out_a_429_and_not_a_503() {
    let slow = |status| answer(status, &[("retry-after", "1")], "");
    let server = Script::list(vec![slow(429), answer(200, &[], "{}")]);
    assert_eq!(client(&server).execute(&blind_post()).await.unwrap().attempts, 2);
    let server = Script::list(vec![slow(503), answer(200, &[], "{}")]);
    let fault = client(&server).execute(&blind_post()).await.unwrap_err();
    assert_eq!((fault.disposition, server.seen().len()), (Disposition::Park, 1));
    let server = Script::list(vec![slow(503), answer(200, &[], "[]")]);
    assert_eq!(client(&server).execute(&get()).await.unwrap().attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn a_stalled_attempt_is_cut_off_at_its_time() {
    let server = Script::new(600 * SECOND, |_, _| answer(200, &[], ""));
    let began = Instant::now();
    let quick = Call { timeout: Some(2 * SECOND), ..get() };
    assert_eq!(client(&server).execute(&quick).await.unwrap_err().code, Code::Timeout);
    let passed = began.elapsed();
    assert!(passed >= 6 * SECOND && passed < 8 * SECOND, "{passed:?}");
}

#[tokio::test(start_paused = true)]
async fn being_asked_to_slow_down_is_no_attempt_and_retry_after_is_kept() {
    let slow = answer(429, &[("retry-after", "7")], "");
    let server = Script::list(vec![slow.clone(), slow.clone(), slow.clone(), slow, answer(200, &[], "")]);
    let client = client(&server);
    let began = Instant::now();
    let answer = client.execute(&get()).await.unwrap();
    assert_eq!(answer.attempts, 5);
    assert!(began.elapsed() >= 28 * SECOND && began.elapsed() < 29 * SECOND, "{:?}", began.elapsed());
    let usage = client.usage();
    assert_eq!((usage.throttled, usage.requests), (4, 5));
    assert!(usage.waited >= 28 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn one_429_pauses_everybody_on_the_connection() {
    let began = Instant::now();
    let early = Arc::new(AtomicUsize::new(0));
    let counted = early.clone();
    let server = Script::new(SECOND / 10, move |_, _| {
        if began.elapsed() >= 5 * SECOND {
            return answer(200, &[], "");
        }
        counted.fetch_add(1, Relaxed);
        answer(429, &[("retry-after", "5")], "")
    });
    let client = client(&server);
    let callers: Vec<_> = (0..40)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.execute(&get()).await.unwrap().accepted().unwrap() })
        })
        .collect();
    sleep(SECOND).await;
    assert!(client.waiting().is_some_and(|until| until > Instant::now() + 3 * SECOND));
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(client.usage().waited < 6 * SECOND, "those who wait side by side count once");
    assert_eq!(early.load(Relaxed), 8, "only those under way when the first answer came");
    assert_eq!(client.waiting(), None);
}

#[tokio::test(start_paused = true)]
async fn a_wait_longer_than_allowed_is_an_error_at_once_and_not_after_the_wait() {
    let server = Script::list(vec![answer(429, &[("retry-after", "3600")], r#"{"message":"daily limit"}"#)]);
    let client = client(&server);
    let began = Instant::now();
    let fault = client.execute(&get()).await.unwrap_err();
    assert_eq!(fault.code, Code::Throttled);
    assert!(fault.message.contains("daily limit"), "{}", fault.message);
    assert!(matches!(fault.disposition, Disposition::Retry { after: Some(after) } if after.as_secs() >= 3599));
    assert!(began.elapsed() < SECOND);
    let fault = client.execute(&get()).await.unwrap_err();
    assert_eq!(fault.code, Code::QuotaWait, "the next call is not even sent");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_ever_is_given_up() {
    let server = Script::list(vec![answer(429, &[], "")]);
    let fault = client(&server).execute(&get()).await.unwrap_err();
    assert_eq!(fault.code, Code::Throttled);
    assert!(server.seen().len() <= 21, "{}", server.seen().len());
    let server = Script::list(vec![answer(429, &[("retry-after", "0")], "")]);
    let fault = client(&server).execute(&get()).await.unwrap_err();
    assert_eq!((fault.code, server.seen().len()), (Code::Throttled, 21));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_our_own_budget_is_bounded_too() {
    let mut slow = api(Auth::None);
    slow.budget.buckets = vec![Bucket { requests: 1, per: 3600 * SECOND, burst: 1 }];
    slow.budget.wait_max = 60 * SECOND;
    let server = Script::list(vec![answer(200, &[], "")]);
    let client = client_of(&slow, &server);
    client.execute(&get()).await.unwrap();
    let began = Instant::now();
    let fault = client.execute(&get()).await.unwrap_err();
    assert_eq!((fault.code, began.elapsed()), (Code::QuotaWait, Duration::ZERO), "it is known to take longer");
    assert!(fault.message.contains("1 per 3600s"), "{}", fault.message);
    assert!(matches!(fault.disposition, Disposition::Retry { after: Some(after) } if after > 3500 * SECOND));
    // Behind others it is not known, and the wait ends all the same.
    let waiting: Vec<_> = (0..200).map(|_| get()).collect();
    slow.budget.buckets = vec![Bucket { requests: 1, per: SECOND, burst: 1 }];
    let client = client_of(&slow, &server);
    let ended = futures_util::future::join_all(waiting.iter().map(|call| client.execute(call))).await;
    let refused = ended.iter().filter(|ended| ended.as_ref().is_err_and(|fault| fault.code == Code::QuotaWait)).count();
    assert_eq!((refused, began.elapsed().as_secs()), (141, 60));
}

#[tokio::test(start_paused = true)]
async fn a_server_error_that_names_a_time_is_not_asked_before_it() {
    let server = Script::list(vec![answer(500, &[("retry-after", "9")], ""), answer(200, &[], "")]);
    let began = Instant::now();
    client(&server).execute(&get()).await.unwrap();
    assert!(began.elapsed() >= 9 * SECOND && began.elapsed() < 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_comes_back_with_its_body_and_stops_only_those_who_need_the_answer() {
    let server = Script::list(vec![answer(422, &[], r#"{"errors":[{"message":"email is taken"}]}"#)]);
    let answer = client(&server).execute(&get()).await.unwrap();
    let Ruling::Refused(fault) = &answer.ruling else { panic!() };
    assert_eq!((fault.code, fault.disposition), (Code::Refused, Disposition::Reject));
    assert_eq!(fault.message, "the server refused the request (422): email is taken");
    assert!(!fault.place.is_empty());
    assert!(answer.body.starts_with(b"{\"errors\""));
    assert_eq!(answer.accepted().unwrap_err().disposition, Disposition::Halt);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_calls_own_rules_are_tried_first() {
    let in_flight = AnswerRule {
        when: When { status: vec![(409, 409)], ..When::default() },
        is: Meaning::Retry { after: Some(SECOND) },
    };
    let server = Script::list(vec![answer(409, &[], ""), answer(201, &[], "")]);
    let call = Call { answers: vec![in_flight], ..get() };
    assert_eq!(client(&server).execute(&call).await.unwrap().status, StatusCode::CREATED);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_to_a_host_that_is_not_declared() {
    let server = Script::list(vec![answer(200, &[], "")]);
    let away = Call { url: Url::parse("https://evil.test/next?token=planted").unwrap(), ..get() };
    let fault = client(&server).execute(&away).await.unwrap_err();
    assert_eq!((fault.code, fault.blame, fault.disposition), (Code::Egress, Blame::Config, Disposition::Halt));
    assert!(fault.message.contains("https://evil.test/next?token=***"), "{}", fault.message);
    assert!(server.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_servers_clock_is_learned_from_any_answer() {
    let date = [("date", "Thu, 01 Jan 2026 00:05:00 GMT")];
    let server = Script::list(vec![answer(500, &date, ""), answer(200, &[], "")]);
    let client = client(&server);
    assert!(!client.server_clock_known());
    assert_eq!(client.server_now().to_rfc3339(), "2026-01-01T00:00:00+00:00");
    client.execute(&get()).await.unwrap();
    assert!(client.server_clock_known());
    assert_eq!(client.server_now().to_rfc3339(), "2026-01-01T00:05:00+00:00");
}

/// Signs with a number that only a refusal raises.
#[derive(Default)]
struct Counting(AtomicUsize);

impl Signer for Counting {
    fn sign<'a>(&'a self, request: &'a mut Request) -> crate::model::BoxFuture<'a, Result<(), Fault>> {
        request.secrets.push(format!("key-{}", self.0.load(Relaxed)).into());
        Box::pin(async { Ok(()) })
    }

    fn refused<'a>(&'a self, _: &'a Request) -> crate::model::BoxFuture<'a, Result<bool, Fault>> {
        self.0.fetch_add(1, Relaxed);
        Box::pin(async { Ok(true) })
    }
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_signed_anew_and_a_401_renews_once() {
    let server = Script::list(vec![times_out(), answer(401, &[], ""), answer(200, &[], "")]);
    let seams = Seams { signer: Arc::new(Counting::default()), ..client(&server).inner.seams.clone() };
    let client = Client::new(Policy::of(&api(Auth::None)), seams);
    client.execute(&get()).await.unwrap();
    let keys: Vec<String> = server.seen().iter().map(|request| request.secrets[0].expose_secret().to_owned()).collect();
    assert_eq!(keys, ["key-0", "key-0", "key-1"]);
    let refusing = Script::list(vec![answer(401, &[], "")]);
    let seams = Seams { transport: refusing.clone(), ..client.inner.seams.clone() };
    let fault = Client::new(Policy::of(&api(Auth::None)), seams).execute(&get()).await.unwrap_err();
    assert_eq!((fault.code, refusing.seen().len()), (Code::Unauthorized, 2));
}
