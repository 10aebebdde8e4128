//! The stream's row among the checkpoints.

use super::table::{check_engine, exact_collation};
use crate::{
    database::mysql::{Error, Session, Value},
    sink::progress::{Progress, TABLE, overtaken},
};

/// Reads the stream's row, and makes the table for it where there is none.
pub async fn read(session: &mut Session, stream: &str) -> Result<Progress, Error> {
    let there = "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?";
    if session.rows(there, &[text(TABLE)]).await?.is_empty() {
        let collation = exact_collation(session);
        let made = format!(
            "CREATE TABLE IF NOT EXISTS {TABLE} (stream VARCHAR(255) NOT NULL PRIMARY KEY, number BIGINT NOT NULL, value LONGTEXT NOT NULL)
             ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE {collation}"
        );
        session.command(&made).await?;
    }
    check_engine(session, TABLE).await?;
    let rows = session.rows(&format!("SELECT value FROM {TABLE} WHERE stream = ?"), &[text(stream)]).await?;
    match rows.concat().as_slice() {
        [Value::Text(value)] => Ok(Progress::parse(value, TABLE)?),
        _ => Ok(Progress::default()),
    }
}

/// Moves the row to its next number, unless somebody else did. It stays locked until the transaction ends.
pub async fn write(session: &mut Session, stream: &str, from: &Progress, value: String) -> Result<(), Error> {
    let (number, value) = (from.number(), Value::Text(value));
    let moves = format!("UPDATE {TABLE} SET number = ?, value = ? WHERE stream = ? AND number = ?");
    let values = [Value::Integer(number + 1), value.clone(), text(stream), Value::Integer(number)];
    if session.change(&moves, &values).await?.rows == 1 {
        return Ok(());
    }
    if number != 0 {
        return Err(overtaken(stream).into());
    }
    let first = format!("INSERT INTO {TABLE} (stream, number, value) VALUES (?, 1, ?)");
    match session.change(&first, &[text(stream), value]).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_duplicate() => Err(overtaken(stream).into()),
        Err(error) => Err(error),
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}
