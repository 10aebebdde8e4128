//! All pipelines at a glance, the ones that need somebody first.

use std::collections::BTreeMap;

use axum::response::Response;
use chrono::{DateTime, Utc};
use http::StatusCode;
use maud::{Markup, html};

use super::{
    chart::{self, SHARES},
    frame::{self, Notice},
    path, respond,
    words::{between, count, number, rate, span, when},
};
use crate::{
    config::plan::Pipeline,
    engine::{Doing, Standing},
    model::Latency,
    server::admin::{Desk, call::Call, problem::Problem},
    store::{Run, RunState},
};

/// Pipelines of one page. A new tab paints 25 in about 100 ms where an empty page takes 60; 50 took half as long again.
const PAGE: usize = 25;
/// Runs that are looked at for all pipelines together.
const RUNS_LOOKED_AT: usize = 2_000;

/// What is asked for.
struct Asked {
    state: Option<Doing>,
    name: String,
    page: usize,
}

/// One pipeline.
struct Line<'v> {
    plan: &'v Pipeline,
    standing: &'v Standing,
    /// Oldest first.
    runs: Vec<&'v Run>,
    latency: Latency,
    letters: usize,
    fresh: Option<DateTime<Utc>>,
}

pub async fn show(desk: &Desk, call: &Call) -> Result<Response, Problem> {
    let asked = Asked::of(call);
    let view = desk.look().await?;
    let (state, now) = (view.engine.state(), view.engine.clock().now());
    let letters = state.letter_counts().await?;
    let runs = state.latest_runs(None, now, RUNS_LOOKED_AT, |_| true).await?;
    let mut by_pipeline: BTreeMap<&str, Vec<&Run>> = BTreeMap::new();
    runs.iter().for_each(|run| by_pipeline.entry(&run.pipeline).or_default().push(run));
    let mut lines: Vec<Line<'_>> = Vec::new();
    for standing in &view.standings {
        let name = &*standing.pipeline;
        let Some(plan) = view.engine.plan().pipelines.get(name) else { continue };
        if asked.takes(standing) {
            let mut runs = by_pipeline.remove(name).unwrap_or_default();
            let fresh = fresh(desk, plan, &runs);
            let mut latency = Latency::default();
            runs.iter().for_each(|run| latency.merge(&run.latency));
            runs.truncate(chart::SPARKS);
            runs.reverse();
            let letters = letters.get(name).copied().unwrap_or_default();
            lines.push(Line { plan, standing, runs, latency, letters, fresh });
        }
    }
    lines.sort_by_key(|line| rank(line.standing.state));
    let pages = lines.len().div_ceil(PAGE).max(1);
    let page = asked.page.min(pages);
    let shown: Vec<Line<'_>> = lines.into_iter().skip((page - 1) * PAGE).take(PAGE).collect();
    let body = html! {
        section #summary aria-label="How many pipelines do what" data-live { (summary(&view.standings, &asked)) }
        section #pipelines aria-label="Pipelines" data-live {
            @if shown.is_empty() { (empty(view.standings.is_empty())) } @else { (table(&shown, now)) }
            @if pages > 1 { (pager(&asked, page, pages)) }
        }
        @if desk.guard.has_token() {
            form.sign-out method="post" action="/sign-out" data-leaves { button type="submit" { "Sign out" } }
        }
    };
    let notice = Notice::done(call.parameter("said"));
    Ok(respond(StatusCode::OK, frame::page("Pipelines", notice.as_ref(), &[], body)))
}

/// When the last run that was done began; `runs` are the newest first. Pushed records are delivered by no run of the schedule, which is where
/// that is remembered: of a pipeline with them it may be the end of a delivery.
pub fn fresh(desk: &Desk, plan: &Pipeline, runs: &[&Run]) -> Option<DateTime<Utc>> {
    let is_pushed = plan.from.ingress.is_some();
    let done = runs.iter().find(|run| is_pushed && run.state == RunState::Done).and_then(|run| run.ended_at);
    desk.hub.tally.of(&plan.name).done_at.max(done)
}

/// What needs somebody comes first.
fn rank(doing: Doing) -> usize {
    let order = [Doing::NeedsPerson, Doing::Waiting, Doing::Running, Doing::Paused, Doing::Idle];
    order.iter().position(|known| *known == doing).unwrap_or(order.len())
}

impl Asked {
    fn of(call: &Call) -> Self {
        let state = call.parameter("state");
        Self {
            state: Doing::ALL.into_iter().find(|doing| Some(doing.name()) == state),
            name: call.parameter("name").unwrap_or_default().trim().to_owned(),
            page: call.parameter("page").and_then(|page| page.parse().ok()).unwrap_or(1).max(1),
        }
    }

    fn takes(&self, standing: &Standing) -> bool {
        self.state.is_none_or(|state| state == standing.state) && standing.pipeline.contains(&self.name)
    }

    /// The address of the same with another state or page.
    fn address(&self, state: Option<Doing>, page: usize) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if let Some(state) = state {
            query.append_pair("state", state.name());
        }
        if !self.name.is_empty() {
            query.append_pair("name", &self.name);
        }
        if page > 1 {
            query.append_pair("page", &page.to_string());
        }
        match query.finish() {
            query if query.is_empty() => "/".to_owned(),
            query => format!("/?{query}"),
        }
    }
}

