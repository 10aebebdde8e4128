//! Removes the records of old runs, so that a service that runs for years does not fill its disk with them.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::time::interval;

use crate::{model::Clock, store::State};

const EVERY: Duration = Duration::from_secs(3_600);

/// Removes now, and every hour, what began longer ago than is kept.
pub async fn trim(state: State, clock: Arc<dyn Clock>, keep: Duration) {
    let keep = TimeDelta::from_std(keep).unwrap_or(TimeDelta::MAX);
    let mut hours = interval(EVERY);
    loop {
        hours.tick().await;
        let Some(before) = clock.now().checked_sub_signed(keep) else { continue };
        match state.trim_runs(before).await {
            Ok(0) => {}
            Ok(removed) => tracing::debug!(removed, "records of old runs are removed"),
            // The loop meets the same trouble with its next commit, and says what it leads to.
            Err(fault) => tracing::warn!(code = %fault.code, why = fault.message, "records of old runs stay"),
        }
    }
}
