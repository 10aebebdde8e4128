//! One run: what became of its records and why, what it cost, and what happened while it went.

use std::sync::Arc;

use axum::response::Response;
use chrono::{DateTime, Utc};
use http::StatusCode;
use maud::{Markup, html};
use serde_json::Value;

use super::{
    chart::{self, Became},
    drift, frame,
    overview::quantiles,
    path,
    pipeline::letter_list,
    respond,
    words::{count, exact, number, span, stamp, when},
};
use crate::{
    server::{
        admin::{Desk, call::Call, problem::Problem, runs::told},
        events::Event,
    },
    store::{Cause, Run, StreamId},
};

const CAUSES_LISTED: usize = 20;
const EVENTS_LISTED: usize = 200;

pub async fn show(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    let view = desk.look().await?;
    let (state, now) = (view.engine.state(), view.engine.clock().now());
    let found = state.run(call.name()).await?;
    let run = found
        .ok_or_else(|| Problem::unknown("run", call.name(), "a run goes when it is older than serve.keep_runs"))?;
    let causes = state.causes(&StreamId::new(run.pipeline.clone(), run.stream.clone()), &run.id).await?;
    let mut letters = state.dead_letters(Some(&run.pipeline)).await?;
    letters.retain(|letter| letter.run == run.id);
    let events = of(desk.hub.events.kept(), &run);
    let body = html! {
        section #state aria-label="State" data-live {
            p.state {
                (frame::outcome(&run))
                span { "began " (when(run.started_at, now)) @if let Some(took) = chart::took(&run) { ", took " (span(took)) } }
            }
            @if let Some(fault) = &run.fault {
                div.notice.refused { p { (fault.message) " " code { (fault.code) } } p.help { (fault.code.title()) ". " code { "renkei explain " (fault.code) } " says what to do." } }
            }
        }
        div.columns {
            section #records aria-labelledby="h-records" data-live {
                h2 #h-records { "Records" }
                (chart::verdict_sum(Became::of(&run.counts)))
                (counts(&run))
            }
            section #cost aria-labelledby="h-cost" data-live { h2 #h-cost { "Cost" } (cost(&run)) }
        }
        @if !causes.is_empty() { section aria-labelledby="h-why" { h2 #h-why { "Why records were not written" } (why(&causes)) } }
        (drift::of(&run))
        section #events aria-labelledby="h-events" data-live { h2 #h-events { "Events" } (happened(&run, &events)) }
        @if !letters.is_empty() { section aria-labelledby="h-letters" { h2 #h-letters { "Its dead letters" } (letter_list(&letters, now)) } }
    };
    let crumbs = [(path("/pipelines/", &run.pipeline), run.pipeline.as_str())];
    let title = format!("Run of {}", exact(run.started_at));
    Ok(respond(StatusCode::OK, frame::page(&title, None, &crumbs, body)))
}

/// What happened to the pipeline of a run while it went, and who asked for it. Only the end of a run carries its id, so the beginning is the
/// last one that was told before.
fn of(events: Vec<Arc<Event>>, run: &Run) -> Vec<Arc<Event>> {
    let is_own = |event: &Arc<Event>| event.data["pipeline"] == run.pipeline.as_str();
    let own: Vec<Arc<Event>> = events.into_iter().filter(is_own).collect();
    let began =
        own.iter().rposition(|event| event.kind == "run_started" && at(event).is_some_and(|at| at <= run.started_at));
    let first = match began {
        Some(began) if began > 0 && own[began - 1].kind == "asked" => began - 1,
        Some(began) => began,
        None => own.iter().position(|event| at(event).is_some_and(|at| at >= run.started_at)).unwrap_or(own.len()),
    };
    let is_of_it = |event: &Arc<Event>| match event.data["run"].as_str() {
        Some(id) => id == run.id,
        None => run.ended_at.is_none_or(|ended| at(event).is_some_and(|at| at <= ended)),
    };
    own.into_iter().skip(first).filter(is_of_it).collect()
}

fn at(event: &Event) -> Option<DateTime<Utc>> {
    event.data["at"].as_str()?.parse().ok()
}

fn counts(run: &Run) -> Markup {
    let counts = &run.counts;
    let all = [
        ("read", counts.read),
        ("left by an earlier run", counts.resumed),
        ("created", counts.created),
        ("updated", counts.updated),
        ("deleted", counts.deleted),
        ("unchanged", counts.unchanged),
        ("skipped", counts.skipped),
        ("rejected", counts.rejected),
        ("parked", counts.parked),
    ];
    html! {
        dl.facts.numbers { @for (name, records) in all { @if records > 0 || name == "read" { dt { (name) } dd { (number(records)) } } } }
        @if counts.balance() > 0 { p.why { (count(counts.balance().unsigned_abs(), "record is", "records are")) " staged and without a verdict: the next run goes on with them" } }
    }
}

fn cost(run: &Run) -> Markup {
    html! {
        dl.facts.numbers {
            dt { "from reading to verdict, p50 · p95 · p99" } dd { (quantiles(&run.latency)) }
            dt { "pages" } dd { (number(run.pages)) }
            dt { "requests" } dd { (number(run.requests)) }
            dt { "retries" } dd { (number(run.retries)) }
            dt { "429s" } dd { (number(run.throttled)) }
            dt { "waited for quota" } dd { (span(std::time::Duration::from_millis(run.waited_ms))) }
        }
    }
}

fn why(causes: &[(Cause, u64)]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Table of causes" {
            table {
                caption { (count(causes.len() as u64, "cause", "causes")) @if causes.len() > CAUSES_LISTED { ", the " (CAUSES_LISTED) " most frequent" } }
                thead { tr { th scope="col" { "Verdict" } th scope="col" { "Why" } th.num scope="col" { "Records" } } }
                tbody {
                    @for (cause, records) in causes.iter().take(CAUSES_LISTED) {
                        @let told = told(cause, *records);
                        tr {
                            th scope="row" { (told["verdict"].as_str().unwrap_or_default()) }
                            td { (reason(&told)) }
                            td.num { (number(*records)) }
                        }
                    }
                }
            }
        }
    }
}

