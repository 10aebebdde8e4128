//! Runs under way, one task each. A run that panics is the end of that run: the others do not notice, and the pipeline is told as
//! one that failed through our fault.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::task::{Id, JoinError, JoinSet};

use crate::{
    engine::{DueAt, Ended, Engine, Options, Stop, Stopper},
    model::{Blame, Code, Fault},
    store::{Backfill, DeadLetter, Run, RunState},
};

/// What is begun of a pipeline.
pub enum Job {
    /// The run of a time, which is so much late.
    Run {
        due: DateTime<Utc>,
        late: Duration,
    },
    Backfill(Backfill),
    /// Dead letters go their way again.
    Replay {
        letters: Arc<Vec<DeadLetter>>,
        accept_doubt: bool,
    },
}

/// What came to its end.
pub struct Over {
    pub pipeline: Arc<str>,
    pub job: Job,
    pub began: tokio::time::Instant,
    /// Nothing where the run could not even begin.
    pub run: Option<Run>,
    pub ended: Ended,
}

struct UnderWay {
    pipeline: Arc<str>,
    job: Job,
    began: tokio::time::Instant,
}

type Outcome = Result<(Run, Option<Fault>), Fault>;

#[derive(Default)]
pub struct Work {
    tasks: JoinSet<Outcome>,
    under_way: HashMap<Id, UnderWay>,
    stoppers: BTreeMap<Arc<str>, Stopper>,
}

impl Work {
    /// Begins a job. A stop of it gives its deliveries `grace`.
    pub fn begin(&mut self, engine: Arc<Engine>, pipeline: Arc<str>, job: Job, grace: Duration) {
        let (stopper, stop) = Stopper::within(grace);
        let task = match &job {
            Job::Run { due, late } => {
                self.tasks.spawn(run(engine, pipeline.clone(), DueAt { at: *due, late: *late }, stop))
            }
            Job::Backfill(backfill) => self.tasks.spawn(backfilled(engine, backfill.clone(), stop)),
            Job::Replay { letters, accept_doubt } => {
                self.tasks.spawn(replayed(engine, pipeline.clone(), letters.to_vec(), *accept_doubt, stop))
            }
        };
        self.stoppers.insert(pipeline.clone(), stopper);
        self.under_way.insert(task.id(), UnderWay { pipeline, job, began: tokio::time::Instant::now() });
    }

    /// Asks what is under way of a pipeline to stop at its next checkpoint.
    pub fn stop(&self, pipeline: &str) {
        if let Some(stopper) = self.stoppers.get(pipeline) {
            stopper.stop();
        }
    }

    pub fn stop_all(&self) {
        self.stoppers.values().for_each(Stopper::stop);
    }

    /// The pipelines that something is under way of.
    pub fn pipelines(&self) -> impl Iterator<Item = &Arc<str>> {
        self.stoppers.keys()
    }

    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Waits until something ends; for ever while nothing is under way. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Over {
        let joined = self.tasks.join_next_with_id().await;
        match joined.and_then(|joined| self.over(joined)) {
            Some(over) => over,
            None => std::future::pending().await,
        }
    }

    /// What else has ended, without waiting.
    pub fn more(&mut self) -> Vec<Over> {
        let mut all = Vec::new();
        while let Some(joined) = self.tasks.try_join_next_with_id() {
            all.extend(self.over(joined));
        }
        all
    }

    /// Drops what is under way, as a power cut would, and says what it was.
    pub async fn drop_all(&mut self) -> Vec<Arc<str>> {
        self.tasks.shutdown().await;
        self.under_way.clear();
        std::mem::take(&mut self.stoppers).into_keys().collect()
    }

    fn over(&mut self, joined: Result<(Id, Outcome), JoinError>) -> Option<Over> {
        let (id, outcome) = match joined {
            Ok((id, outcome)) => (id, outcome),
            Err(error) => (error.id(), Err(panicked())),
        };
        let UnderWay { pipeline, job, began } = self.under_way.remove(&id)?;
        self.stoppers.remove(&pipeline);
        let (run, fault) = match outcome {
            Ok((run, fault)) => (Some(run), fault),
            Err(fault) => (None, Some(fault)),
        };
        let is_stopped = run.as_ref().is_some_and(|run| run.state == RunState::Stopped);
        let ended = match fault {
            Some(fault) => Ended::Failed(fault),
            None if is_stopped => Ended::Stopped,
            None => Ended::Done,
        };
        Some(Over { pipeline, job, began, run, ended })
    }
}

async fn run(engine: Arc<Engine>, pipeline: Arc<str>, due: DueAt, stop: Stop) -> Outcome {
    engine.run(&pipeline, Options { due: Some(due), ..Options::default() }, &stop).await
}

async fn backfilled(engine: Arc<Engine>, backfill: Backfill, stop: Stop) -> Outcome {
    engine.backfill(&backfill, &stop).await
}

async fn replayed(
    engine: Arc<Engine>,
    pipeline: Arc<str>,
    letters: Vec<DeadLetter>,
    accept_doubt: bool,
    stop: Stop,
) -> Outcome {
    engine.replay(&pipeline, letters, accept_doubt, &stop).await
}

fn panicked() -> Fault {
    Fault::halt(Code::Bug, Blame::Bug, "a run panicked").help(
        "This is our bug; please report it with the lines above. Nothing is lost: what was staged is in the store under its idempotency \
         keys, and other pipelines go on.",
    )
}
