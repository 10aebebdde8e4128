//! From YAML to a checked plan. Everything that can be known to be wrong before running is found here, in all files at
//! once, each with its place, its source line and help; only [`plan`] leaves this room.
//!
//! ```text
//!   files -> yaml -> node         text to a tree with places, inside bounds
//!   node  -> read -> raw_*        as typed: shapes and kinds, with `${...}` filled
//!   raw_* -> compile_* -> plan    as meant: defaults, names, expressions, contradictions
//! ```
//!
//! The hard idea is that no mistake hides another: a part that cannot be read is dropped and the rest is still checked,
//! and nothing is reported twice because it was dropped.

mod access;
mod calendar;
mod check;
mod compile_admin;
mod compile_answer;
mod compile_auth;
mod compile_body;
mod compile_budget;
mod compile_case;
mod compile_connection;
mod compile_connector;
mod compile_contract;
mod compile_decode;
mod compile_deletes;
mod compile_expand;
mod compile_export;
mod compile_folder;
mod compile_ingress;
mod compile_job;
mod compile_lookup;
mod compile_mysql;
mod compile_oauth2;
mod compile_operation;
mod compile_personal;
mod compile_personal_keys;
mod compile_personal_way;
mod compile_pipeline;
mod compile_poll;
mod compile_repeat;
mod compile_rows;
mod compile_s3;
mod compile_schedule;
mod compile_settings;
mod compile_sign;
mod compile_slices;
mod compile_slo;
mod compile_steps;
mod compile_stream;
mod compile_targets;
mod compile_telemetry;
mod cron_line;
mod diagnostic;
mod document;
mod environment;
mod files;
mod fill;
mod footprint;
mod load;
mod load_cases;
mod load_connector;
mod mistake;
mod names;
mod node;
pub mod plan;
mod plan_admin;
mod plan_answer;
mod plan_auth;
mod plan_budget;
pub mod plan_case;
mod plan_contract;
mod plan_decode;
mod plan_deletes;
mod plan_export;
mod plan_incremental;
mod plan_ingress;
mod plan_operation;
mod plan_paginate;
mod plan_personal;
mod plan_pipeline;
mod plan_place;
mod plan_poll;
mod plan_repeat;
mod plan_rows;
mod plan_schedule;
mod plan_sign;
mod plan_slices;
mod plan_slo;
mod plan_steps;
mod plan_telemetry;
mod raw_admin;
mod raw_answer;
mod raw_auth;
mod raw_budget;
mod raw_case;
mod raw_connector;
mod raw_contract;
mod raw_decode;
mod raw_deletes;
mod raw_export;
mod raw_folder;
mod raw_ingress;
mod raw_mysql;
mod raw_operation;
mod raw_personal;
mod raw_pipeline;
mod raw_repeat;
mod raw_rows;
mod raw_s3;
mod raw_schedule;
mod raw_shared;
mod raw_sign;
mod raw_slices;
mod raw_slo;
mod raw_sqlite;
mod raw_steps;
mod raw_stream;
mod raw_telemetry;
mod raw_workspace;
mod read;
mod reference;
mod render;
mod schema;
mod shape;
mod source;
mod stand_in;
mod suggest;
#[cfg(test)]
mod tests_answer;
#[cfg(test)]
mod tests_auth;
#[cfg(test)]
mod tests_budget;
#[cfg(test)]
mod tests_contract;
#[cfg(test)]
mod tests_csv;
#[cfg(test)]
mod tests_deletes;
#[cfg(test)]
mod tests_ingress;
#[cfg(test)]
mod tests_load;
#[cfg(test)]
mod tests_mysql;
#[cfg(test)]
mod tests_personal;
#[cfg(test)]
mod tests_repeat;
#[cfg(test)]
mod tests_rows;
#[cfg(test)]
mod tests_schedule;
#[cfg(test)]
mod tests_schema;
#[cfg(test)]
mod tests_slo;
#[cfg(test)]
mod tests_steps;
#[cfg(test)]
mod tests_targets;
#[cfg(test)]
mod tests_telemetry;
mod trace;
mod units;
mod yaml;

pub use diagnostic::{Diagnostic, Related, Report, Severity};
pub use document::{Unreadable, yaml_document};
pub use environment::{Environment, MapEnvironment, SystemEnvironment};
pub use footprint::Footprint;
pub use load::{Checked, WORKSPACE_FILE, check, load, load_connections, load_for};
pub use load_cases::{connector_names, load_cases, personal_names};
pub use load_connector::{OneConnector, load_connector};
pub use plan::Plan;
pub use reference::reference;
pub use schema::{FileKind, schema};
pub use suggest::nearest;

/// A time as people write it in the files: `30s`, `7d`, `PT30S`.
pub fn time(text: &str) -> Option<std::time::Duration> {
    units::Time::parse(text).map(|units::Time(time)| time)
}
