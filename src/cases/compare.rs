//! Whether a request is the expected one, and how it differs. Pure.
//!
//! The hard idea: a text `<name>` stands for any value, and for the same one wherever it is said again. So a case can say that a
//! key is sent again without knowing it.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;
use serde_json::Value;

use crate::{
    config::plan_case::{Expected, ExpectedBody},
    http::Request,
};

/// A value is shown up to here.
const SHOWN_CHARS: usize = 200;

/// What the names of a case stand for so far.
pub type Names = BTreeMap<String, Value>;

/// How a request differs from the expected one. Nothing: it is that one.
pub fn request(expected: &Expected, got: &Request, names: &mut Names) -> Vec<String> {
    let mut found = Vec::new();
    let mut address = got.url.clone();
    address.set_query(None);
    if (&expected.method, &expected.url) != (&got.method, &address) {
        let (ours, theirs) = (&expected.url, &address);
        found.push(format!("expected {} {ours}, got {} {theirs}", expected.method, got.method));
    }
    found.extend(query(expected, got, names));
    for (name, value) in &expected.headers {
        let theirs =
            got.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let theirs: Vec<String> = theirs.collect();
        match theirs.as_slice() {
            [] => found.push(format!("header {name}: expected {value}, got none")),
            [one] => found.extend(text(&format!("header {name}"), value, one, names)),
            many => found.push(format!("header {name}: expected {value}, got it {} times", many.len())),
        }
    }
    found.extend(body(&expected.body, &got.body, names));
    found
}

/// Parameters of both sides, in whatever order. A signer's own may be left out of the case.
fn query(expected: &Expected, got: &Request, names: &mut Names) -> Vec<String> {
    let is_signed = |name: &str, value: &str| {
        let is_secret = got.secrets.iter().any(|secret| secret.expose_secret() == value);
        is_secret && expected.query.iter().all(|(known, _)| known != name)
    };
    let pairs = got.url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned()));
    let pairs = pairs.filter(|(name, value)| !is_signed(name, value)).collect();
    fields("query", &expected.query, pairs, names)
}

fn body(expected: &ExpectedBody, got: &[u8], names: &mut Names) -> Vec<String> {
    let said = || String::from_utf8_lossy(got).into_owned();
    match expected {
        ExpectedBody::None if got.is_empty() => Vec::new(),
        ExpectedBody::None => vec![format!("expected no body, got {}", cut(said()))],
        ExpectedBody::Text(wanted) => text("body", wanted, &said(), names).into_iter().collect(),
        ExpectedBody::Json(wanted) => match serde_json::from_slice(got) {
            Ok(got) => differences("body", wanted, &got, false, names),
            Err(_) => vec![format!("expected a JSON body, got {}", cut(said()))],
        },
        ExpectedBody::Form(wanted) => {
            let pairs = url::form_urlencoded::parse(got);
            let pairs = pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
            fields("form", wanted, pairs, names)
        }
    }
}

/// Named values of which each side has the same ones. Those of one name are in order.
fn fields(what: &str, expected: &[(String, String)], mut got: Vec<(String, String)>, names: &mut Names) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in expected {
        match got.iter().position(|(other, _)| other == name) {
            Some(at) => found.extend(text(&format!("{what} {name}"), value, &got.remove(at).1, names)),
            None => found.push(format!("{what} {name}: expected {value}, got none")),
        }
    }
    found.extend(got.into_iter().map(|(name, value)| format!("{what} {name}: expected none, got {}", cut(value))));
    found
}

fn text(what: &str, expected: &str, got: &str, names: &mut Names) -> Option<String> {
    differences(what, &expected.into(), &got.into(), false, names).into_iter().next()
}

/// How a value differs from the expected one. `partly`: fields of an object that are not expected may be there.
pub fn differences(at: &str, expected: &Value, got: &Value, partly: bool, names: &mut Names) -> Vec<String> {
    if let Some(name) = name_of(expected) {
        if name == "any" {
            return Vec::new();
        }
        let known = names.entry(name.to_owned()).or_insert_with(|| got.clone());
        return match known == got {
            true => Vec::new(),
            false => vec![format!("{at}: expected {} as before (<{name}>), got {}", shown(known), shown(got))],
        };
    }
    match (expected, got) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let mut found = Vec::new();
            for (name, value) in ours {
                match theirs.get(name) {
                    Some(other) => found.extend(differences(&format!("{at}.{name}"), value, other, partly, names)),
                    None => found.push(format!("{at}.{name}: expected {}, got nothing", shown(value))),
                }
            }
            let extra = theirs.iter().filter(|(name, _)| !partly && !ours.contains_key(*name));
            found.extend(extra.map(|(name, value)| format!("{at}.{name}: expected nothing, got {}", shown(value))));
            found
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            let pairs = ours.iter().zip(theirs).enumerate();
            pairs
                .flat_map(|(n, (ours, theirs))| differences(&format!("{at}[{n}]"), ours, theirs, partly, names))
                .collect()
        }
        (Value::Number(ours), Value::Number(theirs)) if ours.as_f64() == theirs.as_f64() => Vec::new(),
        _ if expected == got => Vec::new(),
        _ => vec![format!("{at}: expected {}, got {}", shown(expected), shown(got))],
    }
}

/// The name in a text that is a single `<name>`.
fn name_of(value: &Value) -> Option<&str> {
    let name = value.as_str()?.strip_prefix('<')?.strip_suffix('>')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    is_name.then_some(name)
}

/// A value as people see it.
pub fn shown(value: &Value) -> String {
    cut(value.to_string())
}

fn cut(text: String) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}..", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn differ(expected: Value, got: Value, partly: bool) -> Vec<String> {
        differences("body", &expected, &got, partly, &mut Names::new())
    }

    #[test]
    fn a_difference_says_where_it_is_and_what_was_expected() {
        let found = differ(json!({"a": [{"b": 1}], "c": 2}), json!({"a": [{"b": "1"}], "d": 3}), false);
        let expected = [
            "body.a[0].b: expected 1, got \"1\"",
            "body.c: expected 2, got nothing",
            "body.d: expected nothing, got 3",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn fields_that_are_not_expected_count_unless_only_a_part_is_said() {
        assert!(differ(json!({"a": 1}), json!({"a": 1.0, "b": 2}), true).is_empty());
        assert_eq!(differ(json!({"a": 1}), json!({"a": 1, "b": 2}), false).len(), 1);
    }

    #[test]
    fn a_name_stands_for_the_same_value_each_time_and_any_for_any() {
        let mut names = Names::new();
        assert!(differences("k", &json!("<key>"), &json!("a"), false, &mut names).is_empty());
        assert!(differences("k", &json!("<key>"), &json!("a"), false, &mut names).is_empty());
        assert_eq!(differences("k", &json!("<key>"), &json!("b"), false, &mut names).len(), 1);
        assert!(differ(json!(["<any>", "<any>"]), json!([1, 2]), false).is_empty());
    }
}
