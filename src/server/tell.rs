//! What the service says of itself: log lines with constant names, and one line for the service manager.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{probing::Probed, work::Over};
use crate::{
    config::{
        Plan,
        plan::{Calendar, Days, Reaction, TelemetryPlan},
    },
    engine::{Ended, Engine, Note, Schedule, Why},
    model::{Code, Fault},
    store::audit::{Entry, Via},
    telemetry::CANONICAL,
};

/// Pipelines that one entry of the audit log names.
const NAMED_MAX: usize = 100;

/// A run that could not even begin. One that did has told so itself, in its canonical line.
pub fn over(over: &Over) {
    let Over { pipeline, job, began, run: None, ended: Ended::Failed(fault) } = over else { return };
    let Fault { code, message, place, .. } = fault;
    let (job, due) = job.named();
    tracing::warn!(
        target: CANONICAL, %pipeline, job, due = due.map(stamp), took_ms = began.elapsed().as_millis() as u64, code = %code,
        why = message, place = place.join(", "), "run failed"
    );
}

pub fn note(note: &Note) {
    match note {
        Note::Missed { pipeline, late, forgotten } => tracing::warn!(
            code = %Code::MissedTimes, %pipeline, late, forgotten,
            "times passed while nothing could run: so many are made up for now, and so many are not"
        ),
        Note::LeftOut { pipeline, due } => tracing::info!(
            %pipeline, due = stamp(*due), "a time is left out: the one before is not done with"
        ),
        Note::Waits { pipeline, wait, failures } if wait.person => tracing::error!(
            code = %Code::Waits, %pipeline, failures, because = %wait.code, until = stamp(wait.until),
            "the pipeline needs a person; nothing is lost, and it is tried again then or after a reload"
        ),
        Note::Waits { pipeline, wait, failures } => tracing::warn!(
            %pipeline, failures, because = %wait.code, until = stamp(wait.until), "the pipeline is tried again then"
        ),
    }
}

/// Warns about calendars that say nothing about today any more.
pub fn ended_calendars(plan: &Plan, now: DateTime<Utc>) {
    let named = plan.pipelines.values().filter_map(|pipeline| match &pipeline.schedule.as_ref()?.days {
        Days::Business(calendars) => Some(calendars),
        Days::All => None,
    });
    let ended = |calendar: &Arc<Calendar>| {
        let end = calendar.ends().filter(|end| *end < now.date_naive())?;
        Some((calendar.name.clone(), end))
    };
    for (calendar, end) in named.flatten().filter_map(ended).collect::<BTreeSet<_>>() {
        tracing::warn!(
            code = %Code::CalendarEnded, calendar, %end,
            "the calendar has ended: since then every weekday counts as a business day"
        );
    }
}

/// Notes for the audit log which pipelines changed with the files. The service goes on by them in any case: it has to run.
pub async fn note_reload(engine: &Engine, old: &Plan) {
    let new = engine.plan();
    let differs = |name: &&String| {
        let (old, new) = (old.pipelines.get(*name), new.pipelines.get(*name));
        old.zip(new).is_none_or(|(old, new)| old.made_of != new.made_of)
    };
    let names: BTreeSet<&String> = old.pipelines.keys().chain(new.pipelines.keys()).filter(differs).collect();
    let details = json!({
        "connections_or_settings": old.made_of != new.made_of,
        "pipelines": names.len(),
        "names": names.iter().take(NAMED_MAX).collect::<Vec<_>>(),
    });
    note_own(engine, "reload", details).await;
}

/// Notes what the service does itself.
pub async fn note_own(engine: &Engine, what: &str, details: Value) {
    note_on(engine, what, None, details).await;
}

/// Notes what the service does itself to a pipeline.
pub async fn note_on(engine: &Engine, what: &str, on: Option<&str>, details: Value) {
    let entry = Entry { via: Via::Service, peer: None, what: what.to_owned(), on: on.map(str::to_owned), details };
    if let Err(fault) = engine.note(entry).await {
        tracing::error!(code = %fault.code, why = fault.message, "the audit log cannot be written; what people ask for is refused");
    }
}

pub fn reaction_begins(pipeline: &str, reaction: &Reaction, why: &Why) {
    tracing::warn!(
        code = %Code::ObjectiveBurns, pipeline, objective = why.objective.name(), burns = why.burns.name(),
        reaction = reaction.act.name(), hold_s = reaction.hold.as_secs(), why = %why, "a reaction begins"
    );
}

pub fn reaction_ends(pipeline: &str, reaction: &str) {
    tracing::info!(pipeline, reaction, "a reaction ends");
}

/// A connection is unwell, or well again.
pub fn probed(connection: &str, probed: &Probed) {
    let Probed { up, took_ms, .. } = *probed;
    match probed.code {
        Some(because) => tracing::warn!(
            code = %Code::ProbeFailed, connection, because = %because, took_ms, why = probed.message,
            "a probe found the connection unwell"
        ),
        None => tracing::info!(connection, up, took_ms, "a probe found the connection well again"),
    }
}

pub fn store_moved() {
    tracing::error!(
        code = %Code::StoreMoved,
        "`store:` or RENKEI_KEY is another than the service was started with; the files are not taken over, and the service goes \
         on as it was until it is restarted"
    );
}

/// What is collected is decided once in a process.
pub fn telemetry_stays(old: &TelemetryPlan, new: &TelemetryPlan) {
    // Written out for debugging they hold everything but secrets.
    if format!("{old:?}") != format!("{new:?}") {
        tracing::warn!("`telemetry:` changed; traces and logs go on as before until the service is restarted");
    }
}

pub fn door_stays(fault: &Fault) {
    tracing::error!(
        code = %fault.code, why = fault.message,
        "the front door cannot follow the changed files; it stays where it is until the next change or restart"
    );
}

pub fn dropped(pipelines: &[Arc<str>]) {
    let names = pipelines.iter().map(|name| &**name).collect::<Vec<_>>().join(", ");
    tracing::warn!(
        code = %Code::StopOverrun, pipelines = names,
        "not at a checkpoint in time; what they had staged stays staged, and they go on when the service is back"
    );
}

/// How the service does, in one line.
pub fn status(schedule: &Schedule, under_way: usize) -> String {
    let mut text = format!("{} pipelines scheduled, {under_way} at work", schedule.scheduled());
    match schedule.waiting_for_a_person() {
        0 => {}
        1 => text.push_str(", 1 needs a person"),
        more => text.push_str(&format!(", {more} need a person")),
    }
    if let Some((pipeline, start)) = schedule.next_due() {
        text.push_str(&format!(", next {pipeline} at {}", stamp(start)));
    }
    text
}

fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
