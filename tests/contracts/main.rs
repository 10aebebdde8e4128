//! Contracts, through the real program against real servers: what each of the terms leads to, what a run tells of it, that nothing
//! personal is told, calls that will end, and schemas that are compared.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

mod comparing;
mod ending;
#[path = "../cli/harness.rs"]
#[expect(dead_code, reason = "the tests of the command line use more of it")]
mod harness;
mod held;
mod rig;
#[path = "../api/server.rs"]
#[expect(dead_code, reason = "the tests of listings use more of it")]
mod server;
