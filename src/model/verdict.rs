//! How a record ended. Every record that was read gets exactly one verdict.

use serde::{Deserialize, Serialize};

use super::Code;

/// Why a record was rejected or parked: a code with a page in `docs/errors/`, and one sentence about this record.
/// The sentence never quotes a field's value.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reason {
    pub code: Code,
    pub message: String,
}

impl Reason {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The sink made something new; its id there, where the sink names one.
    Created(Option<String>),
    Updated(Option<String>),
    /// The sink already holds this content; nothing was sent, or the sink said so.
    Unchanged,
    Deleted,
    /// A step or a rule of the pipeline said that this record does not go on.
    Skipped,
    /// It will never be accepted as it is. Dead letter.
    Rejected(Reason),
    /// It may be accepted later, or its outcome is unknown and must not be repeated. Dead letter for a person.
    Parked(Reason),
}
