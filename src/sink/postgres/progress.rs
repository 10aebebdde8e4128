//! The checkpoint's row in PostgreSQL: reading it, and moving it in the transaction that writes the records.

use tokio_postgres::{Client, Statement};

use super::{fault::fault, table::Target};
use crate::{
    database::postgres::quoted,
    model::{Checkpoint, Fault},
    sink::progress::{Progress, TABLE, overtaken},
};

impl Progress {
    /// Reads the stream's row, and makes the table for it where there is none.
    pub async fn read(client: &Client, target: &Target, stream: &str) -> Result<Self, Fault> {
        let table = table_name(target);
        let failed = |error| fault(&error, &format!("read the checkpoint in {table}"));
        let row = client.query_one("select to_regclass($1) is null", &[&table]).await.map_err(failed)?;
        if row.get(0) {
            make_table(client, &table).await?;
        }
        let sql = format!("select value::text from {table} where stream = $1");
        match client.query_opt(&sql, &[&stream]).await.map_err(failed)? {
            Some(row) => Self::parse(row.get(0), &table),
            None => Ok(Self::default()),
        }
    }

    pub async fn prepare(client: &Client, target: &Target) -> Result<Statement, Fault> {
        let table = table_name(target);
        let sql = format!(
            "insert into {table} as p (stream, value) values ($1, $2::text::jsonb)
             on conflict (stream) do update set value = excluded.value, at = now()
             where (p.value ->> 'number')::bigint = $3"
        );
        client.prepare(&sql).await.map_err(|error| fault(&error, &format!("write to {table}")))
    }

    /// Moves on within the open transaction, and returns the row as it is once that is committed.
    pub async fn advance(
        &self,
        client: &Client,
        statement: &Statement,
        stream: &str,
        next: &Checkpoint,
        fields: Vec<String>,
    ) -> Result<Self, Fault> {
        let (moved, value) = self.moved(next, fields)?;
        let rows = client.execute(statement, &[&stream, &value, &self.number()]).await;
        match rows.map_err(|error| fault(&error, "write the checkpoint"))? {
            1 => Ok(moved),
            _ => Err(overtaken(stream)),
        }
    }
}

fn table_name(target: &Target) -> String {
    format!("{}.{TABLE}", quoted(&target.schema))
}

/// Two sinks may find the table missing at once, so only one at a time makes it.
async fn make_table(client: &Client, table: &str) -> Result<(), Fault> {
    let sql = format!(
        "begin; select pg_advisory_xact_lock(hashtext('renkei_checkpoints'));
         create table if not exists {table}
             (stream text primary key, value jsonb not null, at timestamptz not null default now());
         commit"
    );
    client.batch_execute(&sql).await.map_err(|error| fault(&error, &format!("make the table {table}")))
}
