//! A folder of CSV files as typed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{shape::Spanned, units::Size};

/// A folder of CSV files (RFC 4180): the fields of the pipeline are their columns.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawCsvFolder {
    /// The folder, relative to the workspace.
    pub path: Spanned<String>,
    /// A file that reached this size is closed and the next one begun. Default 128MiB, from 1kB to 100GB.
    pub rotate: Option<Spanned<Size>>,
    /// What stands between two cells: one character, such as `;` or a tab. Default `,`.
    pub separator: Option<Spanned<String>>,
}
