//! The server's time of day, learned from its Date headers. Windows are pinned by it, because a record's time stamp is
//! the server's.
//!
//! A Date header is cut to whole seconds and was written before it came here, so what is learned is never ahead of
//! the server. Behind is the safe side: a window that ends too early leaves its newest seconds to the next run.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, header};

#[derive(Default)]
pub struct ServerClock(Mutex<Option<TimeDelta>>);

impl ServerClock {
    /// Learns from an answer that came at `now`. An answer out of a cache tells an old time and is passed over.
    pub fn learn(&self, headers: &HeaderMap, now: DateTime<Utc>) {
        if let Some(date) = fresh_date(headers) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(date - now);
        }
    }

    /// The offset of the server's clock from ours, once an answer told.
    pub fn offset(&self) -> Option<TimeDelta> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time of day that an answer tells, unless it comes out of a cache.
pub fn fresh_date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let cached = headers.get(header::AGE).is_some_and(|age| age.as_bytes() != b"0");
    date(headers).filter(|_| !cached)
}

/// The answer's Date header.
pub fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let text = headers.get(header::DATE)?.to_str().ok()?;
    httpdate::parse_http_date(text).ok().map(DateTime::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_offset_is_learned_from_the_latest_date_and_not_from_a_cache() {
        let clock = ServerClock::default();
        let now: DateTime<Utc> = "2026-01-01T00:00:10.5Z".parse().unwrap();
        assert_eq!(clock.offset(), None);
        clock.learn(&headers(&[("date", "Thu, 01 Jan 2026 00:01:00 GMT")]), now);
        assert_eq!(clock.offset(), Some(TimeDelta::milliseconds(49_500)));
        clock.learn(&headers(&[("date", "Wed, 31 Dec 2025 00:00:00 GMT"), ("age", "300")]), now);
        clock.learn(&headers(&[("date", "yesterday")]), now);
        clock.learn(&headers(&[]), now);
        assert_eq!(clock.offset(), Some(TimeDelta::milliseconds(49_500)));
        clock.learn(&headers(&[("date", "Thu, 01 Jan 2026 00:00:00 GMT"), ("age", "0")]), now);
        assert_eq!(clock.offset(), Some(TimeDelta::milliseconds(-10_500)));
    }
}
