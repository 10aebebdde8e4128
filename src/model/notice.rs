//! What a vendor says in its answers about the end of a call: that it is deprecated (RFC 9745) and when it goes (RFC 8594).

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// About one call of a connection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Notice {
    pub connection: String,
    /// The stream or operation.
    pub name: String,
    /// Method and path template.
    pub call: String,
    pub deprecated: bool,
    /// Since when, or from when on, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated_at: Option<DateTime<Utc>>,
    /// When it is likely to stop answering.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sunset_at: Option<DateTime<Utc>>,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.connection, self.call, self.name)?;
        let day = |at: DateTime<Utc>| at.format("%Y-%m-%d");
        match (self.deprecated, self.deprecated_at) {
            (true, Some(at)) => write!(f, " is deprecated as of {}", day(at))?,
            (true, None) => f.write_str(" is deprecated")?,
            (false, _) => {}
        }
        match self.sunset_at {
            Some(at) if self.deprecated => write!(f, " and ends on {}", day(at)),
            Some(at) => write!(f, " ends on {}", day(at)),
            None => Ok(()),
        }
    }
}
