//! Which dead letters a command is about: by id, pipeline, code, age, and an expression over the letter and its record.

use std::{path::Path, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::json;

use super::{
    args::{Filters, Picked},
    failure::Failure,
    letters::kind,
    listing::{close, known},
    output::Output,
    suggest, workspace,
};
use crate::{
    config::{Plan, time},
    expr::{Expression, Scope},
    model::{Clock, Code, Fields, SystemClock},
    store::DeadLetter,
};

impl Picked {
    pub fn one(id: &str) -> Self {
        Self { ids: vec![id.to_owned()], pipeline: None, filters: Filters::default(), all: false }
    }
}

/// The plan, the letters that were meant, newest first, and all letters of the workspace.
pub async fn pick(
    dir: &Path,
    picked: &Picked,
    output: &Output,
) -> Result<(Plan, Vec<DeadLetter>, Vec<DeadLetter>), Failure> {
    let filter = Filter::of(&picked.filters, SystemClock.now())?;
    let plan = workspace::plan_without_secrets(dir, output)?;
    let opened = workspace::look(&plan.store).await?;
    let all = match &opened {
        Some(opened) => opened.state.dead_letters(None).await?,
        None => Vec::new(),
    };
    close(opened).await;
    if let Some(name) = &picked.pipeline {
        known(name, &plan, all.iter().map(|letter| letter.pipeline.as_str()))?;
    }
    if let Some(id) = picked.ids.iter().find(|id| all.iter().all(|letter| letter.id != **id)) {
        let help = match suggest::nearest(id, all.iter().map(|letter| letter.id.as_str())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "renkei dead-letters list shows all ids".to_owned(),
        };
        return Err(Failure::usage(format!("there is no dead letter `{id}`"), help));
    }
    let mut letters = Vec::new();
    for letter in &all {
        let wanted = (picked.ids.is_empty() || picked.ids.contains(&letter.id))
            && picked.pipeline.as_ref().is_none_or(|name| *name == letter.pipeline);
        if wanted && filter.takes(letter)? {
            letters.push(letter.clone());
        }
    }
    letters.sort_by(|a, b| (b.at, &b.id).cmp(&(a.at, &a.id)));
    Ok((plan, letters, all))
}

struct Filter {
    codes: Vec<Code>,
    condition: Option<Expression>,
    before: Option<DateTime<Utc>>,
    after: Option<DateTime<Utc>>,
}

impl Filter {
    fn of(filters: &Filters, now: DateTime<Utc>) -> Result<Self, Failure> {
        let code = |text: &String| {
            let unknown = |()| Failure::usage(format!("there is no code `{text}`"), "renkei explain lists all codes");
            text.parse::<Code>().map_err(unknown)
        };
        let condition = filters.condition.as_deref().map(compiled).transpose()?;
        let ago = |text: &Option<String>| text.as_deref().map(|text| ago(text, now)).transpose();
        Ok(Self {
            codes: filters.code.iter().map(code).collect::<Result<_, _>>()?,
            condition,
            before: ago(&filters.older_than)?,
            after: ago(&filters.newer_than)?,
        })
    }

    fn takes(&self, letter: &DeadLetter) -> Result<bool, Failure> {
        let by_code = self.codes.is_empty() || self.codes.contains(&letter.reason.code);
        let by_age = self.before.is_none_or(|at| letter.at < at) && self.after.is_none_or(|at| letter.at >= at);
        match &self.condition {
            Some(condition) if by_code && by_age => holds(condition, letter),
            _ => Ok(by_code && by_age),
        }
    }
}

fn ago(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Failure> {
    let unread = || Failure::usage(format!("`{text}` is no time"), "write 30s, 5m, 1h or 7d");
    let time: Duration = time(text).ok_or_else(unread)?;
    chrono::TimeDelta::from_std(time).ok().and_then(|time| now.checked_sub_signed(time)).ok_or_else(unread)
}

fn compiled(text: &str) -> Result<Expression, Failure> {
    let wrong = |error: crate::expr::CompileError| {
        let help = error.help.unwrap_or_else(|| "docs/expressions.md shows what can be written".to_owned());
        Failure::usage(format!("the expression `{text}`: {}", error.message), help)
    };
    let expression = Expression::compile(text).map_err(wrong)?;
    expression.check_roots(&["letter", "record"]).map_err(wrong)?;
    expression.check_fields("letter", FIELDS, "field of a letter").map_err(wrong)?;
    Ok(expression)
}

const FIELDS: &[&str] = &[
    "id", "pipeline", "stream", "run", "code", "message", "kind", "key", "times", "at", "first_at", "edited",
    "in_doubt",
];

fn holds(condition: &Expression, letter: &DeadLetter) -> Result<bool, Failure> {
    let about = json!({
        "id": letter.id,
        "pipeline": letter.pipeline,
        "stream": letter.stream,
        "run": letter.run,
        "code": letter.reason.code,
        "message": letter.reason.message,
        "kind": kind(letter),
        "key": letter.key,
        "times": letter.times,
        "at": letter.at,
        "first_at": letter.first_at.unwrap_or(letter.at),
        "edited": letter.edited.is_some(),
        "in_doubt": letter.in_doubt(),
    });
    let record: Fields = letter.record();
    let scope = Scope::of(&record).json("letter", about.to_string());
    condition.evaluate_bool(&scope).map_err(|error| {
        let message = format!("dead letter {}: {}", letter.id, error.reason("--where").message);
        Failure::usage(message, "where a field may be missing, write `record.email | default(\"\")`")
    })
}
