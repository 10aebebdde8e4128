//! One pipeline: how it stands, what it did, what it may use, and what waits for a person.

use axum::response::Response;
use chrono::{DateTime, Utc};
use http::StatusCode;
use maud::{Markup, html};

use super::{
    chart::{self, Became},
    frame::{self, Notice},
    objectives,
    overview::{fresh, quantiles, why},
    path, respond,
    words::{count, exact, number, span, when},
};
use crate::{
    config::plan::{Api, Pipeline},
    engine::{Doing, Standing, letters::kind, stream_id},
    http::{BreakerState, Client, LimitView},
    model::{Checkpoint, Cursor, Latency},
    server::{
        admin::{
            Desk,
            call::Call,
            pipelines::{known, next_times},
            problem::Problem,
        },
        care,
        metrics::apis,
        service::View,
    },
    store::{DeadLetter, Run},
};

/// Runs in the charts, and in the table below them.
const RUNS_DRAWN: usize = 60;
const RUNS_LISTED: usize = 12;
const LETTERS_LISTED: usize = 50;

pub async fn show(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    let view = desk.look().await?;
    let plan = known(&view, call.name())?;
    let (state, now) = (view.engine.state(), view.engine.clock().now());
    let own = |run: &Run| run.pipeline == plan.name;
    let mut runs = state.latest_runs(None, now, RUNS_DRAWN, own).await?;
    let fresh = fresh(desk, plan, &runs.iter().collect::<Vec<_>>());
    runs.reverse();
    let runs: Vec<&Run> = runs.iter().collect();
    let mut letters = state.dead_letters(Some(&plan.name)).await?;
    letters.sort_by(|a, b| (b.at, &b.id).cmp(&(a.at, &a.id)));
    let checkpoint = state.checkpoint(&stream_id(plan)).await?;
    let stored = desk.metrics.stored(&view.engine).await?;
    let staged = stored.staged.get(&plan.name).copied().unwrap_or_default();
    let standing = view.standings.iter().find(|standing| *standing.pipeline == *plan.name);
    let budgets = budgets(&view, plan).await?;
    let shown = standing.and_then(|standing| care::shown(&desk.hub, &view, plan, standing));
    let body = html! {
        @if let Some(standing) = standing { (head(plan, standing, now)) }
        div.columns {
            section #facts aria-labelledby="h-facts" data-live {
                h2 #h-facts { "Now" }
                dl.facts {
                    dt { "Schedule" } dd { @match &plan.schedule { Some(schedule) => (schedule), None => "none: by hand, or when records are pushed" } }
                    dt { "Next" } dd { (next(plan, standing, now)) }
                    dt { "Fresh" } dd { @match fresh { Some(at) => (when(at, now)), None => "no run was done yet" } }
                    dt { "Failures in a row" } dd { (standing.map_or(0, |standing| standing.failures)) }
                    dt { "Staged" } dd { (count(staged.batches as u64, "batch", "batches")) @if let Some(at) = staged.oldest { ", the oldest " (when(at, now)) } }
                    dt { "Checkpoint" } dd { (checkpointed(checkpoint.as_ref(), now)) }
                }
            }
            section #budget aria-labelledby="h-budget" data-live { h2 #h-budget { "Budget" } (budgets) }
        }
        (objectives::section(shown.as_ref()))
        (history(&runs, now))
        section #dead-letters aria-labelledby="h-letters" data-live {
            h2 #h-letters { "Dead letters" }
            (letter_table(plan, &letters, now))
        }
    };
    let notice = Notice::done(call.parameter("said"));
    Ok(respond(StatusCode::OK, frame::page(&plan.name, notice.as_ref(), &[], body)))
}

fn head(plan: &Pipeline, standing: &Standing, now: DateTime<Utc>) -> Markup {
    let to = |what: &str| format!("{}/{what}", path("/pipelines/", &plan.name));
    html! {
        @if !plan.description.is_empty() { p.lead { (plan.description) } }
        p { (frame::way(plan)) }
        section #state aria-label="State" data-live {
            p.state { (frame::state(standing)) (why(standing, now)) }
            div.actions {
                @if standing.state == Doing::Running { (frame::button(&to("cancel"), "Stop the run", "")) }
                @else if standing.paused_since.is_none() { (frame::button(&to("trigger"), "Run now", "main")) }
                @if standing.paused_since.is_some() { (frame::button(&to("resume"), "Resume", "main")) }
                @else { (frame::button(&to("pause"), "Pause", "")) }
            }
        }
    }
}

