//! Tables of a SQLite file. One transaction per batch writes the rows and the checkpoint, as with every database.
//!
//! ```text
//!   value    what a JSON value is stored as (pure)      table   what the table is, and its statements
//!   load     one batch in one transaction
//! ```

mod load;
mod table;
mod value;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::Mutex;

use self::{load::Record, table::Target};
use super::{Clear, Durability, Sink, progress::Progress};
use crate::{
    database::{
        session_ended,
        sqlite::{Access, Session, Value},
    },
    model::{BoxFuture, Checkpoint, Fault, Mark, Verdict},
    store::Staged,
};

/// What a table of a file needs to know.
#[derive(Clone, Debug)]
pub struct SqliteConfig {
    pub path: PathBuf,
    pub table: String,
    /// Columns of the unique key. At least one.
    pub key: Vec<String>,
    /// Types of columns that are declared instead of learned, for when renkei makes the column.
    pub columns: BTreeMap<String, String>,
    /// Names the stream's row among the checkpoints of the file.
    pub stream: String,
}

/// Upserts records into one table.
pub struct SqliteSink {
    path: PathBuf,
    stream: Arc<str>,
    target: Arc<Target>,
    clear: Clear,
    /// Taken out while a batch is written: what was left half way begins anew with `resume`.
    open: Mutex<Option<Open>>,
}

struct Open {
    session: Session,
    progress: Progress,
}

impl SqliteSink {
    pub fn new(config: SqliteConfig) -> Self {
        let SqliteConfig { path, table, key, columns, stream } = config;
        let target = Arc::new(Target { table, key, declared: columns });
        Self { path, stream: stream.into(), target, clear: Clear::default(), open: Mutex::new(None) }
    }

    /// The same, with some personal fields in the clear.
    pub fn clear(self, clear: Clear) -> Self {
        Self { clear, ..self }
    }

    async fn agree(&self, known: Option<Checkpoint>) -> Result<Option<Checkpoint>, Fault> {
        let mut slot = self.open.lock().await;
        *slot = None;
        let session = Session::open(&self.path, Access::Write).await?;
        let (stream, target) = (self.stream.clone(), self.target.clone());
        let look = session.run("read the checkpoint", move |db| {
            db.transaction(|db| Ok((load::read_progress(db, &stream)?, load::is_there(db, &target)?)))
        });
        let (mut progress, is_there) = look.await?;
        if !is_there {
            progress.start_over();
        }
        let agreed = progress.agree(known);
        *slot = Some(Open { session, progress });
        Ok(agreed)
    }

    async fn write_batch(&self, batch: &Staged) -> Result<Vec<Verdict>, Fault> {
        let mut slot = self.open.lock().await;
        let Open { session, progress } = slot.take().ok_or_else(session_ended)?;
        let opened = self.clear.open(batch.items());
        // A record that cannot be opened is left out, and the others are written.
        let (items, answered) = opened.writable();
        let record =
            |item: &crate::store::Item| Record { fields: item.fields.clone(), id: item.sink_key().as_str().to_owned() };
        let records: Vec<Record> = items.iter().map(record).collect();
        let (stream, target, next) = (self.stream.clone(), self.target.clone(), batch.next().clone());
        let written = session.run("write a batch", move |db| {
            db.transaction(|db| load::write(db, &target, &stream, &progress, &records, &next))
        });
        let (verdicts, progress) = written.await.map_err(|fault| self.clear.hushed_fault(fault, &items))?;
        *slot = Some(Open { session, progress });
        Ok(answered.with(verdicts))
    }
}

impl Sink for SqliteSink {
    fn durability(&self) -> Durability {
        Durability::Transaction
    }

    fn resume(&self, known: Option<Checkpoint>) -> BoxFuture<'_, Result<Option<Checkpoint>, Fault>> {
        Box::pin(self.agree(known))
    }

    fn write<'a>(&'a self, batch: &'a Staged) -> BoxFuture<'a, Result<Vec<Verdict>, Fault>> {
        Box::pin(self.write_batch(batch))
    }

    fn seal(&self) -> BoxFuture<'_, Result<Option<Mark>, Fault>> {
        Box::pin(async { Ok(None) })
    }
}

/// Opens a file that is there, asks for its version and its number of tables, and closes it. Nothing is written.
pub async fn look_at_file(path: &Path) -> Result<(String, i64), Fault> {
    let session = Session::open(path, Access::Read).await?;
    let sql = "SELECT sqlite_version(), (SELECT count(*) FROM sqlite_schema WHERE type = 'table')";
    let rows = session.run("look at the database", move |db| db.rows(sql, &[])).await?;
    match rows.concat().as_slice() {
        [Value::Text(version), Value::Integer(tables)] => Ok((version.clone(), *tables)),
        _ => Ok((String::new(), 0)),
    }
}
