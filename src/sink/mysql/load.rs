//! One batch in one transaction: the checkpoint moved, and each row put in or changed.
//!
//! What is there is asked for and locked, many rows at a time; what is not goes in by statements of many rows; what is other than it
//! was is set by its key. `ON DUPLICATE KEY UPDATE` is not used, because it takes a row that only shares another unique value with the
//! record for the record's own, and changes a neighbour. So a second unique index refuses a record as any constraint does.
//!
//! A statement that is refused takes back itself and nothing else, so the other records stay. Where the server changed a value instead of
//! refusing it, it only warns: then the batch is rolled back and written anew, each record behind a savepoint.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    progress,
    statements::{Statements, rows_at_once},
    value::Column,
};
use crate::{
    database::mysql::{Error, Session, Value, is_value_code},
    model::{Checkpoint, Code, Fields, Reason, Verdict},
    sink::progress::Progress,
};

/// What a statement of many rows may carry.
const STATEMENT_BYTES_MAX: usize = 1 << 20;

/// A record on its way into the table, and what it is called there.
pub struct Record {
    pub fields: Fields,
    pub id: String,
}

/// A batch, and what moves with it.
pub struct Load<'a> {
    pub stream: &'a str,
    pub key: &'a [String],
    /// Columns that the stream's fields go into, the key's first.
    pub written: &'a [&'a Column],
    pub statements: &'a Statements,
    pub records: &'a [Record],
    pub progress: &'a Progress,
    pub next: &'a Checkpoint,
}

/// Why a batch did not go in.
enum Trouble {
    /// The server changed a value.
    Altered,
    Failed(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Load<'_> {
    /// Writes the batch, and returns the verdicts in the order of the records, and the progress that holds now. After an error the
    /// session is of no use any more.
    pub async fn write(&self, session: &mut Session) -> Result<(Vec<Verdict>, Progress), Error> {
        let altered = match self.transaction(session, false).await {
            Err(Trouble::Altered) => {
                session.command("ROLLBACK").await?;
                self.transaction(session, true).await
            }
            other => other,
        };
        altered.map_err(|trouble| match trouble {
            Trouble::Failed(error) => error,
            Trouble::Altered => Error::Lost("the server changed values that it kept a moment ago".to_owned()),
        })
    }

    async fn transaction(&self, session: &mut Session, careful: bool) -> Result<(Vec<Verdict>, Progress), Trouble> {
        let names = self.written.iter().map(|column| column.name.clone()).collect();
        let (moved, text) = self.progress.moved(self.next, names).map_err(Error::from)?;
        session.command("START TRANSACTION").await?;
        progress::write(session, self.stream, self.progress, text).await?;
        let rows: Vec<Result<Vec<Value>, Reason>> =
            self.records.iter().map(|record| self.row(record, session.packet_max)).collect();
        let verdicts =
            rows.iter().map(|row| row.as_ref().err().map(|reason| Verdict::Rejected(reason.clone()))).collect();
        let mut writing = Writing { load: self, session, rows: &rows, verdicts, careful };
        writing.all().await?;
        let verdicts = writing.verdicts.into_iter().flatten().collect();
        session.command("COMMIT").await?;
        Ok((verdicts, moved))
    }

    /// The values of a row, the key's first, or why there is none.
    fn row(&self, record: &Record, bytes_max: usize) -> Result<Vec<Value>, Reason> {
        let entries = record.fields.entries();
        let by_name: BTreeMap<&str, &str> = entries.iter().map(|(name, raw)| (name.as_ref(), raw.get())).collect();
        for key in self.key {
            if by_name.get(key.as_str()).is_none_or(|raw| *raw == "null") {
                let message = format!("the key field \"{key}\" is missing or null");
                return Err(Reason::new(Code::MissingSinkKey, message));
            }
        }
        let value = |column: &&Column| {
            let raw = by_name.get(column.name.as_str()).copied().unwrap_or("null");
            column.stored(raw).map_err(|why| {
                Reason::new(Code::ValueRefused, format!("column \"{}\" ({}): {why}", column.name, column.declared))
            })
        };
        let values: Vec<Value> = self.written.iter().map(value).collect::<Result<_, _>>()?;
        if bytes(&values) >= bytes_max {
            let message = format!("the row is larger than the server's max_allowed_packet ({bytes_max} bytes)");
            return Err(Reason::new(Code::ValueRefused, message));
        }
        Ok(values)
    }
}

/// A transaction under way.
struct Writing<'a> {
    load: &'a Load<'a>,
    session: &'a mut Session,
    rows: &'a [Result<Vec<Value>, Reason>],
    verdicts: Vec<Option<Verdict>>,
    /// Each record is written by itself, behind a savepoint.
    careful: bool,
}

