//! Changes inside one JSON text, along a path. Only the objects and lists on the path are written anew, and of those only
//! the frame: what lies beside the path stays the text it was. Depth of the text costs nothing, because only the steps of
//! the path are followed.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::{
    expr::{Entry, object},
    model::{Step, entries},
};

/// Why a value cannot be put somewhere.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum Misfit {
    #[error("a record has fields, so the path must begin with a name")]
    Nameless,
    #[error("`{0}` is no object, so nothing can be put inside")]
    NotObject(String),
    #[error("`{0}` is no list that has this item")]
    ItemMissing(String),
}

fn fields(text: &str) -> Vec<Entry<'_>> {
    entries(text).into_iter().map(|(name, raw)| (name, Cow::Borrowed(raw.get()))).collect()
}

fn items(text: &str) -> Vec<Cow<'_, str>> {
    let items: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
    items.into_iter().map(|raw| Cow::Borrowed(raw.get())).collect()
}

fn list<T: AsRef<str>>(items: &[T]) -> String {
    let mut out = String::from("[");
    for (at, item) in items.iter().enumerate() {
        out.push_str(if at > 0 { "," } else { "" });
        out.push_str(item.as_ref());
    }
    out.push(']');
    out
}

/// The text that stands at the steps.
pub fn find<'t>(text: &'t str, steps: &[Step]) -> Option<&'t str> {
    let Some((step, rest)) = steps.split_first() else { return Some(text) };
    let inner = match step {
        Step::Field(field) if text.starts_with('{') => {
            entries(text).into_iter().rev().find(|(name, _)| name == field).map(|(_, raw)| raw.get())?
        }
        Step::Item(index) if text.starts_with('[') => {
            serde_json::from_str::<Vec<&RawValue>>(text).ok()?.get(*index)?.get()
        }
        Step::Field(_) | Step::Item(_) => return None,
    };
    find(inner, rest)
}

/// The text with the value put at the steps. Where nothing or null stands, objects are made. `name` is how messages call
/// the place.
pub fn set(text: Option<&str>, steps: &[Step], value: &str, name: &str) -> Result<String, Misfit> {
    let Some((step, rest)) = steps.split_first() else {
        return Ok(value.to_owned());
    };
    let text = text.filter(|text| *text != "null");
    match step {
        Step::Field(field) => {
            if text.is_some_and(|text| !text.starts_with('{')) {
                return Err(Misfit::NotObject(name.to_owned()));
            }
            let mut all = text.map(fields).unwrap_or_default();
            let at = all.iter().rposition(|(name, _)| name == field);
            let before = at.map(|at| all[at].1.as_ref());
            let after = Cow::Owned(set(before, rest, value, field)?);
            match at {
                Some(at) => all[at].1 = after,
                None => all.push((Cow::Borrowed(field), after)),
            }
            Ok(object(&all))
        }
        Step::Item(index) => {
            let mut all = text.filter(|text| text.starts_with('[')).map(items).unwrap_or_default();
            let item = all.get_mut(*index).ok_or_else(|| Misfit::ItemMissing(name.to_owned()))?;
            *item = Cow::Owned(set(Some(item.as_ref()), rest, value, name)?);
            Ok(list(&all))
        }
    }
}

/// The text without what stands at the steps (at least one), and that; nothing when nothing stands there.
pub fn drop(text: &str, steps: &[Step]) -> Option<(String, String)> {
    let (step, rest) = steps.split_first()?;
    match step {
        Step::Field(field) => {
            let mut all = fields(text);
            let at = all.iter().rposition(|(name, _)| name == field)?;
            let taken = if rest.is_empty() {
                let taken = all[at].1.to_string();
                all.retain(|(name, _)| name != field);
                taken
            } else {
                let (after, taken) = drop(&all[at].1, rest)?;
                all[at].1 = Cow::Owned(after);
                taken
            };
            Some((object(&all), taken))
        }
        Step::Item(index) if text.starts_with('[') => {
            let mut all = items(text);
            let taken = if rest.is_empty() {
                (*index < all.len()).then(|| all.remove(*index).into_owned())?
            } else {
                let (after, taken) = drop(all.get(*index)?, rest)?;
                all[*index] = Cow::Owned(after);
                taken
            };
            Some((list(&all), taken))
        }
        Step::Item(_) => None,
    }
}

/// What the paths that begin with this field say about its inside.
pub fn inside_field<'p>(paths: impl Iterator<Item = &'p [Step]>, name: &str) -> Vec<&'p [Step]> {
    inside(paths, |step| matches!(step, Step::Field(field) if field == name))
}

fn inside<'p>(paths: impl Iterator<Item = &'p [Step]>, here: impl Fn(&Step) -> bool) -> Vec<&'p [Step]> {
    paths.filter_map(|steps| steps.split_first()).filter(|(step, _)| here(step)).map(|(_, rest)| rest).collect()
}

/// The parts of the text that stand at the paths: the text itself when all of it does, nothing when none of it does.
pub fn keep<'t>(text: &'t str, paths: &[&[Step]]) -> Option<Cow<'t, str>> {
    if paths.is_empty() {
        return None;
    }
    if paths.iter().any(|steps| steps.is_empty()) {
        return Some(Cow::Borrowed(text));
    }
    if text.starts_with('{') {
        let all = fields(text);
        let count = all.len();
        let mut whole = true;
        let mut kept: Vec<Entry<'_>> = Vec::with_capacity(count);
        for (name, raw) in &all {
            if let Some(part) = keep(raw, &inside_field(paths.iter().copied(), name)) {
                whole &= matches!(part, Cow::Borrowed(_));
                kept.push((name.clone(), part));
            }
        }
        return match kept.len() {
            0 => None,
            len if len == count && whole => Some(Cow::Borrowed(text)),
            _ => Some(Cow::Owned(object(&kept))),
        };
    }
    if text.starts_with('[') {
        let all = items(text);
        let kept = all.iter().enumerate().filter_map(|(index, raw)| {
            let here = inside(paths.iter().copied(), |step| *step == Step::Item(index));
            keep(raw, &here)
        });
        let kept: Vec<Cow<'_, str>> = kept.collect();
        return (!kept.is_empty()).then(|| Cow::Owned(list(&kept)));
    }
    None
}
