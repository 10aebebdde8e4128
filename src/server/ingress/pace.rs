//! How many requests a route takes: so many within a time, and as many at once after a rest. Pure: the time goes in.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::plan::Rate;

/// When the next request would come if all came evenly. A request may come before that by as much as a rest has saved.
#[derive(Debug)]
pub struct Pace {
    rate: Rate,
    due: Instant,
}

impl Pace {
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, due: now }
    }

    /// Takes a request, or says how long it would have to wait.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let step = self.rate.per / self.rate.requests.max(1);
        let due = self.due.max(now);
        let early = due + step - now;
        if early > self.rate.per {
            return Err(early - self.rate.per);
        }
        self.due = due + step;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn so_many_come_at_once_and_then_one_for_each_part_of_the_time() {
        let mut pace = Pace::new(Rate { requests: 4, per: Duration::from_secs(2) }, Instant::now());
        assert!((0..4).all(|_| pace.take(Instant::now()).is_ok()));
        assert_eq!(pace.take(Instant::now()), Err(Duration::from_millis(500)));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert!(pace.take(Instant::now()).is_ok());
        assert!(pace.take(Instant::now()).is_err());
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!((0..10).filter(|_| pace.take(Instant::now()).is_ok()).count(), 4, "a long rest saves no more");
    }
}
