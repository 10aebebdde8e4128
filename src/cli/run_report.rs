//! `runs show`: one run, with what became of its records and why, what it cost, the first records that it refused, and what to
//! type next.

use std::path::Path;

use serde_json::json;

use super::{
    failure::{DONE, Failure},
    format,
    letters::why,
    listing::{close, state_of},
    output::{Output, Paint, printable},
    summary, trace, workspace,
};
use crate::{
    model::Reason,
    store::{Cause, DeadLetter, Run, RunState, StreamId},
};

/// Different reasons that are shown; the most frequent ones.
const CAUSES_SHOWN: usize = 8;

/// What the store knows of a run.
struct Told {
    run: Run,
    letters: Vec<DeadLetter>,
    /// As far as the history goes back.
    causes: Vec<(Cause, u64)>,
}

pub async fn show(dir: &Path, id: &str, limit: usize, output: &Output) -> Result<u8, Failure> {
    let plan = workspace::plan_without_secrets(dir, output)?;
    let opened = workspace::look(&plan.store).await?;
    let found = match &opened {
        Some(opened) => {
            let run = find(opened.state.runs().await?, id)?;
            let mut letters = opened.state.dead_letters(Some(&run.pipeline)).await?;
            letters.retain(|letter| letter.run == run.id);
            letters.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
            let stream = StreamId::new(run.pipeline.clone(), run.stream.clone());
            Some(Told { causes: opened.state.causes(&stream, &run.id).await?, letters, run })
        }
        None => None,
    };
    close(opened).await;
    let Some(told) = found else {
        return Err(unknown(id));
    };
    if output.json() {
        let refused: Vec<_> = told.letters.iter().take(limit).map(refusal).collect();
        let mut shown = json!(told.run);
        shown["letters"] = json!(told.letters.len());
        shown["refused"] = json!(refused);
        shown["causes"] = told.causes.iter().map(cause_json).collect();
        shown["next"] = json!(next(&told).map(|(_, command)| command));
        output.document(&shown);
        return Ok(DONE);
    }
    tell(&told, limit, output);
    Ok(DONE)
}

fn tell(told: &Told, limit: usize, output: &Output) {
    let Told { run, letters, causes } = told;
    let paint = Paint(output.color_stdout);
    let fact =
        |name: &str, value: String| output.line(format_args!("{} {value}", paint.bold(format_args!("{name:<9}"))));
    let took = run.ended_at.map(|end| format!(", took {}", format::duration(format::between(run.started_at, end))));
    fact("id", run.id.clone());
    fact("pipeline", format!("{}, stream {}", run.pipeline, run.stream));
    fact("started", format!("{} UTC{}", format::time(run.started_at), took.unwrap_or_default()));
    fact("state", state_of(run));
    if let Some(fault) = &run.fault {
        fact("fault", format!("{} {}", fault.code, printable(&fault.message)));
    }
    fact("records", summary::verdicts(run, paint));
    if run.counts.balance() != 0 && run.state != RunState::Done {
        fact("staged", format!("{} waited for the next run", run.counts.balance()));
    }
    fact("cost", format!("pages {}  {}", run.pages, summary::costs(run, paint)));
    for (at, line) in summary::drift(run, paint, usize::MAX).into_iter().enumerate() {
        fact(if at == 0 { "drift" } else { "" }, line);
    }
    for line in summary::ending(run, paint) {
        fact("ending", line);
    }
    for (at, (cause, records)) in causes.iter().take(CAUSES_SHOWN).enumerate() {
        let (verdict, words) = cause_words(cause);
        fact(if at == 0 { "why" } else { "" }, format!("{records} {verdict}: {}", printable(&words)));
    }
    if causes.len() > CAUSES_SHOWN {
        fact("", format!("and {} other reasons", causes.len() - CAUSES_SHOWN));
    }
    if run.counts.dead_letters() > 0 {
        fact("refused", of_them(run.counts.dead_letters(), letters.len() as u64, limit as u64));
        for letter in letters.iter().take(limit) {
            let key = letter.key.as_ref().map_or("-".to_owned(), |key| printable(key.as_str()));
            output.line(format_args!("  {}  {}  {key}  {}", letter.id, kind(letter), why(&letter.reason)));
        }
    }
    if let Some((what, command)) = next(told) {
        fact("next", format!("{what}: {command}"));
    }
    fact("trace", format!("one record through all runs: renkei trace RECORD_KEY --pipeline {}", run.pipeline));
}

/// The command that leads on from here, and what for.
fn next(Told { run, letters, .. }: &Told) -> Option<(&'static str, String)> {
    match (&run.fault, letters.first()) {
        (Some(fault), _) => Some(("why it failed, and what to do", format!("renkei explain {}", fault.code))),
        (None, Some(letter)) => {
            Some(("one of the refused records whole", format!("renkei dead-letters show {}", letter.id)))
        }
        (None, None) if run.counts.balance() != 0 => {
            Some(("to deliver what is staged", format!("renkei run {}", run.pipeline)))
        }
        (None, None) => None,
    }
}

fn cause_words(cause: &Cause) -> (&'static str, String) {
    let refused = |verdict, reason: &Reason| (verdict, why(reason));
    match cause {
        Cause::Passed(passed) => {
            let (verdict, words) = trace::passed(passed);
            (verdict, words.to_owned())
        }
        Cause::Rejected(reason) => refused("rejected", reason),
        Cause::Parked(reason) => refused("parked", reason),
    }
}

fn cause_json((cause, records): &(Cause, u64)) -> serde_json::Value {
    let (verdict, words) = cause_words(cause);
    let code = match cause {
        Cause::Passed(_) => None,
        Cause::Rejected(reason) | Cause::Parked(reason) => Some(reason.code),
    };
    json!({ "verdict": verdict, "records": records, "code": code, "why": words })
}

/// A letter belongs to the run that met it last, and one may stand for several refusals.
fn of_them(refused: u64, letters: u64, limit: u64) -> String {
    let shown = letters.min(limit);
    let mut text = match shown == letters {
        true => format!("{refused} records, {letters} dead letters of this run"),
        false => format!("{refused} records, the first {shown} of {letters} dead letters of this run"),
    };
    if letters < refused {
        text.push_str("; the others were met again by a later run, dropped, or are one letter met several times");
    }
    text
}

fn kind(letter: &DeadLetter) -> &'static str {
    if letter.parked { "parked  " } else { "rejected" }
}

fn refusal(letter: &DeadLetter) -> serde_json::Value {
    json!({
        "id": letter.id,
        "at": letter.at,
        "kind": kind(letter).trim_end(),
        "key": letter.key,
        "reason": letter.reason,
    })
}

/// The run with this id, or the only one whose id begins so.
fn find(runs: Vec<Run>, id: &str) -> Result<Run, Failure> {
    let mut found: Vec<Run> = runs.into_iter().filter(|run| run.id.starts_with(id)).collect();
    if let Some(at) = found.iter().position(|run| run.id == id) {
        return Ok(found.swap_remove(at));
    }
    match found.len() {
        1 => Ok(found.swap_remove(0)),
        0 => Err(unknown(id)),
        several => {
            let message = format!("{several} runs have an id that begins with `{id}`");
            Err(Failure::usage(message, "type more of it; renkei runs shows all ids"))
        }
    }
}

fn unknown(id: &str) -> Failure {
    Failure::usage(format!("there is no run `{}`", printable(id)), "renkei runs shows all ids")
}
