//! One connection to one database. The URL holds a password, so it is never shown; errors name host and database.

use std::{path::Path, time::Duration};

use mysql_async::{Conn, DriverError, Opts, OptsBuilder, SslOpts, prelude::Queryable};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Session,
    fault::{Error, NOTHING_CHANGED, no_tls, unreachable},
    tls::Mode,
};
use crate::model::{Blame, Code, Fault};

/// Connecting, TLS and signing in.
const SIGN_IN_MAX: Duration = Duration::from_secs(30);
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Texts as UTF-8, times in UTC, and bounds for waits. Reported are all warnings, because they tell of values that were changed.
const SESSION: &str = "SET time_zone = '+00:00', lock_wait_timeout = 60, innodb_lock_wait_timeout = 60, wait_timeout = 3600, \
    sql_notes = 1, max_error_count = 64, autocommit = 1";
/// Zeros in dates are read, because they may be there.
const READ: [&str; 2] =
    ["SET sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'", "SET SESSION TRANSACTION READ ONLY"];
/// A value that does not fit is an error, a zero is a zero, and rows that are not there yet are not locked.
const WRITE: [&str; 2] = [
    "SET sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_VALUE_ON_ZERO,\
     NO_ENGINE_SUBSTITUTION'",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
];

/// Whether the session may change something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    Read,
    Write,
}

impl Session {
    /// Opens a session. It is closed, and its transaction rolled back, when it is dropped.
    pub async fn open(url: &SecretString, ca: Option<&Path>, access: Access) -> Result<Self, Fault> {
        let (opts, mode) = parse(url.expose_secret())?;
        let place = format!("{}:{}/{}", opts.ip_or_hostname(), opts.tcp_port(), opts.db_name().unwrap_or_default());
        let tls = mode.options(ca)?;
        let opening = async {
            let conn = connected(opts, mode, tls, &place).await?;
            set_up(conn, access).await.map_err(|error| error.fault("set up the database session", NOTHING_CHANGED))
        };
        match tokio::time::timeout(SIGN_IN_MAX, opening).await {
            Ok(session) => session,
            Err(_) => Err(unreachable(&place, "it took longer than 30 s")),
        }
    }
}

async fn connected(opts: Opts, mode: Mode, tls: Option<SslOpts>, place: &str) -> Result<Conn, Fault> {
    let failed = |error: mysql_async::Error| Error::from(error).connect_fault(place);
    let builder = || OptsBuilder::from_opts(opts.clone());
    match Conn::new(builder().ssl_opts(tls)).await {
        Err(mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer)) if mode == Mode::Preferred => {
            Conn::new(builder().ssl_opts(None)).await.map_err(failed)
        }
        Err(mysql_async::Error::Driver(DriverError::NoClientSslFlagFromServer)) => Err(no_tls(place)),
        other => other.map_err(failed),
    }
}

async fn set_up(mut conn: Conn, access: Access) -> Result<Session, Error> {
    let who: Option<(String, Option<String>, String, usize)> =
        conn.query_first("SELECT VERSION(), DATABASE(), CURRENT_USER(), @@max_allowed_packet").await?;
    let (version, database, user, packet_max) = who.unwrap_or_default();
    let is_mariadb = version.contains("MariaDB");
    conn.query_drop("SET NAMES utf8mb4").await?;
    conn.query_drop(SESSION).await?;
    // Seconds for all statements there, milliseconds for those that read here.
    let bound = if is_mariadb { "SET max_statement_time = 600" } else { "SET max_execution_time = 600000" };
    conn.query_drop(bound).await?;
    for statement in if access == Access::Read { READ } else { WRITE } {
        conn.query_drop(statement).await?;
    }
    Ok(Session { conn, is_mariadb, version, database: database.unwrap_or_default(), user, packet_max })
}

/// Takes `ssl-mode` out of the URL, because the library knows others, and refuses what else stands there.
fn parse(url: &str) -> Result<(Opts, Mode), Fault> {
    let unread = |message: String| {
        Err(Fault::halt(Code::BadPath, Blame::Config, message).help(
            "Nothing was sent. Write mysql://user:password@host:3306/database?ssl-mode=VERIFY_IDENTITY, also for MariaDB, with special \
             characters of the password percent-encoded.",
        ))
    };
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut mode = Mode::Preferred;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match key {
            "ssl-mode" => mode = value.parse()?,
            // A password with a question mark in it would be shown by its own text.
            _ => return unread("the database URL has another parameter than ssl-mode".to_owned()),
        }
    }
    let opts = Opts::from_url(base).ok().filter(|opts| opts.db_name().is_some_and(|name| !name.is_empty()));
    let Some(opts) = opts else {
        return unread("the database URL cannot be read, or names no database".to_owned());
    };
    // The library would otherwise look for the server's socket file, and sign in there anew.
    let opts = OptsBuilder::from_opts(opts).prefer_socket(false).tcp_keepalive(Some(KEEPALIVE));
    Ok((opts.into(), mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_gives_the_mode_and_its_parts_are_decoded() {
        let (opts, mode) = parse("mysql://u%40x:p%20w%2B@db:3307/crm?ssl-mode=verify_ca").unwrap();
        assert_eq!(mode, Mode::VerifyCa);
        assert_eq!((opts.user(), opts.pass(), opts.db_name()), (Some("u@x"), Some("p w+"), Some("crm")));
        assert_eq!((opts.ip_or_hostname(), opts.tcp_port(), opts.prefer_socket()), ("db", 3307, false));
        assert_eq!(parse("mysql://u@db/crm").unwrap().1, Mode::Preferred);
    }

    #[test]
    fn a_url_that_cannot_be_read_is_refused_without_showing_it() {
        for url in [
            "db password=hunter2",
            "postgres://u:hunter2@db/x",
            "mysql://u:hunter2@db:port/x",
            "mysql://u:hunter2@db",
            "mysql://u:hunter2@db/",
            "mysql://u:hunter2@db/x?ssl-mode=maybe",
            "mysql://u:hunter2@db/x?require_ssl=true",
            "mysql://u:x?hunter2@db/x",
        ] {
            let fault = parse(url).unwrap_err();
            assert_eq!(fault.exit_code(), 3);
            assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
        }
    }
}
