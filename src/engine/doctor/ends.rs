//! The checks of connections without an API: databases and folders.

use std::path::Path;

use super::Line;
use crate::{
    auth::{self, Ground},
    config::plan::{Mysql, Postgres, S3, Sqlite},
    model::{Blame, Code, Fault},
    sink::{Database, Rights, Server, look_at_bucket, look_at_database, look_at_file, look_at_folder, look_at_server},
};

pub async fn database(plan: &Postgres) -> Vec<Line> {
    judged(&plan.schema, look_at_database(&plan.url, plan.ca.as_deref(), &plan.schema).await)
}

/// What the user may do there is not looked at: MySQL tells rights as statements.
pub async fn server(plan: &Mysql) -> Vec<Line> {
    let found = match look_at_server(&plan.url, plan.ca.as_deref()).await {
        Ok(found) => found,
        Err(fault) => {
            let unseen = Line::not_tried("tables", "the database was not reached");
            return vec![Line::failed("connect", &fault), unseen];
        }
    };
    let Server { version, database, user, tls, tables, has_checkpoints } = found;
    let how = tls.clone().unwrap_or_else(|| "no TLS".to_owned());
    let connected = Line::ok("connect", format!("{version}, database {database} as {user}, {how}"))
        .fact("version", version)
        .fact("database", database.clone())
        .fact("user", user)
        .fact("tls", tls);
    let checkpoints = if has_checkpoints { "is there" } else { "is made by the first run that writes" };
    let seen = format!("{tables} table(s) in {database}; renkei_checkpoints {checkpoints}");
    vec![connected, Line::ok("tables", seen).fact("tables", tables)]
}

/// A file that is not there yet is made by a run that writes, if its folder is.
pub async fn file(plan: &Sqlite) -> Vec<Line> {
    let path = plan.path.display();
    if tokio::fs::try_exists(&plan.path).await.is_ok_and(|is_there| is_there) {
        return vec![match look_at_file(&plan.path).await {
            Ok((version, tables)) => Line::ok("file", format!("{path}: SQLite {version}, {tables} table(s)"))
                .fact("version", version)
                .fact("tables", tables),
            Err(fault) => Line::failed("file", &fault),
        }];
    }
    let folder = plan.path.parent().unwrap_or(Path::new("."));
    vec![match tokio::fs::metadata(folder).await {
        Ok(found) if found.is_dir() => Line::ok("file", format!("{path} is made by the first run that writes to it")),
        _ => {
            let message = format!("there is no folder {}", folder.display());
            Line::failed("file", &Fault::halt(Code::Database, Blame::Config, message))
                .help("Make it, or name another file.")
        }
    }]
}

pub async fn folder(path: &Path) -> Vec<Line> {
    let looked = look_at_folder(path).await;
    vec![match looked {
        Ok(found) if found.is_there => Line::ok("folder", format!("{} can be written", found.path.display())),
        Ok(found) => {
            let (folder, above) = (path.display(), found.path.display());
            Line::ok("folder", format!("{folder} is made by the first run; {above} above it can be written"))
        }
        Err(fault) => Line::failed("folder", &fault),
    }]
}

/// Objects are listed, put and deleted, as runs do it.
pub async fn bucket(plan: &S3, ground: &Ground) -> Vec<Line> {
    let looked = async { look_at_bucket(&auth::client(&plan.api, ground)?, plan).await };
    vec![match looked.await {
        Ok(place) => Line::ok("bucket", format!("objects can be listed, put and deleted in {place}")),
        Err(fault) => Line::failed("bucket", &fault),
    }]
}

fn judged(schema: &str, looked: Result<Database, Fault>) -> Vec<Line> {
    let found = match looked {
        Ok(found) => found,
        Err(fault) => {
            let unseen = Line::not_tried("schema", "the database was not reached");
            return vec![Line::failed("connect", &fault), unseen];
        }
    };
    let Database { name, user, version, tls, schema: rights } = found;
    let how = tls.clone().unwrap_or_else(|| "no TLS".to_owned());
    let connected = Line::ok("connect", format!("PostgreSQL {version}, database {name} as {user}, {how}"))
        .fact("version", version)
        .fact("database", name)
        .fact("user", user.clone())
        .fact("tls", tls);
    vec![connected, rights_in(schema, &user, rights)]
}

fn rights_in(schema: &str, user: &str, rights: Option<Rights>) -> Line {
    let no = |seen: String, help: String| {
        Line::failed("schema", &Fault::halt(Code::Database, Blame::Config, seen)).help(help)
    };
    match rights {
        None => no(format!("there is no schema {schema}"), format!("CREATE SCHEMA {schema}, or name another one.")),
        Some(Rights { usage: false, .. }) => no(
            format!("{user} may not use the schema {schema}"),
            format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {user}"),
        ),
        Some(Rights { create: false, has_checkpoints: false, .. }) => Line::warning(
            "schema",
            format!("{user} may make no table in the schema {schema}, and renkei_checkpoints is not there"),
            format!("That is enough to read. To write: GRANT CREATE ON SCHEMA {schema} TO {user}"),
        ),
        Some(Rights { create: false, .. }) => {
            Line::ok("schema", format!("{user} may use {schema} and make no table in it; renkei_checkpoints is there"))
        }
        Some(_) => Line::ok("schema", format!("{user} may make tables in {schema}")),
    }
}
