//! `schedule next`: when pipelines are due, from their files alone, so that it can be asked beside a running service.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    failure::{DONE, Failure},
    format,
    listing::known,
    output::Output,
    table::{self, Column},
    workspace,
};
use crate::{
    config::{
        Plan,
        plan::{Cadence, Schedule},
    },
    engine::{Due, Timetable},
    model::{Clock, SystemClock},
};

/// One time of one pipeline.
#[derive(Serialize)]
struct Next<'a> {
    pipeline: &'a str,
    schedule: String,
    /// Nothing: the clock does not make it due.
    due: Option<DateTime<Utc>>,
    /// The same on the wall of the schedule's time zone.
    local: Option<String>,
    /// When the run begins: the jitter is added.
    start: Option<DateTime<Utc>>,
    after: Option<&'a str>,
}

pub fn next(dir: &Path, pipeline: Option<&str>, limit: usize, output: &Output) -> Result<u8, Failure> {
    let plan = workspace::plan_without_secrets(dir, output)?;
    if let Some(name) = pipeline {
        known(name, &plan, std::iter::empty())?;
    }
    let all = listed(&plan, pipeline, limit, SystemClock.now());
    if output.json() {
        output.document(&all);
        return Ok(DONE);
    }
    let columns = ["pipeline", "due (UTC)", "local time", "starts (UTC)"].map(|title| Column(title, false));
    let rows = all.iter().map(|next| {
        let time = |at: Option<DateTime<Utc>>| at.map_or("-".to_owned(), format::time);
        let local = next.local.clone().unwrap_or_else(|| next.schedule.clone());
        vec![next.pipeline.to_owned(), time(next.due), local, time(next.start)]
    });
    let none = match pipeline {
        Some(_) => "it has no schedule: it runs when somebody types so",
        None => "no pipeline has a schedule yet",
    };
    table::print(output, &columns, rows.collect(), none);
    Ok(DONE)
}

/// The next times of all pipelines, or of one, in their order; then those that come after others.
fn listed<'a>(plan: &'a Plan, only: Option<&str>, limit: usize, now: DateTime<Utc>) -> Vec<Next<'a>> {
    let pipelines = plan.pipelines.values().filter(|pipeline| only.is_none_or(|only| pipeline.name == only));
    let scheduled = pipelines.filter_map(|pipeline| Some((pipeline.name.as_str(), pipeline.schedule.as_ref()?)));
    let (mut timed, mut following) = (Vec::new(), Vec::new());
    for (name, schedule) in scheduled {
        match (Timetable::new(name, schedule), &schedule.cadence) {
            (Some(timetable), _) => {
                let first = timetable.next_after(now);
                let dues = std::iter::successors(first, |due| timetable.next_after(due.at)).take(limit);
                timed.extend(dues.map(|due| (due, name, schedule)));
                // No more than asked for of all, however many pipelines there are.
                timed.sort_by_key(|(due, name, _)| (due.start, *name));
                timed.truncate(limit);
            }
            (None, Cadence::After(before)) => following.push(Next {
                pipeline: name,
                schedule: schedule.to_string(),
                due: None,
                local: None,
                start: None,
                after: Some(before),
            }),
            (None, Cadence::Cron(_) | Cadence::Every(_)) => {}
        }
    }
    timed.into_iter().map(|(due, name, schedule)| next_of(due, name, schedule)).chain(following).collect()
}

fn next_of<'a>(due: Due, pipeline: &'a str, schedule: &Schedule) -> Next<'a> {
    let local = due.at.with_timezone(&schedule.zone);
    let local = format!("{} {}", local.format("%Y-%m-%d %H:%M:%S"), schedule.zone);
    let (schedule, local) = (schedule.to_string(), Some(local));
    Next { pipeline, schedule, due: Some(due.at), local, start: Some(due.start), after: None }
}
