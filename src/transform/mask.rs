//! What of a record may be shown to whoever looks on: the one place that decides it for plans and traces.
//!
//! The rule lets through what can hardly be about a person, and nothing else: `true`, `false`, `null` and numbers of up to six digits;
//! dates; and codes, which are texts of at most 32 characters without spaces that hold a digit or a mark (`cus_000001`, `2.5-beta`), or
//! are at most three capitals (`JP`) or one lower case word (`gold`); and keyed hashes, which records may be named by. A field
//! whose name sounds personal or secret hides whatever it holds. Everything else is `***`, encrypted values too.
//!
//! Fields that are declared personal were protected when they were read, so they come here as hashes, masks and encrypted texts.

use serde_json::{Map, Value};

use super::personal::is_hash;
use crate::model::Fields;

const HIDDEN: &str = "***";
/// What stands in place of what is not shown.
pub const MASKED: &str = HIDDEN;
/// A longer text with digits in it may be a secret, where it is shown as a sample.
const SAMPLE_CHARS_MAX: usize = 16;
const CODE_CHARS_MAX: usize = 32;
const DIGITS_MAX: usize = 6;
/// Deeper values are hidden whole.
const DEPTH_MAX: usize = 8;

/// A name that contains one of these sounds personal or secret. Written without marks, as names are compared.
const HIDING_NAMES: [&str; 44] = [
    "name",
    "mail",
    "phone",
    "mobile",
    "tel",
    "fax",
    "address",
    "street",
    "city",
    "zip",
    "postal",
    "postcode",
    "birth",
    "gender",
    "sex",
    "age",
    "person",
    "contact",
    "owner",
    "user",
    "login",
    "social",
    "ssn",
    "passport",
    "iban",
    "bic",
    "account",
    "card",
    "salary",
    "income",
    "ipaddr",
    "lat",
    "lng",
    "longitude",
    "note",
    "comment",
    "message",
    "token",
    "secret",
    "password",
    "passwd",
    "signature",
    "credential",
    "apikey",
];

/// The fields with everything hidden that the rule does not let through.
pub fn masked(fields: &Fields) -> Value {
    match serde_json::from_slice(fields.as_bytes()) {
        Ok(value) => hide(value, 0),
        Err(_) => Value::from(HIDDEN),
    }
}

/// The same of a value that is parsed already.
pub fn masked_json(value: &Value) -> Value {
    hide(value.clone(), 0)
}

/// A text that stands alone, such as a key.
pub fn masked_text(text: &str) -> String {
    if is_shown(text) { text.to_owned() } else { HIDDEN.to_owned() }
}

/// A value that stands at the end of these names, as a sample of what was met. Of lists and objects only that they are some.
pub fn masked_sample<'n>(mut names: impl Iterator<Item = &'n str>, value: &Value) -> String {
    if names.any(hides) && !value.is_null() {
        return HIDDEN.to_owned();
    }
    match value {
        Value::Object(_) => "{..}".to_owned(),
        Value::Array(_) => "[..]".to_owned(),
        Value::String(text) if text.len() > SAMPLE_CHARS_MAX && !is_date(text) => HIDDEN.to_owned(),
        other => hide(other.clone(), 0).to_string(),
    }
}

fn is_date(text: &str) -> bool {
    let digits = |range: std::ops::Range<usize>| text.as_bytes()[range].iter().all(u8::is_ascii_digit);
    text.len() >= 10
        && text.as_bytes()[4] == b'-'
        && text.as_bytes()[7] == b'-'
        && digits(0..4)
        && digits(5..7)
        && digits(8..10)
}

