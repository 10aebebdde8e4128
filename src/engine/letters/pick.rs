//! Which dead letters somebody means: by code, age, and an expression over the letter and its record.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::Mistake;
use crate::{
    config::time,
    expr::{CompileError, Expression, Scope},
    model::{Code, Fields},
    store::DeadLetter,
};

/// What may stand in an expression about a letter.
const FIELDS: &[&str] = &[
    "id", "pipeline", "stream", "run", "code", "message", "kind", "key", "times", "at", "first_at", "edited",
    "in_doubt",
];

/// A choice as it was typed.
#[derive(Clone, Copy, Default, Debug)]
pub struct WithDetails<'a> {
    /// Any of these; none: of any code.
    pub codes: &'a [String],
    pub condition: Option<&'a str>,
    pub older_than: Option<&'a str>,
    pub newer_than: Option<&'a str>,
}

/// A choice that can be asked.
pub struct Picking {
    codes: Vec<Code>,
    condition: Option<Expression>,
    before: Option<DateTime<Utc>>,
    after: Option<DateTime<Utc>>,
}

impl Picking {
    pub fn of(typed: WithDetails<'_>, now: DateTime<Utc>) -> Result<Self, Mistake> {
        let code = |text: &String| {
            let unknown = |()| Mistake::new(format!("there is no code `{text}`"), "renkei explain lists all codes");
            text.parse::<Code>().map_err(unknown)
        };
        let ago = |text: Option<&str>| text.map(|text| ago(text, now)).transpose();
        Ok(Self {
            codes: typed.codes.iter().map(code).collect::<Result<_, _>>()?,
            condition: typed.condition.map(compiled).transpose()?,
            before: ago(typed.older_than)?,
            after: ago(typed.newer_than)?,
        })
    }

    pub fn takes(&self, letter: &DeadLetter) -> Result<bool, Mistake> {
        let by_code = self.codes.is_empty() || self.codes.contains(&letter.reason.code);
        let by_age = self.before.is_none_or(|at| letter.at < at) && self.after.is_none_or(|at| letter.at >= at);
        match &self.condition {
            Some(condition) if by_code && by_age => holds(condition, letter),
            _ => Ok(by_code && by_age),
        }
    }
}

pub fn kind(letter: &DeadLetter) -> &'static str {
    if letter.parked { "parked" } else { "rejected" }
}

/// Everything but the record itself.
pub fn head(letter: &DeadLetter) -> Value {
    json!({
        "id": letter.id,
        "at": letter.at,
        "first_at": letter.first_at.unwrap_or(letter.at),
        "times": letter.times,
        "pipeline": letter.pipeline,
        "stream": letter.stream,
        "run": letter.run,
        "kind": kind(letter),
        "key": letter.key,
        "reason": letter.reason,
        "edited": letter.edited.is_some(),
        "in_doubt": letter.in_doubt(),
    })
}

/// What an expression sees as `letter`.
pub fn about(letter: &DeadLetter) -> Value {
    let mut about = head(letter);
    if let Some(fields) = about.as_object_mut() {
        fields.remove("reason");
        fields.insert("code".to_owned(), json!(letter.reason.code));
        fields.insert("message".to_owned(), json!(letter.reason.message));
    }
    about
}

fn ago(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, Mistake> {
    let unread = || Mistake::new(format!("`{text}` is no time"), "write 30s, 5m, 1h or 7d");
    let time: Duration = time(text).ok_or_else(unread)?;
    chrono::TimeDelta::from_std(time).ok().and_then(|time| now.checked_sub_signed(time)).ok_or_else(unread)
}

fn compiled(text: &str) -> Result<Expression, Mistake> {
    let wrong = |error: CompileError| {
        let help = error.help.unwrap_or_else(|| "docs/expressions.md shows what can be written".to_owned());
        Mistake::new(format!("the expression `{text}`: {}", error.message), help)
    };
    let expression = Expression::compile(text).map_err(wrong)?;
    expression.check_roots(&["letter", "record"]).map_err(wrong)?;
    expression.check_fields("letter", FIELDS, "field of a letter").map_err(wrong)?;
    Ok(expression)
}

fn holds(condition: &Expression, letter: &DeadLetter) -> Result<bool, Mistake> {
    let record: Fields = letter.record();
    let scope = Scope::of(&record).json("letter", about(letter).to_string());
    condition.evaluate_bool(&scope).map_err(|error| {
        let message = format!("dead letter {}: {}", letter.id, error.reason("--where").message);
        Mistake::new(message, "where a field may be missing, write `record.email | default(\"\")`")
    })
}
