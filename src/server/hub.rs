//! What the service tells beside its log: counts for metrics, and events for whoever listens. It is told what happened and asks nobody.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{
    events::Events,
    service::{Asked, View},
    tally::Tally,
    work::{Job, Over},
};
use crate::{
    engine::{Ended, Note, Standing},
    http::BreakerChanged,
    model::{Clock, Code},
    telemetry::otlp::Counts,
};

/// Between two looks at how far pipelines are.
const VERDICTS_EVERY: Duration = Duration::from_secs(1);

pub struct Hub {
    pub events: Events,
    pub tally: Tally,
    /// What became of spans and log lines, where they are collected.
    pub telemetry: OnceLock<Arc<Counts>>,
    stopping: AtomicBool,
    clock: Arc<dyn Clock>,
}

impl Hub {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        let stopping = AtomicBool::new(false);
        Self { events: Events::new(now), tally: Tally::new(now), telemetry: OnceLock::new(), stopping, clock }
    }

    /// From here on nothing is begun any more.
    pub fn stopping(&self) {
        self.stopping.store(true, Relaxed);
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub fn tell(&self, kind: &'static str, data: Value) {
        self.events.tell(kind, self.clock.now(), data);
    }

    pub fn begun(&self, pipeline: &str, job: &Job) {
        let (job, due) = job.named();
        self.tell("run_started", json!({ "pipeline": pipeline, "job": job, "due": due }));
    }

    pub fn over(&self, over: &Over) {
        self.tally.over(over);
        let Over { pipeline, job, began, run, ended } = over;
        let outcome = match ended {
            Ended::Done => "done",
            Ended::Stopped => "stopped",
            Ended::Failed(_) => "failed",
        };
        let fault = match ended {
            Ended::Failed(fault) => Some(json!({ "code": fault.code, "message": fault.message })),
            Ended::Done | Ended::Stopped => None,
        };
        let mut data = json!({
            "pipeline": pipeline, "job": job.named().0, "outcome": outcome, "took_ms": began.elapsed().as_millis() as u64,
        });
        if let Some(run) = run {
            data["run"] = json!(run.id);
            data["counts"] = json!(run.counts);
        }
        if let Some(fault) = fault {
            data["fault"] = fault;
        }
        self.tell("run_ended", data);
    }

    pub fn note(&self, note: &Note) {
        let data = match note {
            Note::Missed { pipeline, late, forgotten } => {
                json!({ "pipeline": pipeline, "what": "missed", "late": late, "forgotten": forgotten })
            }
            Note::LeftOut { pipeline, due } => json!({ "pipeline": pipeline, "what": "left_out", "due": due }),
            Note::Waits { pipeline, wait, failures } => json!({
                "pipeline": pipeline, "what": "waits", "until": wait.until, "because": wait.code, "needs_person": wait.person,
                "failures": failures,
            }),
        };
        self.tell("schedule", data);
    }

    pub fn breaker(&self, changed: &BreakerChanged) {
        self.tell("breaker", json!({ "connection": changed.connection, "call": changed.call, "state": changed.state }));
    }

    pub fn reloaded(&self, pipelines: usize, scheduled: usize) {
        self.tally.reload(true);
        self.tell("reloaded", json!({ "pipelines": pipelines, "scheduled": scheduled }));
    }

    pub fn reload_refused(&self, because: Code, place: &str, why: &str) {
        self.tally.reload(false);
        self.tell("reload_refused", json!({ "because": because, "place": place, "why": why }));
    }
}

/// Passes on which calls begin and end to be left alone.
pub async fn tell_breakers(hub: Arc<Hub>, mut changes: broadcast::Receiver<BreakerChanged>) {
    loop {
        match changes.recv().await {
            Ok(changed) => hub.breaker(&changed),
            // So many came at once that some are gone; the metrics have how it stands.
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// While somebody listens, tells now and then how far the pipelines at work are.
pub async fn tell_verdicts(hub: Arc<Hub>, ask: mpsc::Sender<Asked>) {
    let mut told: BTreeMap<Arc<str>, u64> = BTreeMap::new();
    loop {
        tokio::time::sleep(VERDICTS_EVERY).await;
        if !hub.events.is_heard() {
            continue;
        }
        let (reply, view) = oneshot::channel();
        if ask.send(Asked::Look(reply)).await.is_err() {
            return;
        }
        let Ok(View { engine, standings }) = view.await else { continue };
        for Standing { pipeline, .. } in standings {
            let progress = engine.progress(&pipeline);
            let settled = progress.records_settled();
            if told.insert(pipeline.clone(), settled).is_none_or(|before| before == settled) {
                continue;
            }
            let verdicts: serde_json::Map<_, _> =
                progress.settled().into_iter().map(|(verdict, count)| (verdict.to_owned(), json!(count))).collect();
            let read = progress.records_read();
            hub.tell("verdicts", json!({ "pipeline": pipeline, "read": read, "verdicts": verdicts }));
        }
    }
}

/// What a job is called, and what it is for.
impl Job {
    pub fn named(&self) -> (&'static str, Option<DateTime<Utc>>) {
        match self {
            Job::Run { due, .. } => ("run", Some(*due)),
            Job::Backfill(_) => ("backfill", None),
            Job::Replay { .. } => ("replay", None),
        }
    }
}
