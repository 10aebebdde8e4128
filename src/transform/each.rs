//! Steps that look at one record at a time.

use std::{borrow::Cow, cmp::Ordering, sync::Arc};

use super::{
    coerce::{coerced, wanted},
    draft::Draft,
    mask::masked,
    memory::Warned,
    steps::Outcome,
};
use crate::{
    config::plan::{Flatten, Kind, Otherwise, Rule, StepPlan},
    expr::{Expression, Scope},
    model::{Code, Fields, Path, Reason, Record, Reject, Skip, Step},
};

/// Characters of a step's words that are kept.
const WORDS_MAX: usize = 160;

/// Neighbouring steps, ready to be applied to one record after the other. Applying is pure: no clock, no chance, nothing
/// remembered but how often a rule only warned.
#[derive(Clone, Debug, Default)]
pub struct Each {
    steps: Vec<Numbered>,
}

/// A step with its number in the pipeline, from 1.
#[derive(Clone, Debug)]
struct Numbered {
    number: usize,
    change: Change,
}

#[derive(Clone, Debug)]
enum Change {
    /// With its words.
    Filter(Expression, Arc<str>),
    Set(Vec<(Path, Expression)>),
    Rename(Vec<(Path, Path)>),
    Drop(Vec<Path>),
    Keep(Vec<Path>),
    Flatten(Flatten),
    Coerce(Vec<(Path, Kind)>),
    /// Each with its words.
    Validate(Vec<(Rule, Arc<str>)>),
}

/// What steps say of a record.
enum Verdict {
    Unchanged,
    Changed(Fields),
    Skipped(Arc<str>),
}

/// A step in its own words.
pub(super) fn words(number: usize, name: &str, text: &str) -> Arc<str> {
    let text: String = text.chars().take(WORDS_MAX).collect();
    format!("step {number} ({name}): {text}").into()
}

