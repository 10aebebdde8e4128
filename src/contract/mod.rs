//! What people and vendors say a record looks like, as JSON Schemas: whether a record fits, in what it differs, and what changed
//! from one schema to the next.
//!
//! ```text
//!   schema + record -> look   the differences, each with its place and kind
//!   schema + schema -> diff   the changes, each compatible or breaking for who reads or who sends
//! ```
//!
//! Nothing here reads a file, asks a server, or decides what a difference leads to. The hard idea is that "fits" is the schema's own
//! word, as JSON Schema defines it, and that a field of which it says nothing is a difference all the same, and no misfit.

mod diff;
mod known;
mod look;
mod pointer;
mod refs;
mod schema;
mod view;

pub use diff::{At, Change, Direction, diff};
pub use look::Sighting;
pub use pointer::{decoded, escaped};
pub use schema::{RecordSchema, Violation};
