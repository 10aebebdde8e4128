//! `runs show`: one run, with what became of its records, what it cost, and the first records that it refused.

use std::path::Path;

use serde_json::json;

use super::{
    failure::{DONE, Failure},
    format,
    letters::why,
    listing::{close, state_of},
    output::{Output, Paint, printable},
    summary, workspace,
};
use crate::store::{DeadLetter, Run, RunState};

pub async fn show(dir: &Path, id: &str, limit: usize, output: &Output) -> Result<u8, Failure> {
    let plan = workspace::plan_without_secrets(dir, output)?;
    let opened = workspace::look(&plan.store).await?;
    let found = match &opened {
        Some(opened) => {
            let run = find(opened.state.runs().await?, id)?;
            let letters = opened.state.dead_letters(Some(&run.pipeline)).await?;
            Some((run, letters))
        }
        None => None,
    };
    close(opened).await;
    let Some((run, mut letters)) = found else {
        return Err(unknown(id));
    };
    letters.retain(|letter| letter.run == run.id);
    letters.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    if output.json() {
        let refused: Vec<_> = letters.iter().take(limit).map(refusal).collect();
        let mut shown = json!(run);
        shown["letters"] = json!(letters.len());
        shown["refused"] = json!(refused);
        output.document(&shown);
        return Ok(DONE);
    }
    tell(&run, &letters, limit, output);
    Ok(DONE)
}

fn tell(run: &Run, letters: &[DeadLetter], limit: usize, output: &Output) {
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
    if run.counts.dead_letters() == 0 {
        return;
    }
    fact("refused", of_them(run.counts.dead_letters(), letters.len() as u64, limit as u64));
    for letter in letters.iter().take(limit) {
        let key = letter.key.as_ref().map_or("-".to_owned(), |key| printable(key.as_str()));
        output.line(format_args!("  {}  {}  {key}  {}", letter.id, kind(letter), why(&letter.reason)));
    }
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
