//! What a database error leads to, decided by its SQLSTATE. Reasons of records never quote the server's text, which
//! quotes the refused value.

use std::{error::Error as _, io};

use tokio_postgres::Error;

use super::columns::{Column, Conflict};
use crate::model::{Blame, Code, Disposition, Fault, Reason};

const ROLLED_BACK: &str = "Rows and checkpoint are stored together or not at all, so nothing is lost or doubled.";

/// The database refused a value, not the statement: the batch's other records may go in.
pub fn is_value_refused(error: &Error) -> bool {
    state(error).is_some_and(|state| state.starts_with("22") || state.starts_with("23"))
}

/// The table is no longer as it was read.
fn is_table_changed(state: &str) -> bool {
    matches!(state, "42P01" | "42703" | "42804" | "0A000" | "42P10" | "42704")
}

fn state(error: &Error) -> Option<&str> {
    error.code().map(tokio_postgres::error::SqlState::code)
}

/// Sorts an error met while `doing` something, in words that follow "failed to".
pub fn fault(error: &Error, doing: &str) -> Fault {
    let Some(server) = error.as_db_error() else {
        return local_fault(error, doing);
    };
    let state = server.code().code();
    let message = format!("failed to {doing}: {} (SQLSTATE {state})", server.message());
    let halt =
        |code, blame, help: &str| Fault::halt(code, blame, message.clone()).help(format!("{ROLLED_BACK} {help}"));
    let retry = Disposition::Retry { after: None };
    match state {
        "28000" | "28P01" => {
            halt(Code::Unauthorized, Blame::Credentials, "Check user and password of the database URL.")
        }
        "42501" => {
            halt(Code::Forbidden, Blame::Credentials, "The database user lacks a right; its owner can GRANT it.")
        }
        "3D000" => halt(Code::Database, Blame::Config, "Create the database, or name another one in the URL."),
        "3F000" => halt(Code::Database, Blame::Config, "Create the schema (CREATE SCHEMA ..), or name another one."),
        _ if is_table_changed(state) => halt(
            Code::Database,
            Blame::Remote,
            "Somebody may have changed the table meanwhile; the next run looks at it afresh.",
        )
        .with(retry),
        _ if matches!(&state[..2], "08" | "40" | "53" | "55" | "57" | "58") => {
            halt(Code::Database, Blame::Remote, "The next run goes on from the checkpoint in the database.").with(retry)
        }
        _ => halt(Code::Database, Blame::Remote, "The server's log says more."),
    }
}

fn local_fault(error: &Error, doing: &str) -> Fault {
    let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
    let message = format!("failed to {doing}: {error}{cause}");
    let io = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    if io.and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<rustls::Error>()) {
        return Fault::halt(Code::Tls, Blame::Remote, message)
            .help(format!("{ROLLED_BACK} Check sslmode and `ca` of the connection, and the server's certificate."));
    }
    Fault::halt(Code::Database, Blame::Remote, message)
        .with(Disposition::Retry { after: None })
        .help(format!("{ROLLED_BACK} The next run asks the database how far it came, and goes on there."))
}

/// The host cannot be reached, or does not answer.
pub fn unreachable(place: &str, why: &str) -> Fault {
    Fault::halt(Code::Unreachable, Blame::Remote, format!("no connection to the database at {place}: {why}"))
        .with(Disposition::Retry { after: None })
        .help("Nothing was sent. Check host and port of the database URL, and whether the server runs and lets us in.")
}

/// Sorts an error met while connecting.
pub fn connect_fault(error: &Error, place: &str) -> Fault {
    let io = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    match io {
        Some(io) if io.get_ref().is_none_or(|inner| !inner.is::<rustls::Error>()) => {
            unreachable(place, &io.to_string())
        }
        _ => fault(error, &format!("connect to the database at {place}")),
    }
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
                super::table::quoted(&column.name)
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
