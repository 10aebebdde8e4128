//! A strict token bucket in whole numbers: a millionth of a token is the unit, so no float drifts over a long run.

use chrono::{DateTime, Utc};

use super::{
    call::{Answer, error, set},
    config::Quota,
};

const TOKEN: i64 = 1_000_000;

#[derive(Debug)]
pub(super) struct Bucket {
    quota: Quota,
    level: i64,
    filled_at: Option<DateTime<Utc>>,
}

/// What the bucket says about one request.
pub(super) struct Allowance {
    pub granted: bool,
    limit: u32,
    remaining: i64,
    full_in_us: i64,
    next_in_us: i64,
}

impl Bucket {
    pub fn new(quota: Quota) -> Self {
        let quota = Quota { per_second: quota.per_second.max(1), burst: quota.burst.max(1) };
        Self { quota, level: i64::from(quota.burst) * TOKEN, filled_at: None }
    }

    pub fn take(&mut self, now: DateTime<Utc>) -> Allowance {
        let rate = i64::from(self.quota.per_second);
        let full = i64::from(self.quota.burst) * TOKEN;
        let since = self.filled_at.map_or(0, |at| (now - at).num_microseconds().unwrap_or(i64::MAX).max(0));
        self.level = self.level.saturating_add(since.saturating_mul(rate)).min(full);
        self.filled_at = self.filled_at.max(Some(now));
        let granted = self.level >= TOKEN;
        if granted {
            self.level -= TOKEN;
        }
        let wait = |missing: i64| (missing.max(0) + rate - 1) / rate;
        Allowance {
            granted,
            limit: self.quota.per_second,
            remaining: self.level / TOKEN,
            full_in_us: wait(full - self.level),
            next_in_us: wait(TOKEN - self.level),
        }
    }
}

impl Allowance {
    /// The headers that let a client slow down before it is told to.
    pub fn label(&self, answer: &mut Answer) {
        set(answer, "x-ratelimit-limit", &self.limit.to_string());
        set(answer, "x-ratelimit-remaining", &self.remaining.to_string());
        set(answer, "x-ratelimit-reset", &seconds_up(self.full_in_us).to_string());
    }

    pub fn refusal(&self, now: DateTime<Utc>, as_date: bool) -> Answer {
        let mut answer = error(
            http::StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "too many requests: wait as long as Retry-After says",
        );
        let wait = seconds_up(self.next_in_us).max(1);
        let text = if as_date { http_date(now, wait) } else { wait.to_string() };
        set(&mut answer, "retry-after", &text);
        *answer
    }
}

fn seconds_up(us: i64) -> i64 {
    (us + 999_999) / 1_000_000
}

/// A date of whole seconds that is not before `now + wait_s`.
fn http_date(now: DateTime<Utc>, wait_s: i64) -> String {
    let part = i64::from(now.timestamp_subsec_nanos() > 0);
    let at = u64::try_from(now.timestamp() + wait_s + part).unwrap_or(0);
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_700_000_000_000 + ms).unwrap()
    }

    #[test]
    fn a_burst_is_granted_and_the_rest_waits_for_the_rate() {
        let mut bucket = Bucket::new(Quota { per_second: 50, burst: 2 });
        assert!(bucket.take(at(0)).granted);
        assert!(bucket.take(at(0)).granted);
        assert!(!bucket.take(at(0)).granted);
        assert!(!bucket.take(at(19)).granted, "a token takes 20 ms at 50 per second");
        assert!(bucket.take(at(20)).granted);
        assert!(!bucket.take(at(20)).granted);
    }

    #[test]
    fn a_client_that_never_rests_gets_the_burst_and_the_rate_and_not_one_more() {
        let mut bucket = Bucket::new(Quota { per_second: 50, burst: 2 });
        let granted = (0..=100_000).step_by(5).filter(|&ms| bucket.take(at(ms)).granted).count();
        assert_eq!(granted, 2 + 100 * 50);
    }

    #[test]
    fn a_refused_request_costs_no_token_and_a_clock_that_goes_back_gives_none() {
        let mut bucket = Bucket::new(Quota { per_second: 1, burst: 1 });
        assert!(bucket.take(at(0)).granted);
        (1..10).for_each(|i| assert!(!bucket.take(at(i * 100)).granted));
        assert!(bucket.take(at(1000)).granted);
        assert!(!bucket.take(at(0)).granted);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_that_is_never_too_early() {
        let mut bucket = Bucket::new(Quota { per_second: 1, burst: 1 });
        bucket.take(at(0));
        let refused = bucket.take(at(0));
        assert_eq!(refused.refusal(at(0), false).headers()["retry-after"], "1");
        assert_eq!(refused.refusal(at(0), true).headers()["retry-after"], "Tue, 14 Nov 2023 22:13:21 GMT");
        assert_eq!(refused.refusal(at(1), true).headers()["retry-after"], "Tue, 14 Nov 2023 22:13:22 GMT");
    }
}
