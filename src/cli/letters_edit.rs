//! `dead-letters edit`: a person mends a record. What was read stays; a replay takes what was mended.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::value::RawValue;

use super::{
    args::Picked,
    failure::{DONE, Failure},
    letters_pick,
    output::Output,
    workspace,
};
use crate::{
    config::{Plan, plan::StepPlan},
    expr::{Entry, Expression, object},
    model::{Blame, Code, Disposition, Fault, Fields, Key, Overlap, Record},
    source::read_one,
    store::DeadLetter,
    transform::{Outcome, Transform},
};

/// What was asked for.
pub struct Change {
    pub set: Vec<String>,
    pub file: Option<PathBuf>,
    pub undo: bool,
}

pub async fn edit(dir: &Path, id: &str, change: &Change, output: &Output) -> Result<u8, Failure> {
    let (plan, letters, _) = letters_pick::pick(dir, &Picked::one(id), output).await?;
    let Some(letter) = letters.into_iter().next() else { return Ok(DONE) };
    let edited = match (&change.file, change.undo) {
        (_, true) => None,
        (Some(file), _) => Some(patched(&letter.record(), file)?),
        (None, _) => Some(set(&letter.record(), &change.set)?),
    };
    let edited = edited.map(|edited| protected(&plan, &letter, edited)).transpose()?;
    let edited = edited.map(|fields| RawValue::from_string(fields.as_str().to_owned())).transpose();
    let letter = DeadLetter { edited: edited.map_err(|error| unusable(error.to_string()))?, ..letter };
    let opened = workspace::open(&plan.store, false).await?;
    let kept = opened.state.keep_letter(&letter).await;
    opened.close().await;
    kept?;
    if output.json() {
        output.document(&letter);
    } else {
        output.line(match change.undo {
            true => format!("{id} is as it was read"),
            false => format!("{id} is mended; renkei dead-letters replay {id} sends it"),
        });
    }
    Ok(DONE)
}

/// The edited record as it is kept: what was typed into personal fields is protected. It is still the same record of its stream.
fn protected(plan: &Plan, letter: &DeadLetter, edited: Fields) -> Result<Fields, Failure> {
    let Some(pipeline) = plan.pipelines.get(&letter.pipeline) else {
        let message = format!("the pipeline `{}` of this letter is gone", letter.pipeline);
        return Err(Failure::usage(message, "put its file back, or drop the letter"));
    };
    let personal = workspace::personal(pipeline)?;
    let edited = personal.stored(edited, letter.gone).map_err(|reason| unusable(reason.message))?;
    // A tombstone names its record as another stream does.
    if letter.gone {
        return Ok(edited);
    }
    let record = read_one(&pipeline.from.stream, edited).map_err(|reject| unusable(reject.reason.message))?;
    let same = |key: &Key| *key == record.key || personal.key(key.clone()) == record.key;
    match letter.key.as_ref().is_none_or(same) {
        true => Ok(record.fields),
        false => Err(unusable("its key would change, and it would be another record").into()),
    }
}

fn set(record: &Fields, all: &[String]) -> Result<Fields, Failure> {
    let one = |text: &String| {
        let wrong = |why: String| {
            Failure::usage(format!("--set {text}: {why}"), "write --set email='\"ada@example.com\"' or --set age=42")
        };
        let (path, value) = text.split_once('=').ok_or_else(|| wrong("there is no `=`".to_owned()))?;
        let path = crate::model::Path::parse(path.trim()).map_err(|error| wrong(error.to_string()))?;
        let value = Expression::compile(value).map_err(|error| wrong(error.message))?;
        value.check_roots(&["record"]).map_err(|error| wrong(error.message))?;
        Ok((path, value))
    };
    let fields = all.iter().map(one).collect::<Result<Vec<_>, Failure>>()?;
    let record = Record {
        key: Key::new("edited"),
        version: None,
        overlap: Overlap::default(),
        gone: false,
        fields: record.clone(),
        slip: None,
    };
    match Transform::new(&[StepPlan::Set(fields)]).apply(record) {
        Outcome::Kept(record) => Ok(record.fields),
        Outcome::Skipped(_) => Err(unusable("nothing is left of it").into()),
        Outcome::Rejected(reject) => Err(unusable(reject.reason.message).into()),
    }
}

/// The record with the fields of a JSON file in place of its own.
fn patched(record: &Fields, file: &Path) -> Result<Fields, Failure> {
    let text = fs::read(file)
        .map_err(|error| Failure::usage(format!("{}: {error}", file.display()), "name a file with a JSON object"))?;
    let patch =
        Fields::parse(&text).map_err(|error| unusable(format!("{} is no JSON object: {error}", file.display())))?;
    let changes: BTreeMap<_, _> = patch.entries().into_iter().collect();
    let kept = record.entries().into_iter().filter(|(name, _)| !changes.contains_key(name));
    let new = changes.iter().map(|(name, raw)| (name.clone(), *raw)).filter(|(_, raw)| raw.get() != "null");
    let entries: Vec<Entry<'_>> = kept.chain(new).map(|(name, raw)| (name, raw.get().into())).collect();
    Ok(Fields::from_object(object(&entries).into()))
}

fn unusable(why: impl Into<String>) -> Fault {
    Fault::halt(Code::EditRefused, Blame::Config, why)
        .with(Disposition::Reject)
        .help("nothing was changed: the letter is as it was before; edit other fields, or drop the letter")
}
