//! What stands around every page, and the few things that stand on many: notices, states, where a record goes.

use maud::{DOCTYPE, Markup, html};

use super::VERSION;
use crate::{
    config::plan::Pipeline,
    engine::{Doing, Standing},
    model::Code,
    server::admin::problem::Problem,
    store::{Run, RunState},
};

/// What a person is told about what they asked for.
pub struct Notice {
    is_refusal: bool,
    /// Whether it is done, in the first word.
    lead: &'static str,
    text: String,
    help: String,
    code: Option<Code>,
}

impl Notice {
    pub fn of(problem: &Problem) -> Self {
        let [text, help] = problem.said().map(str::to_owned);
        Self { is_refusal: true, lead: "Not done. ", text, help, code: Some(problem.code()) }
    }

    /// Of somebody who only wanted to look.
    pub fn unseen(problem: &Problem) -> Self {
        Self { lead: "", ..Self::of(problem) }
    }

    /// What was done, by the word that the address carries. Another word says nothing, so that no link can put a text here.
    pub fn done(word: Option<&str>) -> Option<Self> {
        let text = match word? {
            "trigger" => "A run begins now.",
            "pause" => "Paused. A run under way goes on to its end; nothing begins any more.",
            "resume" => "Resumed.",
            "cancel" => "The run ends at its next checkpoint.",
            "replay" => "The replay begins when the pipeline is free.",
            "held" => "Nothing was sent again: each letter is held back, see below.",
            "edit" => "The change is kept. The record is sent when it is replayed.",
            "undo" => "The record is again as it was read.",
            _ => return None,
        };
        Some(Self { is_refusal: false, lead: "Done. ", text: text.to_owned(), help: String::new(), code: None })
    }

    pub fn refusal(text: &str, help: &str) -> Self {
        Self { is_refusal: true, lead: "Not done. ", text: text.to_owned(), help: help.to_owned(), code: None }
    }
}

/// A whole page. `crumbs` are the pages above it, each with its address.
pub fn page(title: &str, notice: Option<&Notice>, crumbs: &[(String, &str)], body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · renkei" }
                link rel="stylesheet" href=(format!("/page.css?v={}", *VERSION));
                link rel="icon" href=(format!("/icon.svg?v={}", *VERSION)) type="image/svg+xml";
                script type="module" src=(format!("/page.js?v={}", *VERSION)) {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    nav aria-label="Where you are" {
                        ol {
                            li { a.brand href="/" { "renkei" } }
                            @for (address, name) in crumbs { li { a href=(address) { (name) } } }
                        }
                    }
                    p #live role="status" hidden {}
                }
                main #main tabindex="-1" {
                    div #notice aria-live="polite" {
                        @if let Some(notice) = notice { (told(notice)) }
                    }
                    h1 { (title) }
                    (body)
                }
                footer {
                    p {
                        "renkei " (env!("CARGO_PKG_VERSION")) " · "
                        a href="/openapi.json" { "API" } " · " a href="/metrics" { "metrics" }
                    }
                }
            }
        }
    }
}

fn told(notice: &Notice) -> Markup {
    let kind = if notice.is_refusal { "notice refused" } else { "notice done" };
    html! {
        div class=(kind) {
            p {
                strong { (notice.lead) }
                (notice.text)
                @if let Some(code) = notice.code { " " code { (code) } }
            }
            @if !notice.help.is_empty() { p.help { (notice.help) } }
        }
    }
}

/// A word with a sign of its own, so that colour is never the only difference.
fn chip(kind: &str, sign: &str, text: &str) -> Markup {
    html! {
        span class={ "chip " (kind) } {
            svg viewBox="0 0 12 12" aria-hidden="true" { path d=(sign) {} }
            (text)
        }
    }
}

const RING: &str = "M6 1.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9zM6 3.5a2.5 2.5 0 1 1 0 5a2.5 2.5 0 1 1 0-5z";
const DISC: &str = "M6 1.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9z";
const PLAY: &str = "M3 1.5l7.5 4.5L3 10.5z";
const BARS: &str = "M2.5 2h2.5v8H2.5zM7 2h2.5v8H7z";
const HALF: &str = "M6 1.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9zM6 3a3 3 0 1 1 0 6a3 3 0 1 1 0-6zM6 3a3 3 0 0 0 0 6z";
const ALERT: &str = "M6 .8l5.6 10.4H.4zM5.3 4.4v3.4h1.4V4.4zM5.3 8.6V10h1.4V8.6z";
const TICK: &str = "M1.5 6.2l1.4-1.4l2 2l4.2-4.4l1.4 1.4l-5.6 5.9z";
const SQUARE: &str = "M2.5 2.5h7v7h-7z";

pub fn state(standing: &Standing) -> Markup {
    match standing.state {
        Doing::Idle => chip("calm", RING, "idle"),
        Doing::Running => chip("busy", PLAY, standing.at_work.filter(|work| *work != "run").unwrap_or("running")),
        Doing::Waiting => chip("warn", HALF, "waiting"),
        Doing::NeedsPerson => chip("bad", ALERT, "needs a person"),
        Doing::Paused => chip("calm", BARS, "paused"),
    }
}

/// How a state is called where pipelines are counted by it.
pub fn state_name(doing: Doing) -> &'static str {
    match doing {
        Doing::Idle => "idle",
        Doing::Running => "running",
        Doing::Waiting => "waiting",
        Doing::NeedsPerson => "needs a person",
        Doing::Paused => "paused",
    }
}

pub fn outcome(run: &Run) -> Markup {
    match run.state {
        RunState::Running => chip("busy", PLAY, "running"),
        RunState::Done if run.counts.dead_letters() > 0 => chip("warn", TICK, "done, some refused"),
        RunState::Done => chip("good", TICK, "done"),
        RunState::Stopped => chip("calm", SQUARE, "stopped"),
        RunState::Failed => chip("bad", DISC, "failed"),
    }
}

/// From where through what to where.
pub fn way(plan: &Pipeline) -> Markup {
    let arrow = html! { span.to aria-hidden="true" { "→" } span.unseen { " to " } };
    let ingress = plan.from.api.is_some() && plan.from.ingress.is_some();
    html! {
        span.way {
            span.end { (plan.from.place()) @if ingress { " + ingress" } }
            (arrow)
            @let steps = steps(plan);
            @if !steps.is_empty() { span.steps { (steps.join(" · ")) } (arrow) }
            span.end { (plan.to.place()) }
        }
    }
}

fn steps(plan: &Pipeline) -> Vec<String> {
    let mut all: Vec<String> = plan.steps.iter().map(|step| step.name().to_owned()).collect();
    all.extend(plan.fields.as_ref().map(|fields| format!("map {} fields", fields.len())));
    all
}

/// A button that does one thing.
pub fn button(address: &str, text: &str, kind: &str) -> Markup {
    html! { form method="post" action=(address) { button class=(kind) type="submit" { (text) } } }
}
