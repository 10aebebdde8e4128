//! What a database error leads to, decided by its SQLSTATE. What is safe then is told by whoever asked the database.

use std::{error::Error as _, io};

use tokio_postgres::Error;

use crate::model::{Blame, Code, Disposition, Fault};

/// Nothing left for the database, or nothing that changes it.
pub const NOTHING_CHANGED: &str = "Nothing was changed.";

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

/// Sorts an error met while `doing` something, in words that follow "failed to". `safe` says what is safe, in a sentence.
pub fn fault(error: &Error, doing: &str, safe: &str) -> Fault {
    let Some(server) = error.as_db_error() else {
        return local_fault(error, doing, safe);
    };
    let state = server.code().code();
    let message = format!("failed to {doing}: {} (SQLSTATE {state})", server.message());
    let halt = |code, blame, help: &str| Fault::halt(code, blame, message.clone()).help(format!("{safe} {help}"));
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
            halt(Code::Database, Blame::Remote, "The next run goes on from its checkpoint.").with(retry)
        }
        _ => halt(Code::Database, Blame::Remote, "The server's log says more."),
    }
}

fn local_fault(error: &Error, doing: &str, safe: &str) -> Fault {
    let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
    let message = format!("failed to {doing}: {error}{cause}");
    let io = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    if io.and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<rustls::Error>()) {
        return Fault::halt(Code::Tls, Blame::Remote, message)
            .help(format!("{safe} Check sslmode and `ca` of the connection, and the server's certificate."));
    }
    Fault::halt(Code::Database, Blame::Remote, message)
        .with(Disposition::Retry { after: None })
        .help(format!("{safe} The next run goes on from its checkpoint."))
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
        _ => fault(error, &format!("connect to the database at {place}"), NOTHING_CHANGED),
    }
}
