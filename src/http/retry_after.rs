//! How long a server asks us to wait. Retry-After wins; reset headers are read where it is absent; what makes no sense
//! is ignored, as if it were not there.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, header};

use super::{server_clock::date, told};

/// No server gets us to sleep longer on one answer.
pub const ASKED_MAX: Duration = Duration::from_secs(3600);

/// Reads `Retry-After`: whole seconds, decimals (`2.0` is seen), or an HTTP date in its three forms. A date is compared
/// with the answer's own Date, so that a wrong clock on either side does not matter.
pub fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return seconds_from_now(seconds);
    }
    let at: DateTime<Utc> = httpdate::parse_http_date(text).ok()?.into();
    // A date that passed means "now".
    let wait = (at - date(headers).unwrap_or(now)).to_std().unwrap_or(Duration::ZERO);
    Some(wait.min(ASKED_MAX))
}

/// Reads the headers that say when the quota is full again; see `told.rs`.
pub fn reset(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let server_ms = date(headers).unwrap_or(now).timestamp_millis();
    Some(told::any_reset(headers, server_ms)?.min(ASKED_MAX))
}

fn seconds_from_now(seconds: f64) -> Option<Duration> {
    // The comparison is false for NaN too.
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(ASKED_MAX.as_secs_f64())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    /// Our own clock is far from the server's in every test here.
    fn now() -> DateTime<Utc> {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn after(text: &str) -> Option<Duration> {
        retry_after(&headers(&[("retry-after", text), ("date", DATE)]), now())
    }

    #[test]
    fn seconds_and_decimals_are_read_and_clamped() {
        assert_eq!(after("0"), Some(Duration::ZERO));
        assert_eq!(after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(after("2.5"), Some(Duration::from_millis(2500)));
        assert_eq!(after("999999999999"), Some(ASKED_MAX));
        assert_eq!(after("inf"), Some(ASKED_MAX));
    }

    #[test]
    fn the_three_forms_of_a_date_are_compared_with_the_answers_own_date() {
        for text in ["Sun, 06 Nov 1994 08:50:07 GMT", "Sunday, 06-Nov-94 08:50:07 GMT", "Sun Nov  6 08:50:07 1994"] {
            assert_eq!(after(text), Some(Duration::from_secs(30)), "{text}");
        }
        assert_eq!(after("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(after("Mon, 06 Nov 1995 08:00:00 GMT"), Some(ASKED_MAX));
    }

    #[test]
    fn without_a_date_header_our_own_clock_is_the_measure() {
        let asked = headers(&[("retry-after", "Thu, 01 Jan 2026 00:00:09 GMT")]);
        assert_eq!(retry_after(&asked, now()), Some(Duration::from_secs(9)));
    }

    #[test]
    fn negative_numbers_and_garbage_are_ignored() {
        for text in ["-1", "-0.5", "NaN", "soon", "", "1e", "0x10"] {
            assert_eq!(after(text), None, "{text}");
        }
    }

    #[test]
    fn a_reset_is_a_delay_or_an_instant_by_its_size() {
        let at = |name: &'static str, text: &str| reset(&headers(&[(name, text), ("date", DATE)]), now());
        assert_eq!(at("x-ratelimit-reset", "12"), Some(Duration::from_secs(12)));
        assert_eq!(at("x-ratelimit-reset", "784111787"), Some(Duration::from_secs(10)));
        assert_eq!(at("x-rate-limit-reset", "784111787000"), Some(Duration::from_secs(10)));
        assert_eq!(at("x-ratelimit-reset", "784111000"), Some(Duration::ZERO));
        assert_eq!(at("ratelimit", "limit=10, remaining=0, reset=7"), Some(Duration::from_secs(7)));
        assert_eq!(at("ratelimit", r#""default";r=0;t=8"#), Some(Duration::from_secs(8)));
        assert_eq!(at("x-ratelimit-reset", "32/40"), None);
        assert_eq!(at("x-ratelimit-reset", "-3"), None);
    }
}
