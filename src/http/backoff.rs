//! How long to wait before the next attempt: exponential with full jitter. Full jitter spreads callers that failed
//! together over the whole delay, so that they do not come back together.

use std::time::Duration;

use crate::{config::plan::Retry, model::Entropy};

/// The delays of one call, in order. Each draw doubles the bound of the next.
#[derive(Clone, Debug)]
pub struct Backoff {
    bound: Duration,
    cap: Duration,
}

impl Backoff {
    pub fn new(retry: &Retry) -> Self {
        Self { bound: retry.base.min(retry.cap), cap: retry.cap }
    }

    /// The next delay, anywhere between nothing and the bound.
    pub fn next(&mut self, entropy: &dyn Entropy) -> Duration {
        let delay = self.bound.mul_f64(entropy.share());
        self.bound = self.bound.saturating_mul(2).min(self.cap);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Share(f64);

    impl Entropy for Share {
        fn bits(&self) -> u64 {
            (self.0 * (1u64 << 53) as f64) as u64 * (1 << 11)
        }
    }

    fn retry() -> Retry {
        Retry { attempts: 10, base: Duration::from_millis(500), cap: Duration::from_secs(3) }
    }

    #[test]
    fn the_bound_doubles_up_to_the_cap_and_the_delay_lies_anywhere_under_it() {
        let mut backoff = Backoff::new(&retry());
        let half = Share(0.5);
        let delays: Vec<_> = (0..5).map(|_| backoff.next(&half).as_millis()).collect();
        assert_eq!(delays, [250, 500, 1000, 1500, 1500]);
        assert_eq!(Backoff::new(&retry()).next(&Share(0.0)), Duration::ZERO);
    }

    #[test]
    fn a_base_over_the_cap_is_the_cap() {
        let retry = Retry { base: Duration::from_secs(9), ..retry() };
        assert_eq!(Backoff::new(&retry).next(&Share(0.5)), Duration::from_millis(1500));
    }
}
