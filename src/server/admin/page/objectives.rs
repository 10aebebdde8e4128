//! What a pipeline is to keep, how it keeps it, and what is done about it: the same account that the admin API gives.

use std::time::Duration;

use maud::{Markup, html};
use serde_json::Value;

use super::words::span;

/// Nothing where the pipeline declares no objective.
pub fn section(shown: Option<&Value>) -> Markup {
    let list = |name: &str| shown.and_then(|shown| shown[name].as_array()).cloned().unwrap_or_default();
    let (objectives, in_force) = (list("objectives"), list("in_force"));
    html! {
        @if shown.is_some() {
            section #objectives aria-labelledby="h-objectives" data-live {
                h2 #h-objectives { "Objectives" }
                @for reaction in &in_force {
                    p { strong { "In force: " (text(&reaction["do"])) } " for " (text(&reaction["objective"])) ". " (text(&reaction["why"])) }
                }
                div.scroll tabindex="0" role="region" aria-label="Table of objectives" { (table(&objectives)) }
            }
        }
    }
}

fn table(objectives: &[Value]) -> Markup {
    html! {
        table {
            caption { "A budget that burns at 1 lasts just as long as the objective's window" }
            thead { tr {
                th scope="col" { "Objective" } th.num scope="col" { "Now" } th.num scope="col" { "Good within an hour" } th.num scope="col" { "To keep" }
                th.num scope="col" { "Burn 5 min · 1 h" } th.num scope="col" { "Burn 30 min · 6 h" }
            } }
            tbody {
                @for it in objectives {
                    tr {
                        th scope="row" { (text(&it["objective"])) @if let Some(limit) = seconds(&it["limit_seconds"]) { " of " (limit) } }
                        td.num { (if it["limit_seconds"].is_null() { percent(&it["now"]) } else { seconds(&it["now"]).unwrap_or_else(none) }) }
                        td.num { (percent(&it["good_within_an_hour"])) }
                        td.num { (percent(&it["target"])) }
                        td.num { (burn(it, "5m")) " · " (burn(it, "1h")) }
                        td.num { (burn(it, "30m")) " · " (burn(it, "6h")) }
                    }
                }
            }
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn none() -> String {
    "–".to_owned()
}

fn seconds(value: &Value) -> Option<String> {
    value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).map(span)
}

fn percent(part: &Value) -> String {
    part.as_f64().map_or_else(none, |part| format!("{:.1} %", part * 100.0))
}

fn burn(objective: &Value, window: &str) -> String {
    objective["burn_rates"][window].as_f64().map_or_else(none, |rate| format!("{rate:.1}"))
}
