//! `status`, `runs` and `state show`: what the store remembers, for people and for programs.

use std::{collections::BTreeMap, path::Path};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

use super::{
    failure::{DONE, Failure},
    format,
    output::Output,
    suggest,
    table::{self, Column},
    workspace::{self, Opened},
};
use crate::{
    config::{Plan, plan::Pipeline},
    engine::{Timetable, stream_id},
    model::{Checkpoint, Clock, SystemClock},
    store::{Run, RunState, Scheduled, Wait},
};

/// Where one pipeline stands.
#[derive(Serialize)]
struct Standing {
    pipeline: String,
    from: String,
    to: String,
    checkpoint: Option<Checkpoint>,
    /// Batches that wait to be delivered by the next run.
    staged: usize,
    dead_letters: usize,
    last_run: Option<Run>,
    /// When the last run that was not cut short began. For a stream that is listed whole each time there is no cursor, so
    /// this is how far it is delivered.
    last_success_at: Option<DateTime<Utc>>,
    /// The stream is listed whole each time.
    full_listing: bool,
    /// When `renkei serve` runs it, in words.
    schedule: Option<String>,
    /// When that is next; nothing where it comes after another pipeline or has no schedule.
    next_run_at: Option<DateTime<Utc>>,
    /// Its last runs failed, and it is not tried again before.
    waits: Option<Wait>,
}

pub async fn status(dir: &Path, output: &Output) -> Result<u8, Failure> {
    let plan = workspace::plan_without_secrets(dir, output)?;
    let opened = workspace::look(&plan.store).await?;
    let known = match &opened {
        Some(opened) => Known { runs: opened.state.runs().await?, schedules: opened.state.schedules().await? },
        None => Known::default(),
    };
    let mut all = Vec::new();
    for pipeline in plan.pipelines.values() {
        all.push(standing(pipeline, opened.as_ref(), &known).await?);
    }
    close(opened).await;
    if output.json() {
        output.document(&all);
        return Ok(DONE);
    }
    let columns = [
        Column("pipeline", false),
        Column("last run (UTC)", false),
        Column("state", false),
        Column("next run (UTC)", false),
        Column("staged", true),
        Column("dead letters", true),
        Column("delivered up to", false),
    ];
    let rows = all.iter().map(standing_row).collect();
    table::print(output, &columns, rows, "there is no pipeline yet: add one to pipelines/");
    Ok(DONE)
}

/// What the store knows of all pipelines.
#[derive(Default)]
struct Known {
    runs: Vec<Run>,
    schedules: BTreeMap<String, Scheduled>,
}

async fn standing(pipeline: &Pipeline, opened: Option<&Opened>, known: &Known) -> Result<Standing, Failure> {
    let (stream, now) = (stream_id(pipeline), SystemClock.now());
    let waits = known.schedules.get(&pipeline.name).and_then(|row| row.wait.clone()).filter(|wait| wait.until > now);
    let schedule = pipeline.schedule.as_ref();
    let next = schedule.and_then(|schedule| Timetable::new(&pipeline.name, schedule)?.next_after(now));
    let next = waits.as_ref().map(|wait| wait.until).or(next.map(|next| next.start));
    let mut standing = Standing {
        pipeline: pipeline.name.clone(),
        from: pipeline.from.place(),
        to: pipeline.to.place(),
        checkpoint: None,
        staged: 0,
        dead_letters: 0,
        last_run: None,
        last_success_at: None,
        full_listing: pipeline.from.lists_all(),
        schedule: schedule.map(ToString::to_string),
        next_run_at: next,
        waits,
    };
    if let Some(Opened { state, .. }) = opened {
        standing.checkpoint = state.checkpoint(&stream).await?;
        standing.staged = state.outbox_depth(&stream).await?;
        standing.dead_letters = state.dead_letter_count(&pipeline.name).await?;
        let of_it = |run: &&Run| run.pipeline == pipeline.name && run.stream == stream.stream;
        let mut own = known.runs.iter().rev().filter(of_it);
        standing.last_run = own.clone().next().cloned();
        standing.last_success_at = own.find(|run| run.state == RunState::Done).map(|run| run.started_at);
    }
    Ok(standing)
}

fn standing_row(standing: &Standing) -> Vec<String> {
    let last = standing.last_run.as_ref();
    vec![
        standing.pipeline.clone(),
        last.map_or("never".to_owned(), |run| format::time(run.started_at)),
        last.map_or("-".to_owned(), state_of),
        next_run(standing),
        standing.staged.to_string(),
        standing.dead_letters.to_string(),
        delivered(standing),
    ]
}

fn next_run(standing: &Standing) -> String {
    match (standing.next_run_at, &standing.waits, &standing.schedule) {
        (Some(at), Some(wait), _) if wait.person => format!("{} (needs a person: {})", format::time(at), wait.code),
        (Some(at), ..) => format::time(at),
        // It comes after another one.
        (None, _, Some(schedule)) => schedule.clone(),
        (None, _, None) => "-".to_owned(),
    }
}

fn delivered(standing: &Standing) -> String {
    match (&standing.checkpoint, standing.last_success_at) {
        (None, _) => "-".to_owned(),
        (Some(checkpoint), Some(at)) if standing.full_listing && checkpoint.scan.is_none() => {
            format!("all of it, read whole at {}", format::time(at))
        }
        (Some(checkpoint), _) => format::checkpoint(checkpoint),
    }
}

