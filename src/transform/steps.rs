//! The steps of a pipeline, applied to one record after the other.

use std::{borrow::Cow, cmp::Ordering, sync::Arc};

use super::draft::Draft;
use crate::{
    config::plan::StepPlan,
    expr::{Expression, Scope},
    model::{Code, Key, Path, Reason, Record, Reject, Slip, Step},
};

/// What became of a record.
#[derive(Debug)]
pub enum Outcome {
    Kept(Record),
    /// A filter said that the record does not go on.
    Skipped(Skip),
    /// A step failed for it.
    Rejected(Reject),
}

/// A record that does not go on.
#[derive(Debug)]
pub struct Skip {
    pub key: Key,
    /// Which step said so, in its own words.
    pub by: Arc<str>,
    /// Of a record that was pushed.
    pub slip: Option<Slip>,
}

/// Characters of a step's words that are kept.
const WORDS_MAX: usize = 160;

/// Steps, ready to be applied. Applying is pure: no clock, no chance, nothing remembered.
#[derive(Clone, Debug, Default)]
pub struct Transform {
    steps: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    /// With its words.
    Filter(Expression, Arc<str>),
    Set(Vec<(Path, Expression)>),
    Rename(Vec<(Path, Path)>),
    Drop(Vec<Path>),
    Keep(Vec<Path>),
}

impl Transform {
    pub fn new(steps: &[StepPlan]) -> Self {
        let change = |(at, step): (usize, &StepPlan)| match step {
            StepPlan::Filter(condition) => {
                let words: String = condition.as_str().chars().take(WORDS_MAX).collect();
                Change::Filter(condition.fresh(), format!("step {} (filter): {words}", at + 1).into())
            }
            StepPlan::Set(fields) => {
                Change::Set(fields.iter().map(|(path, value)| (path.clone(), value.fresh())).collect())
            }
            StepPlan::Rename(pairs) => Change::Rename(pairs.clone()),
            StepPlan::Drop(paths) => {
                let mut paths = paths.clone();
                // The later item of a list goes first, so that the earlier ones keep their places until it is their turn.
                paths.sort_by(|a, b| later_first(a.steps(), b.steps()));
                Change::Drop(paths)
            }
            StepPlan::Keep(paths) => Change::Keep(paths.clone()),
        };
        Self { steps: steps.iter().enumerate().map(change).collect() }
    }

    /// Applies the steps in their order. A record that none of them changes keeps its bytes; the rejected record is as
    /// it was read.
    pub fn apply(&self, record: Record) -> Outcome {
        if self.steps.is_empty() {
            return Outcome::Kept(record);
        }
        match self.run(&record) {
            Ok(Verdict::Unchanged) => Outcome::Kept(record),
            Ok(Verdict::Changed(fields)) => Outcome::Kept(Record { fields, ..record }),
            Ok(Verdict::Skipped(by)) => Outcome::Skipped(Skip { key: record.key, by, slip: record.slip }),
            Err(reason) => {
                let Record { key, gone, fields, slip, .. } = record;
                Outcome::Rejected(Reject { key: Some(key), gone, fields, reason, slip })
            }
        }
    }

    fn run(&self, record: &Record) -> Result<Verdict, Reason> {
        // The record is sliced once: into a draft when a step may change it, else for the filters alone.
        let mut draft = self.changes().then(|| Draft::of(&record.fields));
        let scope = Scope::of(&record.fields);
        for (at, step) in self.steps.iter().enumerate() {
            let number = at + 1;
            match (step, &mut draft) {
                (Change::Filter(condition, words), draft) => {
                    let wanted = match draft {
                        Some(draft) => condition.evaluate_bool(&draft.scope()),
                        None => condition.evaluate_bool(&scope),
                    };
                    if !wanted.map_err(|error| error.reason(&format!("step {number} (filter)")))? {
                        return Ok(Verdict::Skipped(words.clone()));
                    }
                }
                (step, Some(draft)) => step.change(number, draft)?,
                (_, None) => {}
            }
        }
        Ok(draft.and_then(Draft::finish).map_or(Verdict::Unchanged, Verdict::Changed))
    }

    fn changes(&self) -> bool {
        self.steps.iter().any(|step| !matches!(step, Change::Filter(..)))
    }
}

enum Verdict {
    Unchanged,
    Changed(crate::model::Fields),
    Skipped(Arc<str>),
}

impl Change {
    fn change(&self, number: usize, draft: &mut Draft<'_>) -> Result<(), Reason> {
        match self {
            Change::Filter(..) => {}
            Change::Set(fields) => {
                for (path, expression) in fields {
                    set(draft, path, expression, number)?;
                }
            }
            Change::Rename(pairs) => {
                let place = |error| Reason::new(Code::Evaluation, format!("step {number} (rename): {error}"));
                draft.rename(pairs).map_err(place)?;
            }
            Change::Drop(paths) => paths.iter().for_each(|path| {
                draft.drop(path);
            }),
            Change::Keep(paths) => draft.keep(paths),
        }
        Ok(())
    }
}

/// A value that is absent sets nothing.
fn set(draft: &mut Draft<'_>, path: &Path, expression: &Expression, number: usize) -> Result<(), Reason> {
    let place = || format!("step {number} (set), field {path}");
    let value = {
        let scope = draft.scope();
        let value = expression.evaluate_json(&scope).map_err(|error| error.reason(&place()))?;
        value.map(Cow::into_owned)
    };
    match value {
        Some(value) => {
            draft.set(path, value).map_err(|error| Reason::new(Code::Evaluation, format!("{}: {error}", place())))
        }
        None => Ok(()),
    }
}

fn later_first(a: &[Step], b: &[Step]) -> Ordering {
    let rank = |step: &Step| match step {
        Step::Field(name) => (name.clone(), 0),
        Step::Item(index) => (String::new(), *index),
    };
    b.iter().map(rank).cmp(a.iter().map(rank))
}
