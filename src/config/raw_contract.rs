//! What a record that differs from its schema leads to, as typed.

use schemars::JsonSchema;
use serde::Deserialize;

/// What a difference between a record and its schema leads to. All of them are counted in the run's report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawContract {
    /// Every record goes on. A difference is told by the first run that meets it, and is expected from then on.
    Evolve,
    /// Every record goes on. Each run says what differed.
    Warn,
    /// A record that does not fit becomes a dead letter; the others go on.
    Reject,
    /// The run stops before the first page with a record that does not fit, and waits for a person.
    Freeze,
}
