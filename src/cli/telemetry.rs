//! Traces and logs of a command that runs pipelines: sent while it lasts, and what is left in its last moments.

use std::time::Duration;

use crate::{config::Plan, http::start_telemetry, telemetry::otlp::Exporting};

/// A command waits no longer for a collector when everything else is done.
const LAST_MAX: Duration = Duration::from_secs(3);

/// Dropped without [`end`](Self::end), what waits is lost.
pub struct Telemetry(Option<Exporting>);

impl Telemetry {
    pub fn start(plan: &Plan) -> Self {
        Self(start_telemetry(&plan.telemetry))
    }

    pub async fn end(self) {
        if let Some(exporting) = self.0 {
            exporting.end(LAST_MAX).await;
        }
    }
}
