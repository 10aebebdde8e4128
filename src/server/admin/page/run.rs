//! One run: what became of its records and why, what it cost, and what happened while it went.

use std::sync::Arc;

use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use maud::{Markup, html};
use serde_json::Value;

use super::{
    chart::{self, Became},
    frame,
    overview::quantiles,
    path,
    pipeline::letter_list,
    respond,
    words::{count, exact, number, span, when},
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
    let events: Vec<Arc<Event>> = desk.hub.events.kept().into_iter().filter(|event| is_of(event, &run, now)).collect();
    let body = html! {
        section #state aria-label="State" data-live {
            p.state { (frame::outcome(&run)) "began " (when(run.started_at, now)) @if let Some(took) = chart::took(&run) { ", took " (span(took)) } }
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
        section #events aria-labelledby="h-events" data-live { h2 #h-events { "Events" } (happened(&run, &events)) }
        @if !letters.is_empty() { section aria-labelledby="h-letters" { h2 #h-letters { "Its dead letters" } (letter_list(&letters, now)) } }
    };
    let crumbs = [(path("/pipelines/", &run.pipeline), run.pipeline.as_str())];
    let title = format!("Run of {}", exact(run.started_at));
    Ok(respond(StatusCode::OK, frame::page(&title, None, &crumbs, body)))
}

/// Whether something happened to the pipeline of a run while it went. An event is told a moment after what it tells of.
fn is_of(event: &Event, run: &Run, now: DateTime<Utc>) -> bool {
    if event.data["pipeline"] != run.pipeline.as_str() {
        return false;
    }
    if let Some(id) = event.data["run"].as_str() {
        return id == run.id;
    }
    let at = event.data["at"].as_str().and_then(|at| at.parse::<DateTime<Utc>>().ok());
    let moment = TimeDelta::seconds(1);
    at.is_some_and(|at| at >= run.started_at - moment && at <= run.ended_at.unwrap_or(now) + moment)
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
    html! {
        ol.events {
            li { time datetime=(super::words::stamp(run.started_at)) { (exact(run.started_at)) } b { "began" } }
            @if skipped > 0 { li { span {} span { (number(skipped as u64)) " earlier events are left out" } } }
            @for event in events.iter().skip(skipped) { li { (one(event)) } }
            @if let Some(ended) = run.ended_at { li { time datetime=(super::words::stamp(ended)) { (exact(ended)) } b { "ended" } " " (frame::outcome(run)) } }
        }
        @if events.is_empty() { p.fine { "Of a run before the service began only the beginning and the end are known." } }
    }
}

fn one(event: &Event) -> Markup {
    let at = event.data["at"].as_str().and_then(|at| at.parse::<DateTime<Utc>>().ok());
    let details = event
        .data
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| !["at", "pipeline", "run"].contains(&name.as_str()));
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let details: Vec<String> =
        details.filter(|(_, value)| !value.is_null()).map(|(name, value)| format!("{name} {}", text(value))).collect();
    html! {
        @if let Some(at) = at { time datetime=(super::words::stamp(at)) { (exact(at)) } }
        b { (event.kind.replace('_', " ")) } " " span { (details.join(", ")) }
    }
}
