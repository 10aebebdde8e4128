//! `auth status|login|refresh|logout`: how connections are signed in, for people and for programs. No token is ever shown.

use std::{path::Path, sync::Arc};

use serde::Serialize;
use serde_json::json;

use super::{
    args::AuthCommand,
    auth_login,
    failure::{DONE, Failure, fault_json, tell_fault},
    format,
    output::{Output, Paint, printable},
    suggest,
    table::{self, Column},
    workspace::{self, Opened},
};
use crate::{
    auth::{Account, Certificate, Ground, Standing, Status, Vault},
    config::{
        Plan,
        plan::{Api, Connection},
    },
    model::{Fault, SystemClock, SystemEntropy},
    store::{Memory, Seal},
};

pub async fn auth(command: AuthCommand, dir: &Path, output: &Output) -> Result<u8, Failure> {
    match command {
        AuthCommand::Login { connection } => auth_login::login(dir, &connection, output).await,
        AuthCommand::Status { connection } => status(dir, connection.as_deref(), output).await,
        AuthCommand::Refresh { connection } => refresh(dir, connection.as_deref(), output).await,
        AuthCommand::Logout { connection } => logout(dir, &connection, output).await,
    }
}

/// One connection with how it is signed in, or why that cannot be said.
#[derive(Serialize)]
struct Row {
    connection: String,
    #[serde(flatten)]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<serde_json::Value>,
}

async fn status(dir: &Path, only: Option<&str>, output: &Output) -> Result<u8, Failure> {
    let (plan, apis) = chosen(dir, only, output)?;
    let opened = workspace::look(&plan.store).await?;
    let ground = opened.as_ref().map_or_else(nothing_kept, Opened::ground);
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for api in &apis {
        let looked = match Account::new(api, &ground) {
            Ok(account) => account.status().await,
            Err(fault) => Err(fault),
        };
        let fault = looked.as_ref().err().map(fault_json);
        faults.extend(looked.as_ref().err().cloned().map(|fault| fault.at(format!("connection {}", api.name))));
        rows.push(Row { connection: api.name.clone(), status: looked.ok(), fault });
    }
    super::listing::close(opened).await;
    if output.json() {
        output.document(&rows);
    } else {
        let columns =
            ["connection", "kind", "state", "token ends (UTC)", "next refresh (UTC)", "certificate ends (UTC)"];
        let columns = columns.map(|title| Column(title, false));
        table::print(output, &columns, rows.iter().map(cells).collect(), "no connection speaks to an API");
        rows.iter().for_each(|row| notes(row, output));
    }
    faults.iter().for_each(|fault| tell_fault(fault, output));
    Ok(faults.first().map_or(DONE, Fault::exit_code))
}

/// What does not fit into a cell.
fn notes(row: &Row, output: &Output) {
    let Some(status) = &row.status else { return };
    if let Some(parked) = &status.parked {
        output.note(format_args!("{}: {}: {}", row.connection, parked.code, printable(&parked.message)));
    }
    if let Some(trouble) = status.certificate.as_ref().and_then(|certificate| certificate.trouble.as_ref()) {
        output.note(format_args!("{}: {}", row.connection, printable(trouble)));
    }
}

fn cells(row: &Row) -> Vec<String> {
    let Some(status) = &row.status else {
        let none = || "-".to_owned();
        return vec![row.connection.clone(), none(), "unusable".to_owned(), none(), none(), none()];
    };
    let time = |at: Option<_>| at.map_or("-".to_owned(), format::time);
    let standing = match (status.standing, &status.pending) {
        (Standing::Configured, _) => "configured".to_owned(),
        (Standing::NoToken, _) => "no token yet".to_owned(),
        (Standing::NotSignedIn, _) => "not signed in".to_owned(),
        (Standing::SignedIn, _) => "signed in".to_owned(),
        (Standing::RefreshCutOff, Some(pending)) => format!("refresh cut off at {}", format::time(pending.since)),
        (Standing::RefreshCutOff, None) => "refresh cut off".to_owned(),
        (Standing::SignInAgain, _) => "sign in again".to_owned(),
    };
    let certificate = status.certificate.as_ref().map_or("-".to_owned(), certificate);
    let (kind, ends, next) = (status.kind.to_owned(), time(status.access_ends_at), time(status.refresh_at));
    vec![row.connection.clone(), kind, standing, ends, next, certificate]
}

