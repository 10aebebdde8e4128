//! The front door over real sockets: the real engine and store behind it, and the sandbox's CRM with its faults as the sink.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_macros, reason = "a test prints its figures")]

mod callers;
mod hostile;
mod keys;
mod listening;
mod load;
mod merging;
mod pushing;
mod rig;
