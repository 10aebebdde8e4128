//! How long things took, as counts in buckets that grow by half an octave. A few numbers stand for any number of times, the sum of two is
//! exact, and a quantile is right to a fifth.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

/// The last bucket takes whatever took longer than 12 days.
const BUCKETS: u8 = 60;

/// Counts by bucket: the one with number `n` holds what took no longer than 2^(n/2) milliseconds, and longer than the bound before.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spans(BTreeMap<u8, u64>);

impl Spans {
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
        let rank = (share * all as f64).ceil().max(1.0);
        let mut before = 0.0;
        for (bucket, times) in &self.0 {
            let times = *times as f64;
            if before + times >= rank {
                let (from, to) = (bucket.checked_sub(1).map_or(0.0, bound_ms), bound_ms(*bucket));
                let ms = from + (to - from) * (rank - before) / times;
                return Some(Duration::from_secs_f64(ms / 1e3));
            }
            before += times;
        }
        None
    }
}

fn bound_ms(bucket: u8) -> f64 {
    2f64.powf(f64::from(bucket) / 2.0)
}

fn bucket(took: Duration) -> u8 {
    let ms = took.as_secs_f64() * 1e3;
    (0..BUCKETS).find(|bucket| ms <= bound_ms(*bucket)).unwrap_or(BUCKETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_right_to_a_fifth_and_sums_are_exact() {
        let (mut odd, mut even) = (Spans::default(), Spans::default());
        for ms in 1..=1_000 {
            let spans = if ms % 2 == 0 { &mut even } else { &mut odd };
            spans.add(Duration::from_millis(ms), 1);
        }
        odd.merge(&even);
        for (share, ms) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let found = odd.quantile(share).unwrap().as_secs_f64() * 1e3;
            assert!((found / ms - 1.0).abs() < 0.2, "{share}: {found}");
        }
        let text = serde_json::to_string(&odd).unwrap();
        assert_eq!(serde_json::from_str::<Spans>(&text).unwrap(), odd);
    }

    #[test]
    fn nothing_has_no_quantile_and_the_longest_time_has_a_bucket() {
        let mut spans = Spans::default();
        assert_eq!(spans.quantile(0.99), None);
        spans.add(Duration::MAX, 2);
        spans.add(Duration::ZERO, 1);
        assert!(
            spans.quantile(0.3) <= Some(Duration::from_millis(1))
                && spans.quantile(0.99) > Some(Duration::from_secs(86_400))
        );
    }
}
