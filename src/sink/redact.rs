//! A vendor's own words about a record, fit for a dead letter: short, and without the record's values, which vendors like
//! to repeat. Reasons are shown in lists and logs; the record itself is kept sealed beside them.

use std::collections::BTreeSet;

use secrecy::SecretString;
use serde_json::{Value, value::RawValue};

use crate::{
    http::scrub,
    model::{Fields, entries},
};

/// Characters of a vendor's message that are kept.
const CHARS_MAX: usize = 200;

/// A shorter value is left where it stands: taking out every `1` would make a message unreadable and hide nothing.
const VALUE_CHARS_MIN: usize = 3;

/// What stands where a value stood.
const HIDDEN: &str = "***";

/// Where vendors put their message, in an entry or in what stands at its errors.
const PLACES: [&str; 6] = ["message", "detail", "description", "reason", "title", "error"];

/// The message in a part of an answer.
pub fn words(said: &str) -> Option<String> {
    let value: Value = serde_json::from_str(said).ok()?;
    message(&value, 0)
}

fn message(value: &Value, depth: usize) -> Option<String> {
    const DEPTH_MAX: usize = 4;
    if depth > DEPTH_MAX {
        return None;
    }
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Array(items) => {
            let all: Vec<String> = items.iter().take(3).filter_map(|item| message(item, depth + 1)).collect();
            (!all.is_empty()).then(|| all.join("; "))
        }
        Value::Object(fields) => {
            let found = PLACES.iter().filter_map(|place| fields.get(*place));
            let inside = ["errors", "error"].iter().filter_map(|place| fields.get(*place));
            found.chain(inside).find_map(|value| message(value, depth + 1))
        }
        _ => None,
    }
}

/// The message without the record's values and what signed the request, without control characters, and short.
pub fn without_values(message: &str, fields: &Fields, secrets: &[SecretString]) -> String {
    let mut values = BTreeSet::new();
    for (_, raw) in fields.entries() {
        collect(raw.get(), &mut values);
    }
    // The longest first: a value may stand inside another one.
    let mut values: Vec<String> = values.into_iter().collect();
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    let clean: String = scrub(message, secrets).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let clean = values.iter().fold(clean, |clean, value| clean.replace(value, HIDDEN));
    let short: String = clean.chars().take(CHARS_MAX).collect();
    if short.len() < clean.len() { format!("{short}...") } else { short }
}

fn collect(raw: &str, values: &mut BTreeSet<String>) {
    match raw.as_bytes().first() {
        Some(b'{') => entries(raw).into_iter().for_each(|(_, value)| collect(value.get(), values)),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
            items.into_iter().for_each(|item| collect(item.get(), values));
        }
        Some(b'"') => {
            let text: String = serde_json::from_str(raw).unwrap_or_default();
            keep(text.trim(), values);
        }
        Some(b'-' | b'0'..=b'9') => keep(raw, values),
        _ => {}
    }
}

fn keep(text: &str, values: &mut BTreeSet<String>) {
    if text.chars().count() >= VALUE_CHARS_MIN {
        values.insert(text.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_signed_the_request_is_taken_out_before_the_message_is_cut() {
        let fields = Fields::parse(br#"{"id":"r1"}"#).unwrap();
        let message = format!("{}planted-token-of-some-length", "x".repeat(CHARS_MAX - 7));
        let told = without_values(&message, &fields, &["planted-token-of-some-length".into()]);
        assert!(told.ends_with("x***") && !told.contains("plan"), "{told}");
    }

    #[test]
    fn the_message_is_found_in_the_shapes_vendors_use() {
        for (said, expected) in [
            (r#""email is taken""#, "email is taken"),
            (r#"[{"statusCode":"DUPLICATE","message":"dup","fields":[]},"and more"]"#, "dup; and more"),
            (r#"{"id":7,"error":{"code":3,"message":"no such owner"}}"#, "no such owner"),
            (r#"{"index":1,"errors":[{"detail":"bad phone"}]}"#, "bad phone"),
        ] {
            assert_eq!(words(said).as_deref(), Some(expected), "{said}");
        }
        assert_eq!(words("{}"), None);
        assert_eq!(words("<html>"), None);
    }

    #[test]
    fn a_message_keeps_no_value_of_its_record() {
        let fields =
            Fields::parse(br#"{"email":"ann@x.example","n":{"phones":["+81-3-1234"],"age":34,"nr":4711},"a":"x"}"#)
                .unwrap();
        let message = "ann@x.example: phone \"+81-3-1234\" of 4711 is bad,\u{1b} x too";
        assert_eq!(without_values(message, &fields, &[]), "***: phone \"***\" of *** is bad,  x too");
    }

    #[test]
    fn a_message_is_short() {
        let fields = Fields::parse(b"{}").unwrap();
        assert_eq!(without_values(&"é".repeat(300), &fields, &[]).chars().count(), CHARS_MAX + 3);
    }
}
