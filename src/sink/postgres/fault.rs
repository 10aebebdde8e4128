//! What a database error means to a batch and to its records. Reasons of records never quote the server's text, which
//! quotes the refused value.

use tokio_postgres::Error;

use super::columns::{Column, Conflict};
use crate::{
    database::postgres,
    model::{Blame, Code, Fault, Reason},
};

pub use crate::database::postgres::is_value_refused;

const ROLLED_BACK: &str = "Rows and checkpoint are stored together or not at all, so nothing is lost or doubled.";

/// Sorts an error met while `doing` something, in words that follow "failed to".
pub fn fault(error: &Error, doing: &str) -> Fault {
    postgres::fault(error, doing, ROLLED_BACK)
}

/// Why the database refused one record.
pub fn reason(error: &Error, columns: &[Column]) -> Reason {
    let Some(server) = error.as_db_error() else {
        return Reason::new(Code::ValueRefused, "the database refused the record");
    };
    let state = server.code().code();
    let what = match state {
        "22001" => "a text is longer than its column",
        "22003" => "a number is out of its column's range",
        "22007" | "22008" => "a value is no date or time as its column wants it",
        "22P02" => "a value is not written as its column's type wants it",
        "22021" | "22P05" => "a text holds a character that PostgreSQL cannot store",
        "23502" => "a column that must not be null would be",
        "23503" => "a row that it refers to is not there",
        "23505" => "another row already has a value that must be unique",
        "23514" => "a check of the table does not hold",
        _ => "the database refused a value",
    };
    let copied = server.where_().and_then(copied_column).and_then(|number| columns.get(number));
    let place = match (copied, server.column(), server.constraint()) {
        (Some(column), _, _) => format!("column \"{}\" ({}): ", column.name, column.type_text),
        (None, Some(column), _) => format!("column \"{column}\": "),
        (None, None, Some(constraint)) => format!("constraint \"{constraint}\": "),
        (None, None, None) => String::new(),
    };
    Reason::new(Code::ValueRefused, format!("{place}{what} (SQLSTATE {state})"))
}

/// The number in `.. column c3: ..`, which COPY adds to its errors in every language.
fn copied_column(context: &str) -> Option<usize> {
    context.split_whitespace().find_map(|word| word.strip_prefix('c')?.trim_end_matches(':').parse().ok())
}

/// A field that no column can take, with what to type.
pub fn conflict(conflict: &Conflict, table: &str) -> Fault {
    let nothing = "Nothing of this batch was written.";
    let (message, help) = match conflict {
        Conflict::NameTooLong { field } => (
            format!("the field name {field:?} is longer than the 63 bytes PostgreSQL gives a column of {table}"),
            "Give it a shorter name under `fields:`.".to_owned(),
        ),
        Conflict::NameUnusable { field } => (
            format!("the field name {field:?} cannot name a column of {table}"),
            "Give it another name under `fields:`.".to_owned(),
        ),
        Conflict::Generated { column } => (
            format!("column \"{}\" of {table} is computed by the database and cannot be written", column.name),
            "Leave the field out under `fields:`, or give it another name.".to_owned(),
        ),
        Conflict::Type { column, kind } => (
            format!(
                "column \"{}\" of {table} has type {}, and the field is {}",
                column.name,
                column.type_text,
                kind.words()
            ),
            format!(
                "Convert the field under `fields:`, or change the column: ALTER TABLE {table} ALTER COLUMN {} TYPE .. \
                 (a column that renkei makes itself gets the type under `columns:`).",
                postgres::quoted(&column.name)
            ),
        ),
    };
    Fault::halt(Code::ColumnConflict, Blame::Config, message).help(format!("{nothing} {help}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_of_a_copy_error_is_found_in_any_language() {
        assert_eq!(copied_column("COPY renkei_batch, line 3, column c12: \"x\""), Some(12));
        assert_eq!(copied_column("COPY renkei_batch, Zeile 3, Spalte c0: »x«"), Some(0));
        assert_eq!(copied_column("PL/pgSQL function check_it() line 4"), None);
    }
}