fn next(plan: &Pipeline, standing: Option<&Standing>, now: DateTime<Utc>) -> Markup {
    let times = next_times(plan, now);
    let is_paused = standing.is_some_and(|standing| standing.paused_since.is_some());
    html! {
        @match standing.and_then(|standing| standing.next_run_at) {
            Some(at) => (when(at, now)),
            None if is_paused => "not before it is resumed",
            None => "nothing by itself",
        }
        @if times.len() > 1 && !is_paused {
            details { summary { "later times" } ol.times { @for at in times.iter().skip(1) { li { (exact(*at)) } } } }
        }
    }
}

fn checkpointed(checkpoint: Option<&Checkpoint>, now: DateTime<Utc>) -> Markup {
    let Some(checkpoint) = checkpoint else { return html! { "none: the next run reads from the start" } };
    let is_braked = checkpoint.deletions.as_ref().is_some_and(|deletions| deletions.braked);
    html! {
        @match &checkpoint.cursor {
            Some(Cursor::Instant(at)) => { "delivered up to " (exact(*at)) ", " (when(*at, now)) },
            Some(Cursor::Integer(number)) => { "delivered up to " code { (number) } },
            Some(Cursor::Token(token)) => { "delivered up to the token " code.cut { (token) } },
            None => "no cursor: each run reads from the start",
        }
        @if let Some(scan) = &checkpoint.scan { "; a listing is open at page " (number(scan.pages)) }
        @if is_braked { "; " strong { "deletions are held back" } }
    }
}

/// What the accounts may still use that it reads from and writes to.
async fn budgets(view: &View, plan: &Pipeline) -> Result<Markup, Problem> {
    let clients = view.engine.clients();
    let mut all = Vec::new();
    for api in apis(&view.engine).filter(|api| plan.connections().any(|name| name == api.name)) {
        if all.iter().any(|(known, ..): &(&Api, _, _, _)| known.name == api.name) {
            continue;
        }
        let client = clients.iter().find(|client| client.name() == api.name);
        let standing = view.engine.limits_of(api).await?;
        let limits = client.map_or(standing.limits, Client::limits);
        all.push((&**api, limits, standing.blocked_until, client));
    }
    let now = view.engine.clock().now();
    Ok(html! {
        @if all.is_empty() { p.empty { "It speaks to no API, so there is nothing to spare." } }
        @for (api, limits, blocked, client) in &all {
            h3 { (api.name) }
            @if let Some(until) = blocked.filter(|until| *until > now) { p.why { "the server asked everybody to wait: on " (when(until, now)) } }
            @if limits.is_empty() { p.none { "no limit is declared or was told" } } @else { dl.limits { @for limit in limits { (limited(limit)) } } }
            @if let Some(client) = client { (used(client)) }
        }
    })
}

fn limited(limit: &LimitView) -> Markup {
    html! {
        dt { (limit.limit) @if limit.learned { span.none { " told" } } }
        dd {
            @match (limit.left, limit.of) {
                (Some(left), Some(of)) => { (chart::gauge(of.saturating_sub(left), of)) span { (number(left)) " of " (number(of)) " left" } },
                (Some(left), None) => { span { (number(left)) " left" } },
                (None, Some(of)) => { span { "of " (number(of)) ", what is left is not known" } },
                (None, None) => { span.none { "not known" } },
            }
        }
    }
}

fn used(client: &Client) -> Markup {
    let usage = client.usage();
    let left_alone: Vec<_> =
        client.breakers().into_iter().filter(|(_, state)| *state != BreakerState::Closed).collect();
    html! {
        p.fine {
            (count(usage.requests, "request", "requests")) ", " (count(usage.retries, "retry", "retries")) ", "
            (number(usage.throttled)) " × 429, waited " (span(usage.waited)) " since the service began"
        }
        @for (call, _) in &left_alone { p.why { code { (call) } " is left alone for a while: its server does not work" } }
    }
}

