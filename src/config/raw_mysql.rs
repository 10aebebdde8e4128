//! A MySQL or MariaDB database as typed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::shape::{SecretUrl, Spanned};

/// A MySQL or MariaDB database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawMysql {
    /// `mysql://user:password@host:port/database?ssl-mode=VERIFY_IDENTITY`; the password must be a reference such as `${MYSQL_PASSWORD}`.
    pub url: Spanned<SecretUrl>,
    /// PEM file with the certificates that may sign the server's, relative to the workspace. `VERIFY_CA` and `VERIFY_IDENTITY` need it.
    pub ca: Option<Spanned<String>>,
}
