//! What a server says of itself, for whoever only wants to know. Nothing is written.

use std::path::Path;

use secrecy::SecretString;

use crate::{
    database::mysql::{Access, NOTHING_CHANGED, Session, Value},
    model::Fault,
    sink::progress::TABLE,
};

/// A server, as one database of it is seen by one user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// `MySQL 8.4.2` or `MariaDB 10.11.19`.
    pub version: String,
    pub database: String,
    pub user: String,
    /// The cipher; nothing: without TLS.
    pub tls: Option<String>,
    pub tables: i64,
    pub has_checkpoints: bool,
}

/// Signs in, looks, and leaves.
pub async fn look_at_server(url: &SecretString, ca: Option<&Path>) -> Result<Server, Fault> {
    let mut session = Session::open(url, ca, Access::Read).await?;
    let sql = "SELECT COUNT(*), COALESCE(SUM(TABLE_NAME = ?), 0) > 0 FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()";
    let counted = session.rows(sql, &[Value::Text(TABLE.to_owned())]).await;
    let counted = counted.map_err(|error| error.fault("look at the database", NOTHING_CHANGED))?.concat();
    let (tables, has_checkpoints) = match counted.as_slice() {
        [Value::Integer(tables), has] => (*tables, *has == Value::Integer(1)),
        _ => (0, false),
    };
    let cipher = session.rows("SHOW STATUS LIKE 'Ssl_cipher'", &[]).await;
    let cipher = cipher.map_err(|error| error.fault("look at the connection", NOTHING_CHANGED))?.concat();
    let tls = match cipher.as_slice() {
        [_, Value::Text(cipher)] if !cipher.is_empty() => Some(cipher.clone()),
        _ => None,
    };
    let number = session.version.split('-').next().unwrap_or_default();
    // Old clients take a number of two digits for none, so MariaDB may write 5.5.5 before its own.
    let number = session.version.strip_prefix("5.5.5-").and_then(|rest| rest.split('-').next()).unwrap_or(number);
    let version = format!("{} {number}", if session.is_mariadb { "MariaDB" } else { "MySQL" });
    let (database, user) = (session.database.clone(), session.user.clone());
    Ok(Server { version, database, user, tls, tables, has_checkpoints })
}
