//! Places that records are written to without an API.

use std::{path::PathBuf, sync::Arc};

use secrecy::SecretString;

/// A folder of files: JSON Lines, or CSV.
#[derive(Clone, Debug)]
pub struct Folder {
    pub name: String,
    pub path: PathBuf,
    /// A segment that reached this size is closed and the next one begun. Default 128 MiB.
    pub rotate_bytes: u64,
    /// What stands between the cells, if they are CSV files.
    pub csv: Option<char>,
}

/// A database, of whichever kind.
#[derive(Clone, Debug)]
pub enum Database {
    Postgres(Arc<Postgres>),
    Sqlite(Arc<Sqlite>),
}

impl Database {
    /// The connection's name.
    pub fn name(&self) -> &str {
        match self {
            Database::Postgres(postgres) => &postgres.name,
            Database::Sqlite(sqlite) => &sqlite.name,
        }
    }
}

/// A SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    pub name: String,
    pub path: PathBuf,
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
