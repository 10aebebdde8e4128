//! Connectors from OpenAPI documents: what is proposed validates, its first stream reads from a mock of the document, and broken
//! documents are refused with one sentence.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_macros, reason = "a test prints what it found")]

mod bad_input;
mod checking;
mod mock;
mod proposing;
