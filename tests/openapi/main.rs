//! Connectors from OpenAPI documents: what is proposed validates, its first stream reads from a mock of the document, and broken
//! documents are refused with one sentence.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod bad_input;
mod mock;
mod proposing;
