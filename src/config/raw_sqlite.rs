//! A SQLite file as typed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::shape::Spanned;

/// A SQLite file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawSqlite {
    /// The file, relative to the workspace. It is made by the first run that writes to it; its folder must be there.
    pub path: Spanned<String>,
}
