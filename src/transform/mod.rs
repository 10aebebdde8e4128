//! Pure work on records: the steps of a pipeline, and the mapping of their fields for the sink. Nothing here does IO, and nothing
//! depends on anything but the records, the plan, and for two kinds of steps on what they are handed: what was looked up for the
//! page, and what a listing has shown before. So the same always gives the same result.
//!
//! The hard idea: a record stays text. Steps move the raw slices of its fields about; a field that no step touches keeps
//! its bytes and its place, and a record that no step changes stays the very slice of the page it came in.

mod coerce;
mod contract;
mod dedupe;
mod draft;
mod each;
mod edit;
mod expand;
mod flatten;
mod lookup;
mod mapping;
mod mask;
mod memory;
mod personal;
mod steps;
#[cfg(test)]
mod tests;

pub use contract::{Contract, Unfit};
pub use draft::Draft;
pub use expand::{Unexpanded, parts};
pub use lookup::{Found, Lookup, Table};
pub use mapping::Mapping;
pub use mask::{masked, masked_json, masked_text};
pub use memory::{Memory, Warned};
pub use personal::Personal;
pub use steps::{Outcome, Stage, Transform};
