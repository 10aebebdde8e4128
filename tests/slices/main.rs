//! Streams that are read in slices, over real sockets, into files: by parents, by values, by windows, and through crashes.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod crash;
mod parents;
mod rig;
#[path = "../api/server.rs"]
#[expect(dead_code, reason = "the tests of listings use more of it")]
mod server;
mod targets;
mod windows;
