//! A table as an outbox: an application puts a row in, PENDING, with the change that it tells of; each row is delivered once and
//! becomes SENT, or FAILED with the name of its dead letter. Any number of workers share a table.
//!
//! Two hard ideas. **A claim is for good.** What a worker staged nobody can take from it, and it may come back after days and send
//! it; so a row that it claimed stays its own until it is settled, by the worker's name and not by a lease. Claims are numbered, and
//! the number is the stream's cursor: what the checkpoint has passed is settled, what lies behind it is read again. **A mark is a
//! copy of what the store knows.** It is made after the commit, of checkpoint and dead letters; whatever is lost between the two is
//! made by the next run (decision 29).
//!
//! Rows of one aggregate: the first one that is PENDING goes, whoever holds it, and no other.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, Notify},
    time::timeout,
};

use super::{
    READ_MAX,
    claims::Claims,
    session::{self, silent},
};
use crate::{
    config::plan::{OutboxTable, Postgres, Rows, Stream},
    model::{BoxFuture, Checkpoint, Cursor, Entropy, Fault, Key, Page},
    source::{Source, rows::RowStream},
    store::{State, StreamId},
    transform::Personal,
};

/// How long a reader waits for its own rows to be settled before it looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Claims rows of a table, and marks those that are settled.
pub struct OutboxSource {
    plan: Arc<Rows>,
    database: Arc<Postgres>,
    table: OutboxTable,
    rows: RowStream,
    state: State,
    stream: StreamId,
    entropy: Arc<dyn Entropy>,
    /// Nothing is claimed: somebody only wants to know.
    peeks: bool,
    claims: Mutex<Option<Claims>>,
    settled: Notify,
}

/// What a look at the table came to.
enum Look {
    Rows(u64, Vec<String>),
    /// Rows that this worker has under way may hold others back.
    Wait,
    Nothing,
}

impl OutboxSource {
    pub fn new(
        plan: Arc<Rows>,
        (database, table): (Arc<Postgres>, OutboxTable),
        stream: (Arc<Stream>, StreamId),
        personal: Arc<Personal>,
        state: State,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let (rows, stream) = (RowStream::new(stream.0, personal), stream.1);
        let (claims, settled) = (Mutex::new(None), Notify::new());
        Self { plan, database, table, rows, state, stream, entropy, peeks: false, claims, settled }
    }

    /// The same for whoever only wants to know what would be read.
    pub fn peeking(self) -> Self {
        Self { peeks: true, ..self }
    }

    async fn open(&self) -> Result<Claims, Fault> {
        let session = session::open(&self.plan, &self.database, None, self.peeks).await?;
        // Two pipelines of one state directory count their claims apart, so each is a worker of its own.
        let worker = format!("{}/{}", self.state.worker(&*self.entropy).await?, self.stream.pipeline);
        let claims = Claims::new(session, &self.database.schema, &self.table, worker)?;
        claims.check().await?;
        if !self.peeks {
            claims.alone().await?;
        }
        Ok(claims)
    }

    async fn with<T, F: AsyncFnOnce(&Claims) -> Result<T, Fault>>(&self, work: F) -> Result<T, Fault> {
        let mut slot = self.claims.lock().await;
        let claims = match slot.take() {
            Some(claims) => claims,
            None => self.open().await?,
        };
        let done = timeout(READ_MAX, work(&claims)).await.map_err(|_| silent())??;
        *slot = Some(claims);
        Ok(done)
    }

    async fn page(&self, at: &Checkpoint) -> Result<Page, Fault> {
        loop {
            let settled = self.settled.notified();
            tokio::pin!(settled);
            settled.as_mut().enable();
            let look = self.with(async |claims| self.look(claims, number(Some(at))).await).await?;
            let (number, rows) = match look {
                Look::Rows(number, rows) => (Some(number), rows),
                Look::Nothing => (None, Vec::new()),
                Look::Wait => {
                    // Whichever comes first leads to another look.
                    timeout(LOOK_AGAIN, settled).await.ok();
                    continue;
                }
            };
            let scan = at.scan.clone().unwrap_or_default();
            let page = self.rows.page(at, scan, rows.into_iter(), None)?;
            let cursor = number.and_then(|number| i64::try_from(number).ok()).map(Cursor::Integer);
            let next = Checkpoint { cursor: cursor.or(at.cursor.clone()), scan: None, ..at.clone() };
            return Ok(Page { next, end: self.peeks || number.is_none(), ..page });
        }
    }

    /// What to do next, where the reader has come to claim `after`.
    async fn look(&self, claims: &Claims, after: u64) -> Result<Look, Fault> {
        if self.peeks {
            let rows = claims.peek(self.plan.page, after).await?;
            return Ok(if rows.is_empty() { Look::Nothing } else { Look::Rows(after, rows) });
        }
        self.mark(claims).await?;
        // What an earlier process claimed and did not stage.
        let left = claims.left(after).await?;
        if let Some(number) = left {
            return Ok(Look::Rows(number, claims.rows_of(number).await?));
        }
        let claimed = claims.claim(self.plan.page, after + 1).await?;
        if !claimed.is_empty() {
            return Ok(Look::Rows(after + 1, claimed));
        }
        if claims.has_under_way(after).await? {
            return Ok(Look::Wait);
        }
        claims.tell_held().await?;
        Ok(Look::Nothing)
    }

    /// Marks this worker's rows that are settled, by what the store knows of them.
    async fn mark(&self, claims: &Claims) -> Result<(), Fault> {
        let settled = number(self.state.checkpoint(&self.stream).await?.as_ref());
        loop {
            let keys = claims.unmarked(settled).await?;
            if keys.is_empty() {
                return Ok(());
            }
            let named: Vec<Key> = keys.iter().map(|key| self.rows.personal.key(Key::new(key.clone()))).collect();
            let letters = self.state.letters_about(&self.stream, &named).await?;
            let failure = |key: &Key| {
                let letter = letters.iter().find(|letter| letter.key.as_ref() == Some(key))?;
                Some(format!("{} {}", letter.reason.code, letter.id))
            };
            let failures: Vec<Option<String>> = named.iter().map(failure).collect();
            // A row that is gone meanwhile needs no mark; one that stays as it is would be marked for ever.
            if claims.mark(&keys, &failures).await? == 0 && claims.unmarked(settled).await? == keys {
                return Err(claims.unmarkable());
            }
        }
    }
}

impl Source for OutboxSource {
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
        Box::pin(async move {
            let place = || format!("{}/{}", self.database.name, self.table.table);
            self.page(at).await.map_err(|fault| fault.at(place()))
        })
    }

    fn is_live(&self) -> bool {
        true
    }

    fn settled(&self) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(async move {
            self.with(async |claims| self.mark(claims).await).await?;
            self.settled.notify_waiters();
            Ok(())
        })
    }
}

/// The claim that a checkpoint has passed.
fn number(at: Option<&Checkpoint>) -> u64 {
    match at.and_then(|at| at.cursor.as_ref()) {
        Some(Cursor::Integer(number)) => u64::try_from(*number).unwrap_or_default(),
        _ => 0,
    }
}
