//! The steps of a pipeline, applied to one record after the other.

use std::{borrow::Cow, cmp::Ordering};

use super::draft::Draft;
use crate::{
    config::plan::StepPlan,
    expr::{Expression, Scope},
    model::{Code, Key, Path, Reason, Record, Reject, Step},
};

/// What became of a record.
#[derive(Debug)]
pub enum Outcome {
    Kept(Record),
    /// A filter said that the record of this key does not go on.
    Skipped(Key),
    /// A step failed for it.
    Rejected(Reject),
}

/// Steps, ready to be applied. Applying is pure: no clock, no chance, nothing remembered.
#[derive(Clone, Debug, Default)]
pub struct Transform {
    steps: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Filter(Expression),
    Set(Vec<(Path, Expression)>),
    Rename(Vec<(Path, Path)>),
    Drop(Vec<Path>),
    Keep(Vec<Path>),
}

impl Transform {
    pub fn new(steps: &[StepPlan]) -> Self {
        let change = |step: &StepPlan| match step {
            StepPlan::Filter(condition) => Change::Filter(condition.fresh()),
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
        Self { steps: steps.iter().map(change).collect() }
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
            Ok(Verdict::Skipped) => Outcome::Skipped(record.key),
            Err(reason) => {
                Outcome::Rejected(Reject { key: Some(record.key), gone: record.gone, fields: record.fields, reason })
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
                (Change::Filter(condition), draft) => {
                    let wanted = match draft {
                        Some(draft) => condition.evaluate_bool(&draft.scope()),
                        None => condition.evaluate_bool(&scope),
                    };
                    if !wanted.map_err(|error| error.reason(&format!("step {number} (filter)")))? {
                        return Ok(Verdict::Skipped);
                    }
                }
                (step, Some(draft)) => step.change(number, draft)?,
                (_, None) => {}
            }
        }
        Ok(draft.and_then(Draft::finish).map_or(Verdict::Unchanged, Verdict::Changed))
    }

    fn changes(&self) -> bool {
        self.steps.iter().any(|step| !matches!(step, Change::Filter(_)))
    }
}

enum Verdict {
    Unchanged,
    Changed(crate::model::Fields),
    Skipped,
}

impl Change {
    fn change(&self, number: usize, draft: &mut Draft<'_>) -> Result<(), Reason> {
        match self {
            Change::Filter(_) => {}
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
