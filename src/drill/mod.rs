//! The drill: a pipeline of the user's own, led through trouble against replicas of its connections. The replicas are made of the
//! connector files, live on this machine, and keep a book of what took effect, so that "lost 0, doubled 0" rests on nothing that
//! the engine says of itself.
//!
//! ```text
//!   drill process                                 run processes, one after the other
//!     forge: records that get through   <- http -   the pipeline's own plan, staged:
//!     replica, weather: answers, trouble  -------->    replicas for servers, placeholders for
//!     book: what was served, what arrived           secrets, a folder of its own, a fence
//! ```
//!
//! Nothing of the user's is touched: runs are processes without an environment, their store is in a folder of its own, and the only
//! way out of them is the [`Fence`], which leads to the replicas.

mod attempt;
mod book;
mod fence;
mod forge;
mod leaves;
mod pattern;
mod play;
mod replica;
mod rules;
mod scenario;
mod server;
mod stage;
mod weather;

use std::path::{Path, PathBuf};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use self::play::Drill;
pub use self::{
    attempt::{Told, plan_of, run},
    book::Account,
    fence::Fence,
    play::Played,
    scenario::{Scenario, Wanted},
};
use crate::{
    config::{
        Plan,
        plan::{Incremental, Pipeline, To},
    },
    model::{Entropy, Fault, SystemEntropy},
};

/// Scenarios that are played at the same time. They wait most of their time.
const SIDE_BY_SIDE: usize = 3;

/// How a drill went.
#[derive(Debug, Serialize)]
pub struct Drilled {
    pub pipeline: String,
    pub seed: u64,
    pub records: usize,
    pub scenarios: Vec<Played>,
    /// What is not played.
    pub cannot_play: Vec<String>,
    /// What else one must know to read the result.
    pub notes: Vec<String>,
}

impl Drilled {
    /// Of scenarios that came to their end: before that, what has not arrived is not lost yet.
    pub fn lost(&self) -> u64 {
        self.scenarios.iter().filter(|played| played.ended).map(|played| played.account.lost).sum()
    }

    pub fn doubled(&self) -> u64 {
        self.scenarios.iter().map(|played| played.account.doubled).sum()
    }

    /// Whether every scenario came to its end.
    pub fn ended(&self) -> bool {
        self.scenarios.iter().all(|played| played.ended)
    }
}

/// Leads a pipeline of the workspace in `dir` through scenarios.
pub async fn drill(
    dir: &Path,
    plan: &Plan,
    pipeline: &Pipeline,
    scenarios: &[Scenario],
    wanted: Wanted,
) -> Result<Drilled, Fault> {
    stage::check(pipeline)?;
    let mut folder = Folder::new()?;
    let drill = Drill { dir, plan, pipeline, wanted };
    let played: Result<Vec<Played>, Fault> = stream::iter(scenarios.iter().copied())
        .map(|scenario| drill.play(scenario, folder.path.join(scenario.name())))
        .buffered(SIDE_BY_SIDE)
        .try_collect()
        .await;
    folder.stays = played.as_ref().map_or(true, |all| all.iter().any(|played| played.folder.is_some()));
    let mut scenarios = played?;
    let mut cannot_play = undeclared(pipeline);
    for played in &mut scenarios {
        for gap in std::mem::take(&mut played.gaps) {
            let gap = format!("{}: {gap}", played.scenario);
            cannot_play.push(gap.clone());
            played.gaps.push(gap);
        }
    }
    let Wanted { records, seed } = wanted;
    Ok(Drilled { pipeline: pipeline.name.clone(), seed, records, scenarios, cannot_play, notes: notes(pipeline) })
}

fn notes(pipeline: &Pipeline) -> Vec<String> {
    let mut notes = vec![format!("shortened: {}", stage::SHORTENED)];
    if matches!(pipeline.to, To::File { .. }) && pipeline.from.stream.incremental.is_none() {
        notes.push("the stream has no cursor, so every pass adds all of its records to the file again".to_owned());
    }
    notes
}

/// Where a drill keeps what its runs need. It goes with the drill, unless somebody should look into it.
struct Folder {
    path: PathBuf,
    stays: bool,
}

impl Folder {
    fn new() -> Result<Self, Fault> {
        let name = format!("renkei-drill-{:08x}", SystemEntropy::new().bits() as u32);
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).map_err(|error| attempt::broken(&error))?;
        Ok(Self { path, stays: false })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.stays {
            // A folder that cannot be removed is no reason to fail: it is among temporary files.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// What is known before it begins not to be played.
fn undeclared(pipeline: &Pipeline) -> Vec<String> {
    let mut gaps = Vec::new();
    let mut apis: Vec<_> = pipeline.from.api.iter().collect();
    if let To::Operation { api, deletes, .. } = &pipeline.to {
        if apis.iter().all(|known| known.name != api.name) {
            apis.push(api);
        }
        if deletes.is_some() {
            gaps.push("deletions: nothing is deleted at the source".to_owned());
        }
    }
    for api in apis {
        let replaced = stage::replaced_sign_in(&api.auth);
        gaps.extend(replaced.map(|what| format!("the sign-in of {}: {what}", api.name)));
    }
    if pipeline.from.ingress.is_some() {
        gaps.push("records that are pushed: only those that are polled".to_owned());
    }
    if let Some(Incremental::Field(field)) = &pipeline.from.stream.incremental
        && replica::carrier(&pipeline.from.stream, field.since.as_ref(), "window.since").is_none()
    {
        gaps.push("the window of the stream: no parameter carries it, so every listing is whole".to_owned());
    }
    gaps
}
