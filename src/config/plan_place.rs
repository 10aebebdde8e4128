//! Places that records are written to without an API.

use std::{fmt, path::PathBuf, sync::Arc};

use secrecy::SecretString;

use super::plan::Api;

/// A folder of files, on this machine or in a bucket.
#[derive(Clone, Debug)]
pub struct Folder {
    pub name: String,
    pub place: Place,
    /// A segment that reached this size is closed and the next one begun. Default 128 MiB; 8 MiB where segments are written whole.
    pub rotate_bytes: u64,
    pub form: Files,
}

/// Where a folder is.
#[derive(Clone, Debug)]
pub enum Place {
    Path(PathBuf),
    S3(Arc<S3>),
}

/// A part of a bucket of S3, or of a server that speaks its language.
#[derive(Debug)]
pub struct S3 {
    /// Its base URL is the bucket's.
    pub api: Arc<Api>,
    /// What the names of all objects begin with: nothing, or a text that ends with `/`.
    pub prefix: String,
}

/// What files hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Files {
    JsonLines,
    /// With this character between cells.
    Csv(char),
    Parquet,
}

impl Files {
    /// The name of the form, which is the ending of file names too.
    pub fn ending(self) -> &'static str {
        match self {
            Self::JsonLines => "jsonl",
            Self::Csv(_) => "csv",
            Self::Parquet => "parquet",
        }
    }
}

impl Folder {
    /// Segments are written whole, one for each commit, because nothing can be added to them later.
    pub fn is_whole(&self) -> bool {
        matches!(self.place, Place::S3(_)) || self.form == Files::Parquet
    }

    /// The account that requests are sent with, if it is in a bucket.
    pub fn api(&self) -> Option<&Arc<Api>> {
        match &self.place {
            Place::Path(_) => None,
            Place::S3(bucket) => Some(&bucket.api),
        }
    }

    /// The built-in kind of connection that it is.
    pub fn kind(&self) -> &'static str {
        match self.place {
            Place::Path(_) => self.form.ending(),
            Place::S3(_) => "s3",
        }
    }
}

/// A column of a file that has columns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileColumn {
    pub name: String,
    pub kind: ColumnKind,
}

/// What a column of a Parquet file holds. Cells of CSV files are texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ColumnKind {
    /// Texts as they are; other values as their JSON text.
    Text,
    Json,
    Boolean,
    BigInt,
    Double,
    /// Digits in all, and behind the point.
    Decimal(u8, u8),
    Date,
    /// Microseconds in UTC.
    Timestamp,
}

impl fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Json => f.write_str("json"),
            Self::Boolean => f.write_str("boolean"),
            Self::BigInt => f.write_str("bigint"),
            Self::Double => f.write_str("double"),
            Self::Decimal(digits, behind) => write!(f, "decimal({digits},{behind})"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp"),
        }
    }
}

/// A database, of whichever kind.
#[derive(Clone, Debug)]
pub enum Database {
    Postgres(Arc<Postgres>),
    Sqlite(Arc<Sqlite>),
    Mysql(Arc<Mysql>),
}

impl Database {
    /// The connection's name.
    pub fn name(&self) -> &str {
        match self {
            Database::Postgres(postgres) => &postgres.name,
            Database::Sqlite(sqlite) => &sqlite.name,
            Database::Mysql(mysql) => &mysql.name,
        }
    }
}

/// A SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    pub name: String,
    pub path: PathBuf,
}

/// A MySQL or MariaDB database.
#[derive(Debug)]
pub struct Mysql {
    pub name: String,
    /// `mysql://user:password@host:port/database?ssl-mode=...`
    pub url: SecretString,
    pub ca: Option<PathBuf>,
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
