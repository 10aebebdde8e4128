//! What a vendor publishes about its API, as an OpenAPI document (3.0, 3.1) or a Swagger 2.0 one: a connector is proposed from
//! it, and held against it.
//!
//! ```text
//!   file -> read -> Document     a tree inside bounds, every reference of which leads somewhere
//!   Document -> calls            methods, paths, parameters, bodies and answers, both generations alike
//!   calls -> propose -> text     connector.yaml and README.md, with what could not be told
//!   calls + connector -> check   what of the connector is not there, or does not fit
//! ```
//!
//! The hard idea is honesty: a document says what may be sent, and seldom why it is safe to send it twice or which field grows
//! with every change. What it does not say is written down as not said, beside the safe default.

mod call;
mod check;
mod document;
mod propose;
mod read;
mod schema;
mod words;

pub use check::{Changed, Checked, Told, check};
pub use document::{Document, Trouble};
pub use propose::{Look, Proposal, Wanted, propose};
pub use read::read;
