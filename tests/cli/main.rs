//! The command line as it is met from outside: arguments, exit code, stdout and stderr.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_macros, reason = "a test prints its seed")]

mod demo;
mod harness;
mod kill;
mod running;
mod signals;
mod typing;
mod workspaces;
