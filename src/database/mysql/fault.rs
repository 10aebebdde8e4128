//! What an error leads to, decided by the server's number of it. What is safe then is told by whoever asked the database.
//! <https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html> and
//! <https://mariadb.com/kb/en/mariadb-error-code-reference/>, 2026-11.

use std::{io, time::Duration};

use mysql_async::{DriverError, IoError};

use crate::model::{Blame, Code, Disposition, Fault};

/// Nothing left for the database, or nothing that changes it.
pub const NOTHING_CHANGED: &str = "Nothing was changed.";

/// What a statement failed with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// The server refused it.
    Server { code: u16, state: String, message: String },
    /// The connection broke, or the server did not answer.
    Lost(String),
    /// TLS did not come about.
    Tls(String),
    /// The server wants to be signed in to in a way that is not known.
    SignIn(String),
    /// What somebody above found in the middle of a piece of work.
    Found(Box<Fault>),
}

impl From<mysql_async::Error> for Error {
    fn from(error: mysql_async::Error) -> Self {
        use mysql_async::Error as E;
        match error {
            E::Server(error) => Self::Server { code: error.code, state: error.state, message: error.message },
            E::Io(IoError::Tls(error)) => Self::Tls(error.to_string()),
            E::Io(IoError::Io(error)) if is_of_tls(&error) => Self::Tls(error.to_string()),
            E::Io(IoError::Io(error)) => Self::Lost(error.to_string()),
            E::Driver(DriverError::UnknownAuthPlugin { name }) => Self::SignIn(name),
            E::Driver(DriverError::MysqlOldPasswordDisabled) => Self::SignIn("mysql_old_password".to_owned()),
            E::Driver(DriverError::CleartextPluginDisabled) => Self::SignIn("mysql_clear_password".to_owned()),
            // Whatever else the library says, the session is of no use any more. Values are not shown.
            E::Driver(DriverError::FromValue { .. } | DriverError::FromRow { .. }) => {
                Self::Lost("an answer has another form than it should".to_owned())
            }
            other => Self::Lost(other.to_string()),
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Found(Box::new(fault))
    }
}

fn is_of_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}

/// Whether a number of an error, or of a warning, tells of a value that was refused, or changed on its way into its column.
pub fn is_value_code(code: u16) -> bool {
    matches!(
        code,
        1048 | 1062 | 1118 | 1138 | 1216 | 1217 | 1263
            ..=1265
                | 1292
                | 1300
                | 1364
                | 1365
                | 1366
                | 1367
                | 1406
                | 1411
                | 1416
                | 1441
                | 1451
                | 1452
                | 1526
                | 1586
                | 1644
                | 1690
                | 1761
                | 1762
                | 3140
                | 3141
                | 3156
                | 3819
                | 4025
                | 4078
                | 4079
    )
}

/// The table is no longer as it was looked at.
fn is_table_changed(code: u16) -> bool {
    matches!(code, 1054 | 1060 | 1072 | 1091 | 1136 | 1146 | 1412 | 1615)
}

/// Others, the server's bounds, or its state: the same may well go another time.
fn is_of_the_moment(code: u16) -> bool {
    matches!(
        code,
        1020 | 1021 | 1037 | 1038 | 1040 | 1041 | 1053 | 1077..=1080 | 1105 | 1114 | 1129 | 1152..=1161 | 1180 | 1184 | 1203
            | 1205 | 1206 | 1213 | 1226 | 1290 | 1317 | 1836 | 1927 | 1969 | 3024 | 3058 | 3168 | 3572 | 4031
    )
}

fn is_of_rights(code: u16) -> bool {
    matches!(code, 1044 | 1095 | 1130 | 1142 | 1143 | 1227 | 1370 | 1410)
}

impl Error {
    /// The server did not answer.
    pub(super) fn silent(after: Duration) -> Self {
        Self::Lost(format!("no answer within {} min", after.as_secs() / 60))
    }

    /// The database refused a value, and not the statement: the batch's other records may go in.
    pub fn is_value_refused(&self) -> bool {
        match self {
            Self::Server { code, state, .. } => {
                is_value_code(*code) || state.starts_with("22") || state.starts_with("23") || state.starts_with("45")
            }
            _ => false,
        }
    }

