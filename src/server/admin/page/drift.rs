//! What a run's page says of contracts: in what records differed, and which calls their vendor says will end.

use maud::{Markup, html};

use super::words::{count, number};
use crate::{
    model::{DRIFT_ROWS_MAX, Drift},
    store::Run,
};

/// Both, as far as there is something to say.
pub fn of(run: &Run) -> Markup {
    html! {
        @if !run.drift.is_empty() { section aria-labelledby="h-drift" { h2 #h-drift { "What differed from a contract" } (differences(&run.drift)) } }
        @if !run.notices.is_empty() {
            section aria-labelledby="h-ending" {
                h2 #h-ending { "Calls that will end" }
                ul { @for notice in &run.notices { li { (notice.to_string()) } } }
            }
        }
    }
}

fn differences(drift: &Drift) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Table of differences" {
            table {
                caption {
                    (count(drift.rows.len() as u64, "place", "places"))
                    @if drift.left_out > 0 { ", and more than the " (DRIFT_ROWS_MAX) " that are kept" }
                }
                thead { tr { th scope="col" { "Place" } th scope="col" { "Difference" } th scope="col" { "Such as" } th.num scope="col" { "Records" } } }
                tbody {
                    @for row in &drift.rows {
                        tr {
                            th scope="row" { code { (row.path) } ", " (row.end.name()) }
                            td {
                                (row.kind.name().replace('_', " "))
                                @if !row.expected.is_empty() { ": " (row.found) ", not " (row.expected) }
                            }
                            td { (row.sample) }
                            td.num { (number(row.records)) }
                        }
                    }
                }
            }
        }
    }
}
