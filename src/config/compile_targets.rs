//! A pipeline's file with several targets: each of them becomes a pipeline, with verdicts and a checkpoint of its own.

use super::{
    check::Check,
    diagnostic::Problem,
    plan::StepPlan,
    raw_pipeline::{RawPipeline, RawTo},
    shape::{OneOrMany, Spanned},
};
use crate::model::Code;

/// More are a mistake of whatever wrote the file.
const TARGETS_MAX: usize = 64;

/// One pipeline of a file.
pub struct Target<'r> {
    /// `leads` of `pipelines/leads.yaml`, or `leads.crm` of its target `crm`.
    pub pipeline: String,
    pub file: &'r str,
    /// Nothing: it is missing.
    pub to: Option<&'r Spanned<RawTo>>,
}

/// The pipelines of a file. A target without a name has none that could be told from the others.
pub fn targets<'r>(file: &'r str, raw: &'r RawPipeline) -> Vec<Target<'r>> {
    let several: &[Spanned<RawTo>] = raw.to.as_ref().map_or(&[], |OneOrMany(targets)| targets);
    if let [] | [Spanned { value: RawTo { name: None, .. }, .. }] = several {
        return vec![Target { pipeline: file.to_owned(), file, to: several.first() }];
    }
    let target = |to: &'r Spanned<RawTo>| {
        let name = to.value.name.as_ref()?;
        Some(Target { pipeline: format!("{file}.{}", name.value), file, to: Some(to) })
    };
    several.iter().filter_map(target).collect()
}

impl Check<'_> {
    /// What is wrong with a list of targets as a list.
    pub fn targets_fit(&self, raw: &RawPipeline) {
        let Some(OneOrMany(targets)) = &raw.to else { return };
        if let [one] = targets.as_slice()
            && one.value.name.is_none()
            && let Some(when) = &one.value.when
        {
            self.conflict(when.span, "`when` chooses among several targets", "write `- filter: ..` as the last step");
        }
        if let Some(many) = targets.get(TARGETS_MAX) {
            let message = format!("there are more than {TARGETS_MAX} targets");
            self.report(Problem::new(Code::OutOfRange, many.span, message).help("divide them among several pipelines"));
        }
        for (index, target) in targets.iter().enumerate().filter(|_| targets.len() > 1) {
            let Some(name) = &target.value.name else {
                let help = "name each of several targets, such as `name: crm`: it is part of its pipeline's name";
                self.missing_key(target.span, target.span, "name", help);
                continue;
            };
            let earlier = targets.iter().take(index).filter_map(|other| other.value.name.as_ref());
            if let Some(first) = earlier.into_iter().find(|other| other.value == name.value) {
                let message = format!("two targets are called `{}`", name.value);
                let problem = Problem::new(Code::Conflict, name.span, message).help("give each a name of its own");
                self.report(problem.related(first.span, "the first one is here"));
            }
        }
        for name in targets.iter().filter_map(|target| target.value.name.as_ref()) {
            let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
            if name.value.is_empty() || !name.value.chars().all(is_plain) {
                let message = format!("`{}` is no name for a target", name.value);
                let help = "use letters, digits, `-` and `_`";
                self.report(Problem::new(Code::BadPath, name.span, message).help(help));
            }
        }
    }

    /// The steps of a pipeline, and what chooses the records of its target.
    pub(super) fn steps_to(&self, target: &Target<'_>, steps: Option<Vec<StepPlan>>) -> Option<Vec<StepPlan>> {
        let when = target.to.and_then(|to| to.value.when.as_ref());
        let chosen = match when {
            Some(when) => Some(StepPlan::Filter(self.expression(when, &["record"])?)),
            None => None,
        };
        Some(steps?.into_iter().chain(chosen).collect())
    }
}
