//! How long things took, as counts in buckets that grow by a quarter of an octave. A few numbers stand for any number of times, the sum of
//! two is exact, and a quantile is never told too low and at most a fifth too high.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

/// The last bucket takes whatever took longer than 12 days.
const BUCKETS: u8 = 120;

/// Counts by bucket: the one with number `n` holds what took no longer than 2^(n/4) milliseconds, and longer than the bound before.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Latency(BTreeMap<u8, u64>);

impl Latency {
    /// Counts `times` things that took so long.
    pub fn add(&mut self, took: Duration, times: u64) {
        if times > 0 {
            *self.0.entry(bucket(took)).or_default() += times;
        }
    }

    pub fn merge(&mut self, more: &Self) {
        more.0.iter().for_each(|(bucket, times)| *self.0.entry(*bucket).or_default() += times);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the given share of them (0.95: 95 of 100) took at the most, as far as buckets tell. Nothing of nothing.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let all: u64 = self.0.values().sum();
        let rank = ((share * all as f64).ceil() as u64).max(1);
        let up_to = self.0.iter().scan(0, |sum, (bucket, times)| {
            *sum += times;
            Some((*bucket, *sum))
        });
        let found = up_to.into_iter().find(|(_, sum)| *sum >= rank);
        found.map(|(bucket, _)| Duration::from_secs_f64(bound_ms(bucket) / 1e3))
    }
}

fn bound_ms(bucket: u8) -> f64 {
    2f64.powf(f64::from(bucket) / 4.0)
}

fn bucket(took: Duration) -> u8 {
    let ms = took.as_secs_f64() * 1e3;
    (0..BUCKETS).find(|bucket| ms <= bound_ms(*bucket)).unwrap_or(BUCKETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_never_too_low_and_at_most_a_fifth_too_high_and_sums_are_exact() {
        let (mut odd, mut even) = (Latency::default(), Latency::default());
        for ms in 1..=1_000 {
            let latency = if ms % 2 == 0 { &mut even } else { &mut odd };
            latency.add(Duration::from_millis(ms), 1);
        }
        odd.merge(&even);
        for (share, ms) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let found = odd.quantile(share).unwrap().as_secs_f64() * 1e3;
            assert!((1.0..1.2).contains(&(found / ms)), "{share}: {found}");
        }
        for ms in [2.0, 91.0, 100.0, 3_333.0] {
            let mut same = Latency::default();
            same.add(Duration::from_secs_f64(ms / 1e3), 40);
            let found = same.quantile(0.95).unwrap().as_secs_f64() * 1e3;
            assert!((1.0..1.2).contains(&(found / ms)), "all took {ms}, told {found}");
        }
        let text = serde_json::to_string(&odd).unwrap();
        assert_eq!(serde_json::from_str::<Latency>(&text).unwrap(), odd);
    }

    #[test]
    fn nothing_has_no_quantile_and_the_longest_time_has_a_bucket() {
        let mut latency = Latency::default();
        assert_eq!(latency.quantile(0.99), None);
        latency.add(Duration::MAX, 2);
        latency.add(Duration::ZERO, 1);
        assert!(
            latency.quantile(0.3) <= Some(Duration::from_millis(1))
                && latency.quantile(0.99) > Some(Duration::from_secs(86_400))
        );
    }
}