/// A run that never said how it ended was killed. Nothing else can hold the lock while we look.
pub fn state_of(run: &Run) -> String {
    match (run.state, &run.fault) {
        (RunState::Running, _) => "cut off".to_owned(),
        (RunState::Done, _) => "done".to_owned(),
        (RunState::Stopped, _) => "stopped".to_owned(),
        (RunState::Failed, Some(fault)) => format!("failed {}", fault.code),
        (RunState::Failed, None) => "failed".to_owned(),
    }
}

pub async fn runs(dir: &Path, pipeline: Option<&str>, limit: usize, output: &Output) -> Result<u8, Failure> {
    let plan = workspace::plan_without_secrets(dir, output)?;
    let opened = workspace::look(&plan.store).await?;
    let mut runs = match &opened {
        Some(opened) => opened.state.runs().await?,
        None => Vec::new(),
    };
    close(opened).await;
    if let Some(name) = pipeline {
        known(name, &plan, runs.iter().map(|run| run.pipeline.as_str()))?;
        runs.retain(|run| run.pipeline == name);
    }
    runs.reverse();
    runs.truncate(limit);
    if output.json() {
        output.document(&runs);
        return Ok(DONE);
    }
    let (columns, rows) = run_table(&runs);
    table::print(output, &columns, rows, "no runs yet: renkei run");
    Ok(DONE)
}

/// One row per run. Verdicts that none of them gave are left out, so that a line fits a terminal.
fn run_table(runs: &[Run]) -> (Vec<Column>, Vec<Vec<String>>) {
    type Number = fn(&Run) -> u64;
    let numbers: [(&'static str, Number); 8] = [
        ("read", |run| run.counts.read + run.counts.resumed),
        ("created", |run| run.counts.created),
        ("updated", |run| run.counts.updated),
        ("unchanged", |run| run.counts.unchanged),
        ("deleted", |run| run.counts.deleted),
        ("skipped", |run| run.counts.skipped),
        ("rejected", |run| run.counts.rejected),
        ("parked", |run| run.counts.parked),
    ];
    let given = |(at, (_, number)): &(usize, (&str, Number))| *at < 2 || runs.iter().any(|run| number(run) > 0);
    let numbers: Vec<(&str, Number)> =
        numbers.into_iter().enumerate().filter(given).map(|(_, column)| column).collect();
    let mut columns =
        vec![Column("started (UTC)", false), Column("took", true), Column("pipeline", false), Column("state", false)];
    columns.extend(numbers.iter().map(|(title, _)| Column(title, true)));
    columns.push(Column("id", false));
    let rows = runs.iter().map(|run| {
        let took = run.ended_at.map(|end| format::duration(format::between(run.started_at, end)));
        let took = took.unwrap_or_else(|| "-".to_owned());
        let mut row = vec![format::time(run.started_at), took, run.pipeline.clone(), state_of(run)];
        row.extend(numbers.iter().map(|(_, number)| number(run).to_string()));
        row.push(run.id.clone());
        row
    });
    (columns, rows.collect())
}

pub async fn state(dir: &Path, pipeline: Option<&str>, output: &Output) -> Result<u8, Failure> {
    let plan = workspace::plan_without_secrets(dir, output)?;
    let opened = workspace::look(&plan.store).await?;
    let mut all = match &opened {
        Some(opened) => opened.state.checkpoints().await?,
        None => Vec::new(),
    };
    close(opened).await;
    if let Some(name) = pipeline {
        known(name, &plan, all.iter().map(|(stream, _)| stream.pipeline.as_str()))?;
        all.retain(|(stream, _)| stream.pipeline == name);
    }
    if output.json() {
        let all: Vec<_> = all
            .iter()
            .map(|(stream, checkpoint)| {
                json!({ "pipeline": stream.pipeline, "stream": stream.stream, "checkpoint": checkpoint })
            })
            .collect();
        output.document(&all);
        return Ok(DONE);
    }
    let rows = all.iter().map(|(stream, checkpoint)| {
        let mark = checkpoint.mark.map(|mark| format!("segment {}, byte {}", mark.segment, mark.bytes));
        let mark = mark.unwrap_or_else(|| "-".to_owned());
        vec![stream.pipeline.clone(), stream.stream.clone(), format::checkpoint(checkpoint), mark]
    });
    let columns = ["pipeline", "stream", "delivered up to", "file"].map(|title| Column(title, false));
    table::print(output, &columns, rows.collect(), "nothing is remembered yet: renkei run");
    Ok(DONE)
}

/// Refuses a pipeline name that neither the files nor the store know. What was deleted from the files is still known to
/// the store.
pub fn known<'a>(name: &str, plan: &'a Plan, stored: impl Iterator<Item = &'a str>) -> Result<(), Failure> {
    let mut names: Vec<&str> = plan.pipelines.keys().map(String::as_str).chain(stored).collect();
    names.sort_unstable();
    names.dedup();
    if names.contains(&name) {
        return Ok(());
    }
    if plan.pipelines.values().any(|pipeline| pipeline.file == name) {
        return Err(suggest::no_pipeline(name, plan));
    }
    let help = suggest::help(name, "pipeline", names.iter().copied());
    Err(Failure::usage(format!("there is no pipeline `{name}`"), help))
}

pub async fn close(opened: Option<Opened>) {
    if let Some(opened) = opened {
        opened.close().await;
    }
}
