//! One run of a drill, on both sides: the process that is started and may be killed, and the one that starts it. It is a process of
//! its own so that a crash is a crash, and so that nothing of the user's environment is in it: it is started with none.

use std::{fs::OpenOptions, io, path::Path, process::Stdio, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{process, time::timeout};

use super::{
    fence::Fence,
    server::Server,
    stage::{Setting, check, staged},
};
use crate::{
    config::{self, MapEnvironment, Plan, Report},
    engine::{Engine, Options, Stopper},
    model::{Blame, Code, Fault},
    store::{Run, RunState},
};

/// A run that takes longer has lost its way.
const RUN_TIME_MAX: Duration = Duration::from_secs(60);
/// What the process that is started reads its setting from, in the drill's folder.
const SETTING: &str = "setting.json";
/// Where it writes what it has to say to people.
pub const LOG: &str = "runs.log";

/// What the process that was started says at its end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Told {
    run: Option<Run>,
    fault: Option<Code>,
    /// How often a breaker began or ended to rest.
    breakers: u64,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub enum Ended {
    /// Well, with so many turns of breakers.
    Done(u64),
    Failed(Code, u64),
    /// It was killed, as the scenario wants.
    Killed,
}

/// The plan of a workspace, without its secrets: a drill does without them.
pub fn plan_of(dir: &Path) -> Result<Plan, Box<Report>> {
    let checked = config::check(dir, &MapEnvironment::default(), true);
    checked.plan.ok_or_else(|| Box::new(checked.report))
}

/// Runs the pipeline once, as the drill's folder says. This is what the process that was started does.
pub async fn run(plan: &Plan, pipeline: &str, folder: &Path) -> Result<Told, Fault> {
    let setting = std::fs::read(folder.join(SETTING)).map_err(|error| broken(&error))?;
    let setting: Setting = serde_json::from_slice(&setting).map_err(|error| broken(&error.into()))?;
    let Some(plan) = staged(plan, pipeline, &setting) else { return Err(gone(pipeline)) };
    let Some(own) = plan.pipelines.get(pipeline) else { return Err(gone(pipeline)) };
    check(own)?;
    let Some(api) = own.from.api.clone() else { return Err(gone(pipeline)) };
    let fence = Fence::new(&api, setting.ports.values().copied());
    let engine = Engine::open(plan).await?.by(Arc::new(fence));
    let mut changes = engine.meters().breaker_changes();
    let (_stopper, stop) = Stopper::new();
    let ended = engine.run(pipeline, Options::default(), &stop).await;
    engine.close().await;
    let mut breakers = 0;
    while changes.try_recv().is_ok() {
        breakers += 1;
    }
    Ok(match ended {
        Ok((run, fault)) => Told { run: Some(run), fault: fault.map(|fault| fault.code), breakers },
        Err(fault) => Told { run: None, fault: Some(fault.code), breakers },
    })
}

/// Starts runs and waits for them.
pub struct Runs<'r> {
    /// The workspace.
    pub dir: &'r Path,
    pub pipeline: &'r str,
    pub setting: &'r Setting,
}

impl Runs<'_> {
    /// Writes what the processes need to know.
    pub fn prepare(&self) -> Result<(), Fault> {
        let text = serde_json::to_vec(self.setting).map_err(|error| broken(&error.into()))?;
        std::fs::write(self.setting.folder.join(SETTING), text).map_err(|error| broken(&error))
    }

    /// One run to its end, or until the scenario kills it.
    pub async fn one(&self, server: &Server) -> Result<Ended, Fault> {
        let mut child = self.start().map_err(|error| broken(&error))?;
        let stdout = child.stdout.take();
        let told = async {
            let mut text = Vec::new();
            if let Some(mut stdout) = stdout {
                // A process that is killed says nothing, which is no error.
                let _ = tokio::io::AsyncReadExt::read_to_end(&mut stdout, &mut text).await;
            }
            text
        };
        let ended = tokio::select! {
            ended = timeout(RUN_TIME_MAX, async { tokio::join!(told, child.wait()) }) => ended.ok(),
            () = server.kill() => {
                child.kill().await.map_err(|error| broken(&error))?;
                return Ok(Ended::Killed);
            }
        };
        let Some((text, status)) = ended else {
            child.kill().await.map_err(|error| broken(&error))?;
            return Ok(Ended::Failed(Code::DrillUnfinished, 0));
        };
        let status = status.map_err(|error| broken(&error))?;
        let Ok(told) = serde_json::from_slice::<Told>(&text) else {
            let log = self.setting.folder.join(LOG);
            let message = format!("a run of the drill ended with {status} and without a word");
            return Err(
                Fault::halt(Code::Bug, Blame::Bug, message).help(format!("what it said is in {}", log.display()))
            );
        };
        Ok(match (&told.run, told.fault) {
            (_, Some(code)) => Ended::Failed(code, told.breakers),
            (Some(run), None) if run.state == RunState::Done => Ended::Done(told.breakers),
            _ => Ended::Failed(Code::Interrupted, told.breakers),
        })
    }

    fn start(&self) -> io::Result<process::Child> {
        let folder = &self.setting.folder;
        let log = OpenOptions::new().create(true).append(true).open(folder.join(LOG))?;
        let mut command = process::Command::new(std::env::current_exe()?);
        command.arg("--dir").arg(self.dir).args(["--output", "json", "--log-format", "json", "drill", self.pipeline]);
        command.arg("--attempt").arg(folder).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true).spawn()
    }
}

fn gone(pipeline: &str) -> Fault {
    Fault::halt(Code::ReloadRefused, Blame::Config, format!("the files of {pipeline} changed while it was drilled"))
        .help("Nothing outside of the drill was touched. Drill it again.")
}

/// The machine does not do what a drill needs.
pub fn broken(error: &io::Error) -> Fault {
    Fault::halt(Code::StoreIo, Blame::Host, format!("the drill cannot go on: {error}"))
        .help("Nothing outside of the drill's own folder was touched. TMPDIR names another place for temporary files.")
}
