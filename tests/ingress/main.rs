//! The front door over real sockets.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod listening;