impl Writing<'_> {
    async fn all(&mut self) -> Result<(), Trouble> {
        let rows = self.rows;
        let there = if self.careful { HashMap::new() } else { self.there().await? };
        let (mut seen, mut new) = (HashSet::new(), Vec::new());
        for (at, row) in rows.iter().enumerate() {
            let Ok(values) = row else { continue };
            let is_again = !seen.insert(self.name(values));
            match there.get(&at).filter(|_| !is_again) {
                Some(true) => self.verdicts[at] = Some(Verdict::Unchanged),
                Some(false) => {
                    self.insert(&mut new).await?;
                    self.update(at, values).await?;
                }
                None if self.careful || is_again => {
                    self.insert(&mut new).await?;
                    self.put(at, values).await?;
                }
                None => new.push(at),
            }
        }
        self.insert(&mut new).await
    }

    /// The text of a row's key, which no other key has.
    fn name(&self, values: &[Value]) -> String {
        format!("{:?}", &values[..self.load.key.len()])
    }

    /// Locks the rows that there are of the batch's keys. Each is told by its place in the batch, and whether it holds just these values.
    /// One whose key is written in another way there is left for later.
    async fn there(&mut self) -> Result<HashMap<usize, bool>, Error> {
        let (rows, keys) = (self.rows, self.load.key.len());
        let (mut places, mut wanted) = (HashMap::new(), Vec::new());
        for (at, values) in rows.iter().enumerate().filter_map(|(at, row)| Some((at, row.as_ref().ok()?))) {
            places.entry(self.name(values)).or_insert_with(|| {
                wanted.push(at);
                at
            });
        }
        let mut there = HashMap::new();
        for part in wanted.chunks(rows_at_once(keys)) {
            let sql = self.load.statements.look_up(part.len());
            let values: Vec<Value> =
                part.iter().flat_map(|at| rows[*at].iter().flat_map(|row| row[..keys].to_vec())).collect();
            let found = |row: Vec<Value>| {
                if let Some(at) = places.get(&format!("{:?}", &row[..keys])) {
                    there.insert(*at, rows[*at].as_ref().is_ok_and(|values| *values == row));
                }
                true
            };
            self.session.each(&sql, &values, found).await?;
        }
        Ok(there)
    }

    /// Puts in the rows that are not there, many at a time. Where one of them is refused each goes by itself.
    async fn insert(&mut self, new: &mut Vec<usize>) -> Result<(), Trouble> {
        let rows = self.rows;
        let width = self.load.written.len();
        let mut left: &[usize] = new;
        while !left.is_empty() {
            let bytes_max = STATEMENT_BYTES_MAX.min(self.session.packet_max / 2);
            let mut size = 0;
            let fits = |at: &&usize| {
                size += rows[**at].as_ref().map_or(0, |values| bytes(values));
                size <= bytes_max
            };
            let count = left.iter().take(rows_at_once(width)).take_while(fits).count().max(1);
            let (part, rest) = left.split_at(count);
            let values: Vec<Value> = part.iter().filter_map(|at| rows[*at].as_ref().ok()).flatten().cloned().collect();
            match self.session.change(&self.load.statements.insert(count), &values).await {
                Ok(changed) => {
                    self.unaltered(changed.warnings).await?;
                    for at in part {
                        self.verdicts[*at] = Some(Verdict::Created(Some(self.load.records[*at].id.clone())));
                    }
                }
                Err(error) if error.is_value_refused() => {
                    for at in part {
                        if let Ok(values) = &rows[*at] {
                            self.put(*at, values).await?;
                        }
                    }
                }
                Err(error) => return Err(error.into()),
            }
            left = rest;
        }
        new.clear();
        Ok(())
    }

    /// Writes one record, whatever is there.
    async fn put(&mut self, at: usize, values: &[Value]) -> Result<(), Trouble> {
        if self.careful {
            self.session.command("SAVEPOINT record").await?;
        }
        // The second time: somebody else put the row in meanwhile.
        for _ in 0..2 {
            if let Some(key) = self.locked(values).await? {
                return match self.is_another(values, &key) {
                    Some(reason) => self.reject(at, reason),
                    None => self.update(at, values).await,
                };
            }
            match self.session.change(&self.load.statements.insert(1), values).await {
                Ok(changed) => {
                    let created = Verdict::Created(Some(self.load.records[at].id.clone()));
                    return self.accepted(at, changed.warnings, created).await;
                }
                Err(error) if error.is_duplicate() => match self.locked(values).await? {
                    Some(_) => {}
                    None => return self.reject(at, refused(&error)),
                },
                Err(error) if error.is_value_refused() => return self.reject(at, refused(&error)),
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Lost("a row came and went while it was written".to_owned()).into())
    }

    /// The key of the row that the table takes for this one's.
    async fn locked(&mut self, values: &[Value]) -> Result<Option<Vec<Value>>, Error> {
        let keys = self.load.key.len();
        let found = self.session.rows(&self.load.statements.look_up_key(), &values[..keys]).await?;
        Ok(found.into_iter().next())
    }

    /// A row whose key the table's collation takes for the same, and which is another one.
    fn is_another(&self, values: &[Value], key: &[Value]) -> Option<Reason> {
        let columns = self.load.written.iter().zip(values).zip(key);
        let differing = columns.into_iter().find(|((column, value), there)| column.is_text() && value != there);
        differing.map(|((column, _), _)| {
            let message = format!(
                "there is a row whose key \"{}\" differs by case or by spaces only, and the column's collation takes both for one",
                column.name
            );
            Reason::new(Code::ValueRefused, message)
        })
    }

    /// Sets the row of a record that is there.
    async fn update(&mut self, at: usize, values: &[Value]) -> Result<(), Trouble> {
        let Some(sql) = self.load.statements.update() else {
            self.verdicts[at] = Some(Verdict::Unchanged);
            return Ok(());
        };
        let (key, rest) = values.split_at(self.load.key.len());
        match self.session.change(sql, &[rest, key].concat()).await {
            Ok(changed) => {
                let id = || Some(self.load.records[at].id.clone());
                let verdict = if changed.rows == 0 { Verdict::Unchanged } else { Verdict::Updated(id()) };
                self.accepted(at, changed.warnings, verdict).await
            }
            Err(error) if error.is_value_refused() => self.reject(at, refused(&error)),
            Err(error) => Err(error.into()),
        }
    }

    fn reject(&mut self, at: usize, reason: Reason) -> Result<(), Trouble> {
        self.verdicts[at] = Some(Verdict::Rejected(reason));
        Ok(())
    }

    /// A record that went in, unless the server changed one of its values.
    async fn accepted(&mut self, at: usize, warnings: u16, verdict: Verdict) -> Result<(), Trouble> {
        if !self.careful {
            self.unaltered(warnings).await?;
        } else if let Some(said) = self.alteration(warnings).await? {
            self.session.command("ROLLBACK TO SAVEPOINT record").await?;
            let message = format!("the database would change a value: {said}");
            return self.reject(at, Reason::new(Code::ValueRefused, message));
        }
        self.verdicts[at] = Some(verdict);
        Ok(())
    }

    async fn unaltered(&mut self, warnings: u16) -> Result<(), Trouble> {
        match self.alteration(warnings).await? {
            None => Ok(()),
            Some(_) => Err(Trouble::Altered),
        }
    }

    async fn alteration(&mut self, warnings: u16) -> Result<Option<String>, Error> {
        if warnings == 0 {
            return Ok(None);
        }
        let said = self.session.warnings().await?;
        Ok(said.into_iter().find(|(code, _)| is_value_code(*code)).map(|(_, message)| message))
    }
}

fn refused(error: &Error) -> Reason {
    Reason::new(Code::ValueRefused, format!("the database refused a value: {}", error.message()))
}

/// About what the values take on their way.
fn bytes(values: &[Value]) -> usize {
    let one = |value: &Value| match value {
        Value::Text(text) => text.len() + 9,
        Value::Bytes(bytes) => bytes.len() + 9,
        _ => 9,
    };
    values.iter().map(one).sum()
}
