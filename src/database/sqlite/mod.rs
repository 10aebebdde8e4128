//! One SQLite file: statements and values, off the async threads. Everything above speaks of [`Value`]s, so the library is known here
//! alone.
//!
//! A session is one connection that one piece of work has at a time. Work that nobody waits for any more still comes to its end: who
//! goes on opens a session of its own, and SQLite's lock lets it in when the file is free.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, params_from_iter, types};

use crate::model::{Blame, Code, Disposition, Fault};

/// How long a statement waits for others that write the file.
const BUSY_MAX: Duration = Duration::from_secs(60);
/// Statements that are kept ready.
const STATEMENTS: usize = 64;

/// A value as SQLite stores it.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// What a statement failed with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    /// The values were refused and not the statement: a constraint does not hold, or a value is of a wrong type.
    pub is_value_refused: bool,
    kind: Kind,
    message: String,
    /// What somebody above found in the middle of a piece of work.
    found: Option<Box<Fault>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Somebody else has the file.
    Busy,
    /// The disk or the file's rights.
    Disk,
    /// It is no database, or a damaged one.
    Damaged,
    /// A table or column that is not there, and everything else that is wrong with a statement.
    Statement,
}

/// Whether the file may be written and made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    Read,
    Write,
}

/// An open file.
#[derive(Clone)]
pub struct Session {
    path: PathBuf,
    db: Arc<Mutex<Db>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({})", self.path.display())
    }
}

/// What a piece of work does its statements with.
pub struct Db(Connection);

impl Session {
    /// Opens a file. Where it may be written, it is made if it is not there; its folder must be.
    pub async fn open(path: &Path, access: Access) -> Result<Self, Fault> {
        let own = path.to_owned();
        let opened = blocking(move || Db::open(&own, access)).await?;
        let db = opened.map_err(|error| error.fault(&format!("open {}", path.display())))?;
        Ok(Self { path: path.to_owned(), db: Arc::new(Mutex::new(db)) })
    }

    /// Does a piece of work; `doing` follows "failed to" where it fails.
    pub async fn run<T: Send + 'static>(
        &self,
        doing: &str,
        work: impl FnOnce(&mut Db) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Fault> {
        let db = self.db.clone();
        let done = blocking(move || work(&mut db.lock().unwrap_or_else(PoisonError::into_inner))).await?;
        done.map_err(|error| error.fault(&format!("{doing} in {}", self.path.display())))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|_| Fault::halt(Code::Bug, Blame::Bug, "work on a database panicked"))
}

impl Db {
    fn open(path: &Path, access: Access) -> Result<Self, Error> {
        let flags = match access {
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        };
        let db = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        db.busy_timeout(BUSY_MAX)?;
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        let mut db = Self(db);
        if access == Access::Write {
            // A commit that was told must be there after a power cut.
            db.execute("PRAGMA synchronous = FULL", &[])?;
            db.execute("PRAGMA foreign_keys = ON", &[])?;
        }
        // Reads the file's first page, so that what is no database is told here.
        db.rows("SELECT count(*) FROM sqlite_schema", &[])?;
        Ok(db)
    }

