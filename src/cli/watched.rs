//! A run that a person waits for: shown while it lasts, stopped by Ctrl-C, told when it ended.

use std::{
    process,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use tokio::task::JoinHandle;

use super::{
    failure::{Failure, tell_fault},
    output::Output,
    progress::{Look, Progress},
    signals::Signals,
    summary::Outcome,
};
use crate::{
    engine::{Engine, Stop, Stopper},
    model::{Blame, Clock, Fault, SystemClock},
    store::Run,
};

/// What all runs of a command share.
pub struct Watched {
    stop: Stop,
    stopper: Arc<Stopper>,
    progress: Arc<Progress>,
    signalled: Arc<AtomicU8>,
    watch: JoinHandle<()>,
    output: Arc<Output>,
}

impl Watched {
    /// From here on the first signal asks for a clean checkpoint.
    pub fn new(output: Arc<Output>) -> Result<Self, Failure> {
        let signals = Signals::new()?;
        let (stopper, stop) = Stopper::new();
        let (stopper, progress) = (Arc::new(stopper), Arc::new(Progress::new(output.clone())));
        let signalled = Arc::new(AtomicU8::new(0));
        let watch = tokio::spawn(obey(signals, stopper.clone(), progress.clone(), signalled.clone()));
        Ok(Self { stop, stopper, progress, signalled, watch, output })
    }

    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// The exit code of the signal that came, or 0.
    pub fn signalled(&self) -> u8 {
        self.signalled.load(Ordering::Relaxed)
    }

    /// Shows a run until it ends, and tells how it went; nothing when a stop came first.
    pub async fn show(
        &self,
        engine: &Engine,
        pipeline: &str,
        stream: &str,
        run: impl Future<Output = Result<(Run, Option<Fault>), Fault>>,
    ) -> Option<Outcome> {
        if self.stop.requested() {
            return None;
        }
        let shown = self.progress.begin(pipeline, stream);
        let look = || look(engine, pipeline);
        let ended = tokio::select! {
            biased;
            ended = run => ended,
            () = shown.follow(&look) => return None,
        };
        let outcome = match ended {
            Ok((run, fault)) => Outcome { run: Some(run), fault },
            Err(fault) => Outcome { run: None, fault: Some(fault) },
        };
        self.progress.end(shown, &outcome);
        if !self.output.json() {
            outcome.tell(&self.output);
        }
        if let Some(fault) = &outcome.fault {
            tell_fault(fault, &self.output);
            if concerns_all(fault) {
                self.stopper.stop();
            }
        }
        Some(outcome)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// The first signal asks for a clean checkpoint, the second one ends the process at once. Both are safe.
async fn obey(mut signals: Signals, stopper: Arc<Stopper>, progress: Arc<Progress>, signalled: Arc<AtomicU8>) {
    let code = signals.next().await;
    signalled.store(code, Ordering::Relaxed);
    stopper.stop();
    let text = "stopping: what is staged is delivered and the checkpoint is saved; press Ctrl-C again to end at once";
    progress.say("stopping", text);
    process::exit(i32::from(signals.next().await));
}

fn look(engine: &Engine, pipeline: &str) -> Look {
    let numbers = engine.progress(pipeline);
    let until = engine.waiting(pipeline);
    let left = until.and_then(|until| until.checked_duration_since(tokio::time::Instant::now()));
    Look {
        read: numbers.records_read(),
        settled: numbers.records_settled(),
        pages: numbers.pages_read(),
        waiting_until: left.map(|left| SystemClock.now() + left),
    }
}

/// The store failed, or we did: the next pipeline would meet the same. From 510 on the answers and records of one pipeline are meant.
fn concerns_all(fault: &Fault) -> bool {
    (501..510).contains(&fault.code.number()) || fault.blame == Blame::Bug
}
