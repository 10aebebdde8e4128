//! Folders of files as typed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{shape::Spanned, units::Size};

/// A folder of JSON Lines files.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawJsonl {
    /// The folder, relative to the workspace.
    pub path: Spanned<String>,
    /// A file that reached this size is closed and the next one begun. Default 128MiB, from 1kB to 100GB.
    pub rotate: Option<Spanned<Size>>,
}

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

/// A folder of Parquet files. `fields` of a pipeline are their columns, and `columns` says what these hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawParquetFolder {
    /// The folder, relative to the workspace.
    pub path: Spanned<String>,
    /// A file ends with the page that makes its records this large. It is put together in memory. Default 8MiB, from 1kB to 64MiB.
    pub rotate: Option<Spanned<Size>>,
}
