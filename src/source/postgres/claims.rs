//! Rows of an outbox table in one worker's hands: the statements that claim them, find them again and mark them. What is settled is
//! known above ([`super::OutboxSource`]).

use super::{
    select::{self, Column, Shape, list},
    session::{Session, fault},
};
use crate::{
    config::plan::OutboxTable,
    database::postgres::{NOTHING_CHANGED, quoted},
    model::{Blame, Code, Disposition, Fault},
};

/// Columns that renkei writes, with their types. They are no part of a record.
const OURS: [(&str, &str); 4] =
    [("claimed_by", "text"), ("claimed_at", "timestamptz"), ("claim", "bigint"), ("failure", "text")];
/// Types of keys.
const KEYS: [&str; 6] = ["int2", "int4", "int8", "text", "varchar", "uuid"];
/// Rows that one statement marks.
const MARKS: i64 = 1_000;
/// Rows that others hold for longer are spoken of.
const HELD_LONG: &str = "15 min";

/// One worker's session with an outbox table.
pub struct Claims {
    session: Session,
    worker: String,
    words: Words,
}

/// The names of the table, ready for SQL.
struct Words {
    table: String,
    key: String,
    key_type: String,
    order: String,
    state: String,
    state_type: String,
    aggregate: Option<String>,
    record: String,
}

impl Words {
    fn new(shape: &Shape, schema: &str, outbox: &OutboxTable) -> Result<Self, Fault> {
        let OutboxTable { table, order, aggregate, state } = outbox;
        let table = format!("{}.{}", quoted(schema), quoted(table));
        let is_there = |name: &str| shape.columns.iter().any(|column| column.name == name);
        let own = [(state.as_str(), "text not null default 'PENDING'")];
        let missing: Vec<String> = own
            .into_iter()
            .chain(OURS)
            .filter(|(name, _)| !is_there(name))
            .map(|(name, kind)| format!("ADD COLUMN {} {kind}", quoted(name)))
            .collect();
        if !missing.is_empty() {
            let message = format!("the table {table} lacks columns that an outbox needs");
            return Err(unfit(message, &format!("Type: ALTER TABLE {table} {};", list(missing.into_iter()))));
        }
        if let Some(name) = [Some(order), aggregate.as_ref()].into_iter().flatten().find(|name| !is_there(name)) {
            return Err(unfit(
                format!("the table {table} has no column \"{name}\""),
                "Name another one under `outbox`.",
            ));
        }
        let is_of_record = |name: &str| name != state && OURS.iter().all(|(own, _)| *own != name);
        let columns: Vec<_> = shape.columns.iter().filter(|column| is_of_record(&column.name)).cloned().collect();
        let key = &shape.key[0];
        Ok(Self {
            table,
            key: quoted(&key.name),
            key_type: key.type_sql.clone(),
            order: quoted(order),
            state: quoted(state),
            state_type: shape
                .columns
                .iter()
                .find(|it| it.name == *state)
                .map(|it| it.type_sql.clone())
                .unwrap_or_default(),
            aggregate: aggregate.as_deref().map(quoted),
            record: select::record(&columns, None),
        })
    }

    /// Rows that nobody holds and that none before them holds back.
    fn free(&self) -> String {
        let Self { table, key, order, state, aggregate, .. } = self;
        let first = aggregate.as_ref().map_or_else(String::new, |aggregate| {
            format!(
                " and not exists (select from {table} e where e.{aggregate} = o.{aggregate} and e.{state} = 'PENDING'
                    and (e.{order}, e.{key}) < (o.{order}, o.{key}))"
            )
        });
        format!("o.{state} = 'PENDING' and o.claimed_by is null{first}")
    }

    /// Claims rows for the worker $1 under the number $2. What another transaction has in its hands is passed over; what one took
    /// a moment ago is looked at again as it is now, and not taken.
    fn claim_sql(&self, limit: usize) -> String {
        let Self { table, key, order, record, .. } = self;
        let free = self.free();
        format!(
            "with free as (
                select o.{key} from {table} o where {free} order by o.{order}, o.{key} limit {limit} for update of o skip locked
            ), s as (
                update {table} o set claimed_by = $1::text, claim = $2::int8, claimed_at = now() from free
                where o.{key} = free.{key} returning o.*
            ) select {record} from s order by s.{order}, s.{key}"
        )
    }

    /// The rows of claim $2.
    fn left_sql(&self) -> String {
        let Self { table, key, order, state, record, .. } = self;
        format!(
            "select {record} from {table} s where s.{state} = 'PENDING' and s.claimed_by = $1::text and s.claim = $2::int8
            order by s.{order}, s.{key}"
        )
    }

    /// What a run would read first.
    fn peek_sql(&self, limit: usize) -> String {
        let Self { table, key, order, state, record, .. } = self;
        let (free, own) = (self.free(), "o.claimed_by = $1::text and o.claim > $2::int8");
        format!(
            "select {record} from (select o.* from {table} o where o.{state} = 'PENDING' and (({free}) or ({own}))
            order by o.{order}, o.{key} limit {limit}) s order by s.{order}, s.{key}"
        )
    }
}

