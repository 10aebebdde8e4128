//! `renkei run`: pipelines one after another, or a few at a time, until they are done or somebody asks to stop.

use std::{
    collections::BTreeSet,
    path::Path,
    process,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use futures_util::{StreamExt, stream};
use serde_json::json;

use super::{
    args::RunArgs,
    failure::{BUG, DEAD_LETTERS, DONE, Failure, tell_fault},
    output::Output,
    progress::{Look, Progress},
    signals::Signals,
    suggest,
    summary::Outcome,
    workspace,
};
use crate::{
    config::Plan,
    engine::{Engine, Options, Planned, Stop, Stopper, unusable},
    model::{Blame, Clock, Fault, SystemClock},
    store::Run,
};

/// One pipeline that shall run.
struct Chosen {
    pipeline: String,
    stream: String,
    options: Options,
    /// The plan that it applies, instead of running as it is.
    planned: Option<Arc<Planned>>,
}

/// What all runs of this process share.
struct Running {
    engine: Engine,
    stop: Stop,
    stopper: Arc<Stopper>,
    progress: Arc<Progress>,
    output: Arc<Output>,
}

pub async fn run(args: &RunArgs, dir: &Path, output: Arc<Output>) -> Result<u8, Failure> {
    let chosen = choose(args, &workspace::plan_without_secrets(dir, &output)?)?;
    let names: Vec<&str> = chosen.iter().map(|chosen| chosen.pipeline.as_str()).collect();
    let plan = workspace::plan_for(dir, &names)?;
    let signals = Signals::new()?;
    let engine = Engine::open(plan).await?;
    let (stopper, stop) = Stopper::new();
    let (stopper, progress) = (Arc::new(stopper), Arc::new(Progress::new(output.clone())));
    let signalled = Arc::new(AtomicU8::new(0));
    let watch = tokio::spawn(obey(signals, stopper.clone(), progress.clone(), signalled.clone()));
    let running = Running { engine, stop, stopper, progress, output };
    let outcomes: Vec<Outcome> = stream::iter(chosen)
        .map(|chosen| running.one(chosen))
        .buffered(usize::from(args.parallel))
        .filter_map(std::future::ready)
        .collect()
        .await;
    if running.output.json() {
        running.output.document(&json!({ "runs": outcomes.iter().map(Outcome::to_json).collect::<Vec<_>>() }));
    }
    running.engine.close().await;
    watch.abort();
    Ok(exit_code(&outcomes, signalled.load(Ordering::Relaxed)))
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

impl Running {
    /// Runs one pipeline; nothing when a stop came first.
    async fn one(&self, chosen: Chosen) -> Option<Outcome> {
        if self.stop.requested() {
            return None;
        }
        let name = &chosen.pipeline;
        let shown = self.progress.begin(name, &chosen.stream);
        let look = || self.look(name);
        let ended = tokio::select! {
            biased;
            ended = self.run_chosen(&chosen) => ended,
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

    async fn run_chosen(&self, chosen: &Chosen) -> Result<(Run, Option<Fault>), Fault> {
        match &chosen.planned {
            Some(planned) => self.engine.run_planned(planned.clone(), &self.stop).await,
            None => self.engine.run(&chosen.pipeline, chosen.options, &self.stop).await,
        }
    }

    fn look(&self, pipeline: &str) -> Look {
        let numbers = self.engine.progress(pipeline);
        let until = self.engine.waiting(pipeline);
        let left = until.and_then(|until| until.checked_duration_since(tokio::time::Instant::now()));
        Look {
            read: numbers.records_read(),
            settled: numbers.records_settled(),
            pages: numbers.pages_read(),
            waiting_until: left.map(|left| SystemClock.now() + left),
        }
    }
}

/// The store failed, or we did: the next pipeline would meet the same.
fn concerns_all(fault: &Fault) -> bool {
    fault.code.number() / 100 == 5 || fault.blame == Blame::Bug
}

fn read_plan(file: &Path) -> Result<Planned, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| unusable(&format!("{}: {error}", file.display())))?;
    Ok(Planned::parse(&text)?)
}

fn choose(args: &RunArgs, plan: &Plan) -> Result<Vec<Chosen>, Failure> {
    let planned = args.plan.as_deref().map(read_plan).transpose()?.map(Arc::new);
    let mut names: Vec<&String> = match (args.pipelines.as_slice(), &planned) {
        ([], Some(planned)) => vec![&planned.head.pipeline],
        ([], None) => plan.pipelines.keys().collect(),
        (named, _) => named.iter().collect(),
    };
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(*name));
    if names.is_empty() {
        return Err(Failure::usage(
            "there is no pipeline to run",
            "add one to pipelines/; renkei init makes an example",
        ));
    }
    let mut chosen = Vec::new();
    for name in names {
        let Some(pipeline) = plan.pipelines.get(name) else {
            let help = suggest::help(name, "pipeline", plan.pipelines.keys().map(String::as_str));
            return Err(Failure::usage(format!("there is no pipeline `{name}`"), help));
        };
        if planned.as_ref().is_some_and(|planned| planned.head.pipeline != *name) {
            return Err(unusable("it is of another pipeline").into());
        }
        let stream = pipeline.from.stream.name.clone();
        let full_refresh = args.full_refresh.contains(&stream);
        let allow_deletes = args.allow_deletes;
        let options = Options { limit: args.limit, full_refresh, allow_deletes, ..Options::default() };
        chosen.push(Chosen { pipeline: name.clone(), stream, options, planned: planned.clone() });
    }
    let read: Vec<&str> = chosen.iter().map(|chosen| chosen.stream.as_str()).collect();
    match args.full_refresh.iter().find(|stream| !read.contains(&stream.as_str())) {
        None => Ok(chosen),
        Some(stream) => {
            let help = suggest::help(stream, "stream", read.iter().copied());
            Err(Failure::usage(format!("none of these pipelines reads a stream `{stream}`"), help))
        }
    }
}

/// A fault outranks a signal, because it needs somebody; a signal outranks dead letters.
fn exit_code(outcomes: &[Outcome], signalled: u8) -> u8 {
    let faults = || outcomes.iter().filter_map(|outcome| outcome.fault.as_ref()).map(Fault::exit_code);
    if faults().any(|code| code == BUG) {
        return BUG;
    }
    match faults().next() {
        Some(code) => code,
        None if signalled > 0 => signalled,
        None if outcomes.iter().any(|outcome| outcome.dead_letters() > 0) => DEAD_LETTERS,
        None => DONE,
    }
}
