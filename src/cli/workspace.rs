//! Opens what commands work on: the checked plan, and the store where a command only looks at it.

use std::{path::Path, sync::Arc};

use serde_json::Value;

use super::{failure::Failure, output::Output};
use crate::{
    auth::{Ground, Vault},
    config::{
        self, Checked, Plan, SystemEnvironment,
        plan::{Pipeline, StorePlan},
    },
    model::{Blame, Clock, Code, Fault, Key, SystemClock, SystemEntropy},
    server,
    store::{
        RedbOptions, RedbStore, Seal, SealKey, State, StateStore,
        audit::{Audit, Entry, Via},
    },
    transform::Personal,
};

/// The plan to run some pipelines by: the variables and secret files of the connections they use must be there.
pub fn plan_for(dir: &Path, pipelines: &[&str]) -> Result<Plan, Failure> {
    config::load_for(dir, &SystemEnvironment, pipelines).map_err(|report| Failure::Config(Box::new(report)))
}

/// The plan of some connections, without pipelines: their variables and secret files must be there.
pub fn plan_of(dir: &Path, connections: &[&str]) -> Result<Plan, Failure> {
    config::load_connections(dir, &SystemEnvironment, connections).map_err(|report| Failure::Config(Box::new(report)))
}

/// The plan to look at: secrets may be missing where a command only lists things. Warnings are shown and do not stop
/// anything.
pub fn plan_without_secrets(dir: &Path, output: &Output) -> Result<Plan, Failure> {
    checked(config::check(dir, &SystemEnvironment, true), output)
}

fn checked(checked: Checked, output: &Output) -> Result<Plan, Failure> {
    match checked.plan {
        Some(plan) => {
            if !checked.report.is_empty() && !output.json_errors {
                output.note(checked.report.render(output.color_stderr).trim_end());
            }
            Ok(plan)
        }
        None => Err(Failure::Config(Box::new(checked.report))),
    }
}

/// The rules of a pipeline's personal fields, with the keys that they need. Other secrets may be missing.
pub fn personal(pipeline: &Pipeline) -> Result<Personal, Failure> {
    if pipeline.personal.needs_keys() && pipeline.personal.keys.is_none() {
        let message = format!("the keys for the personal fields of `{}` are not at hand", pipeline.name);
        let help = "nothing was changed; set the variables or files that `personal` of renkei.yaml names";
        return Err(Fault::halt(Code::PersonalKeys, Blame::Config, message).help(help).into());
    }
    Ok(Personal::new(&pipeline.personal))
}

/// The key of a record as a person typed it: as the source names it, or hashed, as letters and plans show it.
pub fn record_key(pipeline: Option<&Pipeline>, typed: &str) -> Result<Key, Failure> {
    let key = Key::new(typed);
    let Some(pipeline) = pipeline.filter(|pipeline| pipeline.personal.hashed_key.contains(&true)) else {
        return Ok(key);
    };
    match Personal::new(&pipeline.personal).is_hashed(&key) {
        true => Ok(key),
        false => Ok(personal(pipeline)?.key(key)),
    }
}

/// A store that is open for a look. No run can begin meanwhile, so it is closed as soon as possible.
pub struct Opened {
    pub state: State,
    store: Arc<RedbStore>,
    seal: Arc<Seal>,
    audit: Audit,
}

impl Opened {
    pub fn store(&self) -> &dyn StateStore {
        &*self.store
    }

    pub fn shared_store(&self) -> Arc<dyn StateStore> {
        self.store.clone()
    }

    /// What signing in stands on.
    pub fn ground(&self) -> Ground {
        Ground {
            vault: Vault::new(self.store.clone(), self.seal.clone()),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::new()),
        }
    }

    /// Notes what this command is about to do. It may only be done when this has succeeded.
    pub async fn note(&self, what: &str, on: &str, details: Value) -> Result<(), Fault> {
        self.audit.append(noted(what, on, details), SystemClock.now()).await
    }

    pub async fn close(self) {
        self.store.close().await;
    }
}

/// Opens the store; nothing where no run has made one yet, because looking must not make one.
pub async fn look(plan: &StorePlan) -> Result<Option<Opened>, Failure> {
    if !plan.path.join("format").exists() {
        return Ok(None);
    }
    open(plan, false).await.map(Some)
}

/// Opens the store. `accept_older` goes on with one that lost acknowledged commits.
pub async fn open(plan: &StorePlan, accept_older: bool) -> Result<Opened, Failure> {
    let (plan, path) = (plan.clone(), plan.path.clone());
    let opened = tokio::task::spawn_blocking(move || open_blocking(&plan, accept_older)).await;
    let opened = opened
        .map_err(|_| Fault::halt(Code::Bug, Blame::Bug, "opening the store ended early").help("nothing was changed"))?;
    let (store, seal, audit) = opened.map_err(|fault| asked_elsewhere(fault, &path))?;
    let (store, seal) = (Arc::new(store), Arc::new(seal));
    Ok(Opened { state: State::new(store.clone(), seal.clone()), store, seal, audit })
}

/// What the audit log says of a command.
pub fn noted(what: &str, on: &str, details: Value) -> Entry {
    Entry { via: Via::Command, peer: None, what: what.to_owned(), on: Some(on.to_owned()), details }
}

/// A service that holds the store answers the same questions itself.
fn asked_elsewhere(fault: Fault, state: &Path) -> Fault {
    match server::announced(state).filter(|_| fault.code == Code::AlreadyRunning) {
        Some(address) => {
            let help = format!("{}; the service that runs answers at {address}, see docs/admin.md", fault.help);
            fault.help(help)
        }
        None => fault,
    }
}

fn open_blocking(plan: &StorePlan, accept_older: bool) -> Result<(RedbStore, Seal, Audit), Fault> {
    let disk_bytes_max = plan.disk_bytes_max;
    let store = RedbStore::open(RedbOptions { path: plan.path.clone(), disk_bytes_max, accept_older })?;
    let key = match &plan.key {
        Some(text) => SealKey::parse(secrecy::ExposeSecret::expose_secret(text))?,
        None => SealKey::of_dir(&plan.path)?,
    };
    Ok((store, Seal::new(&key), Audit::take_up(&plan.path, &key.audit_key())))
}
