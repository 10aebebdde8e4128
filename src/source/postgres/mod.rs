//! Rows of a PostgreSQL database: a table, a view or a query, page by page.
//!
//! A page begins behind the last row of the one before, by cursor and key, so it costs the same wherever it stands and nothing that
//! changes meanwhile moves it. The window is that of every other stream (`source/window.rs`): its upper end is pinned when the pass
//! begins, and what is committed late is found by the overlap.
//!
//! ```text
//!   select    the statements (pure)       session   signing in, looking, reading
//!   outbox    a table whose rows are claimed, delivered once and marked       claims   its statements
//! ```

mod claims;
mod outbox;
mod select;
mod session;

use std::{sync::Arc, time::Duration};

use tokio::sync::Mutex;

pub use self::outbox::OutboxSource;
use self::session::{Session, silent};
use super::{Source, rows::RowStream};
use crate::{
    config::plan::{Postgres, Rows, Stream},
    model::{BoxFuture, Checkpoint, Fault, Page},
    transform::Personal,
};

/// No page takes longer; a server that went silent is found by this.
const READ_MAX: Duration = Duration::from_secs(15 * 60);

/// Reads a table or a query.
pub struct PostgresSource {
    plan: Arc<Rows>,
    database: Arc<Postgres>,
    rows: RowStream,
    /// Taken out while a page is read: a session that was left half way is closed.
    session: Mutex<Option<Session>>,
}

impl PostgresSource {
    pub fn new(plan: Arc<Rows>, database: Arc<Postgres>, stream: Arc<Stream>, personal: Arc<Personal>) -> Self {
        Self { plan, database, rows: RowStream::new(stream, personal), session: Mutex::new(None) }
    }

    async fn page(&self, at: &Checkpoint) -> Result<Page, Fault> {
        let mut slot = self.session.lock().await;
        let session = match slot.take() {
            Some(session) => session,
            None => session::open(&self.plan, &self.database, self.rows.format(), true).await?,
        };
        let read = tokio::time::timeout(READ_MAX, self.rows.read(&session, at, self.plan.page));
        let page = read.await.map_err(|_| silent())??;
        *slot = Some(session);
        Ok(page)
    }
}

impl Source for PostgresSource {
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
        Box::pin(async move {
            let place = || format!("{}/{}", self.database.name, self.rows.stream.name);
            self.page(at).await.map_err(|fault| fault.at(place()))
        })
    }
}
