//! What a service does now and then: says that it lives, listens for notes, looks whether the wall clock was set, and removes records
//! of old runs. The loop is not woken for any of it unless something is found.

use std::{path::PathBuf, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{inbox, notify::Notify, service::Asked};
use crate::model::Clock;

/// Between two beats, unless the service manager wants to hear more often.
const BEAT: Duration = Duration::from_secs(2);
/// A wall clock that runs away from the other one by more than this was set, or the machine slept.
const SET: TimeDelta = TimeDelta::seconds(1);

pub struct Heartbeat {
    pub ask: mpsc::Sender<Asked>,
    pub state: PathBuf,
    pub clock: Arc<dyn Clock>,
    pub notify: Arc<Notify>,
}

impl Heartbeat {
    /// Beats until nobody listens.
    pub async fn beat(self) {
        let watchdog = self.notify.watchdog().map(|period| period / 3);
        let mut beats = interval(watchdog.unwrap_or(BEAT).clamp(Duration::from_millis(10), BEAT));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = (Instant::now(), self.clock.now());
        while !self.ask.is_closed() {
            beats.tick().await;
            let now = (Instant::now(), self.clock.now());
            if was_set(before, now) && self.ask.send(Asked::Clock).await.is_err() {
                return;
            }
            before = now;
            if watchdog.is_some() && self.ask.send(Asked::Beat).await.is_err() {
                return;
            }
            if self.listen().await.is_err() {
                return;
            }
        }
    }

    async fn listen(&self) -> Result<(), mpsc::error::SendError<Asked>> {
        let state = self.state.clone();
        let notes = tokio::task::spawn_blocking(move || inbox::look(&state)).await.unwrap_or_default();
        for (note, backfill) in notes {
            let (heard, durable) = tokio::sync::oneshot::channel();
            self.ask.send(Asked::Backfill(backfill, heard)).await?;
            if durable.await.is_ok() {
                inbox::remove(&note);
            }
        }
        Ok(())
    }
}

/// Whether the wall clock moved otherwise than time passed.
fn was_set(before: (Instant, DateTime<Utc>), now: (Instant, DateTime<Utc>)) -> bool {
    let passed = TimeDelta::from_std(now.0 - before.0).unwrap_or(TimeDelta::MAX);
    ((now.1 - before.1) - passed).abs() > SET
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_set_in_either_direction_is_noticed_and_one_that_drifts_is_not() {
        let wall = DateTime::from_timestamp(1_767_225_600, 0).unwrap();
        let before = (Instant::now(), wall);
        tokio::time::advance(Duration::from_secs(2)).await;
        let after = |milliseconds| was_set(before, (Instant::now(), wall + TimeDelta::milliseconds(milliseconds)));
        assert!(!after(2_000) && !after(2_900) && !after(1_100));
        assert!(after(3_100) && after(-5_000) && after(8 * 3_600_000));
    }
}