fn hide(value: Value, depth: usize) -> Value {
    match value {
        Value::Object(_) | Value::Array(_) if depth == DEPTH_MAX => Value::from(HIDDEN),
        Value::Object(fields) => {
            let shown = fields.into_iter().map(|(name, value)| match hides(&name) && !value.is_null() {
                true => (name, Value::from(HIDDEN)),
                false => (name, hide(value, depth + 1)),
            });
            Value::Object(shown.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.into_iter().map(|item| hide(item, depth + 1)).collect(),
        Value::String(text) => Value::from(masked_text(&text)),
        Value::Number(number) if digits(&number.to_string()) > DIGITS_MAX => Value::from(HIDDEN),
        shown @ (Value::Null | Value::Bool(_) | Value::Number(_)) => shown,
    }
}

fn hides(name: &str) -> bool {
    let plain: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    HIDING_NAMES.iter().any(|hiding| plain.contains(hiding))
}

fn digits(text: &str) -> usize {
    text.chars().filter(char::is_ascii_digit).count()
}

fn is_shown(text: &str) -> bool {
    if is_hash(text) {
        return true;
    }
    let is_mark = |c: char| matches!(c, '_' | '-' | '.' | ':');
    let is_code = text.len() <= CODE_CHARS_MAX && text.chars().all(|c| c.is_ascii_alphanumeric() || is_mark(c));
    if !is_code {
        return false;
    }
    let letters = text.chars().any(|c| c.is_ascii_alphabetic());
    let marked = text.chars().any(|c| c.is_ascii_digit() || is_mark(c));
    let is_date = text.len() >= 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
    let is_word = text.chars().all(|c| c.is_ascii_lowercase());
    let is_short = text.len() <= 3 && text.chars().all(|c| c.is_ascii_uppercase());
    // Digits and marks alone are a code while they are too few for a telephone number.
    is_date || is_word || is_short || (marked && (letters || digits(text) <= DIGITS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        masked(&Fields::parse(text.as_bytes()).unwrap()).to_string()
    }

    #[test]
    fn what_can_hardly_be_about_a_person_is_shown() {
        let text = r#"{"id":"cus_000001","tier":"gold","country":"JP","on":true,"n":120000,"none":null,"at":"2026-01-02T03:04:05Z"}"#;
        let (shown, whole): (Value, Value) =
            (serde_json::from_str(&shown(text)).unwrap(), serde_json::from_str(text).unwrap());
        assert_eq!(shown, whole);
    }

    #[test]
    fn a_hash_is_shown_where_its_name_does_not_hide_it_and_an_encrypted_value_never() {
        let hash = format!("rk:h1:{}", "a".repeat(32));
        let text = format!(r#"{{"ref":"{hash}","mail":"{hash}","x":"rk:e1:k1:{}"}}"#, "a".repeat(80));
        assert_eq!(shown(&text), format!(r#"{{"ref":"{hash}","mail":"***","x":"***"}}"#));
        assert_eq!(masked_text(&hash), hash);
    }

    #[test]
    fn everything_else_is_hidden_by_its_name_or_its_look() {
        for (text, hidden) in [
            (r#"{"e_Mail":"x"}"#, r#"{"e_Mail":"***"}"#),
            (r#"{"First Name":7}"#, r#"{"First Name":"***"}"#),
            (r#"{"x":"a@example.com"}"#, r#"{"x":"***"}"#),
            (r#"{"x":"090-1234-5678"}"#, r#"{"x":"***"}"#),
            (r#"{"x":819012345678}"#, r#"{"x":"***"}"#),
            (r#"{"x":"Taro"}"#, r#"{"x":"***"}"#),
            (r#"{"x":"two words"}"#, r#"{"x":"***"}"#),
            (r#"{"x":"山田"}"#, r#"{"x":"***"}"#),
            (r#"{"a":[{"phone":null,"b":["Hanako",1]}]}"#, r#"{"a":[{"b":["***",1],"phone":null}]}"#),
            (r#"{"api-key":{"a":1}}"#, r#"{"api-key":"***"}"#),
        ] {
            let (shown, hidden): (Value, Value) =
                (serde_json::from_str(&shown(text)).unwrap(), serde_json::from_str(hidden).unwrap());
            assert_eq!(shown, hidden, "{text}");
        }
    }
}
