//! The spans of a run: one for the run, one for each page that is read, one for each batch that is delivered. They cost nothing while
//! nobody collects them, and hold numbers and names of the configuration, nothing of a record.

use tracing::{Span, field::Empty};

use super::sync::Route;
use crate::{
    model::{Counts, Fault, Page},
    store::{Run, Staged, State},
    telemetry::{RUN, SPAN},
};

/// Requests that a batch names as the ones that brought its records.
const ORIGINS_MAX: usize = 64;

/// The span around a run. Of a target of its own, so that logs for people can leave out what their lines say anyway. Always on: it
/// is looked at by lines of every level.
pub fn of_run(run: &Run, job: &'static str) -> Span {
    tracing::error_span!(
        target: RUN,
        "run",
        run = run.id,
        pipeline = run.pipeline,
        otel.name = format!("run {}", run.pipeline),
        stream = run.stream,
        job,
        outcome = Empty,
        read = Empty,
        written = Empty,
        refused = Empty,
        requests = Empty,
        "error.type" = Empty,
        otel.error = Empty,
    )
}

/// Adds to the span that it is called in how the run went.
pub fn run_over(outcome: &'static str, run: &Run, fault: Option<&Fault>) {
    let (span, counts) = (Span::current(), &run.counts);
    span.record("outcome", outcome);
    span.record("read", counts.read + counts.resumed);
    span.record("written", counts.created + counts.updated + counts.deleted);
    span.record("refused", counts.dead_letters());
    span.record("requests", run.requests);
    if let Some(fault) = fault {
        failed(&span, fault);
    }
}

/// The span of reading a page.
pub fn of_page(stream: &str) -> Span {
    tracing::error_span!(
        target: SPAN,
        "read",
        otel.name = format!("read {stream}"),
        stream,
        records = Empty,
        "error.type" = Empty,
        otel.error = Empty,
    )
}

pub fn page_over(span: &Span, page: Result<&Page, &Fault>) {
    match page {
        Ok(page) => drop(span.record("records", page.records.len() + page.rejects.len())),
        Err(fault) => failed(span, fault),
    }
}

/// The span of delivering a batch, linked to those of the requests that brought its records.
pub async fn of_batch(route: &Route, state: &State, staged: &Staged) -> Span {
    let span = tracing::error_span!(
        target: SPAN,
        "deliver",
        otel.name = format!("deliver {}", route.writes.target()),
        otel.links = Empty,
        sink = route.writes.target(),
        records = staged.items().len(),
        created = Empty,
        updated = Empty,
        deleted = Empty,
        refused = Empty,
        "error.type" = Empty,
        otel.error = Empty,
    );
    if !span.is_disabled() {
        let slips = staged.items().iter().filter_map(|item| item.slip).take(ORIGINS_MAX);
        // A store that fails says so where it is needed.
        let origins = state.origins(&route.stream, slips).await.unwrap_or_default();
        if !origins.is_empty() {
            span.record("otel.links", origins.into_iter().collect::<Vec<_>>().join(" "));
        }
    }
    span
}

pub fn batch_over(span: &Span, counts: Result<Counts, &Fault>) {
    match counts {
        Ok(counts) => {
            span.record("created", counts.created);
            span.record("updated", counts.updated);
            span.record("deleted", counts.deleted);
            span.record("refused", counts.dead_letters());
        }
        Err(fault) => failed(span, fault),
    }
}

fn failed(span: &Span, fault: &Fault) {
    span.record("error.type", fault.code.to_string());
    span.record("otel.error", true);
}
