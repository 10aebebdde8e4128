//! Tests: what may stand after `is`.

use minijinja::{
    Environment,
    value::{Value, ValueKind},
};

use super::{Result, no_value, text_argument, trouble};
use crate::expr::number::{decimal, is_number};

pub const TESTS: &[&str] = &[
    "defined",
    "undefined",
    "none",
    "null",
    "true",
    "false",
    "boolean",
    "string",
    "number",
    "integer",
    "mapping",
    "object",
    "sequence",
    "list",
    "empty",
    "odd",
    "even",
    "startingwith",
    "endingwith",
    "containing",
];

pub fn add(language: &mut Environment<'static>) {
    language.add_test("defined", |value: &Value| !value.is_undefined());
    language.add_test("undefined", |value: &Value| value.is_undefined());
    for name in ["none", "null"] {
        language.add_test(name, |value: &Value| no_value(value));
    }
    language.add_test("true", |value: &Value| value.kind() == ValueKind::Bool && value.is_true());
    language.add_test("false", |value: &Value| value.kind() == ValueKind::Bool && !value.is_true());
    language.add_test("boolean", |value: &Value| value.kind() == ValueKind::Bool);
    language.add_test("string", |value: &Value| value.kind() == ValueKind::String);
    language.add_test("number", is_number);
    language.add_test("integer", |value: &Value| decimal(value).is_some_and(|number| number.is_whole()));
    for name in ["mapping", "object"] {
        language.add_test(name, |value: &Value| value.kind() == ValueKind::Map);
    }
    for name in ["sequence", "list"] {
        language.add_test(name, |value: &Value| matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable));
    }
    language.add_test("empty", |value: &Value| no_value(value) || value.len() == Some(0));
    language.add_test("odd", |value: &Value| parity(value).map(|rest| rest != 0));
    language.add_test("even", |value: &Value| parity(value).map(|rest| rest == 0));
    language
        .add_test("startingwith", |value: &Value, part: &Value| ask(value, part, |text, part| text.starts_with(part)));
    language.add_test("endingwith", |value: &Value, part: &Value| ask(value, part, |text, part| text.ends_with(part)));
    language.add_test(
        "containing",
        |value: &Value, part: &Value| {
            if no_value(value) { Ok(false) } else { crate::expr::ops::contains(value, part) }
        },
    );
}

fn parity(value: &Value) -> Result<i64> {
    let integer = decimal(value).and_then(crate::expr::number::Decimal::to_i64);
    integer.map(|integer| integer % 2).ok_or_else(|| trouble("only a whole number is odd or even"))
}

fn ask(value: &Value, part: &Value, answer: impl Fn(&str, &str) -> bool) -> Result<bool> {
    let part = text_argument(part, "text")?;
    Ok(value.as_str().is_some_and(|text| answer(text, part)))
}