fn history(runs: &[&Run], now: DateTime<Utc>) -> Markup {
    let (mut latency, mut became) = (Latency::default(), Became::default());
    for run in runs {
        latency.merge(&run.latency);
        let more = Became::of(&run.counts);
        became = Became {
            written: became.written + more.written,
            left: became.left + more.left,
            refused: became.refused + more.refused,
        };
    }
    html! {
        section #runs aria-labelledby="h-runs" data-live {
            h2 #h-runs { "Runs" }
            @if runs.is_empty() {
                div.empty { p { strong { "It has not run yet." } } p { "Run it now with the button above, or wait for its schedule." } }
            } @else {
                div.columns {
                    div { h3 { "Records of the last " (count(runs.len() as u64, "run", "runs")) } (chart::verdict_bars(runs, now)) (chart::verdict_sum(became)) }
                    div {
                        h3 { "From reading to verdict" }
                        (chart::latency(runs, now))
                        ul.legend {
                            @for (name, share) in chart::SHARES {
                                li { span class={ "key " (name) } {} (name) " " strong { (latency.quantile(share).map_or("–".to_owned(), span)) } }
                            }
                        }
                    }
                }
                (run_table(&runs[runs.len().saturating_sub(RUNS_LISTED)..], now))
            }
        }
    }
}

fn run_table(runs: &[&Run], now: DateTime<Utc>) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Table of the last runs" {
            table {
                caption { "The last " (count(runs.len() as u64, "run", "runs")) ", newest first" }
                thead {
                    tr {
                        th scope="col" { "Began" } th scope="col" { "Outcome" } th.num scope="col" { "Took" } th.num scope="col" { "Read" }
                        th.num scope="col" { "Written" } th.num scope="col" { "Unchanged" } th.num scope="col" { "Refused" }
                        th.num scope="col" { "p50 · p95 · p99" } th.num scope="col" { "Requests" }
                    }
                }
                tbody {
                    @for run in runs.iter().rev() {
                        @let became = Became::of(&run.counts);
                        tr {
                            th scope="row" { a href=(path("/runs/", &run.id)) { (when(run.started_at, now)) } }
                            td { (frame::outcome(run)) @if let Some(fault) = &run.fault { span.why { code { (fault.code) } } } }
                            td.num { (chart::took(run).map_or("–".to_owned(), span)) }
                            td.num { (number(run.counts.read + run.counts.resumed)) }
                            td.num { (number(became.written)) }
                            td.num { (number(became.left)) }
                            td.num { (number(became.refused)) }
                            td.num { (quantiles(&run.latency)) }
                            td.num { (number(run.requests)) }
                        }
                    }
                }
            }
        }
    }
}

fn letter_table(plan: &Pipeline, letters: &[DeadLetter], now: DateTime<Utc>) -> Markup {
    html! {
        @if letters.is_empty() { p.empty { "None. A record that the sink refuses stands here until it is accepted." } } @else {
            div.actions { (frame::button(&format!("{}/replay", path("/pipelines/", &plan.name)), "Replay all of them", "")) }
            (letter_list(letters, now))
        }
    }
}

pub fn letter_list(letters: &[DeadLetter], now: DateTime<Utc>) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Table of dead letters" {
            table {
                caption {
                    (count(letters.len() as u64, "dead letter", "dead letters"))
                    @if letters.len() > LETTERS_LISTED { ", the newest " (LETTERS_LISTED) }
                }
                thead { tr { th scope="col" { "Record" } th scope="col" { "Why" } th scope="col" { "Kind" } th.num scope="col" { "Met" } th scope="col" { "Last" } } }
                tbody {
                    @for letter in letters.iter().take(LETTERS_LISTED) {
                        tr {
                            th scope="row" {
                                a href=(path("/dead-letters/", &letter.id)) {
                                    @match &letter.key { Some(key) => (key), None => "without a key" }
                                }
                            }
                            td { span.cut { (letter.reason.message) } " " code { (letter.reason.code) } }
                            td { (kind(letter)) @if letter.edited.is_some() { ", edited" } @if letter.in_doubt() { ", in doubt" } }
                            td.num { (number(letter.times)) " ×" }
                            td { (when(letter.at, now)) }
                        }
                    }
                }
            }
        }
    }
}
