//! What changed in the calls that a connector uses, from an older document to a newer one. Of an answer what concerns its records counts,
//! and the places that the connector itself reads.

use super::{
    super::{
        call::{Call, In},
        document::Document,
    },
    Changed, Use, is_same,
};
use crate::contract::{At, Change, Direction, diff};

/// Changes of one call that are told.
const TOLD_MAX: usize = 30;

/// The changes of one call. Nothing in the older document: it is new.
pub fn changes(one: &Use<'_>, old: Option<(&Document, &Call<'_>)>, new: (&Document, &Call<'_>)) -> Vec<Changed> {
    let told = |breaking, words: String| Changed { part: one.name.clone(), breaking, words };
    let Some((older, then)) = old else {
        return vec![told(false, format!("{} {} was not there", one.request.method, new.1.path))];
    };
    let (document, now) = new;
    let mut all = Vec::new();
    if !is_same(then, now) {
        all.push(told(false, format!("the path is {} now; it was {}", now.path, then.path)));
    }
    if now.deprecated && !then.deprecated {
        all.push(told(true, "the call is deprecated now".to_owned()));
    }
    for parameter in now.parameters.iter().filter(|one| matches!(one.place, In::Query | In::Header)) {
        match then.parameter(parameter.place, parameter.name) {
            None if parameter.required => {
                all.push(told(true, format!("the parameter `{}` is new, and required", parameter.name)))
            }
            None => all.push(told(false, format!("the parameter `{}` is new", parameter.name))),
            Some(before) if parameter.required && !before.required => {
                all.push(told(true, format!("the parameter `{}` is required now", parameter.name)));
            }
            Some(_) => {}
        }
    }
    for parameter in then.parameters.iter().filter(|one| matches!(one.place, In::Query | In::Header)) {
        if now.parameter(parameter.place, parameter.name).is_none() {
            let is_sent =
                one.request.query.iter().any(|(name, _)| name == parameter.name) || one.query.contains(&parameter.name);
            all.push(told(is_sent, format!("the parameter `{}` is gone", parameter.name)));
        }
    }
    let bodies =
        (then.body.as_ref().and_then(|body| body.pointer()), now.body.as_ref().and_then(|body| body.pointer()));
    let mut more = compared("body", bodies, (older, document), Direction::Sent, |_| true);
    let answer = |call: &Call<'_>| -> Option<String> {
        call.answer.as_ref().and_then(|answer| answer.schema.as_ref()?.pointer().map(str::to_owned))
    };
    let (before, after) = (answer(then), answer(now));
    let answers = (before.as_deref(), after.as_deref());
    more.extend(compared("answer", answers, (older, document), Direction::Read, |path| is_read(one, path)));
    all.extend(more.into_iter().map(|(breaking, words)| told(breaking, words)));
    bounded(one, all)
}

/// The breaking ones first, and not too many.
fn bounded(one: &Use<'_>, mut all: Vec<Changed>) -> Vec<Changed> {
    let more = all.len().saturating_sub(TOLD_MAX);
    all.sort_by_key(|change| !change.breaking);
    if more > 0 {
        let breaking = all[TOLD_MAX..].iter().any(|change| change.breaking);
        all.truncate(TOLD_MAX);
        all.push(Changed { part: one.name.clone(), breaking, words: format!("and {more} other changes") });
    }
    all
}

/// Whether a place of the answer is read: it leads to the records or lies in one, or the connector names it.
fn is_read(one: &Use<'_>, path: &str) -> bool {
    let below = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let named = |wanted: &str| wanted == "." || path == "." || below(wanted, path) || below(path, wanted);
    let list = one.records.as_ref().map(|(list, _)| *list);
    one.in_answer.iter().copied().chain(list).any(|wanted| named(wanted.as_str()))
}

fn compared(
    what: &str,
    places: (Option<&str>, Option<&str>),
    documents: (&Document, &Document),
    direction: Direction,
    counts: impl Fn(&str) -> bool,
) -> Vec<(bool, String)> {
    match places {
        (Some(old), Some(new)) => {
            let (old, new) =
                (At { root: &documents.0.root, pointer: old }, At { root: &documents.1.root, pointer: new });
            let words = |change: Change| (change.breaking, format!("{what}: `{}` {}", change.path, change.what));
            diff(old, new, direction).into_iter().filter(|change| counts(&change.path)).map(words).collect()
        }
        (Some(_), None) => vec![(true, format!("the {what} is no longer described"))],
        (None, Some(_)) => vec![(false, format!("the {what} is described now"))],
        (None, None) => Vec::new(),
    }
}
