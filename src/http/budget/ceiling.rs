//! What an answer said is left, where no limit is declared that says how calls are spread: so many calls until then. It
//! is only known from call to call, so it is taken at its word and forgotten when its time is over.

use std::time::Duration;

use super::moment::Moment;

/// Ends of the same window that are told in whole seconds differ by less.
const SAME_MS: i64 = 1500;

#[derive(Default)]
pub struct Ceiling {
    left: u64,
    ends_ms: i64,
}

impl Ceiling {
    pub fn opens_ms(&self, now: Moment) -> i64 {
        if self.left > 0 || self.ends_ms <= now.unix_ms { now.unix_ms } else { self.ends_ms }
    }

    pub fn take(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// What is left, as far as anything is known.
    pub fn left(&self, now: Moment) -> Option<u64> {
        (self.ends_ms > now.unix_ms).then_some(self.left)
    }

    pub fn told(&mut self, left: u64, reset: Duration, now: Moment) {
        let ends_ms = now.unix_ms.saturating_add(i64::try_from(reset.as_millis()).unwrap_or(i64::MAX));
        let is_same = self.ends_ms > now.unix_ms && (ends_ms - self.ends_ms).abs() < SAME_MS;
        *self = match is_same {
            true => Self { left: self.left.min(left), ends_ms: self.ends_ms.min(ends_ms) },
            false => Self { left, ends_ms },
        };
    }
}
