//! Drills as they are typed: the real program leads pipelines through trouble, as child processes that are really killed.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

#[path = "../cli/harness.rs"]
#[expect(dead_code, reason = "the tests of the command line use more of it")]
mod harness;
mod honest;
mod kinds;
mod repository;
mod rig;
mod safe;
