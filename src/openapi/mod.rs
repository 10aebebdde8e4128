//! What a vendor publishes about its API, as an OpenAPI document (3.0, 3.1) or a Swagger 2.0 one: a connector is proposed from
//! it.
//!
//! ```text
//!   file -> read -> Document     a tree inside bounds, every reference of which leads somewhere
//!   Document -> calls            methods, paths, parameters, bodies and answers, both generations alike
//!   calls -> propose -> text     connector.yaml and README.md, with what could not be told
//! ```
//!
//! The hard idea is honesty: a document says what may be sent, and seldom why it is safe to send it twice or which field grows
//! with every change. What it does not say is written down as not said, beside the safe default.

mod call;
mod document;
mod propose;
mod read;
mod schema;
mod words;

pub use document::{Document, Trouble};
pub use propose::{Look, Proposal, Wanted, propose};
pub use read::read;
