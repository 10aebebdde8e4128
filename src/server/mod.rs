//! The scheduled service: one process that runs pipelines when they are due, for months, sleeps when nothing is, stops cleanly and
//! comes back where it was.
//!
//! ```text
//!   signals   changed files   requests        each a task of its own; they only ask
//!        \          |          /
//!         `---> service.rs <--'  <--- runs that ended
//!                   |   decides with engine::Schedule, makes it durable, then begins and stops
//!                   v
//!               work.rs      one task per run; a panic in one is the end of that one
//! ```
//!
//! It owes the rest nothing: people, probes and callers come here, and it calls down. The seam for whatever else talks to the
//! service (an admin API) is [`Asked`], which the loop answers in the order of its coming. Records that others push come in beside the
//! loop, by the front door (`ingress/`); the loop opens it, hands it each new plan, and closes it first.

mod admin;
mod body;
mod care;
mod events;
mod heartbeat;
mod hub;
mod inbox;
mod ingress;
mod listen;
mod metrics;
mod notify;
mod probing;
mod reload;
mod service;
mod signals;
mod tally;
mod tell;
mod trim;
mod wish;
mod work;

use std::{path::Path, sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinSet};

use self::{heartbeat::Heartbeat, reload::Reloader, signals::Signals};
pub use self::{
    inbox::{announced, ask_for_backfill},
    ingress::FrontDoor,
    listen::{Limits, Listening, Secured, listen, listen_secured},
    notify::Notify,
    service::{Asked, Service, View, What, Wish},
};
use crate::{
    config::{self, Report, SystemEnvironment},
    engine::{Engine, Stopper},
    http::start_telemetry,
    model::{Blame, Code, Fault},
    store::{Run, RunState},
    telemetry::otlp::Exporting,
};

/// Requests that wait for the loop. Whoever asks more waits too.
const ASKED_MAX: usize = 64;

/// Runs that are looked through for when each pipeline was done last.
const RUNS_REMEMBERED: usize = 10_000;

/// Answers under way may take so long after the service has stopped.
const DOORS_TIME_MAX: Duration = Duration::from_secs(1);

/// A collector is waited for so long after everything else has ended.
const LAST_TELEMETRY: Duration = Duration::from_secs(1);

/// Why nothing is served any more.
#[derive(Debug)]
pub enum Unserved {
    /// The files cannot be used.
    Files(Box<Report>),
    Fault(Box<Fault>),
}

impl From<Fault> for Unserved {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

/// Runs the schedules of the workspace in `dir` until a signal asks to stop.
pub async fn serve(dir: &Path) -> Result<(), Unserved> {
    let mut signals = Signals::new()?;
    tracing::info!(dir = %dir.display(), "starting");
    let notify = Arc::new(Notify::from_environment(&SystemEnvironment));
    let (ask, asked) = mpsc::channel(ASKED_MAX);
    let started = tokio::select! {
        biased;
        // Nothing is begun yet, so whatever reads files and checks the store may end with the process.
        () = signals.stop() => return Ok(()),
        started = start(dir, notify.clone(), asked) => started?,
    };
    let Started { service, engine, reloader, telemetry } = started;
    let plan = engine.plan();
    let (state, at) = (plan.store.path.clone(), plan.store.path.clone());
    if let Err(error) = inbox::open(&state) {
        tracing::warn!(%error, "requests of other processes cannot be heard: the folder for them cannot be made");
    }
    let (doors, closing) = Stopper::within(DOORS_TIME_MAX);
    let hub = service.hub().clone();
    let listening = match &plan.serve.admin {
        Some(admin) => match admin::start(admin, ask.clone(), hub.clone(), closing).await {
            Ok(listening) => Some(listening),
            Err(fault) => {
                engine.close().await;
                end(telemetry).await;
                return Err(fault.into());
            }
        },
        None => None,
    };
    let details = serde_json::json!({ "version": env!("CARGO_PKG_VERSION"), "pipelines": plan.pipelines.len() });
    tell::note_own(&engine, "serve", details).await;
    inbox::announce(&state, listening.as_ref().map(|listening| listening.address()));
    let mut others = JoinSet::new();
    others.spawn(hub::tell_breakers(hub.clone(), engine.meters().breaker_changes()));
    if listening.is_some() {
        others.spawn(hub::tell_verdicts(hub, ask.clone()));
    }
    others.spawn(trim::trim(engine.state().clone(), engine.clock().clone(), plan.serve.keep_runs));
    others.spawn(Heartbeat { ask: ask.clone(), state, clock: engine.clock().clone(), notify }.beat());
    drop(engine);
    let reload = reloader.start(ask.clone(), &mut others);
    others.spawn(async move { signals.obey(ask, reload).await });
    let ended = service.run().await;
    doors.stop();
    if let Some(listening) = listening {
        listening.ended().await;
    }
    inbox::announce(&at, None);
    others.shutdown().await;
    end(telemetry).await;
    Ok(ended?)
}

struct Started {
    service: Service,
    engine: Arc<Engine>,
    reloader: Reloader,
    telemetry: Option<Exporting>,
}

async fn end(telemetry: Option<Exporting>) {
    if let Some(exporting) = telemetry {
        exporting.end(LAST_TELEMETRY).await;
    }
}

async fn start(dir: &Path, notify: Arc<Notify>, asked: mpsc::Receiver<Asked>) -> Result<Started, Unserved> {
    let files = dir.to_owned();
    let plan = tokio::task::spawn_blocking(move || config::load(&files, &SystemEnvironment)).await;
    let plan = plan.map_err(|_| panicked())?.map_err(|report| Unserved::Files(Box::new(report)))?;
    let reloader = Reloader::new(dir, &plan, notify.clone());
    // Before anything is begun, so that all of it is told.
    let telemetry = start_telemetry(&plan.telemetry);
    let engine = match Engine::open(plan).await {
        Ok(engine) => Arc::new(engine),
        Err(fault) => {
            end(telemetry).await;
            return Err(fault.into());
        }
    };
    let started = async {
        let service = Service::new(engine.clone(), notify, asked).await?;
        let done = |run: &Run| run.state == RunState::Done;
        let runs = engine.state().latest_runs(None, engine.clock().now(), RUNS_REMEMBERED, done).await?;
        service.hub().tally.remember(&runs);
        if let Some(exporting) = &telemetry {
            // Nobody else sets it.
            drop(service.hub().telemetry.set(exporting.counts().clone()));
        }
        service.remember().await?;
        Ok::<_, Fault>(service)
    };
    match started.await {
        Ok(service) => Ok(Started { service, engine, reloader, telemetry }),
        Err(fault) => {
            engine.close().await;
            end(telemetry).await;
            Err(fault.into())
        }
    }
}

fn panicked() -> Fault {
    Fault::halt(Code::Bug, Blame::Bug, "reading the files panicked")
        .help("nothing was started; please report it with the lines above")
}
