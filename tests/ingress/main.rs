//! The front door over real sockets: the real engine and store behind it, and the sandbox's CRM with its faults as the sink.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

mod callers;
mod hostile;
mod keys;
mod listening;
mod merging;
mod pushing;
mod rig;
