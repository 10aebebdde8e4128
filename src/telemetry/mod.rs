//! What the program tells of itself: metrics, log lines and traces. Whoever has a fact counts or logs it where it stands; this
//! room knows names, kinds, helps and labels, and how they are written.
//!
//! A metric is not registered anywhere and lives in no global: whoever prints a [`Page`] asks those who know. So one process can hold
//! several engines, and nothing is counted twice.
//!
//! There is no library behind it, because the text format is a page of rules that does not change (Prometheus, "Exposition formats",
//! text version 0.0.4, read 2026-11-24), and libraries bring a registry of their own, derive macros and locks along.

mod histogram;
mod lines;
pub mod otlp;
mod page;
mod spans;
mod table;
mod trace_context;

pub use histogram::{Histogram, LAG_SECONDS, REQUEST_SECONDS, RUN_SECONDS};
pub use lines::{Lines, WriteLine};
pub use page::{CONTENT_TYPE, Page};
pub use spans::{Spans, context_of};
pub use table::*;
pub use trace_context::{SpanId, TraceContext, TraceId};

/// The target of the span around each run, which names the run in every log line.
pub const RUN: &str = "renkei_run";

/// The target of all other spans. They are made only while somebody collects them.
pub const SPAN: &str = "renkei_span";

/// The target of the one line in which a run says at its end how it went.
pub const CANONICAL: &str = "renkei_canonical";
