//! One batch in one transaction: the table made to fit, each row put in, the checkpoint moved.

use std::collections::BTreeMap;

use super::{
    table::{Column, Target},
    value::stored,
};
use crate::{
    database::sqlite::{Db, Error, Value},
    model::{Checkpoint, Code, Fields, Reason, Verdict},
    sink::{
        kinds::met,
        progress::{Progress, TABLE, overtaken},
    },
};

/// A record on its way into the table, and what it is called there.
pub struct Record {
    pub fields: Fields,
    pub id: String,
}

/// Reads the stream's row, and makes the table for it where there is none.
pub fn read_progress(db: &mut Db, stream: &str) -> Result<Progress, Error> {
    let made = format!(
        "CREATE TABLE IF NOT EXISTS {TABLE} (stream TEXT PRIMARY KEY, number INTEGER NOT NULL, value TEXT NOT NULL)"
    );
    db.execute(&made, &[])?;
    let rows = db.rows(&format!("SELECT value FROM {TABLE} WHERE stream = ?"), &[Value::Text(stream.to_owned())])?;
    match rows.concat().as_slice() {
        [Value::Text(text)] => Ok(Progress::parse(text, TABLE)?),
        _ => Ok(Progress::default()),
    }
}

/// Writes a batch, and returns the verdicts in the order of the records, and the progress that holds now.
pub fn write(
    db: &mut Db,
    target: &Target,
    stream: &str,
    progress: &Progress,
    records: &[Record],
    next: &Checkpoint,
) -> Result<(Vec<Verdict>, Progress), Error> {
    let fields = met(target.key.iter().chain(&progress.fields), records.iter().map(|record| &record.fields));
    let columns = target.fit(db, &fields)?;
    let written: Vec<&Column> =
        fields.iter().filter_map(|(name, _)| columns.iter().find(|it| it.name == *name)).collect();
    let (upsert, exists) = (target.upsert_sql(&written), target.exists_sql());
    let mut verdicts = Vec::with_capacity(records.len());
    for record in records {
        verdicts.push(match row(target, &written, record) {
            Ok(values) => put(db, (&upsert, &exists), target.key.len(), values, record)?,
            Err(reason) => Verdict::Rejected(reason),
        });
    }
    let names = written.iter().map(|column| column.name.clone()).collect();
    let (moved, text) = progress.moved(next, names)?;
    let sql = format!(
        "INSERT INTO {TABLE} AS p (stream, number, value) VALUES (?1, ?2 + 1, ?3)
         ON CONFLICT (stream) DO UPDATE SET number = excluded.number, value = excluded.value WHERE p.number = ?2"
    );
    let values = [Value::Text(stream.to_owned()), Value::Integer(progress.number()), Value::Text(text)];
    match db.execute(&sql, &values)? {
        1 => Ok((verdicts, moved)),
        _ => Err(overtaken(stream).into()),
    }
}

/// The values of a row, the key's first, or why there is none.
fn row(target: &Target, written: &[&Column], record: &Record) -> Result<Vec<Value>, Reason> {
    let entries = record.fields.entries();
    let by_name: BTreeMap<&str, &str> = entries.iter().map(|(name, raw)| (name.as_ref(), raw.get())).collect();
    for key in &target.key {
        if by_name.get(key.as_str()).is_none_or(|raw| *raw == "null") {
            let message = format!("the key field \"{key}\" is missing or null");
            return Err(Reason::new(Code::MissingSinkKey, message));
        }
    }
    let value = |column: &&Column| {
        let raw = by_name.get(column.name.as_str()).copied().unwrap_or("null");
        stored(raw, &column.declared).map_err(|why| {
            let Column { name, declared, .. } = column;
            let kind = if declared.is_empty() { String::new() } else { format!(" ({declared})") };
            Reason::new(Code::ValueRefused, format!("column \"{name}\"{kind}: {why}"))
        })
    };
    written.iter().map(value).collect()
}

fn put(db: &mut Db, sql: (&str, &str), keys: usize, values: Vec<Value>, record: &Record) -> Result<Verdict, Error> {
    let (upsert, exists) = sql;
    let is_there = !db.rows(exists, &values[..keys])?.is_empty();
    match db.execute(upsert, &values) {
        Ok(0) => Ok(Verdict::Unchanged),
        Ok(_) if is_there => Ok(Verdict::Updated(Some(record.id.clone()))),
        Ok(_) => Ok(Verdict::Created(Some(record.id.clone()))),
        // Only the row is taken back; the others of the transaction stay.
        Err(error) if error.is_value_refused && db.is_in_transaction() => Ok(Verdict::Rejected(Reason::new(
            Code::ValueRefused,
            format!("the database refused a value: {}", error.message()),
        ))),
        Err(error) => Err(error),
    }
}

/// Whether the target's table is there.
pub fn is_there(db: &mut Db, target: &Target) -> Result<bool, Error> {
    Ok(!target.columns(db)?.is_empty())
}
