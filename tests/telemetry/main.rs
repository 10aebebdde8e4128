//! What the real program tells of itself: log lines, traces and logs over OTLP, and trace context in and out.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

mod collector;
#[path = "../cli/harness.rs"]
#[expect(dead_code, reason = "the tests of the command line use more of it")]
mod harness;
mod lines;
mod pushed;
mod runs;
