//! Cases of connectors: those of this repository, what is said of those that are wrong, and those that are recorded.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

mod catalogue;
mod differing;
#[path = "../cli/harness.rs"]
#[expect(dead_code, reason = "the tests of the command line use more of it")]
mod harness;
mod recording;
