//! Filters of objects.

use minijinja::{
    Environment,
    value::{Rest, Value, ValueKind},
};

use super::{Result, no_value, text_argument, trouble, type_name};
use crate::expr::{json, raw};

pub const FILTERS: &[&str] = &["keys", "values", "items", "merge", "pick", "omit", "to_json", "from_json"];
pub const FUNCTIONS: &[&str] = &["merge"];

pub fn add(language: &mut Environment<'static>) {
    language.add_filter("keys", |value: &Value| fields(value, |all| all.into_iter().map(|(name, _)| name).collect()));
    language
        .add_filter("values", |value: &Value| fields(value, |all| all.into_iter().map(|(_, value)| value).collect()));
    language.add_filter("items", |value: &Value| {
        fields(value, |all| all.into_iter().map(|(name, value)| Value::from(vec![name, value])).collect())
    });
    language
        .add_filter("merge", |first: &Value, others: Rest<Value>| merge(std::iter::once(first).chain(others.iter())));
    language.add_function("merge", |all: Rest<Value>| merge(all.iter()));
    language.add_filter("pick", |value: &Value, names: Rest<Value>| choose(value, &names, true));
    language.add_filter("omit", |value: &Value, names: Rest<Value>| choose(value, &names, false));
    language.add_filter("to_json", |value: &Value| {
        json::text(value).map(|text| text.map_or(Value::UNDEFINED, Value::from))
    });
    language.add_filter("from_json", from_json);
}

fn pairs(value: &Value) -> Result<Vec<(Value, Value)>> {
    if value.kind() != ValueKind::Map {
        return Err(trouble(format!("needs an object, not {}", type_name(value))));
    }
    value.try_iter()?.map(|name| value.get_item(&name).map(|value| (name, value))).collect()
}

fn fields(value: &Value, make: impl Fn(Vec<(Value, Value)>) -> Value) -> Result {
    if no_value(value) { Ok(value.clone()) } else { pairs(value).map(make) }
}

/// One object with the fields of all; of fields with one name the last counts. Null and absent add nothing.
fn merge<'v>(all: impl Iterator<Item = &'v Value>) -> Result {
    let mut merged = Vec::new();
    for value in all.filter(|value| !no_value(value)) {
        merged.extend(pairs(value)?);
    }
    Ok(Value::from_pairs(merged))
}

fn choose(value: &Value, names: &[Value], wanted: bool) -> Result {
    let names = names.iter().map(|name| text_argument(name, "name")).collect::<Result<Vec<_>>>()?;
    fields(value, |all| {
        let named = |name: &Value| name.as_str().is_some_and(|name| names.contains(&name));
        Value::from_pairs(all.into_iter().filter(|(name, _)| named(name) == wanted))
    })
}

fn from_json(value: &Value) -> Result {
    if no_value(value) {
        return Ok(value.clone());
    }
    let text = value.as_str().ok_or_else(|| trouble(format!("from_json needs a text, not {}", type_name(value))))?;
    let raw: &serde_json::value::RawValue =
        serde_json::from_str(text.trim()).map_err(|_| trouble("from_json: the text is not JSON"))?;
    Ok(raw::value(raw.get()))
}
