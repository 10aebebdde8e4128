//! `backfill`: a window of a stream, read in this process until it is done; or handed to the service that holds the state
//! directory, which reads it beside its own runs.

use std::{path::Path, sync::Arc};

use serde_json::json;

use super::{
    args::BackfillArgs,
    failure::{DEAD_LETTERS, DONE, Failure},
    listing::known,
    output::Output,
    summary::Outcome,
    telemetry::Telemetry,
    watched::Watched,
    workspace,
};
use crate::{
    config::Plan,
    engine::{Engine, plan_backfill},
    model::{Clock, Code, Fault, SystemClock, SystemEntropy},
    server,
    store::Backfill,
};

pub async fn backfill(args: &BackfillArgs, dir: &Path, output: Arc<Output>) -> Result<u8, Failure> {
    let pipeline = args.pipeline.as_str();
    known(pipeline, &workspace::plan_without_secrets(dir, &output)?, std::iter::empty())?;
    let plan = workspace::plan_for(dir, &[pipeline])?;
    let asked = asked(args, &plan)?;
    let state = plan.store.path.clone();
    let engine = match Engine::open(plan).await {
        Ok(engine) => engine,
        Err(fault) => return hand_over(&state, asked.as_ref(), fault, &output),
    };
    match (asked, args.drop) {
        (Some(asked), _) => read(engine, asked, output).await,
        (None, true) => forget(&engine, pipeline, &output).await,
        (None, false) => go_on(engine, pipeline, output).await,
    }
}

/// The window that was typed; nothing where the one that has not ended is meant.
fn asked(args: &BackfillArgs, plan: &Plan) -> Result<Option<Backfill>, Failure> {
    match (&args.from, &args.to) {
        (Some(from), Some(to)) => {
            let planned = plan_backfill(plan, &args.pipeline, from, to, SystemClock.now(), &SystemEntropy::new());
            Ok(Some(planned?))
        }
        _ => Ok(None),
    }
}

/// Another process holds the state directory: if it is a service, it hears of the backfill.
fn hand_over(state: &Path, asked: Option<&Backfill>, fault: Fault, output: &Output) -> Result<u8, Failure> {
    let is_running = fault.code == Code::AlreadyRunning;
    let Some(asked) = asked.filter(|_| is_running) else { return Err(fault.into()) };
    if !server::ask_for_backfill(state, asked)? {
        return Err(fault.into());
    }
    if output.json() {
        output.document(&json!({ "handed_over": true, "part": asked.stream, "pipeline": asked.pipeline }));
        return Ok(DONE);
    }
    output.line(format_args!(
        "{} is left to the service of this state directory, which reads it beside its runs",
        asked.stream
    ));
    output.line(
        "its log says when it is done; renkei backfill without bounds goes on with it if the service is stopped before",
    );
    Ok(DONE)
}

async fn read(engine: Engine, asked: Backfill, output: Arc<Output>) -> Result<u8, Failure> {
    // The same window once more is the one that has not ended.
    let known = engine.state().backfills().await?;
    let same =
        |other: &&Backfill| (&other.pipeline, &other.from, &other.to) == (&asked.pipeline, &asked.from, &asked.to);
    let backfill = match known.iter().find(same) {
        Some(known) => known.clone(),
        None => {
            engine.state().keep_backfill(&asked).await?;
            asked
        }
    };
    run(engine, vec![backfill], output).await
}

async fn go_on(engine: Engine, pipeline: &str, output: Arc<Output>) -> Result<u8, Failure> {
    let all = engine.state().backfills().await?;
    let own: Vec<Backfill> = all.into_iter().filter(|backfill| backfill.pipeline == pipeline).collect();
    if own.is_empty() {
        engine.close().await;
        let help = "name a window with --from and --to";
        return Err(Failure::usage(format!("no backfill of `{pipeline}` is unfinished"), help));
    }
    run(engine, own, output).await
}

async fn forget(engine: &Engine, pipeline: &str, output: &Output) -> Result<u8, Failure> {
    let all = engine.state().backfills().await?;
    let own: Vec<Backfill> = all.into_iter().filter(|backfill| backfill.pipeline == pipeline).collect();
    for backfill in &own {
        engine.state().end_backfill(backfill).await?;
    }
    engine.close().await;
    if output.json() {
        output.document(&json!({ "pipeline": pipeline, "dropped": own.len() }));
    } else {
        output.line(format_args!("{} unfinished backfills of {pipeline} dropped; what they wrote stays", own.len()));
    }
    Ok(DONE)
}

async fn run(engine: Engine, backfills: Vec<Backfill>, output: Arc<Output>) -> Result<u8, Failure> {
    let watched = Watched::new(output.clone())?;
    let telemetry = Telemetry::start(engine.plan());
    let mut outcomes: Vec<Outcome> = Vec::new();
    for backfill in backfills {
        let outcome = watched
            .show(&engine, &backfill.pipeline, &backfill.stream, engine.backfill(&backfill, watched.stop()))
            .await;
        let is_over = outcome.as_ref().is_none_or(|outcome| outcome.fault.is_some());
        outcomes.extend(outcome);
        if is_over {
            break;
        }
    }
    engine.close().await;
    telemetry.end().await;
    let signalled = watched.signalled();
    if output.json() {
        output.document(&json!({ "runs": outcomes.iter().map(Outcome::to_json).collect::<Vec<_>>() }));
    }
    let fault = outcomes.iter().find_map(|outcome| outcome.fault.as_ref());
    Ok(match fault {
        Some(fault) => fault.exit_code(),
        None if signalled > 0 => signalled,
        None if outcomes.iter().any(|outcome| outcome.dead_letters() > 0) => DEAD_LETTERS,
        None => DONE,
    })
}