    /// Two rows of one unique key.
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Server { code: 1062 | 1586, .. })
    }

    /// A statement names what is not there, or cannot be read.
    pub fn is_of_the_statement(&self) -> bool {
        matches!(self, Self::Server { code, state, .. } if state.starts_with("42") && !is_of_rights(*code))
    }

    pub fn message(&self) -> &str {
        match self {
            Self::Server { message, .. } | Self::Lost(message) | Self::Tls(message) | Self::SignIn(message) => message,
            Self::Found(fault) => &fault.message,
        }
    }

    /// The fault that it leads to. `doing` follows "failed to", and `safe` says what is safe, in a sentence.
    pub fn fault(&self, doing: &str, safe: &str) -> Fault {
        let retry = Disposition::Retry { after: None };
        let (code, message) = match self {
            Self::Found(fault) => return (**fault).clone(),
            Self::Lost(why) => {
                return Fault::halt(Code::Database, Blame::Remote, format!("failed to {doing}: {why}"))
                    .with(retry)
                    .help(format!("{safe} The next run goes on from its checkpoint."));
            }
            Self::Tls(why) => {
                return Fault::halt(Code::Tls, Blame::Remote, format!("failed to {doing}: {why}"))
                    .help(format!("{safe} Check ssl-mode and `ca` of the connection, and the server's certificate."));
            }
            Self::SignIn(plugin) => {
                let message = format!("failed to {doing}: the user signs in by {plugin}, which is not known");
                return Fault::halt(Code::Unauthorized, Blame::Credentials, message).help(format!(
                    "{safe} Give the user a password of caching_sha2_password or mysql_native_password."
                ));
            }
            Self::Server { code, message, .. } => (*code, format!("failed to {doing}: {message} (error {code})")),
        };
        let halt = |kind, blame, help: &str| Fault::halt(kind, blame, message.clone()).help(format!("{safe} {help}"));
        match code {
            1045 | 1698 | 1820 | 1862 | 3118 | 3955 | 4151 => {
                halt(Code::Unauthorized, Blame::Credentials, "Check user and password of the database URL.")
            }
            1049 => halt(Code::Database, Blame::Config, "Create the database, or name another one in the URL."),
            1792 => halt(Code::RowsUnfit, Blame::Config, "What is read may not write; leave that out of the query."),
            1665 => halt(Code::Database, Blame::Config, "Set binlog_format of the server to ROW or MIXED."),
            _ if is_of_rights(code) => {
                halt(Code::Forbidden, Blame::Credentials, "The database user lacks a right; its owner can GRANT it.")
            }
            _ if is_table_changed(code) => halt(
                Code::Database,
                Blame::Remote,
                "Somebody may have changed the table meanwhile; the next run looks at it afresh.",
            )
            .with(retry),
            _ if is_of_the_moment(code) => {
                halt(Code::Database, Blame::Remote, "The next run goes on from its checkpoint.").with(retry)
            }
            _ => halt(Code::Database, Blame::Remote, "The server's log says more."),
        }
    }

    /// The same, met while connecting.
    pub(super) fn connect_fault(&self, place: &str) -> Fault {
        match self {
            Self::Lost(why) => unreachable(place, why),
            _ => self.fault(&format!("connect to the database at {place}"), NOTHING_CHANGED),
        }
    }
}

/// The host cannot be reached, or does not answer.
pub(super) fn unreachable(place: &str, why: &str) -> Fault {
    Fault::halt(Code::Unreachable, Blame::Remote, format!("no connection to the database at {place}: {why}"))
        .with(Disposition::Retry { after: None })
        .help("Nothing was sent. Check host and port of the database URL, and whether the server runs and lets us in.")
}

/// The server speaks without TLS only, and the connection asks for it.
pub(super) fn no_tls(place: &str) -> Fault {
    Fault::halt(Code::Tls, Blame::Remote, format!("the database at {place} offers no TLS")).help(
        "Nothing was sent. Give the server a certificate, or say with ssl-mode=PREFERRED that it may be read without encryption.",
    )
}
