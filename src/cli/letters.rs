//! `dead-letters`: records that were rejected or parked, and why. The list never shows a record's content; `show` does,
//! because somebody asked for that one.

use std::path::Path;

use super::{
    failure::{DONE, Failure},
    format,
    listing::{close, known},
    output::{Output, Paint, printable},
    suggest,
    table::{self, Column},
    workspace,
};
use crate::store::DeadLetter;

async fn all(dir: &Path, pipeline: Option<&str>, output: &Output) -> Result<Vec<DeadLetter>, Failure> {
    let plan = workspace::plan_without_secrets(dir, output)?;
    let opened = workspace::look(&plan.store).await?;
    let mut letters = match &opened {
        Some(opened) => opened.state.dead_letters(None).await?,
        None => Vec::new(),
    };
    close(opened).await;
    if let Some(name) = pipeline {
        known(name, &plan, letters.iter().map(|letter| letter.pipeline.as_str()))?;
        letters.retain(|letter| letter.pipeline == name);
    }
    letters.sort_by(|a, b| (b.at, &b.id).cmp(&(a.at, &a.id)));
    Ok(letters)
}

pub async fn list(dir: &Path, pipeline: Option<&str>, limit: usize, output: &Output) -> Result<u8, Failure> {
    let mut letters = all(dir, pipeline, output).await?;
    let more = letters.len().saturating_sub(limit);
    letters.truncate(limit);
    if output.json() {
        output.document(&letters.iter().map(head).collect::<Vec<_>>());
        return Ok(DONE);
    }
    let columns = ["id", "at (UTC)", "pipeline", "kind", "key", "why"].map(|title| Column(title, false));
    let rows = letters.iter().map(|letter| {
        vec![
            letter.id.clone(),
            format::time(letter.at),
            letter.pipeline.clone(),
            kind(letter).to_owned(),
            letter.key.as_ref().map_or("-".to_owned(), |key| printable(key.as_str())),
            format!("{} {}", letter.reason.code, format::cut(&printable(&letter.reason.message), 60)),
        ]
    });
    table::print(output, &columns, rows.collect(), "no dead letters");
    if more > 0 {
        output.note(format_args!("{more} more: --limit {}", more + limit));
    }
    Ok(DONE)
}

/// Everything but the record itself.
fn head(letter: &DeadLetter) -> serde_json::Value {
    serde_json::json!({
        "id": letter.id,
        "at": letter.at,
        "pipeline": letter.pipeline,
        "stream": letter.stream,
        "run": letter.run,
        "kind": kind(letter),
        "key": letter.key,
        "reason": letter.reason,
    })
}

fn kind(letter: &DeadLetter) -> &'static str {
    if letter.parked { "parked" } else { "rejected" }
}

pub async fn show(dir: &Path, id: &str, output: &Output) -> Result<u8, Failure> {
    let letters = all(dir, None, output).await?;
    let Some(letter) = letters.iter().find(|letter| letter.id == id) else {
        let help = match suggest::nearest(id, letters.iter().map(|letter| letter.id.as_str())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "renkei dead-letters list shows all ids".to_owned(),
        };
        return Err(Failure::usage(format!("there is no dead letter `{id}`"), help));
    };
    if output.json() {
        output.document(letter);
        return Ok(DONE);
    }
    let paint = Paint(output.color_stdout);
    let fact =
        |name: &str, value: String| output.line(format_args!("{} {value}", paint.bold(format_args!("{name:<9}"))));
    fact("id", letter.id.clone());
    fact("at", format::time(letter.at));
    fact("pipeline", format!("{}, stream {}", letter.pipeline, letter.stream));
    fact("run", letter.run.clone());
    fact("key", letter.key.as_ref().map_or("-".to_owned(), |key| printable(key.as_str())));
    fact(kind(letter), format!("{} {}", letter.reason.code, printable(&letter.reason.message)));
    fact("as read", record(letter.source.get()));
    if let Some(fields) = &letter.fields {
        fact("as sent", record(fields.get()));
    }
    fact("more", format!("renkei explain {}", letter.reason.code));
    Ok(DONE)
}

/// JSON over several lines, safe for a terminal.
fn record(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.lines().map(printable).collect::<Vec<_>>().join("\n          ")
}
