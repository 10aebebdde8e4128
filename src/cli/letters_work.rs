//! `dead-letters replay` and `drop`: what ends a letter by hand.

use std::{
    collections::BTreeMap,
    io::{IsTerminal, stdin},
    path::Path,
    sync::Arc,
};

use serde_json::json;

use super::{
    args::Picked,
    failure::{DEAD_LETTERS, DONE, Failure, tell_fault},
    letters_pick,
    output::Output,
    signals::Signals,
    summary::Outcome,
    telemetry::Telemetry,
    workspace,
};
use crate::{
    engine::{
        Accepted, Engine, HeldBack, Stopper,
        letters::{Again, again, audited},
    },
    store::DeadLetter,
};

pub async fn remove(dir: &Path, picked: Picked, yes: bool, output: &Output) -> Result<u8, Failure> {
    let (plan, letters, _) = letters_pick::pick(dir, &picked, output).await?;
    if !letters.is_empty() {
        if !yes && !agreed(letters.len(), output)? {
            output.note("nothing was dropped");
            return Ok(DONE);
        }
        let opened = workspace::open(&plan.store, false).await?;
        let dropped = async {
            opened.note("drop", "dead letters", audited(&letters)).await?;
            opened.state.drop_letters(&letters).await
        };
        let dropped = dropped.await;
        opened.close().await;
        dropped?;
    }
    if output.json() {
        let ids: Vec<&str> = letters.iter().map(|letter| letter.id.as_str()).collect();
        output.document(&json!({ "dropped": ids.len(), "ids": ids }));
    } else {
        output.line(format_args!("{} dropped", counted(letters.len())));
    }
    Ok(DONE)
}

fn counted(letters: usize) -> String {
    if letters == 1 { "1 dead letter".to_owned() } else { format!("{letters} dead letters") }
}

fn agreed(letters: usize, output: &Output) -> Result<bool, Failure> {
    if !stdin().is_terminal() {
        let message = format!("{} would be gone for good", counted(letters));
        return Err(Failure::usage(message, "nothing was changed; add --yes"));
    }
    output.note(format_args!("drop {} for good? [y/N]", counted(letters)));
    let mut answer = String::new();
    let read = stdin().read_line(&mut answer);
    Ok(read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes"))
}

pub async fn replay(dir: &Path, picked: Picked, accepted: Accepted, output: Arc<Output>) -> Result<u8, Failure> {
    let (plan, letters, all) = letters_pick::pick(dir, &picked, &output).await?;
    let Again { work, held } = again(&plan, letters, &all, accepted);
    let outcomes = run(dir, work, accepted, &output).await?;
    tell(&outcomes, &held, &output);
    let fault = outcomes.iter().find_map(|outcome| outcome.fault.as_ref());
    Ok(match fault {
        Some(fault) => fault.exit_code(),
        None if !held.is_empty() || outcomes.iter().any(|outcome| outcome.dead_letters() > 0) => DEAD_LETTERS,
        None => DONE,
    })
}

async fn run(
    dir: &Path,
    work: Vec<(String, Vec<DeadLetter>)>,
    accepted: Accepted,
    output: &Output,
) -> Result<Vec<Outcome>, Failure> {
    if work.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = work.iter().map(|(name, _)| name.as_str()).collect();
    let plan = workspace::plan_for(dir, &names)?;
    let mut signals = Signals::new()?;
    let telemetry = Telemetry::start(&plan);
    let engine = Engine::open(plan).await?;
    let (stopper, stop) = Stopper::new();
    let watch = tokio::spawn(async move {
        signals.next().await;
        stopper.stop();
        std::process::exit(i32::from(signals.next().await));
    });
    let mut outcomes = Vec::new();
    for (name, letters) in work {
        if stop.requested() {
            break;
        }
        let noted = engine.note(workspace::noted("replay", &name, audited(&letters))).await;
        let replayed = async {
            noted?;
            engine.replay(&name, letters, accepted.doubt, &stop).await
        };
        let outcome = match replayed.await {
            Ok((run, fault)) => Outcome { run: Some(run), fault },
            Err(fault) => Outcome { run: None, fault: Some(fault) },
        };
        if let Some(fault) = &outcome.fault {
            tell_fault(fault, output);
        }
        outcomes.push(outcome);
    }
    engine.close().await;
    telemetry.end().await;
    watch.abort();
    Ok(outcomes)
}

fn tell(outcomes: &[Outcome], held: &[(DeadLetter, Option<HeldBack>)], output: &Output) {
    if output.json() {
        let held = held.iter().map(|(letter, why)| json!({ "id": letter.id, "why": HeldBack::word(*why) }));
        let runs: Vec<_> = outcomes.iter().map(Outcome::to_json).collect();
        output.document(&json!({ "runs": runs, "held_back": held.collect::<Vec<_>>() }));
        return;
    }
    outcomes.iter().for_each(|outcome| outcome.tell(output));
    if outcomes.is_empty() && held.is_empty() {
        output.line("no dead letters");
    }
    let mut reasons: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for (letter, why) in held {
        reasons.entry(told(*why)).or_insert((0, &letter.id)).0 += 1;
    }
    for (told, (count, id)) in reasons {
        output.line(format_args!("{} held back, such as {id}: {told}", counted(count)));
    }
}

fn told(why: Option<HeldBack>) -> &'static str {
    match why {
        Some(HeldBack::Superseded) => {
            "a later state of the record is a dead letter too; replay that one, and this one goes with it"
        }
        Some(HeldBack::Doubt) => {
            "the write may have taken effect, and sending it again may double it; look for it at the sink, and if it is not \
             there, replay with --accept-doubt"
        }
        Some(HeldBack::Untracked) => {
            "an earlier version of renkei wrote it and did not note whether a later state of the record was accepted; if none \
             was, replay with --force"
        }
        Some(HeldBack::NoKey) => "the record has no key; edit it first, or drop it",
        None => "no pipeline reads its stream any more; put it back, or drop it",
    }
}
