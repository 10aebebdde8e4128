//! Pure work on one record: the steps of a pipeline, and the mapping of its fields for the sink. Nothing here does IO,
//! and nothing depends on anything but the record and the plan, so the same record always gives the same result.
//!
//! The hard idea: a record stays text. Steps move the raw slices of its fields about; a field that no step touches keeps
//! its bytes and its place, and a record that no step changes stays the very slice of the page it came in.

mod draft;
mod edit;
mod mapping;
mod mask;
mod personal;
mod steps;
#[cfg(test)]
mod tests;

pub use draft::Draft;
pub use mapping::Mapping;
pub use mask::{masked, masked_json, masked_text};
pub use personal::Personal;
pub use steps::{Outcome, Skip, Transform};
