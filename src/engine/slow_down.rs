//! A pipeline that is slowed down rests after each read, and before each write for the one before, for as long as makes it work for a part
//! of the time only. So it is slow in proportion to whatever it speaks to, and no number has to be known of that; and what was written is
//! committed before anybody rests.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::sleep;

use super::stop::Stop;

/// No rest is longer.
const REST_MAX: Duration = Duration::from_secs(60);
/// The whole time, in thousandths.
const WHOLE: u64 = 1_000;

/// For what part of the time a pipeline is at work.
#[derive(Debug)]
pub struct SlowDown {
    works: AtomicU64,
    /// How long the last write took for which nobody rested yet, in microseconds.
    wrote_us: AtomicU64,
}

impl Default for SlowDown {
    fn default() -> Self {
        Self { works: AtomicU64::new(WHOLE), wrote_us: AtomicU64::new(0) }
    }
}

impl SlowDown {
    /// Works for this part of the time from now on; nothing: for all of it.
    pub fn work_for(&self, share: Option<f64>) {
        let works = share.map_or(WHOLE, |share| (share * WHOLE as f64) as u64);
        self.works.store(works.clamp(1, WHOLE), Relaxed);
    }

    /// A write took so long.
    pub fn wrote(&self, took: Duration) {
        self.wrote_us.store(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Rests for the write before, unless it is to stop.
    pub async fn before_a_write(&self, stop: &Stop) {
        let took = Duration::from_micros(self.wrote_us.swap(0, Relaxed));
        self.after(took, stop).await;
    }

    /// Rests after work that took so long, unless it is to stop.
    pub async fn after(&self, took: Duration, stop: &Stop) {
        let rest = rest(took, self.works.load(Relaxed));
        if rest.is_zero() {
            return;
        }
        tokio::select! {
            biased;
            () = stop.wait() => {}
            () = sleep(rest) => {}
        }
    }
}

fn rest(took: Duration, works: u64) -> Duration {
    took.mul_f64((WHOLE - works) as f64 / works as f64).min(REST_MAX)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::engine::Stopper;

    #[test]
    fn a_rest_is_as_long_as_its_part_of_the_time_asks() {
        let second = Duration::from_secs(1);
        assert_eq!(
            [WHOLE, 500, 250, 10].map(|works| rest(second, works)),
            [Duration::ZERO, second, 3 * second, REST_MAX]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_works_half_of_the_time_rests_as_long_as_it_worked_and_a_stop_ends_the_rest() {
        let (stopper, stop) = Stopper::new();
        let (slow_down, began) = (SlowDown::default(), Instant::now());
        slow_down.after(Duration::from_secs(5), &stop).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        slow_down.work_for(Some(0.5));
        slow_down.after(Duration::from_secs(5), &stop).await;
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        slow_down.wrote(Duration::from_secs(2));
        assert_eq!(began.elapsed(), Duration::from_secs(5), "nobody rests with a verdict in hand");
        slow_down.before_a_write(&stop).await;
        slow_down.before_a_write(&stop).await;
        assert_eq!(began.elapsed(), Duration::from_secs(7));
        slow_down.work_for(None);
        slow_down.after(Duration::from_secs(5), &stop).await;
        slow_down.work_for(Some(0.01));
        stopper.stop();
        slow_down.after(Duration::from_secs(5), &stop).await;
        assert_eq!(began.elapsed(), Duration::from_secs(7));
    }
}
