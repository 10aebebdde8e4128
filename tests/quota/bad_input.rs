//! Answers that name impossible times, and clocks that are wrong: each has a bound, and none stops anybody for good.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use renkei::{
    config::plan::Budget,
    http::{Client, Policy, Request, Response, Seams, SendError, Transport, Unsigned},
    model::{BoxFuture, Clock, Code, SystemEntropy},
};
use tokio::time::Instant;

use crate::load::{SECOND, api, call};

/// Refuses the first call with these headers, and takes the others.
struct Once(Mutex<Option<Vec<(&'static str, String)>>>);

impl Transport for Once {
    fn send(&self, _: Request) -> BoxFuture<'_, Result<Response, SendError>> {
        let (status, headers) = match self.0.lock().unwrap().take() {
            Some(headers) => (StatusCode::TOO_MANY_REQUESTS, headers),
            None => (StatusCode::OK, Vec::new()),
        };
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Box::pin(std::future::ready(Ok(Response { status, headers, body: Bytes::new() })))
    }
}

/// Our own time of day, wrong by so much. The server's is right: 2026-01-01T00:00:00Z when a test begins.
struct Wrong(Instant, TimeDelta);

fn server_begins() -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

impl Clock for Wrong {
    fn now(&self) -> DateTime<Utc> {
        server_begins() + self.0.elapsed() + self.1
    }
}

/// How long a call takes that is refused once with these headers.
async fn waited(headers: &[(&'static str, &str)], wait_max: Duration, skew: TimeDelta) -> Result<Duration, Code> {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let api = api(Budget { wait_max, ..Budget::default() });
    let seams = Seams {
        transport: Arc::new(Once(Mutex::new(Some(headers)))),
        signer: Arc::new(Unsigned),
        clock: Arc::new(Wrong(Instant::now(), skew)),
        entropy: Arc::new(SystemEntropy::seeded(2)),
    };
    let began = Instant::now();
    let ended = Client::new(Policy::of(&api), seams).execute(&call(&api, "orders")).await;
    ended.map(|_| began.elapsed()).map_err(|fault| fault.code)
}

const LONG: Duration = Duration::from_secs(7200);
const NO_SKEW: TimeDelta = TimeDelta::zero();

#[tokio::test(start_paused = true)]
async fn a_retry_after_of_a_year_is_an_hour_and_longer_than_a_call_waits_is_an_error_at_once() {
    for text in ["31536000", "1e300", "inf", "Fri, 01 Jan 2027 00:00:00 GMT"] {
        let waited = waited(&[("retry-after", text)], LONG, NO_SKEW).await.unwrap();
        assert!(waited >= 3600 * SECOND && waited <= 3601 * SECOND, "{text}: {waited:?}");
        let began = Instant::now();
        let fault = self::waited(&[("retry-after", text)], 900 * SECOND, NO_SKEW).await;
        assert_eq!((fault, began.elapsed()), (Err(Code::Throttled), Duration::ZERO), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn negative_times_and_garbage_are_as_if_nothing_was_named() {
    for text in ["-1", "-31536000", "NaN", "soon", "", "1;2", "99 bottles", "Fri, 99 Foo 2027 00:00:00 GMT"] {
        let waited = waited(&[("retry-after", text)], LONG, NO_SKEW).await.unwrap();
        assert!(waited >= SECOND / 10 && waited <= SECOND, "{text}: {waited:?}");
    }
    for (name, text) in [("x-ratelimit-reset", "-5"), ("x-ratelimit-reset", "32/40"), ("ratelimit", "\"a\";r=x;t=-4")] {
        let waited = waited(&[(name, text)], LONG, NO_SKEW).await.unwrap();
        assert!(waited >= SECOND / 10 && waited <= SECOND, "{name}: {text}: {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_ten_minutes_off_moves_no_wait_by_a_second_in_any_form_of_time() {
    let date = ("date", "Thu, 01 Jan 2026 00:00:00 GMT");
    let reset = (server_begins().timestamp() + 30).to_string();
    for skew in [TimeDelta::minutes(-10), NO_SKEW, TimeDelta::minutes(10)] {
        for header in [
            ("retry-after", "30"),
            ("retry-after", "Thu, 01 Jan 2026 00:00:30 GMT"),
            ("retry-after", "Thursday, 01-Jan-26 00:00:30 GMT"),
            ("retry-after", "Thu Jan  1 00:00:30 2026"),
            ("x-ratelimit-reset", reset.as_str()),
            ("x-ratelimit-reset", "30"),
            ("ratelimit", "\"calls\";r=0;t=30"),
        ] {
            let waited = waited(&[date, header], LONG, skew).await.unwrap();
            assert!(waited >= 30 * SECOND && waited < 31 * SECOND, "{header:?} with {skew}: {waited:?}");
        }
        // Without the server's own time a date can only be compared with ours: the bound is what is left.
        let waited = waited(&[("retry-after", "Thu, 01 Jan 2026 00:00:30 GMT")], LONG, skew).await.unwrap();
        assert!(waited <= 631 * SECOND, "with {skew}: {waited:?}");
    }
}
