//! `renkei run`: pipelines one after another, or a few at a time, until they are done or somebody asks to stop.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use futures_util::{StreamExt, future::join_all, stream};
use serde_json::json;

use super::{
    args::RunArgs,
    failure::{BUG, DEAD_LETTERS, DONE, Failure},
    output::Output,
    suggest,
    summary::Outcome,
    telemetry::Telemetry,
    watched::Watched,
    workspace,
};
use crate::{
    config::Plan,
    engine::{Engine, Options, Planned, unusable},
    model::Fault,
    store::Run,
};

/// One pipeline that shall run.
struct Chosen {
    pipeline: String,
    file: String,
    stream: String,
    options: Options,
    /// The plan that it applies, instead of running as it is.
    planned: Option<Arc<Planned>>,
}

/// What all runs of this process share.
struct Running {
    engine: Engine,
    watched: Watched,
}

pub async fn run(args: &RunArgs, dir: &Path, output: Arc<Output>) -> Result<u8, Failure> {
    let chosen = choose(args, &workspace::plan_without_secrets(dir, &output)?)?;
    let names: Vec<&str> = chosen.iter().map(|chosen| chosen.pipeline.as_str()).collect();
    let plan = workspace::plan_for(dir, &names)?;
    let telemetry = Telemetry::start(&plan);
    let watched = Watched::new(output.clone())?;
    let running = Running { engine: Engine::open(plan).await?, watched };
    // Targets of one file run side by side, because they read together.
    let files = chosen.chunk_by(|one, next| one.file == next.file);
    let outcomes: Vec<Outcome> = stream::iter(files)
        .map(|file| join_all(file.iter().map(|chosen| running.one(chosen))))
        .buffered(usize::from(args.parallel))
        .flat_map(|outcomes| stream::iter(outcomes.into_iter().flatten()))
        .collect()
        .await;
    if output.json() {
        output.document(&json!({ "runs": outcomes.iter().map(Outcome::to_json).collect::<Vec<_>>() }));
    }
    running.engine.close().await;
    telemetry.end().await;
    Ok(exit_code(&outcomes, running.watched.signalled()))
}

impl Running {
    /// Runs one pipeline; nothing when a stop came first.
    async fn one(&self, chosen: &Chosen) -> Option<Outcome> {
        let run = self.run_chosen(chosen);
        self.watched.show(&self.engine, &chosen.pipeline, &chosen.stream, run).await
    }

    async fn run_chosen(&self, chosen: &Chosen) -> Result<(Run, Option<Fault>), Fault> {
        let stop = self.watched.stop();
        match &chosen.planned {
            Some(planned) => self.engine.run_planned(planned.clone(), stop).await,
            None => self.engine.run(&chosen.pipeline, chosen.options, stop).await,
        }
    }
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
        (named, _) => named.iter().flat_map(|name| targets(name, plan)).collect(),
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
            return Err(suggest::no_pipeline(name, plan));
        };
        if planned.as_ref().is_some_and(|planned| planned.head.pipeline != *name) {
            return Err(unusable("it is of another pipeline").into());
        }
        let stream = pipeline.from.stream.name.clone();
        let full_refresh = args.full_refresh.contains(&stream);
        let RunArgs { limit, allow_deletes, skip_canary, .. } = *args;
        let options = Options { limit, full_refresh, allow_deletes, skip_canary, ..Options::default() };
        let file = pipeline.file.clone();
        chosen.push(Chosen { pipeline: name.clone(), file, stream, options, planned: planned.clone() });
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

/// All targets of a file that was named, or the name as it is.
fn targets<'a>(name: &'a String, plan: &'a Plan) -> Vec<&'a String> {
    let of_file = plan.pipelines.values().filter(|pipeline| pipeline.file == *name).map(|pipeline| &pipeline.name);
    match of_file.collect::<Vec<_>>() {
        none if none.is_empty() => vec![name],
        targets => targets,
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
