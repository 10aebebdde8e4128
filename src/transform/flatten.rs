//! Objects inside a record become fields of it.

use std::borrow::Cow;

use crate::{config::plan::Flatten, expr::Entry, model::entries};

/// More fields are refused: nobody maps them, and names are joined for each.
const FIELDS_MAX: usize = 10_000;

/// Why a record stays as it is.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum Unflat {
    #[error("two fields would be called {0}")]
    Twice(String),
    #[error("there would be more than {FIELDS_MAX} fields")]
    TooMany,
}

/// The fields with those that hold objects taken apart; nothing where there are none. Lists and empty objects stay.
pub fn flat<'r>(all: &[Entry<'r>], by: &Flatten) -> Result<Option<Vec<Entry<'r>>>, Unflat> {
    let is_meant = |name: &str| by.only.as_ref().is_none_or(|only| only.iter().any(|it| it == name));
    if !all.iter().any(|(name, raw)| is_meant(name) && is_object(raw)) {
        return Ok(None);
    }
    let mut out: Vec<Entry<'r>> = Vec::with_capacity(all.len() * 2);
    for (name, raw) in all {
        match raw {
            _ if !is_meant(name) || !is_object(raw) => out.push((name.clone(), raw.clone())),
            Cow::Borrowed(raw) => apart(name, raw, by, 1, &mut |name, raw| (name, Cow::Borrowed(raw)), &mut out)?,
            Cow::Owned(raw) => {
                let mut owned = |name, raw: &str| (name, Cow::Owned(raw.to_owned()));
                apart(name, raw, by, 1, &mut owned, &mut out)?;
            }
        }
    }
    let mut names: Vec<&str> = out.iter().map(|(name, _)| &**name).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Unflat::Twice(pair[0].to_owned())),
        None => Ok(Some(out)),
    }
}

fn is_object(raw: &str) -> bool {
    raw.starts_with('{') && raw[1..].trim_start() != "}"
}

fn apart<'r, 't>(
    name: &str,
    raw: &'t str,
    by: &Flatten,
    level: usize,
    entry: &mut impl FnMut(Cow<'r, str>, &'t str) -> Entry<'r>,
    out: &mut Vec<Entry<'r>>,
) -> Result<(), Unflat> {
    // Of a name that stands twice the last value counts.
    let fields = entries(raw);
    for (at, (inner, value)) in fields.iter().enumerate() {
        if fields[at + 1..].iter().any(|(later, _)| later == inner) {
            continue;
        }
        let joined = format!("{name}{}{inner}", by.separator);
        if level < by.depth && is_object(value.get()) {
            apart(&joined, value.get(), by, level + 1, entry, out)?;
        } else if out.len() >= FIELDS_MAX {
            return Err(Unflat::TooMany);
        } else {
            out.push(entry(Cow::Owned(joined), value.get()));
        }
    }
    Ok(())
}
