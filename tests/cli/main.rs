//! The command line as it is met from outside: arguments, exit code, stdout and stderr.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_macros, reason = "a test prints its seed")]

mod admin;
mod admin_bad_input;
mod admin_letters;
mod audit;
mod deletes;
mod demo;
mod harness;
mod host;
mod ingress;
mod kill;
mod letters;
mod limits;
mod links;
mod mistakes;
mod personal;
mod plan;
mod plan_sink;
mod quota;
mod refresh;
mod refusals;
mod running;
mod schedule;
mod serve;
mod sign_in;
mod signals;
mod table;
mod trace;
mod trace_more;
mod typing;
mod vendor;
mod workspaces;
