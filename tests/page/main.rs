//! The page of a real service over real sockets: read as bytes, and used in a browser. The browser is Debian's Chromium; `scripts/test`
//! brings it along.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

mod browser;
#[path = "../cli/harness.rs"]
#[expect(dead_code, reason = "the tests of the command line use more of it")]
mod harness;
#[path = "../cli/raw.rs"]
#[expect(dead_code, reason = "the tests of the command line use more of it")]
mod raw;
mod reading;
mod rig;
#[path = "../cli/vendor.rs"]
#[expect(dead_code, reason = "the tests of the command line use more of it")]
mod vendor;
