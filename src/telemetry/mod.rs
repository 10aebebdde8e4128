//! The names of what is measured, and the text that a Prometheus server reads. Whoever has a fact counts it where it stands; this
//! room knows names, kinds, helps and labels, and how they are written.
//!
//! A metric is not registered anywhere and lives in no global: whoever prints a [`Page`] asks those who know. So one process can hold
//! several engines, and nothing is counted twice.
//!
//! There is no library behind it, because the text format is a page of rules that does not change (Prometheus, "Exposition formats",
//! text version 0.0.4, read 2026-11-24), and libraries bring a registry of their own, derive macros and locks along.

mod histogram;
mod page;
mod table;

pub use histogram::{Histogram, LAG_SECONDS, REQUEST_SECONDS, RUN_SECONDS};
pub use page::{CONTENT_TYPE, Page};
pub use table::*;
