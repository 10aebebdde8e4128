//! `renkei doctor`: whether a connection is well, from its name servers to one record that was read, and what to do where it
//! is not.
//!
//! The hard idea is that nothing is made up for the occasion. The look at the server, the sign-in and the read go along the
//! paths that a run takes, with its sockets, its keeper of tokens and its budget, so what is well here is well there; and a
//! token that still holds is left as it is. `api.rs` and `ends.rs` ask; the pure files beside them say what it means. Nothing
//! is ever written to the other side.

mod access;
mod api;
mod ends;
mod network;
mod quota;
#[cfg(test)]
mod tests;
mod words;

pub(super) use api::smallest;

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    auth::Ground,
    config::plan::{Connection, Place},
    model::{Code, Fault},
    store::StateStore,
};

/// Why what stands on the network is not tried.
const UNREACHED: &str = "the server was not reached";

/// What a check came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Ok,
    /// It works, and somebody should look at it.
    Warning,
    Failed,
    /// What it stands on failed, or there is nothing to try.
    NotTried,
}

/// One check: what was seen, and where it is not well, what to do.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Line {
    pub check: &'static str,
    pub state: State,
    pub seen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The exit code of a run that fails like this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
    /// The same for programs.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub facts: Map<String, Value>,
}

impl Line {
    fn new(check: &'static str, state: State, seen: impl Into<String>) -> Self {
        Self { check, state, seen: seen.into(), help: None, code: None, exit_code: None, facts: Map::new() }
    }

    fn ok(check: &'static str, seen: impl Into<String>) -> Self {
        Self::new(check, State::Ok, seen)
    }

    fn warning(check: &'static str, seen: impl Into<String>, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..Self::new(check, State::Warning, seen) }
    }

    fn not_tried(check: &'static str, why: impl Into<String>) -> Self {
        Self::new(check, State::NotTried, why)
    }

    fn failed(check: &'static str, fault: &Fault) -> Self {
        let seen = match fault.place.first() {
            Some(place) => format!("{place}: {}", fault.message),
            None => fault.message.clone(),
        };
        let (help, code, exit_code) = (Some(fault.help.clone()), Some(fault.code), Some(fault.exit_code()));
        Self { help, code, exit_code, ..Self::new(check, State::Failed, seen) }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}

/// One connection with its checks, in the order in which one stands on the other.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Checkup {
    pub connection: String,
    /// The connector, or the built-in kind.
    pub kind: String,
    pub lines: Vec<Line>,
}

impl Checkup {
    /// The worst of its checks. What was not tried says nothing by itself.
    pub fn state(&self) -> State {
        let any = |state| self.lines.iter().any(|line| line.state == state);
        match () {
            () if any(State::Failed) => State::Failed,
            () if any(State::Warning) => State::Warning,
            () => State::Ok,
        }
    }

    /// The exit code of what failed first.
    pub fn exit_code(&self) -> Option<u8> {
        self.lines.iter().find_map(|line| line.exit_code)
    }
}

/// What checks stand on.
pub struct Doctor {
    pub ground: Ground,
    /// Where tokens and limits are kept. Or why they cannot be at hand: then nothing that gets a token is tried, because a
    /// token that cannot be kept may be the last one.
    pub store: Result<Arc<dyn StateStore>, Fault>,
}

impl Doctor {
    pub async fn examine(&self, connection: &Connection) -> Checkup {
        let (name, kind, lines) = match connection {
            Connection::Api(api) => (&api.name, api.connector.clone(), self.api(api).await),
            Connection::Postgres(postgres) => (&postgres.name, "postgres".to_owned(), ends::database(postgres).await),
            Connection::Mysql(mysql) => (&mysql.name, "mysql".to_owned(), ends::server(mysql).await),
            Connection::Sqlite(sqlite) => (&sqlite.name, "sqlite".to_owned(), ends::file(sqlite).await),
            Connection::Folder(folder) => {
                let lines = match &folder.place {
                    Place::Path(path) => ends::folder(path).await,
                    Place::S3(bucket) => ends::bucket(bucket, &self.ground).await,
                };
                (&folder.name, folder.kind().to_owned(), lines)
            }
        };
        Checkup { connection: name.clone(), kind, lines }
    }
}
