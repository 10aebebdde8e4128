//! What the service tells beside its log: counts for metrics, and events for whoever listens. It is told what happened and asks nobody.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    events::Events,
    tally::Tally,
    work::{Job, Over},
};
use crate::{
    engine::{Ended, Note},
    http::BreakerChanged,
    model::{Clock, Code},
};

pub struct Hub {
    pub events: Events,
    pub tally: Tally,
    clock: Arc<dyn Clock>,
}

impl Hub {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        Self { events: Events::new(now), tally: Tally::new(now), clock }
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
