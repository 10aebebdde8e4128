//! A person mends a record. What was read stays; a replay takes what was mended. It is still the same record of its stream, and what was
//! typed into personal fields is protected before it is kept.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::Mistake;
use crate::{
    config::{
        Plan,
        plan::{Pipeline, StepPlan},
    },
    expr::{Entry, Expression, object},
    model::{Blame, Code, Disposition, Fault, Fields, Key, Overlap, Path, Record},
    source::read_one,
    store::DeadLetter,
    transform::{Outcome, Personal, Transform},
};

/// What becomes of a letter's record.
#[derive(Clone, Debug)]
pub enum Change {
    /// Fields by their path, each with an expression over the record as it is.
    Set(Vec<(String, String)>),
    /// A JSON object: its fields stand in place of the record's own, and one that is null goes.
    Patch(Vec<u8>),
    /// It is as it was read.
    Undo,
}

/// Why a letter cannot be mended so. Nothing was changed.
#[derive(Debug)]
pub enum Unmended {
    Mistake(Mistake),
    Fault(Box<Fault>),
}

impl From<Mistake> for Unmended {
    fn from(mistake: Mistake) -> Self {
        Self::Mistake(mistake)
    }
}

impl From<Fault> for Unmended {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

/// The letter as it is to be kept.
pub fn mended(plan: &Plan, letter: DeadLetter, change: &Change) -> Result<DeadLetter, Unmended> {
    let edited = match change {
        Change::Undo => None,
        Change::Patch(text) => Some(patched(&letter.record(), text)?),
        Change::Set(fields) => Some(set(&letter.record(), fields)?),
    };
    let edited = edited.map(|edited| protected(plan, &letter, edited)).transpose()?;
    let edited = edited.map(|fields| RawValue::from_string(fields.as_str().to_owned())).transpose();
    Ok(DeadLetter { edited: edited.map_err(|error| unusable(error.to_string()))?, ..letter })
}

/// The edited record as it is kept.
fn protected(plan: &Plan, letter: &DeadLetter, edited: Fields) -> Result<Fields, Unmended> {
    let Some(pipeline) = plan.pipelines.get(&letter.pipeline) else {
        let message = format!("the pipeline `{}` of this letter is gone", letter.pipeline);
        return Err(Mistake::new(message, "put its file back, or drop the letter").into());
    };
    let personal = personal(pipeline)?;
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

/// The rules of a pipeline's personal fields, with the keys that they need.
fn personal(pipeline: &Pipeline) -> Result<Personal, Fault> {
    if pipeline.personal.needs_keys() && pipeline.personal.keys.is_none() {
        let message = format!("the keys for the personal fields of `{}` are not at hand", pipeline.name);
        let help = "nothing was changed; set the variables or files that `personal` of renkei.yaml names";
        return Err(Fault::halt(Code::PersonalKeys, Blame::Config, message).help(help));
    }
    Ok(Personal::new(&pipeline.personal))
}

fn set(record: &Fields, all: &[(String, String)]) -> Result<Fields, Unmended> {
    let one = |(path, value): &(String, String)| {
        let wrong = |why: String| {
            let help = "write a path such as email, and an expression such as '\"ada@example.com\"' or 42";
            Mistake::new(format!("{path}={value}: {why}"), help)
        };
        let path = Path::parse(path.trim()).map_err(|error| wrong(error.to_string()))?;
        let value = Expression::compile(value).map_err(|error| wrong(error.message))?;
        value.check_roots(&["record"]).map_err(|error| wrong(error.message))?;
        Ok((path, value))
    };
    let fields = all.iter().map(one).collect::<Result<Vec<_>, Mistake>>()?;
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

/// The record with the fields of a JSON object in place of its own.
fn patched(record: &Fields, text: &[u8]) -> Result<Fields, Unmended> {
    let patch = Fields::parse(text).map_err(|error| unusable(format!("the change is no JSON object: {error}")))?;
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
