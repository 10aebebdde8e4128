//! Tables of a MySQL or MariaDB database. One transaction per batch writes the rows and the checkpoint, as with every database.
//!
//! ```text
//!   value       what a JSON value is stored as (pure)      table      what the table is, and how it is made to fit
//!   statements  what is said of its rows (pure)            progress   the stream's row among the checkpoints
//!   load        one batch in one transaction               look       what a server says of itself
//! ```

mod load;
mod look;
mod progress;
mod statements;
mod table;
mod value;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use secrecy::SecretString;
use tokio::sync::Mutex;

pub use self::look::{Server, look_at_server};
use self::{
    load::{Load, Record},
    statements::Statements,
    table::Target,
    value::Column,
};
use super::{Clear, Durability, Sink, kinds::met, progress::Progress};
use crate::{
    database::{
        mysql::{Access, Error, Session},
        session_ended,
    },
    model::{BoxFuture, Checkpoint, Fault, Mark, Verdict},
    store::{Item, Staged},
};

const SAFE: &str =
    "Rows and checkpoint are stored together, and what was begun was rolled back, so nothing is lost or doubled.";

/// What a table of a server needs to know.
#[derive(Clone, Debug)]
pub struct MysqlConfig {
    /// `mysql://user:password@host:port/database?ssl-mode=...`
    pub url: SecretString,
    pub ca: Option<PathBuf>,
    pub table: String,
    /// Columns of the unique key. At least one.
    pub key: Vec<String>,
    /// Types of columns that are declared instead of learned, for when renkei makes the column.
    pub columns: BTreeMap<String, String>,
    /// Names the stream's row among the checkpoints of the database.
    pub stream: String,
}

/// Upserts records into one table.
pub struct MysqlSink {
    url: SecretString,
    ca: Option<PathBuf>,
    stream: Arc<str>,
    target: Target,
    clear: Clear,
    /// Taken out while a batch is written: what was left half way begins anew with `resume`.
    open: Mutex<Option<Open>>,
}

struct Open {
    session: Session,
    progress: Progress,
    /// The table as it was when it was looked at last; nothing before that.
    columns: Vec<Column>,
}

impl MysqlSink {
    pub fn new(config: MysqlConfig) -> Self {
        let MysqlConfig { url, ca, table, key, columns, stream } = config;
        let target = Target { table, key, declared: columns };
        Self { url, ca, stream: stream.into(), target, clear: Clear::default(), open: Mutex::new(None) }
    }

    /// The same, with some personal fields in the clear.
    pub fn clear(self, clear: Clear) -> Self {
        Self { clear, ..self }
    }

    async fn agree(&self, known: Option<Checkpoint>) -> Result<Option<Checkpoint>, Fault> {
        let mut slot = self.open.lock().await;
        *slot = None;
        let mut session = Session::open(&self.url, self.ca.as_deref(), Access::Write).await?;
        let failed = |error: Error| error.fault("read the checkpoint", SAFE);
        let mut progress = progress::read(&mut session, &self.stream).await.map_err(failed)?;
        if self.target.columns(&mut session).await.map_err(failed)?.is_empty() {
            progress.start_over();
        }
        let agreed = progress.agree(known);
        *slot = Some(Open { session, progress, columns: Vec::new() });
        Ok(agreed)
    }

    async fn write_batch(&self, batch: &Staged) -> Result<Vec<Verdict>, Fault> {
        let mut slot = self.open.lock().await;
        let open = slot.take().ok_or_else(session_ended)?;
        let opened = self.clear.open(batch.items());
        // A record that cannot be opened is left out, and the others are written.
        let (items, answered) = opened.writable();
        let record = |item: &Item| Record { fields: item.fields.clone(), id: item.sink_key().as_str().to_owned() };
        let records: Vec<Record> = items.iter().map(record).collect();
        let written = self.load(open, &records, batch.next()).await;
        let (open, verdicts) = written.map_err(|error| {
            self.clear.hushed_fault(error.fault(&format!("write a batch into {}", self.target.table), SAFE), &items)
        })?;
        *slot = Some(open);
        Ok(answered.with(verdicts))
    }

    async fn load(&self, open: Open, records: &[Record], next: &Checkpoint) -> Result<(Open, Vec<Verdict>), Error> {
        let Open { mut session, progress, columns } = open;
        let key = &self.target.key;
        let fields = met(key.iter().chain(&progress.fields), records.iter().map(|record| &record.fields));
        let columns = self.target.fit(&mut session, columns, &fields).await?;
        let written: Vec<&Column> =
            fields.iter().filter_map(|(name, _)| columns.iter().find(|it| it.name == *name)).collect();
        let statements = Statements::new(&self.target.table, &written, key.len());
        let load = Load {
            stream: &self.stream,
            key,
            written: &written,
            statements: &statements,
            records,
            progress: &progress,
            next,
        };
        let (verdicts, progress) = load.write(&mut session).await?;
        Ok((Open { session, progress, columns }, verdicts))
    }
}

impl Sink for MysqlSink {
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
