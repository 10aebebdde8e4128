//! Ends that are tables of a database: sources that read rows, and sinks that write them.

use std::{collections::BTreeMap, sync::Arc};

use super::{Engine, sync::Route};
use crate::{
    config::plan::{Database, Pipeline, Rows},
    sink::{Clear, MysqlConfig, MysqlSink, PostgresSink, Sink, SqliteConfig, SqliteSink, TableConfig},
    source::{MysqlSource, OutboxSource, PostgresSource, Source, SqliteSource},
    store::StreamId,
    transform::Personal,
};

impl Engine {
    /// `peeks`: nothing may change by being read.
    pub(super) fn rows(
        &self,
        pipeline: &Pipeline,
        rows: &Arc<Rows>,
        stream: &StreamId,
        personal: Arc<Personal>,
        peeks: bool,
    ) -> Box<dyn Source> {
        let (own, rows) = (pipeline.from.stream.clone(), rows.clone());
        match (&rows.database, rows.outbox()) {
            (Database::Sqlite(sqlite), _) => Box::new(SqliteSource::new(rows.clone(), sqlite.clone(), own, personal)),
            (Database::Mysql(mysql), _) => Box::new(MysqlSource::new(rows.clone(), mysql.clone(), own, personal)),
            (Database::Postgres(postgres), None) => {
                Box::new(PostgresSource::new(rows.clone(), postgres.clone(), own, personal))
            }
            (Database::Postgres(postgres), Some(table)) => {
                let (state, entropy) = (self.state().clone(), self.parts.entropy.clone());
                let (table, stream) = ((postgres.clone(), table.clone()), (own, stream.clone()));
                let outbox = OutboxSource::new(rows.clone(), table, stream, personal, state, entropy);
                Box::new(if peeks { outbox.peeking() } else { outbox })
            }
        }
    }

    /// A route for whoever only wants to know what a run would do, and back.
    pub(super) fn peeking(&self, pipeline: &Pipeline, route: Route, peeks: bool) -> Route {
        let Some(rows) = pipeline.from.rows.as_ref().filter(|rows| rows.outbox().is_some()) else { return route };
        let personal = Arc::new(Personal::new(&pipeline.personal));
        let source = self.rows(pipeline, rows, &route.stream, personal, peeks);
        Route { source, ..route }
    }
}

/// The sink of a table: its name, the columns of its key, and the types that are declared.
pub(super) fn table(
    database: &Database,
    (table, key, columns): (&str, &[String], &BTreeMap<String, String>),
    stream: &StreamId,
    clear: Clear,
) -> Box<dyn Sink> {
    let (table, key, columns, stream) = (table.to_owned(), key.to_vec(), columns.clone(), stream.to_string());
    match database {
        Database::Postgres(postgres) => {
            let (url, ca, schema) = (postgres.url.clone(), postgres.ca.clone(), postgres.schema.clone());
            let config = TableConfig { url, ca, schema, table, key, columns, stream };
            Box::new(PostgresSink::new(config).clear(clear))
        }
        Database::Mysql(mysql) => {
            let (url, ca) = (mysql.url.clone(), mysql.ca.clone());
            let config = MysqlConfig { url, ca, table, key, columns, stream };
            Box::new(MysqlSink::new(config).clear(clear))
        }
        Database::Sqlite(sqlite) => {
            let config = SqliteConfig { path: sqlite.path.clone(), table, key, columns, stream };
            Box::new(SqliteSink::new(config).clear(clear))
        }
    }
}