    /// Runs a statement, and tells how many rows it changed.
    pub fn execute(&mut self, sql: &str, values: &[Value]) -> Result<usize, Error> {
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(values.iter().map(bound)))?;
        while rows.next()?.is_some() {}
        drop(rows);
        drop(statement);
        Ok(usize::try_from(self.0.changes()).unwrap_or(usize::MAX))
    }

    /// All rows of a statement.
    pub fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>, Error> {
        let mut all = Vec::new();
        self.each(sql, values, |row| {
            all.push(row);
            true
        })?;
        Ok(all)
    }

    /// The rows of a statement, one by one, as long as `take` wants more.
    pub fn each(&mut self, sql: &str, values: &[Value], mut take: impl FnMut(Vec<Value>) -> bool) -> Result<(), Error> {
        let mut statement = self.0.prepare_cached(sql)?;
        let width = statement.column_count();
        let mut rows = statement.query(params_from_iter(values.iter().map(bound)))?;
        while let Some(row) = rows.next()? {
            let value = |at| row.get_ref(at).map(read).map_err(Error::from);
            if !take((0..width).map(value).collect::<Result<_, _>>()?) {
                break;
            }
        }
        Ok(())
    }

    /// The columns of a statement, each with the type that its table declares.
    pub fn columns(&mut self, sql: &str) -> Result<Vec<(String, String)>, Error> {
        let statement = self.0.prepare(sql)?;
        let columns = statement.columns();
        let one = |column: &rusqlite::Column<'_>| {
            (column.name().to_owned(), column.decl_type().unwrap_or_default().to_ascii_uppercase())
        };
        Ok(columns.iter().map(one).collect())
    }

    /// Whether a statement cannot change anything.
    pub fn is_read_only(&mut self, sql: &str) -> Result<bool, Error> {
        Ok(self.0.prepare(sql)?.readonly())
    }

    /// Whether a transaction is open. A table may say that what it refuses ends it (`ON CONFLICT ROLLBACK`).
    pub fn is_in_transaction(&self) -> bool {
        !self.0.is_autocommit()
    }

    /// Does all of the work or nothing of it.
    pub fn transaction<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.execute("BEGIN IMMEDIATE", &[])?;
        let done = work(self).and_then(|done| self.execute("COMMIT", &[]).map(|_| done));
        if done.is_err() {
            // Some errors end the transaction by themselves.
            self.execute("ROLLBACK", &[]).ok();
        }
        done
    }
}

fn bound(value: &Value) -> types::ToSqlOutput<'_> {
    use types::ValueRef;
    types::ToSqlOutput::Borrowed(match value {
        Value::Null => ValueRef::Null,
        Value::Integer(number) => ValueRef::Integer(*number),
        Value::Real(number) => ValueRef::Real(*number),
        Value::Text(text) => ValueRef::Text(text.as_bytes()),
        Value::Blob(bytes) => ValueRef::Blob(bytes),
    })
}

fn read(value: types::ValueRef<'_>) -> Value {
    use types::ValueRef;
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        // What is no UTF-8 is kept as what it is.
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Blob(bytes.to_vec()),
        },
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error_code();
        let kind = match code {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::OperationInterrupted) => Kind::Busy,
            Some(
                ErrorCode::CannotOpen
                | ErrorCode::DiskFull
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::SystemIoFailure,
            ) => Kind::Disk,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Kind::Damaged,
            _ => Kind::Statement,
        };
        let is_value_refused =
            matches!(code, Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig));
        Self { is_value_refused, kind, message: said(&error), found: None }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let (kind, message) = (Kind::Statement, fault.message.clone());
        Self { is_value_refused: false, kind, message, found: Some(Box::new(fault)) }
    }
}

/// The message without the statement, which may be long.
fn said(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, said) => said.clone().unwrap_or_else(|| code.to_string()),
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}

impl Error {
    pub fn message(&self) -> &str {
        &self.message
    }

    /// A statement names what is not there.
    pub fn is_of_the_statement(&self) -> bool {
        self.kind == Kind::Statement && !self.is_value_refused
    }

    /// The fault that it leads to; `doing` follows "failed to".
    pub fn fault(&self, doing: &str) -> Fault {
        if let Some(found) = &self.found {
            return (**found).clone();
        }
        let message = format!("failed to {doing}: {}", self.message);
        let safe = "What was begun was rolled back, so nothing is lost or doubled.";
        let halt =
            |blame, help: &str| Fault::halt(Code::Database, blame, message.clone()).help(format!("{safe} {help}"));
        match self.kind {
            Kind::Busy => {
                halt(Blame::Remote, "Somebody else writes the file; the next run goes on from its checkpoint.")
                    .with(Disposition::Retry { after: None })
            }
            Kind::Disk => {
                halt(Blame::Host, "Check that the file and its folder are there and can be written, and the disk.")
            }
            Kind::Damaged => halt(Blame::Host, "Check the file with `PRAGMA integrity_check`, or name another one."),
            Kind::Statement => halt(Blame::Config, "Compare the table with the pipeline."),
        }
    }
}

/// A name as SQL takes it, whatever is in it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
