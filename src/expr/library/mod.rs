//! The filters, tests and functions of the language. Two rules hold for all of them: a filter that is given no value
//! (null or absent) gives it on as it is, unless its purpose is to replace it; and no message quotes a value.

mod date;
mod encode;
mod japanese;
mod list;
mod null;
mod number;
mod object;
mod phone;
mod test;
mod text;

use std::{borrow::Cow, sync::OnceLock};

use minijinja::{
    Environment, Error, ErrorKind,
    value::{Value, ValueKind},
};

use super::{
    json::OUTPUT_BYTES_MAX,
    number::{Written, decimal, is_number},
    ops,
};

pub type Result<T = Value> = std::result::Result<T, Error>;

/// Instructions of one evaluation. The language has no loops, so an expression of the greatest length that is allowed
/// needs less; this holds should that ever change.
const FUEL: u64 = 10_000;

/// The language: compiled once, shared by all expressions.
pub fn environment() -> &'static Environment<'static> {
    static LANGUAGE: OnceLock<Environment<'static>> = OnceLock::new();
    LANGUAGE.get_or_init(|| {
        let mut language = Environment::empty();
        language.set_fuel(Some(FUEL));
        language.add_function("_math", ops::math);
        language.add_function("_negate", ops::negate);
        language.add_function("_concat", ops::concat);
        language.add_function("_compare", ops::compare);
        language.add_function("_name", ops::name);
        language.add_function("_get", ops::get);
        language.add_function("_slice", ops::slice);
        let texts = [text::add, encode::add, japanese::add, phone::add];
        for add in texts.into_iter().chain([number::add, date::add, null::add, list::add, object::add, test::add]) {
            add(&mut language);
        }
        language
    })
}

/// All filters by name.
pub fn filters() -> impl Iterator<Item = &'static str> {
    let texts: [&[&str]; 4] = [text::FILTERS, encode::FILTERS, japanese::FILTERS, phone::FILTERS];
    let others: [&[&str]; 5] = [number::FILTERS, date::FILTERS, null::FILTERS, list::FILTERS, object::FILTERS];
    texts.into_iter().chain(others).flatten().copied()
}

/// All functions by name.
pub fn functions() -> impl Iterator<Item = &'static str> {
    null::FUNCTIONS.iter().chain(object::FUNCTIONS).chain(date::FUNCTIONS).copied()
}

/// All tests (`is ...`) by name.
pub fn tests() -> impl Iterator<Item = &'static str> {
    test::TESTS.iter().copied()
}

/// Whether a call with these arguments has neither too few nor too many. The call is made on nothing, which every filter,
/// test and function can bear, so that a missing argument is found before the first record.
pub fn accepts(probe: &str) -> std::result::Result<(), String> {
    let called = environment().compile_expression(probe).and_then(|call| call.eval(Value::UNDEFINED));
    match called {
        Err(error) if error.kind() == ErrorKind::MissingArgument => Err("misses an argument".to_owned()),
        Err(error) if error.kind() == ErrorKind::TooManyArguments => {
            Err(error.detail().map_or_else(|| "takes fewer arguments".to_owned(), |detail| format!("has {detail}")))
        }
        _ => Ok(()),
    }
}

/// An error of an evaluation. The message never quotes a value.
pub fn trouble(message: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// The error for a result that grew beyond the bound.
pub fn too_large() -> Error {
    Error::new(ErrorKind::WriteFailure, "the result is larger than 1 MiB")
}

pub fn no_value(value: &Value) -> bool {
    value.is_undefined() || value.is_none()
}

/// What a person calls this type.
pub fn type_name(value: &Value) -> &'static str {
    if is_number(value) {
        return "a number";
    }
    match value.kind() {
        ValueKind::Undefined => "nothing (the field is absent)",
        ValueKind::None => "null",
        ValueKind::Bool => "true or false",
        ValueKind::String => "a text",
        ValueKind::Seq | ValueKind::Iterable => "a list",
        ValueKind::Map => "an object",
        _ => "a value of another kind",
    }
}

/// The text of a text, a number or a boolean. Lists and objects have none, and neither has null.
pub fn text_of(value: &Value) -> Result<Cow<'_, str>> {
    if let Some(text) = value.as_str() {
        return Ok(Cow::Borrowed(text));
    }
    if let Some(number) = value.downcast_object_ref::<Written>() {
        return Ok(Cow::Borrowed(number.text()));
    }
    match value.kind() {
        ValueKind::Bool => Ok(Cow::Borrowed(if value.is_true() { "true" } else { "false" })),
        ValueKind::Number => match decimal(value) {
            Some(number) => Ok(Cow::Owned(number.to_string())),
            None => Err(trouble("a number that has no text")),
        },
        _ => Err(trouble(format!("{} is no text; use join or to_json", type_name(value)))),
    }
}

/// A text that has grown, unless beyond the bound.
fn bounded(text: String) -> Result {
    if text.len() > OUTPUT_BYTES_MAX { Err(too_large()) } else { Ok(Value::from(text)) }
}

/// The items of a list.
fn items_of(value: &Value) -> Result<Vec<Value>> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => Ok(value.try_iter()?.collect()),
        _ => Err(trouble(format!("needs a list, not {}", type_name(value)))),
    }
}

/// The text argument `name` of a filter.
fn text_argument<'v>(value: &'v Value, name: &str) -> Result<&'v str> {
    value.as_str().ok_or_else(|| trouble(format!("its argument `{name}` must be a text, not {}", type_name(value))))
}

/// The whole-number argument `name` of a filter.
fn integer_argument(value: &Value, name: &str) -> Result<i64> {
    let integer = decimal(value).and_then(super::number::Decimal::to_i64);
    integer.ok_or_else(|| trouble(format!("its argument `{name}` must be a whole number")))
}
