//! What the service counts of itself, where it happens.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use chrono::{DateTime, Utc};

use super::work::{Job, Over};
use crate::{
    config::plan::Act,
    engine::Ended,
    store::{Run, RunState},
    telemetry::{Histogram, LAG_SECONDS, RUN_SECONDS},
};

pub struct Tally {
    pub began: DateTime<Utc>,
    pub lag: Histogram,
    pub took: Histogram,
    /// Taken over, and refused.
    reloads: [AtomicU64; 2],
    pipelines: Mutex<BTreeMap<Arc<str>, OfPipeline>>,
}

/// What is counted of one pipeline.
#[derive(Clone, Copy, Default)]
pub struct OfPipeline {
    pub done: u64,
    pub stopped: u64,
    pub failed: u64,
    /// When the last run that was done began.
    pub done_at: Option<DateTime<Utc>>,
    /// Reactions that began, in the order of [`Act::NAMES`].
    reacted: [u64; 3],
}

impl OfPipeline {
    fn count(&mut self, ended: &Ended) {
        match ended {
            Ended::Done => self.done += 1,
            Ended::Stopped => self.stopped += 1,
            Ended::Failed(_) => self.failed += 1,
        }
    }

    /// How often a reaction began.
    pub fn reacted(&self, act: &str) -> u64 {
        Act::NAMES.iter().zip(self.reacted).filter(|(known, _)| **known == act).map(|(_, count)| count).sum()
    }

    pub fn outcomes(&self) -> [(&'static str, u64); 3] {
        [("done", self.done), ("stopped", self.stopped), ("failed", self.failed)]
    }
}

impl Tally {
    pub fn new(began: DateTime<Utc>) -> Self {
        let (lag, took) = (Histogram::new(LAG_SECONDS), Histogram::new(RUN_SECONDS));
        Self { began, lag, took, reloads: Default::default(), pipelines: Mutex::default() }
    }

    /// Takes over when runs of earlier processes were done.
    pub fn remember(&self, runs: &[Run]) {
        let mut pipelines = self.lock();
        for run in runs.iter().filter(|run| run.state == RunState::Done && !run.stream.contains('~')) {
            let known = pipelines.entry(run.pipeline.as_str().into()).or_default();
            known.done_at = known.done_at.max(Some(run.started_at));
        }
    }

    pub fn over(&self, over: &Over) {
        if let Job::Run { late, .. } = &over.job {
            self.lag.observe(*late);
        }
        self.took.observe(over.began.elapsed());
        let mut pipelines = self.lock();
        let of_it = pipelines.entry(over.pipeline.clone()).or_default();
        of_it.count(&over.ended);
        if let (Ended::Done, Job::Run { .. }, Some(run)) = (&over.ended, &over.job, &over.run) {
            of_it.done_at = Some(run.started_at);
        }
    }

    /// A delivery of pushed records. How long it took tells nothing, because it waits for more, and not how fresh anything is.
    pub fn delivered(&self, pipeline: &str, ended: &Ended) {
        self.lock().entry(pipeline.into()).or_default().count(ended);
    }

    pub fn reacted(&self, pipeline: &str, act: &str) {
        let mut pipelines = self.lock();
        let counts = &mut pipelines.entry(pipeline.into()).or_default().reacted;
        Act::NAMES.iter().zip(counts).filter(|(known, _)| **known == act).for_each(|(_, count)| *count += 1);
    }

    pub fn reload(&self, is_taken_over: bool) {
        self.reloads[usize::from(!is_taken_over)].fetch_add(1, Relaxed);
    }

    /// Changed files that were taken over, and that were refused.
    pub fn reloads(&self) -> [u64; 2] {
        [0, 1].map(|at: usize| self.reloads[at].load(Relaxed))
    }

    pub fn of(&self, pipeline: &str) -> OfPipeline {
        self.lock().get(pipeline).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, OfPipeline>> {
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
