//! The texts that a request, a record or a file's line holds, whatever shape they come in. Records are told apart by them, and
//! values are put where a connector file says that they stand. Pure; it knows nothing of connectors.

use bytes::Bytes;
use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::model::Step;

/// What nests deeper is not looked at: no declared shape does.
const DEPTH_MAX: usize = 32;

/// The texts and numbers of a JSON value, in their order.
pub fn of(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(value, DEPTH_MAX, &mut found);
    found
}

fn collect(value: &Value, depth: usize, found: &mut Vec<String>) {
    match value {
        _ if depth == 0 => {}
        Value::Array(items) => items.iter().for_each(|item| collect(item, depth - 1, found)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, depth - 1, found)),
        scalar => found.extend(text(scalar)),
    }
}

/// A text as it is, and a number as JSON writes it. A yes or no tells no record from another.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The pairs of a query or a form.
pub fn pairs(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes()).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// A body as one JSON value: JSON as it is, and a form as an object of its pairs. Nothing: it is neither.
pub fn body(bytes: &Bytes, is_form: bool) -> Option<Value> {
    if !is_form {
        return serde_json::from_slice(bytes).ok();
    }
    let text = std::str::from_utf8(bytes).ok()?;
    Some(Value::Object(pairs(text).into_iter().map(|(name, value)| (name, Value::String(value))).collect()))
}

/// The value where the steps lead.
pub fn find<'v>(value: &'v Value, steps: &[Step]) -> Option<&'v Value> {
    steps.iter().try_fold(value, |at, step| match step {
        Step::Field(name) => at.get(name.as_str()),
        Step::Item(index) => at.get(*index),
    })
}

/// Puts a value where the steps lead, making what is missing on the way and replacing what is in it.
pub fn put(root: &mut Value, steps: &[Step], value: Value) {
    match steps.split_first() {
        None => *root = value,
        Some((Step::Field(name), rest)) => {
            if !root.is_object() {
                *root = Value::Object(Map::new());
            }
            if let Value::Object(fields) = root {
                put(fields.entry(name.as_str()).or_insert(Value::Null), rest, value);
            }
        }
        Some((Step::Item(index), rest)) => {
            if !root.is_array() {
                *root = Value::Array(Vec::new());
            }
            if let Value::Array(items) = root {
                let places = (*index + 1).min(DEPTH_MAX).max(items.len());
                items.resize(places, Value::Null);
                if let Some(item) = items.get_mut(*index) {
                    put(item, rest, value);
                }
            }
        }
    }
}

/// Takes away what stands where the steps lead.
pub fn take(root: &mut Value, steps: &[Step]) -> Option<Value> {
    match steps {
        [Step::Field(name)] => root.as_object_mut()?.shift_remove(name),
        [Step::Field(name), rest @ ..] => take(root.get_mut(name.as_str())?, rest),
        [Step::Item(index), rest @ ..] => take(root.get_mut(*index)?, rest),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Path;

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    #[test]
    fn a_value_is_put_where_its_path_leads_and_found_there() {
        let mut value = json!({ "a": 1 });
        for (at, what) in [("b.c", json!(2)), ("d[1].e", json!("x")), ("a.f", json!(3))] {
            put(&mut value, path(at).steps(), what.clone());
            assert_eq!(find(&value, path(at).steps()), Some(&what), "{at}");
        }
        assert_eq!(value, json!({ "a": { "f": 3 }, "b": { "c": 2 }, "d": [null, { "e": "x" }] }));
        assert_eq!(take(&mut value, path("b.c").steps()), Some(json!(2)));
        assert_eq!(value["b"], json!({}));
        put(&mut value, &[], json!("whole"));
        assert_eq!(value, json!("whole"));
    }

    #[test]
    fn forms_are_read_as_the_texts_they_hold() {
        let form = body(&Bytes::from_static(b"a%5Bb%5D=x+y&n=2"), true).unwrap();
        assert_eq!(of(&form), ["x y", "2"]);
    }
}
