//! Filters of texts. A number or boolean is taken by its text; a list or object is an error.

use minijinja::{
    Environment,
    value::{Value, ValueKind},
};

use super::{Result, bounded, integer_argument, no_value, text_argument, text_of, trouble, type_name};
use crate::expr::json::OUTPUT_BYTES_MAX;

pub const FILTERS: &[&str] = &[
    "lower",
    "upper",
    "trim",
    "title",
    "capitalize",
    "replace",
    "split",
    "first_word",
    "last_word",
    "startswith",
    "endswith",
    "contains",
    "length",
    "pad_left",
    "pad_right",
    "truncate",
    "squeeze",
    "string",
    "remove_prefix",
    "remove_suffix",
    "slice",
    "digits",
];

pub fn add(language: &mut Environment<'static>) {
    language.add_filter("lower", |value: &Value| map(value, str::to_lowercase));
    language.add_filter("upper", |value: &Value| map(value, str::to_uppercase));
    language.add_filter("trim", |value: &Value| map(value, |text| text.trim().to_owned()));
    language.add_filter("title", |value: &Value| map(value, title));
    language.add_filter("capitalize", |value: &Value| map(value, capitalize));
    language.add_filter("squeeze", |value: &Value| map(value, squeeze));
    language.add_filter("string", |value: &Value| map(value, str::to_owned));
    language
        .add_filter("digits", |value: &Value| map(value, |text| text.chars().filter(char::is_ascii_digit).collect()));
    language.add_filter("first_word", |value: &Value| word(value, |text| text.split_whitespace().next()));
    language.add_filter("last_word", |value: &Value| word(value, |text| text.split_whitespace().next_back()));
    language.add_filter("replace", replace);
    language.add_filter("split", split);
    language
        .add_filter("startswith", |value: &Value, part: &Value| ask(value, part, |text, part| text.starts_with(part)));
    language.add_filter("endswith", |value: &Value, part: &Value| ask(value, part, |text, part| text.ends_with(part)));
    language.add_filter("contains", contains);
    language.add_filter("remove_prefix", |value: &Value, part: &Value| {
        let part = text_argument(part, "prefix")?;
        map(value, |text| text.strip_prefix(part).unwrap_or(text).to_owned())
    });
    language.add_filter("remove_suffix", |value: &Value, part: &Value| {
        let part = text_argument(part, "suffix")?;
        map(value, |text| text.strip_suffix(part).unwrap_or(text).to_owned())
    });
    language.add_filter("length", length);
    language.add_filter("pad_left", |value: &Value, width: &Value, fill: Option<&str>| {
        pad(value, width, fill, |text, padding| format!("{padding}{text}"))
    });
    language.add_filter("pad_right", |value: &Value, width: &Value, fill: Option<&str>| {
        pad(value, width, fill, |text, padding| format!("{text}{padding}"))
    });
    language.add_filter("truncate", truncate);
    language.add_filter("slice", |value: &Value, start: &Value, stop: Option<Value>| {
        crate::expr::ops::slice(value, start, &stop.unwrap_or_default())
    });
}

fn map(value: &Value, change: impl Fn(&str) -> String) -> Result {
    if no_value(value) {
        return Ok(value.clone());
    }
    bounded(change(&text_of(value)?))
}

/// A part of a text; null when there is none.
fn word(value: &Value, pick: impl Fn(&str) -> Option<&str>) -> Result {
    if no_value(value) {
        return Ok(value.clone());
    }
    Ok(pick(&text_of(value)?).map_or_else(|| Value::from(()), Value::from))
}

fn ask(value: &Value, part: &Value, answer: impl Fn(&str, &str) -> bool) -> Result {
    let part = text_argument(part, "text")?;
    if no_value(value) {
        return Ok(Value::from(false));
    }
    Ok(Value::from(answer(&text_of(value)?, part)))
}

fn contains(value: &Value, part: &Value) -> Result<bool> {
    if no_value(value) {
        return Ok(false);
    }
    crate::expr::ops::contains(value, part)
}

/// Each word with a capital letter, the rest in lower case.
fn title(text: &str) -> String {
    let mut after_letter = false;
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if after_letter {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        // An apostrophe stands inside a word: O'neil would be wrong, but "it's" must not become "It'S".
        after_letter = c.is_alphanumeric() || (after_letter && matches!(c, '\'' | '\u{2019}'));
    }
    out
}

fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars.flat_map(char::to_lowercase)).collect())
        .unwrap_or_default()
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn replace(value: &Value, old: &Value, new: &Value) -> Result {
    let (old, new) = (text_argument(old, "old")?, text_argument(new, "new")?);
    if no_value(value) {
        return Ok(value.clone());
    }
    if old.is_empty() {
        return Err(trouble("replace needs a text to look for"));
    }
    let text = text_of(value)?;
    let grown = text.len() + text.matches(old).count().saturating_mul(new.len().saturating_sub(old.len()));
    if grown > OUTPUT_BYTES_MAX {
        return Err(super::too_large());
    }
    Ok(Value::from(text.replace(old, new)))
}

/// A list of the parts; without a separator, of the words.
fn split(value: &Value, separator: Option<&str>) -> Result {
    if no_value(value) {
        return Ok(value.clone());
    }
    let text = text_of(value)?;
    Ok(match separator {
        None => text.split_whitespace().map(Value::from).collect(),
        Some("") => return Err(trouble("split needs a separator that is not empty")),
        Some(separator) => text.split(separator).map(Value::from).collect(),
    })
}

/// Characters of a text, items of a list, fields of an object.
fn length(value: &Value) -> Result {
    if no_value(value) {
        return Ok(value.clone());
    }
    match value.kind() {
        ValueKind::String => Ok(Value::from(value.as_str().unwrap_or_default().chars().count())),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => Ok(Value::from(value.try_iter()?.count())),
        _ => Err(trouble(format!("{} has no length", type_name(value)))),
    }
}

fn pad(value: &Value, width: &Value, fill: Option<&str>, put: impl Fn(&str, &str) -> String) -> Result {
    let width = usize::try_from(integer_argument(width, "width")?).unwrap_or(0);
    if width > OUTPUT_BYTES_MAX {
        return Err(super::too_large());
    }
    let mut fill = fill.unwrap_or(" ").chars();
    let (Some(fill), None) = (fill.next(), fill.next()) else {
        return Err(trouble("the fill of a padding is one character"));
    };
    map(value, |text| {
        let missing = width.saturating_sub(text.chars().count());
        put(text, &std::iter::repeat_n(fill, missing).collect::<String>())
    })
}

/// At most so many characters, the end mark included.
fn truncate(value: &Value, length: &Value, end: Option<&str>) -> Result {
    let length = usize::try_from(integer_argument(length, "length")?).unwrap_or(0);
    let end = end.unwrap_or("");
    map(value, |text| {
        if text.chars().count() <= length {
            return text.to_owned();
        }
        let kept = length.saturating_sub(end.chars().count());
        text.chars().take(kept).chain(end.chars()).take(length).collect()
    })
}
