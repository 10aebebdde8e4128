//! Rows of a database that are read as a stream.

use super::plan_place::Database;

/// Which rows, and how.
#[derive(Clone, Debug)]
pub struct Rows {
    pub database: Database,
    pub of: RowsOf,
    /// Columns that name a row for good. At least one; of an outbox exactly one.
    pub key: Vec<String>,
    /// The column that grows with every change.
    pub cursor: Option<String>,
    /// Rows that are read at once. Default 1000, of an outbox 100; at most 10,000.
    pub page: usize,
}

#[derive(Clone, Debug)]
pub enum RowsOf {
    Table(String),
    /// One `SELECT`.
    Query(String),
    Outbox(OutboxTable),
}

/// A table whose rows go from PENDING to SENT or FAILED.
#[derive(Clone, Debug)]
pub struct OutboxTable {
    pub table: String,
    /// Tells which of two rows comes first. Default: the key.
    pub order: String,
    /// Rows of one value go one after the other.
    pub aggregate: Option<String>,
    /// Default `state`.
    pub state: String,
}

impl Rows {
    pub fn outbox(&self) -> Option<&OutboxTable> {
        match &self.of {
            RowsOf::Outbox(outbox) => Some(outbox),
            RowsOf::Table(_) | RowsOf::Query(_) => None,
        }
    }
}
