//! What connectors and connections both may say, as typed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{shape::Spanned, units::Time};

/// How long a request may take.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTimeouts {
    /// Until the connection stands. Default 1s, at most 60s.
    pub connect: Option<Spanned<Time>>,
    /// One attempt, from sending to the last byte of the answer. Default 5s, at most 10m.
    pub attempt: Option<Spanned<Time>>,
}

/// How often a call is tried.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRetry {
    /// Attempts in all, the first one included. Default 3, from 1 to 10.
    pub attempts: Option<Spanned<u64>>,
    /// The first delay is up to this; doubled for each further attempt. Default 500ms.
    pub base: Option<Spanned<Time>>,
    /// No delay is longer. Default 30s, at most 1h.
    pub cap: Option<Spanned<Time>>,
}
