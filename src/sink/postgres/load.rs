//! How rows get in: COPY into a temporary table of the target's types, then one upsert from there that says which rows
//! were made, which changed and which were already so.

use std::{collections::BTreeMap, ops::Range};

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::{Client, CopyInSink, Error, Statement};

use super::{
    columns::{Change, Column, plan},
    fault,
    rows::{Encoded, Layout},
    table::{Target, list},
};
use crate::{
    database::postgres::quoted,
    model::{Blame, Code, Fault, Reason, Verdict},
    store::Item,
};

const TEMPORARY: &str = "pg_temp.renkei_batch";
/// COPY data is cut anywhere; pieces of this size keep the client's buffers small.
const PIECE_BYTES: usize = 128 * 1024;

/// The statements for the columns as they are now.
#[derive(Debug)]
pub struct Shape {
    columns: Vec<Column>,
    copy: Statement,
    upsert: Statement,
}

/// Makes the table fit the layout within the open transaction. Every conflict is found before a row is written. Nothing
/// where there is no table and no record with a key to learn one from.
pub async fn reshape(
    client: &Client,
    target: &Target,
    declared: &BTreeMap<String, String>,
    layout: &mut Layout,
) -> Result<Option<Shape>, Fault> {
    let mut columns = target.columns(client).await?;
    let is_new = columns.is_none();
    let changes = changes(target, declared, layout, columns.as_deref().unwrap_or_default())?;
    if is_new && target.key.iter().any(|key| !changes.iter().any(|change| change.name == *key)) {
        return Ok(None);
    }
    if !changes.is_empty() {
        check_types(client, declared, &changes).await?;
        let sql = target.change_sql(&changes, is_new);
        let changed = client.batch_execute(&sql).await;
        changed.map_err(|error| fault::fault(&error, &format!("change the table ({sql})")))?;
        columns = target.columns(client).await?;
        // A declared type may not hold what is coming either.
        self::changes(target, declared, layout, columns.as_deref().unwrap_or_default())?;
    }
    if !is_new {
        target.check_unique(client).await?;
    }
    let columns = layout.settle(&columns.unwrap_or_default());
    prepare(client, target, columns).await.map(Some)
}

fn changes(
    target: &Target,
    declared: &BTreeMap<String, String>,
    layout: &Layout,
    columns: &[Column],
) -> Result<Vec<Change>, Fault> {
    let met = layout.slots().iter().filter(|slot| !slot.seen.is_empty()).map(|slot| (slot.name.as_str(), slot.seen));
    plan(columns, met, declared).map_err(|conflict| fault::conflict(&conflict, &target.name()))
}

/// A declared type becomes part of a statement, so it must be a type and nothing else.
async fn check_types(client: &Client, declared: &BTreeMap<String, String>, changes: &[Change]) -> Result<(), Fault> {
    for change in changes.iter().filter(|change| declared.contains_key(&change.name)) {
        let row = client.query_one("select to_regtype($1) is not null", &[&change.type_text]).await;
        if !row.is_ok_and(|row| row.get(0)) {
            let message = format!("column \"{}\" is declared as {}, which is no type", change.name, change.type_text);
            return Err(Fault::halt(Code::ColumnConflict, Blame::Config, message)
                .help("Nothing of this batch was written. Write a type that the database knows under `columns:`."));
        }
    }
    Ok(())
}

async fn prepare(client: &Client, target: &Target, columns: Vec<Column>) -> Result<Shape, Fault> {
    let failed = |error| fault::fault(&error, "prepare the batch's statements");
    let typed = columns.iter().enumerate().map(|(number, column)| format!("c{number} {}", column.type_text));
    let sql = format!(
        "DROP TABLE IF EXISTS {TEMPORARY}; CREATE TEMPORARY TABLE renkei_batch (n int, {}) ON COMMIT DELETE ROWS",
        list(typed)
    );
    client.batch_execute(&sql).await.map_err(failed)?;
    let copy = client.prepare(&format!("COPY {TEMPORARY} FROM STDIN")).await.map_err(failed)?;
    let upsert =
        client.prepare(&upsert_sql(target, &columns, target.is_partitioned(client).await?)).await.map_err(failed)?;
    Ok(Shape { columns, copy, upsert })
}