fn reason(told: &Value) -> Markup {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), |word| word.replace('_', " "));
    html! {
        @match told["reason"].as_object() {
            Some(reason) => { (reason["message"].as_str().unwrap_or_default()) " " code { (reason["code"].as_str().unwrap_or_default()) } },
            None => @match told["why"].as_object().and_then(|why| why.iter().next()) {
                Some((name, value)) => { (name.replace('_', " ")) ": " (text(value)) },
                None => (text(&told["why"])),
            },
        }
    }
}

/// The beginning and the end stand in the run's row; what happened between is kept as long as the service keeps events.
fn happened(run: &Run, events: &[Arc<Event>]) -> Markup {
    let skipped = events.len().saturating_sub(EVENTS_LISTED);
    let is_told = |kind: &str| events.iter().any(|event| event.kind == kind);
    html! {
        ol.events {
            @if !is_told("run_started") { li { (clock(run.started_at)) b { "began" } } }
            @if skipped > 0 { li { (count(skipped as u64, "earlier event is", "earlier events are")) " left out" } }
            @for event in events.iter().skip(skipped) {
                li { @if let Some(at) = at(event) { (clock(at)) } b { (event.kind.replace('_', " ")) } span { (details(event)) } }
            }
            @if let Some(ended) = run.ended_at.filter(|_| !is_told("run_ended")) { li { (clock(ended)) b { "ended" } (frame::outcome(run)) } }
        }
        @if events.is_empty() { p.fine { "What happened between is not kept over a restart of the service." } }
    }
}

fn clock(at: DateTime<Utc>) -> Markup {
    html! { time datetime=(stamp(at)) title=(exact(at)) { (at.format("%H:%M:%S%.3f")) } }
}

/// What an event says besides when and of what, in words. Counts of nothing are left out.
fn details(event: &Event) -> String {
    let told = event.data.as_object().into_iter().flatten();
    let told = told.filter(|(name, _)| !["at", "pipeline", "run"].contains(&name.as_str()));
    told.filter_map(|(name, value)| Some(format!("{} {}", name.replace('_', " "), word(value)?)))
        .collect::<Vec<_>>()
        .join(", ")
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.parse::<DateTime<Utc>>().map_or_else(|_| text.clone(), exact)),
        Value::Object(parts) => {
            let parts = parts.iter().filter(|(_, value)| value.as_u64() != Some(0));
            Some(
                parts
                    .filter_map(|(name, value)| Some(format!("{name} {}", word(value)?)))
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        }
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        model::{Clock, SystemClock},
        server::hub::Hub,
    };

    #[test]
    fn a_run_has_its_own_events_who_asked_for_it_and_none_of_its_neighbours() {
        let hub = Hub::new(Arc::new(SystemClock));
        let stream = StreamId::new("leads", "s");
        let tell = |kind, data: Value| hub.tell(kind, data);
        let began = || tell("run_started", json!({ "pipeline": "leads", "job": "run" }));
        tell("asked", json!({ "pipeline": "leads", "what": "pause" }));
        began();
        tell("run_ended", json!({ "pipeline": "leads", "run": "before" }));
        tell("asked", json!({ "pipeline": "leads", "what": "trigger" }));
        began();
        tell("run_started", json!({ "pipeline": "others" }));
        let mut run = Run::begin("own", &stream, SystemClock.now());
        tell("verdicts", json!({ "pipeline": "leads", "read": 300, "verdicts": { "created": 7, "parked": 0 } }));
        run.ended_at = Some(SystemClock.now());
        tell("run_ended", json!({ "pipeline": "leads", "run": "own" }));
        tell("asked", json!({ "pipeline": "leads", "what": "cancel" }));
        let events = of(hub.events.kept(), &run);
        let kinds: Vec<&str> = events.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, ["asked", "run_started", "verdicts", "run_ended"]);
        assert_eq!([details(&events[0]), details(&events[2])], ["what trigger", "read 300, verdicts created 7"]);
    }
}
