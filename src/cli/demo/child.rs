//! The runs of the demo: real processes of this very program, so that a kill is a kill.

use std::{fs::OpenOptions, io, process::Stdio};

use serde::Deserialize;
use tokio::{process, time::timeout};

use super::{
    super::failure::{DEAD_LETTERS, DONE, Failure},
    stage::{PIPELINE, Stage},
};
use crate::{
    model::{Blame, Code, Fault},
    store::Run,
};

/// A run that takes longer is not coming back.
const RUN_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(60);
/// The exit code of a run that the remote side ended.
const REMOTE: i32 = 5;

pub struct Child {
    process: process::Child,
    log: String,
}

/// How a run ended that nobody killed.
pub enum Ended {
    Well { resumed: u64 },
    Remote { resumed: u64, message: String },
}

#[derive(Deserialize)]
struct Printed {
    runs: Vec<Run>,
}

impl Child {
    /// `renkei run demo-leads` in the demo's workspace. Its progress goes to `runs.log` there.
    pub fn start(stage: &Stage) -> Result<Self, Failure> {
        let log = stage.folder.join("runs.log");
        let stderr = OpenOptions::new().create(true).append(true).open(&log).map_err(broken)?;
        let process = command(stage, &["run", PIPELINE])?
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .map_err(broken)?;
        Ok(Self { process, log: log.display().to_string() })
    }

    pub fn ended(&mut self) -> Result<bool, Failure> {
        Ok(self.process.try_wait().map_err(broken)?.is_some())
    }

    /// Kills it with SIGKILL: it cannot catch that, flush anything or say goodbye.
    pub async fn kill(mut self) -> Result<u32, Failure> {
        let pid = self.process.id().unwrap_or_default();
        self.process.kill().await.map_err(broken)?;
        Ok(pid)
    }

    pub async fn outcome(self) -> Result<Ended, Failure> {
        let log = self.log.clone();
        let finished = timeout(RUN_TIME_MAX, self.process.wait_with_output()).await;
        let finished = finished.map_err(|_| fault("a run did not end", &log))?.map_err(broken)?;
        let printed: Option<Printed> = serde_json::from_slice(&finished.stdout).ok();
        let run = printed.and_then(|printed| printed.runs.into_iter().next());
        let resumed = run.as_ref().map_or(0, |run| run.counts.resumed);
        match finished.status.code() {
            Some(code) if code == i32::from(DONE) || code == i32::from(DEAD_LETTERS) => Ok(Ended::Well { resumed }),
            Some(REMOTE) => {
                let fault = run.and_then(|run| run.fault);
                let message = fault.map_or("no reason given".to_owned(), |fault| fault.code.title().to_owned());
                Ok(Ended::Remote { resumed, message })
            }
            _ => Err(fault(&format!("a run ended with {}", finished.status), &log).into()),
        }
    }

    pub async fn failed(self, message: &str) -> Failure {
        fault(message, &self.log).into()
    }
}

/// All runs as the store remembers them, the killed one too.
pub async fn runs(stage: &Stage) -> Result<Vec<Run>, Failure> {
    let printed = command(stage, &["runs"])?.output().await.map_err(broken)?;
    let mut runs: Vec<Run> = serde_json::from_slice(&printed.stdout).map_err(|error| {
        fault(&format!("the list of runs cannot be read: {error}"), &String::from_utf8_lossy(&printed.stderr))
    })?;
    runs.reverse();
    Ok(runs)
}

fn command(stage: &Stage, args: &[&str]) -> Result<process::Command, Failure> {
    let program = std::env::current_exe().map_err(broken)?;
    let mut command = process::Command::new(program);
    command.arg("--dir").arg(&stage.folder).args(["--output", "json", "--log-format", "json"]).args(args);
    command.env("RENKEI_SANDBOX", stage.sandbox.url()).stdin(Stdio::null());
    // The demo's accounts are the sandbox's own, whatever the shell has set.
    for name in ["RENKEI_SANDBOX_SECRET", "RENKEI_KEY"] {
        command.env_remove(name);
    }
    Ok(command)
}

fn fault(message: &str, log: &str) -> Fault {
    Fault::halt(Code::Bug, Blame::Bug, message).help(format!("its own words are in {log}"))
}

fn broken(error: io::Error) -> Fault {
    Fault::halt(Code::StoreIo, Blame::Host, format!("a run cannot be started or watched: {error}"))
        .help("nothing outside the demo's own workspace was touched")
}
