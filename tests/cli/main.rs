//! The command line as it is met from outside: arguments, exit code, stdout and stderr.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_macros, reason = "a test prints its seed")]

mod admin;
mod admin_bad_input;
mod admin_letters;
mod audit;
#[path = "../telemetry/collector.rs"]
#[expect(dead_code, reason = "the tests of telemetry use more of it")]
mod collector;
mod deletes;
mod demo;
mod doctor;
mod doctor_tls;
mod echo;
mod harness;
mod host;
mod ingress;
mod kill;
mod letters;
mod limits;
mod links;
mod mistakes;
mod objectives;
#[path = "../auth/openssl.rs"]
#[expect(dead_code, reason = "the tests of signing in use more of it")]
mod openssl;
mod personal;
mod plan;
mod plan_sink;
mod planted;
mod planted_forms;
mod quota;
#[expect(dead_code, reason = "the tests of the page use more of it")]
mod raw;
mod refresh;
mod refusals;
mod running;
mod schedule;
mod serve;
mod sign_in;
mod signals;
mod state_import;
mod table;
mod trace;
mod trace_more;
mod typing;
mod vendor;
mod workspaces;
