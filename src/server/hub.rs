//! What the service tells beside its log: counts for metrics, and events for whoever listens. It is told what happened and asks nobody.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::Instant,
};

use super::{
    events::Events,
    probing::Probed,
    service::{Asked, View},
    tally::Tally,
    tell,
    work::{Job, Over},
};
use crate::{
    config::plan::Reaction,
    engine::{Ended, Note, Standing, Why},
    http::BreakerChanged,
    model::{Clock, Code, Fault},
    store::{Run, RunState},
    telemetry::otlp::Counts,
};

/// What a delivery of pushed records is called among jobs.
const DELIVERY: &str = "delivery";

/// Between two looks at how far pipelines are.
const VERDICTS_EVERY: Duration = Duration::from_secs(1);

pub struct Hub {
    pub events: Events,
    pub tally: Tally,
    /// What became of spans and log lines, where they are collected.
    pub telemetry: OnceLock<Arc<Counts>>,
    stopping: AtomicBool,
    /// How the probe of each connection went last.
    probes: Mutex<BTreeMap<String, Probed>>,
    clock: Arc<dyn Clock>,
}

impl Hub {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        let (stopping, probes, telemetry) = (AtomicBool::new(false), Mutex::default(), OnceLock::new());
        Self { events: Events::new(now), tally: Tally::new(now), telemetry, stopping, probes, clock }
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
        self.ended(&over.pipeline, over.job.named().0, over.began, over.run.as_ref(), &over.ended);
    }

    /// Pushed records of a pipeline begin to be delivered.
    pub fn delivery_began(&self, pipeline: &str) {
        self.tell("run_started", json!({ "pipeline": pipeline, "job": DELIVERY, "due": null }));
    }

    /// A delivery of pushed records came to its end.
    pub fn delivered(&self, pipeline: &str, began: Instant, delivered: &Result<(Run, Option<Fault>), Fault>) {
        let (run, fault) = match delivered {
            Ok((run, fault)) => (Some(run), fault.as_ref()),
            Err(fault) => (None, Some(fault)),
        };
        let ended = match fault {
            Some(fault) => Ended::Failed(fault.clone()),
            None if run.is_some_and(|run| run.state == RunState::Stopped) => Ended::Stopped,
            None => Ended::Done,
        };
        self.tally.delivered(pipeline, &ended);
        self.ended(pipeline, DELIVERY, began, run, &ended);
    }

    fn ended(&self, pipeline: &str, job: &str, began: Instant, run: Option<&Run>, ended: &Ended) {
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
            "pipeline": pipeline, "job": job, "outcome": outcome, "took_ms": began.elapsed().as_millis() as u64,
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

    /// A reaction begins, for this reason; or it ends.
    pub fn reaction(&self, pipeline: &str, reaction: &Reaction, why: Option<&Why>) {
        let act = reaction.act.name();
        if why.is_some() {
            self.tally.reacted(pipeline, act);
        }
        let what = if why.is_some() { "began" } else { "ended" };
        let (objective, burns, why) = (reaction.when, reaction.burns, why.map(ToString::to_string));
        let data = json!({
            "pipeline": pipeline, "do": act, "what": what, "objective": objective, "burns": burns, "why": why,
        });
        self.tell("reaction", data);
    }

    /// A pause that a reaction began ends by itself.
    pub fn pause_ends(&self, pipeline: &str) {
        self.tell("reaction", json!({ "pipeline": pipeline, "do": "pause", "what": "ended" }));
    }

    /// A probe came back. It is told when it says something else than before.
    pub fn probed(&self, connection: &str, probed: Probed) {
        let before = self.lock_probes().insert(connection.to_owned(), probed.clone());
        if before.is_none_or(|before| before.up) == probed.up {
            return;
        }
        tell::probed(connection, &probed);
        let mut data = json!(probed);
        data["connection"] = json!(connection);
        self.tell("probe", data);
    }

    /// How the probe of each connection went last.
    pub fn probes(&self) -> BTreeMap<String, Probed> {
        self.lock_probes().clone()
    }

    /// Forgets the others.
    pub fn keep_probes(&self, is_declared: impl Fn(&str) -> bool) {
        self.lock_probes().retain(|connection, _| is_declared(connection));
    }

    fn lock_probes(&self) -> MutexGuard<'_, BTreeMap<String, Probed>> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner)
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
        let Ok(View { engine, standings, .. }) = view.await else { continue };
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