/// One row: the numbers of the items that made a row, and of those that changed one. The others were already so.
///
/// Of several items with one key the last one wins. They all count as having changed the row, but the first one as having
/// made it where it was not there.
///
/// A row that was just made has no `xmax`. Partitioned tables hide it, so there the statement's snapshot is asked, which
/// differs only when somebody else makes the same row at the same moment.
fn upsert_sql(target: &Target, columns: &[Column], is_partitioned: bool) -> String {
    let key: Vec<usize> = (0..columns.len()).filter(|number| target.key.contains(&columns[*number].name)).collect();
    let rest: Vec<usize> = (0..columns.len()).filter(|number| !key.contains(number)).collect();
    let name = |number: &usize| quoted(&columns[*number].name);
    let compared = |side: &str, number: &usize| {
        let cast = if columns[*number].compares_as_text() { "::text" } else { "" };
        format!("{side}.{}{cast}", name(number))
    };
    let on_conflict = if rest.is_empty() {
        "DO NOTHING".to_owned()
    } else {
        format!(
            "DO UPDATE SET {} WHERE ROW({}) IS DISTINCT FROM ROW({})",
            list(rest.iter().map(|number| format!("{} = excluded.{}", name(number), name(number)))),
            list(rest.iter().map(|number| compared("t", number))),
            list(rest.iter().map(|number| compared("excluded", number))),
        )
    };
    let key_columns = list(key.iter().map(|number| format!("c{number}")));
    let on = |side: &str| key.iter().map(|n| format!("b.c{n} = {side}.c{n}")).collect::<Vec<_>>().join(" AND ");
    let keys = list(key.iter().map(|number| format!("{} AS c{number}", name(number))));
    let (xmax, is_new) = if is_partitioned {
        let there = format!("SELECT FROM (SELECT {keys} FROM {}) o WHERE {}", target.name(), on("o"));
        ("", format!("NOT EXISTS ({there})"))
    } else {
        (", t.xmax = 0 AS is_new", "is_new".to_owned())
    };
    format!(
        "WITH b AS MATERIALIZED (
            SELECT *, row_number() OVER (PARTITION BY {key_columns} ORDER BY n) AS nth,
                row_number() OVER (PARTITION BY {key_columns} ORDER BY n DESC) AS left_over FROM {TEMPORARY}
        ), w AS (
            INSERT INTO {table} AS t ({names}) SELECT {all} FROM b WHERE left_over = 1 ORDER BY n
            ON CONFLICT ({conflict}) {on_conflict}
            RETURNING {returned}{xmax}
        )
        SELECT array_agg(n) FILTER (WHERE made), array_agg(n) FILTER (WHERE NOT made)
        FROM (SELECT n, {is_new} AND nth = 1 AS made FROM b JOIN w ON {matched}) v",
        table = target.name(),
        names = list((0..columns.len()).map(|number| name(&number))),
        all = list((0..columns.len()).map(|number| format!("c{number}"))),
        conflict = target.key_list(),
        returned = list(key.iter().map(|number| format!("t.{} AS c{number}", name(number)))),
        matched = on("w"),
    )
}

/// Rows are named by their key.
fn id(item: &Item) -> Option<String> {
    Some(item.sink_key().as_str().to_owned())
}

impl Shape {
    /// Loads some of the lines and notes the verdicts of their items.
    pub async fn load(
        &self,
        client: &Client,
        encoded: &Encoded,
        text: &Bytes,
        lines: &Range<usize>,
        verdicts: &mut [Verdict],
        items: &[Item],
    ) -> Result<(), Error> {
        let mut rest = text.slice(encoded.range(lines));
        // The sink lives on the heap: pinning it here would need a macro for nothing.
        let mut sink: std::pin::Pin<Box<CopyInSink<Bytes>>> = Box::pin(client.copy_in(&self.copy).await?);
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(PIECE_BYTES));
            sink.send(piece).await?;
        }
        sink.as_mut().finish().await?;
        let row = client.query_one(&self.upsert, &[]).await?;
        let numbers = |column| row.get::<_, Option<Vec<i32>>>(column).unwrap_or_default();
        for (item, _) in &encoded.lines[lines.clone()] {
            verdicts[*item] = Verdict::Unchanged;
        }
        for number in numbers(0) {
            verdicts[number as usize] = Verdict::Created(id(&items[number as usize]));
        }
        for number in numbers(1) {
            verdicts[number as usize] = Verdict::Updated(id(&items[number as usize]));
        }
        Ok(())
    }

    /// Loads all lines but those that the database refuses: what fails is halved until the refused ones stand alone.
    pub async fn load_singly(
        &self,
        client: &Client,
        encoded: &Encoded,
        text: &Bytes,
        verdicts: &mut [Verdict],
        items: &[Item],
    ) -> Result<(), Error> {
        // A stack, with the earlier half on top: records of one key must go in in their order.
        let mut waiting: Vec<Range<usize>> = std::iter::once(0..encoded.lines.len()).collect();
        while let Some(lines) = waiting.pop() {
            client.batch_execute(&format!("SAVEPOINT part; TRUNCATE {TEMPORARY}")).await?;
            match self.load(client, encoded, text, &lines, verdicts, items).await {
                Ok(()) => client.batch_execute("RELEASE part").await?,
                Err(error) if fault::is_value_refused(&error) => {
                    client.batch_execute("ROLLBACK TO part; RELEASE part").await?;
                    let middle = lines.start + lines.len() / 2;
                    if lines.len() == 1 {
                        verdicts[encoded.lines[lines.start].0] = Verdict::Rejected(self.reason(&error));
                    } else {
                        waiting.extend([middle..lines.end, lines.start..middle]);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn reason(&self, error: &Error) -> Reason {
        fault::reason(error, &self.columns)
    }
}