impl Each {
    /// Adds a step. False: it does not look at one record at a time.
    pub(super) fn push(&mut self, number: usize, step: &StepPlan) -> bool {
        let change = match step {
            StepPlan::Filter(condition) => {
                Change::Filter(condition.fresh(), words(number, "filter", condition.as_str()))
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
            StepPlan::Flatten(flatten) => Change::Flatten(flatten.clone()),
            StepPlan::Coerce(fields) => Change::Coerce(fields.clone()),
            StepPlan::Validate(rules) => {
                let rule = |rule: &Rule| {
                    let words = words(number, "validate", &rule.message);
                    (Rule { that: rule.that.fresh(), ..rule.clone() }, words)
                };
                Change::Validate(rules.iter().map(rule).collect())
            }
            StepPlan::Split => return true,
            StepPlan::Dedupe(_) | StepPlan::Lookup(_) => return false,
        };
        self.steps.push(Numbered { number, change });
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Applies the steps in their order. A record that none of them changes keeps its bytes; the rejected record is as
    /// it came.
    pub fn change(&self, outcome: &mut Outcome, warned: &mut Warned) {
        let Outcome::Kept(record) = outcome else { return };
        match self.run(record, warned) {
            Ok(Verdict::Unchanged) => {}
            Ok(Verdict::Changed(fields)) => record.fields = fields,
            Ok(Verdict::Skipped(by)) => {
                *outcome = Outcome::Skipped(Skip { key: record.key.clone(), by, slip: record.slip });
            }
            Err(reason) => {
                let Record { key, gone, fields, slip, .. } = record.clone();
                *outcome = Outcome::Rejected(Reject { key: Some(key), gone, fields, reason, slip });
            }
        }
    }

    fn run(&self, record: &Record, warned: &mut Warned) -> Result<Verdict, Reason> {
        // The record is sliced once: into a draft when a step may change it, else for what only looks at it.
        let mut draft = self.changes().then(|| Draft::of(&record.fields));
        let scope = Scope::of(&record.fields);
        for Numbered { number, change } in &self.steps {
            let skips = match (change, &mut draft) {
                (Change::Filter(..) | Change::Validate(_), Some(draft)) => {
                    change.look(*number, &draft.scope(), warned)?
                }
                (Change::Filter(..) | Change::Validate(_), None) => change.look(*number, &scope, warned)?,
                (change, Some(draft)) => {
                    change.change(*number, draft)?;
                    None
                }
                (_, None) => None,
            };
            if let Some(words) = skips {
                return Ok(Verdict::Skipped(words));
            }
        }
        Ok(draft.and_then(Draft::finish).map_or(Verdict::Unchanged, Verdict::Changed))
    }

    fn changes(&self) -> bool {
        self.steps.iter().any(|step| !matches!(step.change, Change::Filter(..) | Change::Validate(_)))
    }
}

impl Change {
    /// Looks at the record. Returns the words of what says that it does not go on.
    fn look(&self, number: usize, scope: &Scope<'_>, warned: &mut Warned) -> Result<Option<Arc<str>>, Reason> {
        match self {
            Self::Filter(condition, words) => {
                let wanted = condition.evaluate_bool(scope);
                let wanted = wanted.map_err(|error| error.reason(&format!("step {number} (filter)")))?;
                Ok((!wanted).then(|| words.clone()))
            }
            Self::Validate(rules) => {
                for (rule, words) in rules {
                    let holds = rule.that.evaluate_bool(scope);
                    let holds = holds.map_err(|error| error.reason(&format!("step {number} (validate)")))?;
                    match rule.otherwise {
                        _ if holds => {}
                        Otherwise::Reject => return Err(Reason::new(Code::RuleBroken, &**words)),
                        Otherwise::Skip => return Ok(Some(words.clone())),
                        Otherwise::Warn => warned.add(words),
                    }
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn change(&self, number: usize, draft: &mut Draft<'_>) -> Result<(), Reason> {
        match self {
            Self::Filter(..) | Self::Validate(_) => {}
            Self::Set(fields) => {
                for (path, expression) in fields {
                    set(draft, path, expression, number)?;
                }
            }
            Self::Rename(pairs) => {
                let place = |error| Reason::new(Code::Evaluation, format!("step {number} (rename): {error}"));
                draft.rename(pairs).map_err(place)?;
            }
            Self::Drop(paths) => paths.iter().for_each(|path| {
                draft.drop(path);
            }),
            Self::Keep(paths) => draft.keep(paths),
            Self::Flatten(flatten) => {
                let place = |error| Reason::new(Code::StepUnfit, format!("step {number} (flatten): {error}"));
                draft.flatten(flatten).map_err(place)?;
            }
            Self::Coerce(fields) => {
                for (path, kind) in fields {
                    coerce(draft, path, kind, number)?;
                }
            }
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

fn coerce(draft: &mut Draft<'_>, path: &Path, kind: &Kind, number: usize) -> Result<(), Reason> {
    let Some(raw) = draft.find(path) else { return Ok(()) };
    let place = || format!("step {number} (coerce), field {path}");
    match coerced(kind, raw) {
        Ok(Cow::Borrowed(same)) if same == raw => Ok(()),
        Ok(value) => {
            let value = value.into_owned();
            draft.set(path, value).map_err(|error| Reason::new(Code::Evaluation, format!("{}: {error}", place())))
        }
        Err(_) => {
            let message = format!("{}: {} is not {}", place(), shown(path, raw), wanted(kind));
            Err(Reason::new(Code::ValueUnfit, message))
        }
    }
}

/// A value as it may stand in a reason, by the name of its field.
fn shown(path: &Path, raw: &str) -> String {
    let name = path.steps().iter().rev().find_map(|step| match step {
        Step::Field(name) => Some(name.as_str()),
        Step::Item(_) => None,
    });
    let name = name.unwrap_or_default();
    let field = format!("{{{}:{raw}}}", serde_json::Value::from(name));
    masked(&Fields::from_object(field.into())).get(name).map(ToString::to_string).unwrap_or_default()
}

fn later_first(a: &[Step], b: &[Step]) -> Ordering {
    let rank = |step: &Step| match step {
        Step::Field(name) => (name.clone(), 0),
        Step::Item(index) => (String::new(), *index),
    };
    b.iter().map(rank).cmp(a.iter().map(rank))
}
