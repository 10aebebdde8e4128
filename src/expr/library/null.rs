//! Filters and functions about values that are not there.

use minijinja::{
    Environment,
    value::{Rest, Value},
};

use super::{Result, no_value};
use crate::expr::ops::same;

pub const FILTERS: &[&str] = &["default", "nullif", "empty_to_null"];
pub const FUNCTIONS: &[&str] = &["coalesce"];

pub fn add(language: &mut Environment<'static>) {
    language.add_filter(
        "default",
        |value: &Value, other: &Value| if no_value(value) { other.clone() } else { value.clone() },
    );
    language.add_filter("nullif", nullif);
    language.add_filter("empty_to_null", empty_to_null);
    language.add_function("coalesce", coalesce);
}

/// Null when the value equals the other one.
fn nullif(value: &Value, other: &Value) -> Result {
    Ok(if same(value, other)? { Value::from(()) } else { value.clone() })
}

/// Null for a text without visible characters, and for an empty list or object.
fn empty_to_null(value: &Value) -> Result {
    let empty = match value.as_str() {
        Some(text) => text.trim().is_empty(),
        None => value.len() == Some(0),
    };
    Ok(if empty { Value::from(()) } else { value.clone() })
}

/// The first of its arguments that has a value, else the last.
fn coalesce(values: Rest<Value>) -> Value {
    let found = values.iter().find(|value| !no_value(value));
    found.or(values.last()).cloned().unwrap_or_default()
}