impl Claims {
    pub fn new(session: Session, schema: &str, outbox: &OutboxTable, worker: String) -> Result<Self, Fault> {
        let words = Words::new(&session.shape, schema, outbox)?;
        Ok(Self { session, worker, words })
    }

    /// Claims rows that nobody holds under a number.
    pub async fn claim(&self, limit: usize, number: u64) -> Result<Vec<String>, Fault> {
        self.rows(&self.words.claim_sql(limit), number).await
    }

    /// The rows of a claim that are not settled.
    pub async fn rows_of(&self, number: u64) -> Result<Vec<String>, Fault> {
        self.rows(&self.words.left_sql(), number).await
    }

    /// What a worker that has come to claim `after` would read next.
    pub async fn peek(&self, limit: usize, after: u64) -> Result<Vec<String>, Fault> {
        self.rows(&self.words.peek_sql(limit), after).await
    }

    async fn rows(&self, sql: &str, claim: u64) -> Result<Vec<String>, Fault> {
        let claim = claim as i64;
        let rows = self.session.client.query(sql, &[&self.worker, &claim]).await;
        let rows = rows.map_err(|error| fault(&error, &format!("claim rows of {}", self.words.table)))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// The first claim behind this one of which rows are not settled.
    pub async fn left(&self, after: u64) -> Result<Option<u64>, Fault> {
        let Words { table, state, .. } = &self.words;
        let sql = format!(
            "select min(claim) from {table} where {state} = 'PENDING' and claimed_by = $1::text and claim > $2::int8"
        );
        let row = self.session.client.query_one(&sql, &[&self.worker, &(after as i64)]).await;
        let row = row.map_err(|error| fault(&error, &format!("look at the claims of {table}")))?;
        Ok(row.get::<_, Option<i64>>(0).and_then(|claim| u64::try_from(claim).ok()))
    }

    pub async fn has_under_way(&self, up_to: u64) -> Result<bool, Fault> {
        let Words { table, state, .. } = &self.words;
        let sql = format!(
            "select exists (select from {table} where {state} = 'PENDING' and claimed_by = $1::text and claim <= $2::int8)"
        );
        let row = self.session.client.query_one(&sql, &[&self.worker, &(up_to as i64)]).await;
        Ok(row.map_err(|error| fault(&error, &format!("look at the claims of {table}")))?.get(0))
    }

    /// Keys of rows up to a claim that are settled and do not say so.
    pub async fn unmarked(&self, settled: u64) -> Result<Vec<String>, Fault> {
        let Words { table, state, key, .. } = &self.words;
        let sql = format!(
            "select {key}::text from {table} where {state} = 'PENDING' and claimed_by = $1::text and claim <= $2::int8
            order by claim limit {MARKS}"
        );
        let rows = self.session.client.query(&sql, &[&self.worker, &(settled as i64)]).await;
        let rows = rows.map_err(|error| fault(&error, &format!("look at the claims of {table}")))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Marks rows, and tells how many of them: SENT, or FAILED with what is said of it.
    pub async fn mark(&self, keys: &[String], failures: &[Option<String>]) -> Result<u64, Fault> {
        let Words { table, state, state_type, key, key_type, .. } = &self.words;
        let sql = format!(
            "update {table} o set {state} = (case when m.failure is null then 'SENT' else 'FAILED' end)::{state_type}, failure = m.failure
            from unnest($1::text[]::{key_type}[], $2::text[]) as m (key, failure)
            where o.{key} = m.key and o.{state} = 'PENDING' and o.claimed_by = $3::text"
        );
        let marked = self.session.client.execute(&sql, &[&keys, &failures, &self.worker]).await;
        marked.map_err(|error| {
            let fault = fault(&error, &format!("mark rows of {table}"));
            let help =
                fault.help.replace(NOTHING_CHANGED, "What was delivered stays delivered, and the next run marks it.");
            fault.help(help)
        })
    }

    /// Rows stay as they are, although they are marked.
    pub fn unmarkable(&self) -> Fault {
        let message = format!("the rows of {} cannot be marked", self.words.table);
        Fault::halt(Code::OutboxUnfit, Blame::Config, message).help(
            "What was delivered stays delivered, and is marked once that is possible. A trigger of the table may keep rows as they are.",
        )
    }

    /// Says who holds rows that nothing becomes of.
    pub async fn tell_held(&self) -> Result<(), Fault> {
        let Words { table, state, .. } = &self.words;
        let sql = format!(
            "select claimed_by::text, count(*), min(claimed_at)::text from {table}
            where {state} = 'PENDING' and claimed_by <> $1::text group by 1 having min(claimed_at) < now() - interval '{HELD_LONG}'"
        );
        let rows = self.session.client.query(&sql, &[&self.worker]).await;
        for row in rows.map_err(|error| fault(&error, &format!("look at the claims of {table}")))? {
            let (worker, rows, since): (String, i64, Option<String>) = (row.get(0), row.get(1), row.get(2));
            let since = since.unwrap_or_default();
            tracing::warn!(code = %Code::OutboxHeld, %table, %worker, rows, %since, "another worker holds rows and does not settle them");
        }
        Ok(())
    }

    /// Waits until no other session of the worker is left. One whose process died may still have a claim to finish, and the row would
    /// get a number that the checkpoint has passed by then.
    pub async fn alone(&self) -> Result<(), Fault> {
        let noticed = "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3";
        let set = self.session.client.batch_execute(noticed).await;
        set.map_err(|error| fault(&error, "set up the database session"))?;
        let locked = self
            .session
            .client
            .execute("select pg_advisory_lock(hashtextextended($1::text, 0))", &[&self.worker])
            .await;
        locked.map(drop).map_err(|error| match error.code().map(|state| state.code()) {
            Some("55P03") => Fault::halt(Code::Database, Blame::Remote, format!("another session of the worker {} is open", self.worker))
                .with(Disposition::Retry { after: None })
                .help(
                    "Nothing was claimed. Either the server has not noticed that an earlier process is gone, which takes a minute or \
                     two, or a copy of this state directory is at work: stop one of them.",
                ),
            _ => fault(&error, "wait for earlier sessions of this worker"),
        })
    }

    /// Refuses a key that does not name one row.
    pub async fn check(&self) -> Result<(), Fault> {
        let (words, Column { name: key, type_name, .. }) = (&self.words, &self.session.shape.key[0]);
        // Rows are found again by the text that names their records, and of other types there are several.
        if !KEYS.contains(&type_name.as_str()) {
            let message = format!("the key \"{key}\" of {} has type {type_name}", words.table);
            return Err(unfit(message, "A row of an outbox is named by an integer, a text or a uuid."));
        }
        let sql = "select exists (select from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
                where i.indrelid = to_regclass($1) and i.indisunique and i.indisvalid and i.indpred is null
                    and i.indnkeyatts = 1 and a.attname = $2::text and a.attnotnull)";
        let row = self.session.client.query_one(sql, &[&words.table, &key]).await;
        if row.map_err(|error| fault(&error, &format!("look at the indexes of {}", words.table)))?.get(0) {
            return Ok(());
        }
        let message = format!("the key \"{key}\" of {} is not unique and never null", words.table);
        Err(unfit(message, &format!("Type: ALTER TABLE {} ADD PRIMARY KEY ({});", words.table, words.key)))
    }
}

fn unfit(message: String, help: &str) -> Fault {
    Fault::halt(Code::OutboxUnfit, Blame::Config, message)
        .help(format!("Nothing was read and nothing was changed. {help}"))
}
