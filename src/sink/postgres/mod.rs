//! PostgreSQL tables. One transaction per batch writes the rows and the checkpoint, so they are stored together or not at
//! all, and whatever happens to us the database knows how far it came.
//!
//! ```text
//!   rows      finds the fields, matches them to columns, writes COPY text      columns   which column a field needs (pure)
//!   load      COPY + upsert, verdict of each row                               table     what the table is, and its DDL
//!   progress  the checkpoint row                                               fault     what an error leads to
//! ```

mod columns;
mod encode;
mod fault;
mod load;
mod look;
mod progress;
mod rows;
mod table;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use secrecy::SecretString;
use tokio::sync::Mutex;
use tokio_postgres::{Client, Statement};

pub use self::look::{Database, Rights, look_at_database};
use self::{
    load::{Shape, reshape},
    rows::{Layout, Rows},
    table::Target,
};
use super::{Clear, Durability, Sink, progress::Progress};
use crate::{
    database::{postgres, session_ended},
    model::{Blame, BoxFuture, Checkpoint, Code, Disposition, Fault, Mark, Verdict},
    store::{Item, Staged},
};

/// No batch takes longer; a server that went silent is found by this.
const WRITE_MAX: Duration = Duration::from_secs(15 * 60);

/// What a table sink needs to know.
#[derive(Debug)]
pub struct TableConfig {
    pub url: SecretString,
    pub ca: Option<PathBuf>,
    pub schema: String,
    pub table: String,
    /// Columns of the unique key. At least one.
    pub key: Vec<String>,
    /// Types of columns that are declared instead of learned, for when renkei makes the column.
    pub columns: BTreeMap<String, String>,
    /// Names the stream's row among the checkpoints of the database.
    pub stream: String,
}

/// Upserts records into one table.
#[derive(Debug)]
pub struct PostgresSink {
    config: TableConfig,
    target: Target,
    clear: Clear,
    /// Taken out while a batch is written: a session that was left half way is closed, and the server rolls back.
    session: Mutex<Option<Session>>,
}

#[derive(Debug)]
struct Session {
    client: Client,
    advance: Statement,
    progress: Progress,
    layout: Layout,
    shape: Option<Shape>,
}

impl PostgresSink {
    pub fn new(config: TableConfig) -> Self {
        let target = Target { schema: config.schema.clone(), table: config.table.clone(), key: config.key.clone() };
        Self { config, target, clear: Clear::default(), session: Mutex::new(None) }
    }

    /// The same, with some personal fields in the clear.
    pub fn clear(self, clear: Clear) -> Self {
        Self { clear, ..self }
    }

    async fn agree(&self, known: Option<Checkpoint>) -> Result<Option<Checkpoint>, Fault> {
        let mut slot = self.session.lock().await;
        *slot = None;
        let client = postgres::connect(&self.config.url, self.config.ca.as_deref()).await?;
        let mut progress = Progress::read(&client, &self.target, &self.config.stream).await?;
        if self.target.columns(&client).await?.is_none() {
            progress.start_over();
        }
        let advance = Progress::prepare(&client, &self.target).await?;
        let agreed = progress.agree(known);
        let layout = Layout::new(&self.target.key, &progress.fields);
        *slot = Some(Session { client, advance, progress, layout, shape: None });
        Ok(agreed)
    }

    async fn write_batch(&self, batch: &Staged) -> Result<Vec<Verdict>, Fault> {
        let mut slot = self.session.lock().await;
        let mut session = slot.take().ok_or_else(session_ended)?;
        let opened = self.clear.open(batch.items());
        // A record that cannot be opened is left out, and the others are written.
        let (items, answered) = opened.writable();
        let delivered = self.deliver(&mut session, batch.next(), &items);
        let verdicts = match tokio::time::timeout(WRITE_MAX, delivered).await {
            Ok(verdicts) => verdicts.map_err(|fault| self.clear.hushed_fault(fault, &items))?,
            Err(_) => return Err(silent()),
        };
        *slot = Some(session);
        Ok(answered.with(verdicts))
    }

    async fn deliver(&self, session: &mut Session, next: &Checkpoint, items: &[Item]) -> Result<Vec<Verdict>, Fault> {
        let mut rows = session.layout.read(items);
        rows.is_new |= session.shape.is_none();
        if let Some(verdicts) = self.transact(session, next, items, &rows, false).await? {
            return Ok(verdicts);
        }
        // A value was refused. The second pass finds out which, and leaves only those records out.
        let rolled_back = session.client.batch_execute("ROLLBACK").await;
        rolled_back.map_err(|error| fault::fault(&error, "roll back"))?;
        let verdicts = self.transact(session, next, items, &rows, true).await?;
        verdicts.ok_or_else(|| {
            Fault::halt(Code::Database, Blame::Remote, "the database refused a value that belongs to no single record")
                .help("The batch was rolled back and is read again by the next run. The server's log says more.")
        })
    }

    /// One transaction. Nothing when a value was refused and `singly` was not asked for.
    async fn transact(
        &self,
        session: &mut Session,
        next: &Checkpoint,
        items: &[Item],
        rows: &Rows<'_>,
        singly: bool,
    ) -> Result<Option<Vec<Verdict>>, Fault> {
        let Session { client, advance, progress, layout, shape } = session;
        // Constraints that wait for the commit would not say which record they mean.
        let begin = if singly { "BEGIN; SET CONSTRAINTS ALL IMMEDIATE" } else { "BEGIN" };
        client.batch_execute(begin).await.map_err(|error| fault::fault(&error, "begin a transaction"))?;
        if rows.is_new {
            *shape = reshape(client, &self.target, &self.config.columns, layout).await?;
        }
        let mut encoded = layout.encode(rows);
        let mut verdicts = vec![Verdict::Unchanged; items.len()];
        for (item, reason) in encoded.rejected.drain(..) {
            verdicts[item] = Verdict::Rejected(reason);
        }
        let text = std::mem::take(&mut encoded.text).into();
        let loaded = match shape {
            Some(shape) if !encoded.lines.is_empty() => match singly {
                true => shape.load_singly(client, &encoded, &text, &mut verdicts, items).await,
                false => shape.load(client, &encoded, &text, &(0..encoded.lines.len()), &mut verdicts, items).await,
            },
            _ => Ok(()),
        };
        match loaded {
            Err(error) if !singly && fault::is_value_refused(&error) => return Ok(None),
            loaded => loaded.map_err(|error| fault::fault(&error, &format!("write to {}", self.target.name())))?,
        }
        let moved = progress.advance(client, advance, &self.config.stream, next, layout.written()).await?;
        match client.batch_execute("COMMIT").await {
            Err(error) if fault::is_value_refused(&error) => return Ok(None),
            committed => committed.map_err(|error| fault::fault(&error, "commit"))?,
        }
        *progress = moved;
        Ok(Some(verdicts))
    }
}

impl Sink for PostgresSink {
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

fn silent() -> Fault {
    Fault::halt(Code::Timeout, Blame::Remote, "the database did not take a batch within 15 min")
        .with(Disposition::Retry { after: None })
        .help(
            "The batch was rolled back or stored as a whole; the next run asks the database which, and goes on there.",
        )
}