fn certificate(certificate: &Certificate) -> String {
    match (certificate.not_after, certificate.days_left) {
        (Some(at), Some(days)) if days < 0 => format!("{}, over", format::time(at)),
        (Some(at), Some(days)) if certificate.warning => format!("{}, in {days} days", format::time(at)),
        (Some(at), _) => format::time(at),
        (None, _) => "unusable".to_owned(),
    }
}

async fn refresh(dir: &Path, only: Option<&str>, output: &Output) -> Result<u8, Failure> {
    let (plan, apis) = chosen(dir, only, output)?;
    let opened = workspace::open(&plan.store, false).await?;
    let mut done = Vec::new();
    let mut failed = None;
    for api in &apis {
        let refreshed = async {
            let account = Account::new(api, &opened.ground())?;
            opened.note("refresh", &api.name, json!(null)).await?;
            account.refresh().await
        };
        let refreshed = refreshed.await;
        match refreshed {
            Ok(true) => done.push(&api.name),
            Ok(false) => {}
            Err(fault) => failed = failed.or(Some(fault)),
        }
    }
    opened.close().await;
    if output.json() {
        output.document(&json!({ "refreshed": done }));
    } else {
        let paint = Paint(output.color_stdout);
        done.iter().for_each(|name| output.line(format_args!("{} {name}", paint.green("refreshed"))));
        if done.is_empty() && failed.is_none() {
            output.note("nothing to refresh: these credentials stand in the configuration");
        }
    }
    failed.map_or(Ok(DONE), |fault| Err(fault.into()))
}

async fn logout(dir: &Path, connection: &str, output: &Output) -> Result<u8, Failure> {
    let (plan, apis) = chosen(dir, Some(connection), output)?;
    let opened = workspace::open(&plan.store, false).await?;
    let mut forgotten = Ok(false);
    for api in &apis {
        let forgetting = async {
            let account = Account::new(api, &opened.ground())?;
            opened.note("sign_out", &api.name, json!(null)).await?;
            account.logout().await
        };
        forgotten = forgetting.await;
    }
    opened.close().await;
    let forgotten = forgotten?;
    if output.json() {
        output.document(&json!({ "connection": connection, "forgotten": forgotten }));
    } else if forgotten {
        output.line(format_args!("forgot the tokens of {connection}"));
    } else {
        output.note("nothing to forget: these credentials stand in the configuration");
    }
    Ok(DONE)
}

/// The connections that speak to an API: all of them, or the named one. Their variables and secret files must be there.
pub fn chosen(dir: &Path, only: Option<&str>, output: &Output) -> Result<(Plan, Vec<Arc<Api>>), Failure> {
    let known = workspace::plan_without_secrets(dir, output)?;
    let names: Vec<&str> = match only {
        Some(name) => vec![name],
        None => known.connections.keys().map(String::as_str).collect(),
    };
    if let Some(name) = only {
        match known.connections.get(name) {
            Some(Connection::Api(_)) => {}
            Some(_) => {
                let message = format!("the connection `{name}` has no sign-in of this kind");
                return Err(Failure::usage(message, "a database's password stands in its URL; files need none"));
            }
            None => {
                let help = suggest::help(name, "connection", known.connections.keys().map(String::as_str));
                return Err(Failure::usage(format!("there is no connection `{name}`"), help));
            }
        }
    }
    let plan = workspace::plan_of(dir, &names)?;
    let apis = plan.connections.values().filter_map(|connection| match connection {
        Connection::Api(api) => Some(api.clone()),
        Connection::Folder(_) | Connection::Postgres(_) | Connection::Sqlite(_) | Connection::Mysql(_) => None,
    });
    let apis = apis.collect();
    Ok((plan, apis))
}

/// Where no run has made a store yet, nothing is kept.
pub fn nothing_kept() -> Ground {
    Ground {
        vault: Vault::new(Arc::new(Memory::new()), Arc::new(Seal::plain())),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::new()),
    }
}
