//! Finds the values that a rule is about, and writes others in their place.
//!
//! The hard idea is that a rule must not miss a value because the source wrote it otherwise than it was declared. So a list, on the
//! way or at the end, is gone through item by item; where something else than an object stands on the way, the rule is about
//! that; and of a name that stands twice both values are meant.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::{
    expr::{Entry, object},
    model::{Step, entries},
};

/// Values below are taken as a whole. JSON that came over the network is not so deep.
const DEPTH_MAX: usize = 200;

/// The value that is to stand in place of a JSON text; nothing: it stays.
pub type Leaf<'l, E> = &'l mut dyn FnMut(&str) -> Result<Option<String>, E>;

/// The text with what `leaf` makes of each value at the steps; nothing where all of it stays. Null stays always.
pub fn rewrite<E>(text: &str, steps: &[Step], leaf: Leaf<'_, E>) -> Result<Option<String>, E> {
    descend(text, steps, leaf, 0)
}

fn descend<E>(text: &str, steps: &[Step], leaf: Leaf<'_, E>, depth: usize) -> Result<Option<String>, E> {
    let is_deep = depth == DEPTH_MAX;
    match (text.as_bytes().first(), steps.split_first()) {
        (Some(b'n') | None, _) => Ok(None),
        (Some(b'['), Some((Step::Item(index), rest))) if !is_deep => {
            items(text, |at, raw| if at == *index { descend(raw, rest, leaf, depth + 1) } else { Ok(None) })
        }
        (Some(b'['), _) if !is_deep => items(text, |_, raw| descend(raw, steps, leaf, depth + 1)),
        (Some(b'{'), Some((Step::Field(name), rest))) if !is_deep => fields(text, |field, raw| match field == name {
            true => descend(raw, rest, leaf, depth + 1),
            false => Ok(None),
        }),
        _ => leaf(text),
    }
}

/// The text with what `leaf` makes of each text inside, wherever it stands; nothing where all of it stays.
pub fn texts<E>(text: &str, leaf: Leaf<'_, E>) -> Result<Option<String>, E> {
    all(text, leaf, 0)
}

fn all<E>(text: &str, leaf: Leaf<'_, E>, depth: usize) -> Result<Option<String>, E> {
    match text.as_bytes().first() {
        Some(b'[') if depth < DEPTH_MAX => items(text, |_, raw| all(raw, leaf, depth + 1)),
        Some(b'{') if depth < DEPTH_MAX => fields(text, |_, raw| all(raw, leaf, depth + 1)),
        Some(b'"') => leaf(text),
        _ => Ok(None),
    }
}

fn items<E>(text: &str, mut of: impl FnMut(usize, &str) -> Result<Option<String>, E>) -> Result<Option<String>, E> {
    let items: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
    let mut changed = false;
    let mut out = String::from("[");
    for (at, raw) in items.into_iter().enumerate() {
        out.push_str(if at > 0 { "," } else { "" });
        let new = of(at, raw.get())?;
        changed |= new.is_some();
        out.push_str(new.as_deref().unwrap_or(raw.get()));
    }
    out.push(']');
    Ok(changed.then_some(out))
}

/// The same for the fields of an object.
pub fn fields<E>(text: &str, mut of: impl FnMut(&str, &str) -> Result<Option<String>, E>) -> Result<Option<String>, E> {
    let mut changed = false;
    let mut all: Vec<Entry<'_>> = Vec::new();
    for (name, raw) in entries(text) {
        let new = of(&name, raw.get())?;
        changed |= new.is_some();
        all.push((name, new.map_or(Cow::Borrowed(raw.get()), Cow::Owned)));
    }
    Ok(changed.then(|| object(&all)))
}

/// Writes a JSON text in the one way that its value has: no white space, fields by name, texts without needless escapes. What
/// cannot be read, such as half a surrogate pair, stays as it was written.
pub fn canonical(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push(text, &mut out, 0);
    out
}

fn push(text: &str, out: &mut String, depth: usize) {
    match text.as_bytes().first() {
        Some(b'{') if depth < DEPTH_MAX => {
            let mut fields = entries(text);
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            out.push('{');
            for (at, (name, raw)) in fields.into_iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                out.push_str(&json_text(&name));
                out.push(':');
                push(raw.get(), out, depth + 1);
            }
            out.push('}');
        }
        Some(b'[') if depth < DEPTH_MAX => {
            let items: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
            out.push('[');
            for (at, raw) in items.into_iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                push(raw.get(), out, depth + 1);
            }
            out.push(']');
        }
        Some(b'"') => match serde_json::from_str::<String>(text) {
            Ok(decoded) => out.push_str(&json_text(&decoded)),
            Err(_) => out.push_str(text),
        },
        _ => out.push_str(text),
    }
}

/// A text as JSON.
pub fn json_text(text: &str) -> String {
    // A text can always be written as JSON.
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::model::Path;

    fn starred(path: &str, text: &str) -> Option<String> {
        let path = Path::parse(path).unwrap();
        let mut leaf = |_: &str| Ok::<_, Infallible>(Some("*".to_owned()));
        let Ok(new) = rewrite(text, path.steps(), &mut leaf);
        new
    }

    #[test]
    fn a_rule_finds_its_value_in_whatever_shape_it_comes() {
        for (path, text, wanted) in [
            ("a", r#"{"a":1,"b":2}"#, r#"{"a":*,"b":2}"#),
            ("a.b", r#"{"a":{"b":1,"c":2}}"#, r#"{"a":{"b":*,"c":2}}"#),
            ("a.b", r#"{"a":[{"b":1},{"c":2},{"b":[3,4]}]}"#, r#"{"a":[{"b":*},{"c":2},{"b":[*,*]}]}"#),
            ("a.b", r#"{"a":"x"}"#, r#"{"a":*}"#),
            ("a.b", r#"{"a":[1,["x",null]]}"#, r#"{"a":[*,[*,null]]}"#),
            ("a[1]", r#"{"a":[1,2]}"#, r#"{"a":[1,*]}"#),
            ("a[0].b", r#"{"a":[{"b":1},{"b":2}]}"#, r#"{"a":[{"b":*},{"b":2}]}"#),
            ("a[0]", r#"{"a":{"b":1}}"#, r#"{"a":*}"#),
            ("a", r#"{"a":1,"a":2}"#, r#"{"a":*,"a":*}"#),
            ("naïve", r#"{"na\u00efve":1}"#, r#"{"naïve":*}"#),
        ] {
            assert_eq!(starred(path, text).as_deref(), Some(wanted), "{path} {text}");
        }
        for (path, text) in
            [("a", r#"{"b":1}"#), ("a", r#"{"a":null}"#), ("a.b", r#"{"a":null}"#), ("a", r#"{"a":[]}"#)]
        {
            assert_eq!(starred(path, text), None, "{path} {text}");
        }
    }

    #[test]
    fn a_value_has_one_canonical_text() {
        assert_eq!(canonical(r#"{ "b" : [ 1.0 , "\u00e9\n" ], "a":{} }"#), r#"{"a":{},"b":[1.0,"é\n"]}"#);
        assert_eq!(canonical(r#""\ud800""#), r#""\ud800""#);
    }

    #[test]
    fn what_lies_deep_is_taken_as_a_whole() {
        let deep = |inner: &str| format!("{}{inner}{}", "[".repeat(300), "]".repeat(300));
        let text = format!(r#"{{"a":{}}}"#, deep("\"ann\""));
        let new = starred("a", &text).unwrap();
        assert!(!new.contains("ann"), "{new}");
    }
}
