//! In what a record differs from its schema. What the schema's own check says becomes one of a few kinds, with a place; what the
//! schema does not describe is added. No value is quoted here, only pointed at.

use jsonschema::{
    ValidationError,
    error::{TypeKind, ValidationErrorKind as Kind},
};
use serde_json::Value;

use super::{known::Known, pointer};
use crate::model::{DriftKind, Step};

/// Differences that are told of one record.
const TOLD_MAX: usize = 100;
/// The longest name of a field that is shown, and the most digits in one: what has more may be data.
const NAME_CHARS_MAX: usize = 64;
const NAME_DIGITS_MAX: usize = 6;

/// One difference between a record and its schema.
#[derive(Clone, PartialEq, Debug)]
pub struct Sighting<'r> {
    pub kind: DriftKind,
    pub at: Vec<Step>,
    /// What the schema says: types, or the rule that is broken.
    pub expected: String,
    /// What stands there; nothing where nothing does.
    pub value: Option<&'r Value>,
    /// The record fits all the same.
    pub fits: bool,
    /// It is about all that is inside of the place, and not only about the place.
    pub inside: bool,
}

impl Sighting<'_> {
    /// The place as people read it: `lines[].price`, or `.` for the whole. A name that looks like data is `***`.
    pub fn path(&self) -> String {
        let mut text = String::new();
        for step in &self.at {
            match step {
                Step::Item(_) => text.push_str("[]"),
                Step::Field(name) => {
                    text.push_str(if text.is_empty() { "" } else { "." });
                    text.push_str(if is_a_name(name) { name } else { "***" });
                }
            }
        }
        if text.is_empty() { ".".to_owned() } else { text }
    }

    /// The type of what stands there, as JSON Schema names it.
    pub fn found(&self) -> &'static str {
        match self.value {
            None => "",
            Some(Value::Null) => "null",
            Some(Value::Bool(_)) => "boolean",
            Some(Value::Number(number)) if number.is_f64() => "number",
            Some(Value::Number(_)) => "integer",
            Some(Value::String(_)) => "string",
            Some(Value::Array(_)) => "array",
            Some(Value::Object(_)) => "object",
        }
    }

    /// What is wrong, without a value.
    pub fn words(&self) -> String {
        let path = self.path();
        match self.kind {
            DriftKind::NewField => format!("`{path}` is not described"),
            DriftKind::MissingField => format!("`{path}` is missing"),
            DriftKind::TypeChange => format!("`{path}` is {} and not {}", self.found(), self.expected),
            DriftKind::EnumValue => format!("`{path}` is not {}", self.expected),
            DriftKind::BrokenRule => format!("`{path}` does not keep `{}`", self.expected),
        }
    }
}

fn is_a_name(name: &str) -> bool {
    let digits = name.chars().filter(char::is_ascii_digit).count();
    digits <= NAME_DIGITS_MAX
        && name.chars().count() <= NAME_CHARS_MAX
        && !name.contains('@')
        && !name.chars().any(char::is_control)
}

/// Whether a difference at a place counts; `inside`: it is about all that is in it, too.
pub type Counts<'c> = &'c dyn Fn(&[Step], DriftKind, bool) -> bool;

/// The differences that count, the more serious ones first.
pub fn sightings<'r, 'e>(
    errors: impl Iterator<Item = ValidationError<'e>>,
    known: &Known,
    record: &'r Value,
    counts: Counts<'_>,
) -> Vec<Sighting<'r>> {
    let counted = |one: &Sighting<'_>| counts(&one.at, one.kind, one.inside);
    let mut all: Vec<Sighting<'r>> =
        errors.flat_map(|error| told(&error, record)).filter(counted).take(TOLD_MAX).collect();
    for (at, value) in known.new_fields(record) {
        if !all.iter().any(|one| one.kind == DriftKind::NewField && one.at == at) {
            let (kind, expected) = (DriftKind::NewField, String::new());
            all.push(Sighting { kind, at, expected, value: Some(value), fits: true, inside: false });
        }
    }
    all
}

fn told<'r>(error: &ValidationError<'_>, record: &'r Value) -> Vec<Sighting<'r>> {
    let (at, value) = place(record, error.instance_path().as_str());
    let one =
        |kind, expected: String, inside| vec![Sighting { kind, at: at.clone(), expected, value, fits: false, inside }];
    let below = |kind, name: &str| {
        let at = at.iter().cloned().chain([Step::Field(name.to_owned())]).collect();
        let value = value.and_then(|value| value.get(name));
        Sighting { kind, at, expected: String::new(), value, fits: false, inside: false }
    };
    match error.kind() {
        Kind::Required { property } => vec![below(DriftKind::MissingField, property.as_str().unwrap_or_default())],
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            unexpected.iter().map(|name| below(DriftKind::NewField, name)).collect()
        }
        Kind::Type { kind } => one(DriftKind::TypeChange, types(kind), false),
        Kind::Enum { options } => one(DriftKind::EnumValue, listed(options), true),
        Kind::Constant { .. } => one(DriftKind::EnumValue, "the one value that it must be".to_owned(), true),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            let (kind, expected) = alternatives(error, context);
            let inside = kind != DriftKind::TypeChange;
            one(kind, expected, inside)
        }
        Kind::Format { format } => one(DriftKind::BrokenRule, format!("format {format}"), true),
        other => one(DriftKind::BrokenRule, other.keyword().to_owned(), true),
    }
}

/// Alternatives that are only types, or listed values, are told as such.
fn alternatives(error: &ValidationError<'_>, context: &[Vec<ValidationError<'_>>]) -> (DriftKind, String) {
    let rule = (DriftKind::BrokenRule, error.kind().keyword().to_owned());
    let (mut names, mut listed_values): (Vec<String>, Option<String>) = (Vec::new(), None);
    for branch in context {
        let here = |one: &&ValidationError<'_>| one.instance_path() == error.instance_path();
        match branch.iter().find(here).map(ValidationError::kind) {
            Some(Kind::Type { kind }) => names.push(types(kind)),
            Some(Kind::Enum { options }) => listed_values = Some(listed(options)),
            _ => return rule,
        }
    }
    match listed_values {
        Some(values) => (DriftKind::EnumValue, values),
        None if names.is_empty() => rule,
        None => (DriftKind::TypeChange, names.join(" or ")),
    }
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => one.to_string(),
        TypeKind::Multiple(all) => all.iter().map(|one| one.to_string()).collect::<Vec<_>>().join(" or "),
    }
}

fn listed(options: &Value) -> String {
    format!("one of the {} values that are listed", options.as_array().map_or(0, Vec::len))
}

/// Where a pointer leads in a record.
fn place<'r>(record: &'r Value, text: &str) -> (Vec<Step>, Option<&'r Value>) {
    let (mut at, mut value) = (Vec::new(), Some(record));
    for key in pointer::keys(text) {
        let index = key.parse::<usize>().ok().filter(|_| value.is_some_and(Value::is_array));
        value = match index {
            Some(index) => value.and_then(|value| value.get(index)),
            None => value.and_then(|value| value.get(&key)),
        };
        at.push(index.map_or_else(|| Step::Field(key), Step::Item));
    }
    (at, value)
}