fn summary(standings: &[Standing], asked: &Asked) -> Markup {
    let of = |doing: Doing| standings.iter().filter(|standing| standing.state == doing).count() as u64;
    let current = |state: Option<Doing>| (asked.state == state).then_some("page");
    html! {
        ul.tabs {
            li { a href=(asked.address(None, 1)) aria-current=[current(None)] { "all " b { (number(standings.len() as u64)) } } }
            @for doing in [Doing::NeedsPerson, Doing::Waiting, Doing::Running, Doing::Paused, Doing::Idle] {
                @if of(doing) > 0 || asked.state == Some(doing) {
                    li {
                        a href=(asked.address(Some(doing), 1)) aria-current=[current(Some(doing))] {
                            (frame::state_name(doing)) " " b { (number(of(doing))) }
                        }
                    }
                }
            }
        }
        form.find method="get" action="/" role="search" {
            @if let Some(state) = asked.state { input type="hidden" name="state" value=(state.name()); }
            label { span.unseen { "Pipelines whose name has" } input type="search" name="name" value=(asked.name) placeholder="find by name"; }
            button type="submit" { "Find" }
        }
    }
}

fn empty(is_bare: bool) -> Markup {
    html! {
        div.empty {
            @if is_bare {
                p { strong { "There is no pipeline yet." } }
                p { "Write one as " code { "pipelines/NAME.yaml" } ", or let " code { "renkei init" } " write an example in an empty folder. The service
                    takes it over as soon as it is saved." }
            } @else {
                p { strong { "No pipeline is like that now." } }
                p { a href="/" { "Show all of them" } }
            }
        }
    }
}

fn table(lines: &[Line<'_>], now: DateTime<Utc>) -> Markup {
    html! {
        // A card for each line, on a narrow window, is no table any more but for its roles.
        table.lines role="table" {
            caption.unseen { "Pipelines, the ones that need a person first" }
            thead role="rowgroup" {
                tr role="row" {
                    th scope="col" role="columnheader" { "Pipeline" }
                    th scope="col" role="columnheader" { "State" }
                    th scope="col" role="columnheader" { "Fresh" }
                    th scope="col" role="columnheader" { "Throughput" }
                    th.num scope="col" role="columnheader" { "p50 · p95 · p99" }
                    th.num scope="col" role="columnheader" { "Dead letters" }
                    th scope="col" role="columnheader" { "Next run" }
                }
            }
            tbody role="rowgroup" { @for line in lines { (row(line, now)) } }
        }
    }
}

fn row(line: &Line<'_>, now: DateTime<Utc>) -> Markup {
    let Line { plan, standing, runs, latency, letters, fresh } = line;
    let records: u64 = runs.iter().map(|run| run.counts.verdicts()).sum();
    let since = runs.first().map(|run| between(run.started_at, now)).unwrap_or_default();
    let address = path("/pipelines/", &plan.name);
    html! {
        tr role="row" {
            th.name scope="row" role="rowheader" { a href=(address) { (plan.name) } (frame::way(plan)) }
            td role="cell" data-label="State" { (frame::state(standing)) (why(standing, now)) }
            td role="cell" data-label="Fresh" { @match fresh { Some(at) => (when(*at, now)), None => span.none { "never" } } }
            td role="cell" data-label="Throughput" { span.flow { (chart::spark(runs)) @if records > 0 { span.rate { (rate(records, since)) } } } }
            td.num role="cell" data-label="p50 · p95 · p99" { (quantiles(latency)) }
            td.num role="cell" data-label="Dead letters" {
                @if *letters > 0 { a.bad href={ (address) "#dead-letters" } { (count(*letters as u64, "letter", "letters")) } } @else { span.none { "none" } }
            }
            td role="cell" data-label="Next run" {
                @match standing.next_run_at { Some(at) => (when(at, now)), None => span.none { (not_by_itself(plan, standing)) } }
            }
        }
    }
}

fn not_by_itself(plan: &Pipeline, standing: &Standing) -> &'static str {
    match (standing.state, &plan.schedule, &plan.from.ingress) {
        (Doing::Paused, ..) => "after resume",
        (_, None, Some(_)) => "when pushed",
        (_, None, None) => "by hand",
        _ => "not known",
    }
}

/// Why it waits.
pub fn why(standing: &Standing, now: DateTime<Utc>) -> Markup {
    html! {
        @if let Some(wait) = &standing.waits {
            span.why { (wait.code.title()) " (" code { (wait.code) } "), tried again " (when(wait.until, now)) }
        }
        @if let Some(since) = standing.paused_since { span.why { "since " (when(since, now)) } }
    }
}

pub fn quantiles(latency: &Latency) -> Markup {
    html! {
        @if latency.is_empty() { span.none { "no records" } } @else {
            span.triple { @for (name, share) in SHARES { span title=(name) { (latency.quantile(share).map(span).unwrap_or_default()) } } }
        }
    }
}

fn pager(asked: &Asked, page: usize, pages: usize) -> Markup {
    html! {
        nav.pager aria-label="Pages of pipelines" {
            @if page > 1 { a rel="prev" href=(asked.address(asked.state, page - 1)) { "Previous" } }
            span { "page " (page) " of " (pages) }
            @if page < pages { a rel="next" href=(asked.address(asked.state, page + 1)) { "Next" } }
        }
    }
}
