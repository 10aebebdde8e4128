//! A small read that tells whether a connection is well: the first page of a stream, as small as it can be asked for, along the path of
//! every request. It asks the account's budget after everybody else, and nothing of the page is kept.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use super::{Engine, doctor::smallest};
use crate::{
    config::plan::{Api, Probe},
    http::Priority,
    model::{Checkpoint, Fault},
    source,
};

/// What a probe waits for others besides the time that its own attempts may take.
const PATIENCE: Duration = Duration::from_secs(30);

impl Engine {
    /// Reads, and says how long it took. Nothing: others had more urgent calls all the time, and it gave way.
    pub async fn probe(&self, api: &Arc<Api>, probe: &Probe) -> Option<Result<Duration, Fault>> {
        let began = Instant::now();
        let read = async {
            let client = self.client(api)?.at(Priority::Backfill);
            let source = source::of_stream(api, &Arc::new(smallest(&probe.stream)), &client, Arc::default(), None);
            source.read(&Checkpoint::default()).await
        };
        let attempts = probe.stream.request.timeout.unwrap_or(api.timeouts.attempt) * api.retry.attempts;
        let read = timeout(attempts + PATIENCE, read).await.ok()?;
        Some(read.map(|_| began.elapsed()))
    }
}
