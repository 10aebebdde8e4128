//! `renkei demo`: leads travel from a shop into a CRM that both misbehave, through a real SIGKILL, and arrive exactly once.
//!
//! Nothing is staged for the camera: the runs are child processes of this very program with a workspace of plain files,
//! and what is claimed at the end comes from the sandbox's own account, never from the counters of the runs.

mod child;
mod report;
mod stage;

use std::time::Duration;

use self::{
    child::{Child, Ended},
    report::{Act, Teller},
    stage::Stage,
};
use super::{
    failure::{BUG, DONE, Failure},
    output::Output,
    signals::Signals,
};
use crate::model::{Blame, Clock, Code, Entropy, Fault, SystemClock, SystemEntropy};

/// Customers that change before the third run.
const CHANGES: usize = 40;
/// A window ends a second (the connector's `settle`) before the server's now, which is told in whole seconds.
const SETTLED: Duration = Duration::from_millis(2_200);
/// A run that met more trouble than its retries could take is started again, as a schedule would.
const ATTEMPTS_MAX: u32 = 5;

pub async fn demo(seed: Option<u64>, output: &Output) -> Result<u8, Failure> {
    let mut signals = Signals::new()?;
    tokio::select! {
        code = play(seed, output) => code,
        // The child is killed when its handle is dropped.
        code = signals.next() => Ok(code),
    }
}

async fn play(seed: Option<u64>, output: &Output) -> Result<u8, Failure> {
    // Four digits are easy to type again.
    let seed = seed.unwrap_or_else(|| 1 + SystemEntropy::new().bits() % 9_999);
    let stage = Stage::set(seed).await?;
    let teller = Teller::new(output);
    teller.open(&stage);

    let mut acts = vec![killed_half_way(&stage, &teller).await?];
    acts.push(resumed(&stage, &teller).await?);
    acts.push(after_changes(&stage, &teller).await?);

    let report = stage.sandbox.world().report();
    let runs = child::runs(&stage).await?;
    teller.close(&stage, &acts, &runs, &report);
    let wrong = report.lost + report.doubled;
    stage.sandbox.stop().await;
    Ok(if wrong == 0 { DONE } else { BUG })
}

async fn killed_half_way(stage: &Stage, teller: &Teller<'_>) -> Result<Act, Failure> {
    let half = stage.eligible / 2;
    teller.act(2, "renkei run demo-leads, and a SIGKILL half way");
    let before = stage.counters();
    let mut child = Child::start(stage)?;
    let bar = teller.bar();
    let mut watch = tokio::time::interval(Duration::from_millis(20));
    let created = loop {
        watch.tick().await;
        let created = stage.counters().created;
        bar.leads(created, stage.eligible);
        if created >= half {
            break created;
        }
        if child.ended()? {
            return Err(child.failed("the first run ended before it could be killed").await);
        }
    };
    let pid = child.kill().await?;
    drop(bar);
    teller.note(&format!("killed process {pid} in the middle of its work, with {created} leads in the CRM"));
    Ok(Act::new("killed", &before, &stage.counters()))
}

async fn resumed(stage: &Stage, teller: &Teller<'_>) -> Result<Act, Failure> {
    teller.act(3, "renkei run demo-leads, again: it goes on where it was killed");
    let before = stage.counters();
    let resumed = run_to_the_end(stage, teller).await?;
    let act = Act::new("resumed", &before, &stage.counters());
    teller.note(&format!(
        "{resumed} records were staged and without a verdict; they were sent again under the same keys"
    ));
    if act.replayed > 0 {
        let n = act.replayed;
        teller.note(&format!("the CRM recognized {n} of those requests and answered from memory instead of doubling"));
    }
    Ok(act)
}

async fn after_changes(stage: &Stage, teller: &Teller<'_>) -> Result<Act, Failure> {
    let (updated, created) = stage.sandbox.world().change(SystemClock.now(), CHANGES);
    teller.act(4, &format!("{updated} changes and {created} new customers; renkei run demo-leads a third time"));
    tokio::time::sleep(SETTLED).await;
    let before = stage.counters();
    run_to_the_end(stage, teller).await?;
    let act = Act::new("after changes", &before, &stage.counters());
    teller.note("only what changed was read, and only what differs was written");
    Ok(act)
}

/// Runs the pipeline until a run ends well. Returns how many records the first of them resumed.
async fn run_to_the_end(stage: &Stage, teller: &Teller<'_>) -> Result<u64, Failure> {
    let mut resumed = None;
    for _ in 0..ATTEMPTS_MAX {
        let mut child = Child::start(stage)?;
        let bar = teller.bar();
        let mut watch = tokio::time::interval(Duration::from_millis(50));
        while !child.ended()? {
            watch.tick().await;
            bar.leads(stage.counters().created, stage.eligible());
        }
        drop(bar);
        match child.outcome().await? {
            Ended::Well { resumed: n } => return Ok(resumed.unwrap_or(n)),
            Ended::Remote { resumed: n, message } => {
                resumed.get_or_insert(n);
                teller.note(&format!("the run gave up ({message}); the next one goes on"));
            }
        }
    }
    let message = format!("{ATTEMPTS_MAX} runs in a row did not come to their end");
    Err(Fault::halt(Code::ServerError, Blame::Remote, message)
        .help(format!("the runs' own words are in {}", stage.folder.join("runs.log").display()))
        .into())
}
