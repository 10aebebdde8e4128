//! Good and bad events by minute, and times by size. Both forget by themselves and never grow.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::Latency;

/// Six hours, and the minute that goes on.
const MINUTES: usize = 361;
/// Minutes of which times are kept.
const RECENT: usize = 5;

/// Events of one minute.
#[derive(Clone, Copy, Default, Debug)]
struct Minute {
    number: i64,
    good: u32,
    bad: u32,
}

/// Good and bad events of the last hours. The window of a minute is the one that goes on and those before it.
#[derive(Debug)]
pub struct Ring(Box<[Minute]>);

impl Default for Ring {
    fn default() -> Self {
        Self(vec![Minute::default(); MINUTES].into())
    }
}

fn minute(now: DateTime<Utc>) -> i64 {
    now.timestamp().div_euclid(60)
}

fn place(number: i64, of: usize) -> usize {
    number.rem_euclid(of as i64) as usize
}

impl Ring {
    pub fn add(&mut self, now: DateTime<Utc>, good: u64, bad: u64) {
        let number = minute(now);
        let slot = &mut self.0[place(number, MINUTES)];
        if slot.number != number {
            *slot = Minute { number, ..Minute::default() };
        }
        let more = |sum: u32, more: u64| sum.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        (slot.good, slot.bad) = (more(slot.good, good), more(slot.bad, bad));
    }

    /// Good and bad events of the last `minutes`. What a clock that was set back left in the future does not count.
    pub fn sum(&self, now: DateTime<Utc>, minutes: u32) -> (u64, u64) {
        let last = minute(now);
        let within = |slot: &&Minute| (0..i64::from(minutes)).contains(&last.saturating_sub(slot.number));
        let add = |sum: (u64, u64), slot: &Minute| (sum.0 + u64::from(slot.good), sum.1 + u64::from(slot.bad));
        self.0.iter().filter(within).fold((0, 0), add)
    }
}

/// How long things took within the last minutes.
#[derive(Default, Debug)]
pub struct Times([(i64, Latency); RECENT]);

impl Times {
    pub fn add(&mut self, now: DateTime<Utc>, took: Duration) {
        let number = minute(now);
        let slot = &mut self.0[place(number, RECENT)];
        if slot.0 != number {
            *slot = (number, Latency::default());
        }
        slot.1.add(took, 1);
    }

    /// The time that this part of them did not exceed. Nothing: there were none.
    pub fn quantile(&self, now: DateTime<Utc>, part: f64) -> Option<Duration> {
        let last = minute(now);
        let mut all = Latency::default();
        let within = |(number, _): &&(i64, Latency)| (0..RECENT as i64).contains(&last.saturating_sub(*number));
        self.0.iter().filter(within).for_each(|(_, latency)| all.merge(latency));
        all.quantile(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    #[test]
    fn a_ring_knows_six_hours_to_the_minute_and_forgets_what_is_older() {
        let mut ring = Ring::default();
        for minute in 0..1_000 {
            ring.add(at(minute * 60), 2, 1);
        }
        let now = at(999 * 60 + 30);
        assert_eq!([1, 5, 60, 360].map(|minutes| ring.sum(now, minutes)), [(2, 1), (10, 5), (120, 60), (720, 360)]);
        assert_eq!(ring.sum(at(1_002 * 60), 5), (4, 2));
        assert_eq!(ring.sum(at(2_000 * 60), 360), (0, 0));
    }

    #[test]
    fn a_clock_that_is_set_back_neither_counts_the_future_nor_breaks_anything() {
        let mut ring = Ring::default();
        ring.add(at(3_600), 5, 5);
        ring.add(at(0), 1, 0);
        assert_eq!(ring.sum(at(0), 360), (1, 0));
        assert_eq!(ring.sum(DateTime::<Utc>::MIN_UTC, 360), (0, 0));
        ring.add(DateTime::<Utc>::MAX_UTC, u64::MAX, u64::MAX);
        ring.add(DateTime::<Utc>::MAX_UTC, 1, 1);
        assert_eq!(ring.sum(DateTime::<Utc>::MAX_UTC, 1), (u64::from(u32::MAX), u64::from(u32::MAX)));
    }

    #[test]
    fn a_quantile_is_told_by_the_sizes_of_the_last_minutes() {
        let mut times = Times::default();
        assert_eq!(times.quantile(at(0), 0.95), None);
        (0..95).for_each(|_| times.add(at(0), Duration::from_millis(100)));
        (0..5).for_each(|_| times.add(at(0), Duration::from_secs(9)));
        let (p95, p99) = (times.quantile(at(10), 0.95).unwrap(), times.quantile(at(10), 0.99).unwrap());
        assert!(
            (0.1..0.126).contains(&p95.as_secs_f64()) && (9.0..11.4).contains(&p99.as_secs_f64()),
            "{p95:?} {p99:?}"
        );
        assert_eq!(times.quantile(at(600), 0.95), None);
        times.add(at(600), Duration::from_secs(86_400));
        assert!(times.quantile(at(600), 0.5).unwrap() >= Duration::from_secs(1_800));
    }
}
