//! One connection to one database. The URL holds a password, so it is never shown; errors name host and database.

use std::{path::Path, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::{Client, Config, NoTls, config::Host};

use super::{
    fault::{NOTHING_CHANGED, connect_fault, fault, unreachable},
    tls::{Mode, connector},
};
use crate::model::{Blame, Code, Fault};

const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Connecting, TLS and signing in, over all hosts of the URL.
const SIGN_IN_MAX: Duration = Duration::from_secs(30);

/// Bounds for everything the server does for us, and one way to read a time without a zone.
const SESSION: &str = "SET statement_timeout = '10min'; SET lock_timeout = '1min'; \
    SET idle_in_transaction_session_timeout = '10min'; SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; \
    SET client_min_messages = 'warning'";

/// Opens a connection. It is closed, and its transaction rolled back, when the client is dropped.
pub async fn connect(url: &SecretString, ca: Option<&Path>) -> Result<Client, Fault> {
    let (config, mode) = parse(url.expose_secret())?;
    let place = place(&config);
    let client = match tokio::time::timeout(SIGN_IN_MAX, open(&config, mode, ca, &place)).await {
        Ok(client) => client?,
        Err(_) => return Err(unreachable(&place, "it took longer than 30 s")),
    };
    client
        .batch_execute(SESSION)
        .await
        .map_err(|error| fault(&error, "set up the database session", NOTHING_CHANGED))?;
    Ok(client)
}

async fn open(config: &Config, mode: Mode, ca: Option<&Path>, place: &str) -> Result<Client, Fault> {
    let failed = |error| connect_fault(&error, place);
    if mode == Mode::Disable {
        let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
        tokio::spawn(connection);
        return Ok(client);
    }
    let (client, connection) = config.connect(connector(mode, ca)?).await.map_err(failed)?;
    tokio::spawn(connection);
    Ok(client)
}

/// Takes `sslmode` out of the URL, because the library knows fewer of them than PostgreSQL does.
fn parse(url: &str) -> Result<(Config, Mode), Fault> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut mode = Mode::Prefer;
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.strip_prefix("sslmode=") {
            Some(text) => mode = text.parse()?,
            None => rest.push(pair),
        }
    }
    let is_url = base.starts_with("postgres://") || base.starts_with("postgresql://");
    let config =
        Some(format!("{base}?{}", rest.join("&"))).filter(|_| is_url).and_then(|url| url.parse::<Config>().ok());
    let Some(mut config) = config else {
        return Err(Fault::halt(Code::BadPath, Blame::Config, "the database URL cannot be read").help(
            "Nothing was sent. Write postgres://user:password@host:port/database?sslmode=verify-full, with special \
             characters of the password percent-encoded.",
        ));
    };
    config.ssl_mode(mode.ssl_mode()).keepalives_idle(Duration::from_secs(60));
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_MAX);
    }
    if config.get_application_name().is_none() {
        config.application_name("renkei");
    }
    Ok((config, mode))
}

fn place(config: &Config) -> String {
    let host = config.get_hosts().first().map_or_else(String::new, |host| match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(folder) => folder.display().to_string(),
    });
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("{host}:{port}/{}", config.get_dbname().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_gives_the_mode_and_keeps_its_other_parameters() {
        let (config, mode) = parse("postgres://u:p%20w@db:5433/crm?sslmode=verify-full&options=-c%20a%3Db").unwrap();
        assert_eq!(mode, Mode::VerifyFull);
        assert_eq!(config.get_options(), Some("-c a=b"));
        assert_eq!(config.get_password(), Some(b"p w".as_slice()));
        assert_eq!(place(&config), "db:5433/crm");
        assert_eq!(parse("postgresql://u@db/crm").unwrap().1, Mode::Prefer);
    }

    #[test]
    fn a_url_that_cannot_be_read_is_refused_without_showing_it() {
        for url in
            ["host=db password=hunter2", "postgres://u:hunter2@db:port/x", "postgres://u:hunter2@db/x?sslmode=maybe"]
        {
            let fault = parse(url).unwrap_err();
            assert_eq!(fault.exit_code(), 3);
            assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
        }
    }
}
