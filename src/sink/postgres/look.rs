//! A look at a database before anything is written to it: signing in, what it is, and whether our tables can be made.

use std::path::Path;

use secrecy::SecretString;

use crate::{
    database::postgres::{NOTHING_CHANGED, connect, fault},
    model::Fault,
    sink::progress::TABLE,
};

/// A database as it answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Database {
    pub name: String,
    pub user: String,
    pub version: String,
    /// `TLSv1.3`, where the session is encrypted.
    pub tls: Option<String>,
    /// Nothing: there is no such schema.
    pub schema: Option<Rights>,
}

/// What this user may do in the schema.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rights {
    pub usage: bool,
    pub create: bool,
    /// The table of checkpoints is there already, so nothing has to be made for it.
    pub has_checkpoints: bool,
}

/// Connects, asks and hangs up. Nothing is written.
pub async fn look_at_database(url: &SecretString, ca: Option<&Path>, schema: &str) -> Result<Database, Fault> {
    let client = connect(url, ca).await?;
    let sql = "select current_database()::text, current_user::text, current_setting('server_version'),
            (select version from pg_stat_ssl where pid = pg_backend_pid() and ssl),
            has_schema_privilege(n.oid, 'usage'), has_schema_privilege(n.oid, 'create'),
            exists (select from pg_class where relnamespace = n.oid and relname = $2::text)
        from (select) one left join pg_namespace n on n.nspname = $1::text";
    let row = client.query_one(sql, &[&schema, &TABLE]).await;
    let row = row.map_err(|error| fault(&error, "look at the database", NOTHING_CHANGED))?;
    let (usage, create): (Option<bool>, Option<bool>) = (row.get(4), row.get(5));
    let has_checkpoints = row.get(6);
    let schema = usage.zip(create).map(|(usage, create)| Rights { usage, create, has_checkpoints });
    Ok(Database { name: row.get(0), user: row.get(1), version: row.get(2), tls: row.get(3), schema })
}
