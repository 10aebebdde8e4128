//! Places that records are written to without an API.

use std::path::PathBuf;

use secrecy::SecretString;

/// A folder of files: JSON Lines, or CSV.
#[derive(Clone, Debug)]
pub struct Jsonl {
    pub name: String,
    pub folder: PathBuf,
    /// A segment that reached this size is closed and the next one begun. Default 128 MiB.
    pub rotate_bytes: u64,
    /// What stands between the cells, if they are CSV files.
    pub csv: Option<char>,
}

/// A PostgreSQL database.
#[derive(Debug)]
pub struct Postgres {
    pub name: String,
    /// `postgres://user:password@host:port/database?sslmode=...`
    pub url: SecretString,
    /// Default `public`.
    pub schema: String,
    pub ca: Option<PathBuf>,
}
