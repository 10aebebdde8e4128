//! MySQL and MariaDB: what their URL must hold.

use std::sync::Arc;

use secrecy::ExposeSecret;
use url::Url;

use super::{
    check::Check,
    diagnostic::Problem,
    fill::HOLE,
    plan::{Connection, Mysql},
    raw_mysql::RawMysql,
    shape::Spanned,
};
use crate::model::Code;

impl Check<'_> {
    pub(super) fn mysql(&self, name: &Spanned<String>, raw: &RawMysql) -> Connection {
        let url = raw.url.value.0.expose_secret();
        if !url.contains(HOLE) && !names_a_database(url) {
            let problem = Problem::new(Code::BadPath, raw.url.span, "this is no URL of a MySQL database");
            self.report(problem.help("write mysql://user:${MYSQL_PASSWORD}@host:3306/database, also for MariaDB"));
        }
        let ca = raw.ca.as_ref().map(|ca| self.place(ca));
        Connection::Mysql(Arc::new(Mysql { name: name.value.clone(), url: raw.url.value.0.clone(), ca }))
    }
}

/// A host, and one database: tables are looked for there, and the checkpoint is kept there.
fn names_a_database(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let database = url.path().trim_start_matches('/');
    url.scheme() == "mysql" && url.host_str().is_some() && !database.is_empty() && !database.contains('/')
}
