//! The steps of a pipeline, in their order.

use chrono::{
    DateTime, NaiveDate, NaiveDateTime,
    format::{Item, StrftimeItems},
};
use chrono_tz::Tz;

use std::time::Duration;

use super::{
    check::Check,
    diagnostic::Problem,
    fill::HOLE,
    plan::{Dedupe, Flatten, Kind, Otherwise, Rule, StepPlan, Winner},
    raw_pipeline::RawStep,
    raw_steps::{RawDedupe, RawFlatten, RawKind, RawOtherwise, RawRule, RawTimeAs, RawWinner, RawWithin},
    shape::{Named, OneOrMany, Source, Spanned},
};
use crate::{
    config::compile_pipeline::Connections,
    expr::Expression,
    model::{Code, Path},
};

const ROOTS: [&str; 1] = ["record"];
const VALUES: u64 = 200_000;
const VALUES_MAX: u64 = 2_000_000;
/// No JSON text that is read nests deeper.
const DEPTH_MAX: u64 = 127;

impl Check<'_> {
    /// All steps. Nothing where one of them cannot be compiled.
    pub fn steps(&self, raw: &[RawStep], connections: &Connections) -> Option<Vec<StepPlan>> {
        for step in raw.iter().skip(1) {
            if let RawStep::Split(split) = step {
                let problem = Problem::new(Code::StepMisplaced, split.span, "`split` must be the first step");
                self.report(problem.help(
                    "records are split where they are read, so that each part has a key and a verdict of its own; what the \
                     record itself holds is seen behind it as `record.parent`",
                ));
            }
        }
        let steps: Vec<Option<StepPlan>> = raw.iter().map(|step| self.step(step, connections)).collect();
        steps.into_iter().collect()
    }

    fn step(&self, raw: &RawStep, connections: &Connections) -> Option<StepPlan> {
        match raw {
            RawStep::Filter(condition) => self.expression(condition, &ROOTS).map(StepPlan::Filter),
            RawStep::Set(fields) => self.set(fields).map(StepPlan::Set),
            RawStep::Rename(names) => {
                Some(StepPlan::Rename(names.iter().map(|(old, new)| (self.path(old), self.path(new))).collect()))
            }
            RawStep::Drop(fields) => Some(StepPlan::Drop(self.paths(fields))),
            RawStep::Keep(fields) => Some(StepPlan::Keep(self.paths(fields))),
            RawStep::Split(_) => Some(StepPlan::Split),
            RawStep::Dedupe(dedupe) => self.dedupe(&dedupe.value).map(StepPlan::Dedupe),
            RawStep::Flatten(flatten) => Some(StepPlan::Flatten(self.flatten(&flatten.value))),
            RawStep::Coerce(fields) => self.coerce(fields).map(StepPlan::Coerce),
            RawStep::Validate(rules) => self.rules(rules).map(StepPlan::Validate),
            RawStep::Lookup(lookup) => {
                self.lookup(lookup, connections).map(|lookup| StepPlan::Lookup(std::sync::Arc::new(lookup)))
            }
        }
    }

    fn set(&self, fields: &Named<Spanned<Source>>) -> Option<Vec<(Path, Expression)>> {
        let one =
            |(name, value): &(Spanned<String>, Spanned<Source>)| (self.path(name), self.expression(value, &ROOTS));
        let fields: Vec<(Path, Option<Expression>)> = fields.iter().map(one).collect();
        fields.into_iter().map(|(path, value)| value.map(|value| (path, value))).collect()
    }

    pub(super) fn paths(&self, fields: &OneOrMany<String>) -> Vec<Path> {
        fields.0.iter().map(|field| self.path(field)).collect()
    }

    fn dedupe(&self, raw: &RawDedupe) -> Option<Dedupe> {
        let last = raw.keep.as_ref().filter(|keep| keep.value == RawWinner::Last);
        let page = raw.within.as_ref().is_some_and(|within| within.value == RawWithin::Page);
        if let Some(last) = last.filter(|_| !page) {
            let message = "which record of a run is the last one is known when the run is over";
            self.conflict(last.span, message, "add `within: page`, or keep the first");
        }
        if let Some(max) = raw.max.as_ref().filter(|_| page) {
            self.conflict(max.span, "nothing is remembered beyond a page", "remove `max`");
        }
        let winner = match (last.is_some(), page) {
            (true, _) => Winner::LastOfPage,
            (false, true) => Winner::FirstOfPage,
            (false, false) => Winner::FirstOfRun,
        };
        let max = self.number(raw.max.as_ref(), VALUES, 1..=VALUES_MAX) as usize;
        Some(Dedupe { by: self.expression(&raw.by, &ROOTS)?, winner, max })
    }

    fn flatten(&self, raw: &RawFlatten) -> Flatten {
        if let Some(separator) = raw.separator.as_ref().filter(|text| text.value.chars().count() > 8) {
            self.out_of(separator.span, "write at most 8 characters".to_owned());
        }
        let name = |path: &Spanned<String>| {
            let path = (path, self.path(path));
            let name = path.1.single_field().map(str::to_owned);
            if name.is_none() && !path.0.value.contains(HOLE) {
                let problem = Problem::new(Code::BadPath, path.0.span, "this is no field of the record itself");
                self.report(problem.help("name the field that holds the object"));
            }
            name
        };
        Flatten {
            separator: raw.separator.as_ref().map_or("_", |text| &text.value).to_owned(),
            depth: self.number(raw.depth.as_ref(), DEPTH_MAX, 1..=DEPTH_MAX) as usize,
            only: raw.only.as_ref().map(|only| only.0.iter().filter_map(name).collect()),
        }
    }

    fn coerce(&self, fields: &Named<Spanned<RawKind>>) -> Option<Vec<(Path, Kind)>> {
        let one = |(name, kind): &(Spanned<String>, Spanned<RawKind>)| (self.path(name), self.type_of(&kind.value));
        let fields: Vec<(Path, Option<Kind>)> = fields.iter().map(one).collect();
        fields.into_iter().map(|(path, kind)| kind.map(|kind| (path, kind))).collect()
    }

    fn type_of(&self, raw: &RawKind) -> Option<Kind> {
        Some(match raw {
            RawKind::Integer => Kind::Integer,
            RawKind::Number => Kind::Number,
            RawKind::Boolean => Kind::Boolean,
            RawKind::Text => Kind::Text,
            RawKind::Date => Kind::Date,
            RawKind::Time => Kind::Time,
            RawKind::EpochSeconds => Kind::Epoch(Duration::from_secs(1)),
            RawKind::EpochMillis => Kind::Epoch(Duration::from_millis(1)),
            RawKind::DateAs(format) => {
                self.form(format, "a whole date, such as %d/%m/%Y", |sample, form| {
                    NaiveDate::parse_from_str(sample, form).is_ok()
                })?;
                Kind::DateAs(format.value.clone())
            }
            RawKind::TimeAs(RawTimeAs { format, timezone }) => {
                let zone = timezone.as_ref().map_or(Some(Tz::UTC), |zone| self.zone(zone))?;
                let names_zone = format.value.contains("%z") || format.value.contains("%:z");
                if let Some(timezone) = timezone.as_ref().filter(|_| names_zone) {
                    self.conflict(timezone.span, "the form names the zone itself", "remove `timezone`");
                }
                self.form(format, "a whole time, such as %Y-%m-%d %H:%M", |sample, form| match names_zone {
                    true => DateTime::parse_from_str(sample, form).is_ok(),
                    false => NaiveDateTime::parse_from_str(sample, form).is_ok(),
                })?;
                Kind::TimeAs(format.value.clone(), zone)
            }
        })
    }

    /// A form is good when what it writes can be read by it.
    fn form(&self, form: &Spanned<String>, wanted: &str, reads: impl Fn(&str, &str) -> bool) -> Option<()> {
        if form.value.contains(HOLE) {
            return None;
        }
        let is_known = StrftimeItems::new(&form.value).all(|item| item != Item::Error);
        let sample = DateTime::from_timestamp(1_700_000_000, 0);
        let written = sample.filter(|_| is_known).map(|sample| sample.format(&form.value).to_string());
        if written.is_some_and(|sample| reads(&sample, &form.value)) {
            return Some(());
        }
        let problem = Problem::new(Code::StepMisplaced, form.span, "nothing can be read by this form");
        self.report(problem.help(format!("write {wanted}; the signs are those of strftime")));
        None
    }

    fn rules(&self, raw: &OneOrMany<RawRule>) -> Option<Vec<Rule>> {
        let one = |rule: &Spanned<RawRule>| {
            let RawRule { that, message, otherwise } = &rule.value;
            let compiled = self.expression(that, &ROOTS)?;
            let otherwise = match otherwise {
                None | Some(RawOtherwise::Reject) => Otherwise::Reject,
                Some(RawOtherwise::Skip) => Otherwise::Skip,
                Some(RawOtherwise::Warn) => Otherwise::Warn,
            };
            let message = message.clone().unwrap_or_else(|| format!("not {}", compiled.as_str()));
            Some(Rule { that: compiled, message, otherwise })
        };
        let rules: Vec<Option<Rule>> = raw.0.iter().map(one).collect();
        rules.into_iter().collect()
    }
}
