//! A page of a stream, in the shape that its connector declares: which records, in which order, and how the next page is named.
//! Pure.

use std::cmp::Reverse;

use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use url::Url;

use super::{
    super::{
        forge::{Stamp, read, written},
        leaves::{find, put, text},
    },
    call::{Answer, Asked, answer},
    shelf::{Made, Shelf},
};
use crate::{
    config::plan::{CursorField, CursorFormat, Incremental, NextToken, Paginate, Stream},
    expr::Template,
    model::Path,
};

/// Begins the token of a page, and the token of a pass inside of it.
const PAGE: &str = "drillpage";
const SINCE: &str = "drillsince";

/// What a stream of a replica lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lists {
    Records,
    /// The keys of all records that exist.
    Keys,
    /// Nothing is gone.
    Tombstones,
}

/// Where a page begins, and how many it holds at the most.
struct Turn {
    offset: usize,
    size: usize,
}

/// Answers one request for a page. `origin` is the replica's own address.
pub fn page(stream: &Stream, lists: Lists, shelf: &Shelf, asked: &Asked, size: usize, origin: &Url) -> Answer {
    let texts = asked.texts();
    let since = marked(&texts, SINCE);
    let items = selected(stream, lists, shelf, asked, since);
    let turn = turn(stream, asked, &texts, &items, size);
    let end = turn.offset.saturating_add(turn.size).min(items.len());
    let on_page: Vec<Value> =
        items.get(turn.offset.min(end)..end).unwrap_or_default().iter().map(|(value, _)| value.clone()).collect();
    let more = end < items.len();
    let mut body = json!({});
    put(&mut body, stream.records.steps(), Value::Array(on_page));
    let token = format!("{PAGE}{end}{SINCE}{}x", since.unwrap_or(0));
    let mut next = None;
    match &stream.paginate {
        Paginate::None => {}
        Paginate::Cursor { next: named, more: says, .. } => {
            match named {
                NextToken::Body(path) if more => say(&mut body, path, json!(token)),
                NextToken::UntilEnd { token: path, end } => {
                    say(&mut body, path, json!(token));
                    say(&mut body, end, json!(!more));
                }
                NextToken::Counted { token: path, total, .. } => {
                    say(&mut body, total, json!(items.len()));
                    if more {
                        say(&mut body, path, json!(token));
                    }
                }
                NextToken::Body(_) | NextToken::Header(_) | NextToken::LastRecord(_) => {}
            }
            says.iter().for_each(|path| say(&mut body, path, json!(more)));
        }
        Paginate::NextUrl { next: path, more: says } => {
            let address = if more { json!(next_url(origin, asked, &token)) } else { Value::Null };
            say(&mut body, path, address);
            says.iter().for_each(|path| say(&mut body, path, json!(more)));
        }
        Paginate::Link => next = more.then(|| format!("<{}>; rel=\"next\"", next_url(origin, asked, &token))),
        Paginate::Page { more: says, total_pages, .. } => {
            says.iter().for_each(|path| say(&mut body, path, json!(more)));
            let pages = items.len().div_ceil(turn.size.max(1));
            total_pages.iter().for_each(|path| say(&mut body, path, json!(pages)));
        }
        Paginate::Offset { more: says, total, .. } => {
            says.iter().for_each(|path| say(&mut body, path, json!(more)));
            total.iter().for_each(|path| say(&mut body, path, json!(items.len())));
        }
    }
    if let (Some(Incremental::Token { next, .. }), false) = (&stream.incremental, more) {
        say(&mut body, next, json!(format!("{SINCE}{}x", shelf.newest().number)));
    }
    let mut answer = answer(StatusCode::OK, &body);
    if let Some(value) = next.and_then(|link| HeaderValue::from_str(&link).ok()) {
        answer.headers_mut().insert(header::LINK, value);
    }
    answer
}

/// Puts what the answer says besides its records. One that is nothing but a list has no place for it.
fn say(body: &mut Value, path: &Path, value: Value) {
    if body.is_object() {
        put(body, path.steps(), value);
    }
}

/// The records that the request is about, in the listing's order.
fn selected(stream: &Stream, lists: Lists, shelf: &Shelf, asked: &Asked, since: Option<i64>) -> Vec<(Value, Stamp)> {
    if lists == Lists::Tombstones {
        return Vec::new();
    }
    let mut items: Vec<&Made> = shelf.records.iter().collect();
    match &stream.incremental {
        Some(Incremental::Field(field)) => {
            items.retain(|made| inside(stream, field, asked, made.stamp));
            match field.ascending {
                true => items.sort_by_key(|made| made.stamp),
                // No order is declared, so none that helps is kept.
                false => items.sort_by_key(|made| Reverse(made.stamp)),
            }
        }
        Some(Incremental::Token { .. }) => items.retain(|made| since.is_none_or(|since| made.stamp.number > since)),
        None => {}
    }
    let shown = |made: &Made| match lists {
        Lists::Records | Lists::Tombstones => made.value.clone(),
        Lists::Keys => {
            let mut value = json!({});
            for (path, key) in stream.key.iter().zip(&made.key) {
                put(&mut value, path.steps(), key.clone());
            }
            if let Some(Incremental::Field(field)) = &stream.incremental {
                put(&mut value, field.field.steps(), written(field.format, made.stamp));
            }
            value
        }
    };
    items.into_iter().map(|made| (shown(made), made.stamp)).collect()
}

/// The parameter that carries a bound of the window: the declared one, or the one that is filled with nothing else.
pub fn carrier<'s>(stream: &'s Stream, declared: Option<&'s String>, bound: &str) -> Option<&'s str> {
    let fills = |value: &Template| value.single().is_some_and(|expression| expression.as_str() == bound);
    let filled = stream.request.query.iter().find(|(_, value)| fills(value)).map(|(name, _)| name);
    declared.or(filled).map(String::as_str)
}

/// Whether a change lies in the window that was asked for. A bound that no parameter carries is none.
fn inside(stream: &Stream, field: &CursorField, asked: &Asked, stamp: Stamp) -> bool {
    let at = match field.format {
        CursorFormat::Integer => stamp.number,
        _ => stamp.at.timestamp(),
    };
    let bound = |declared: &Option<String>, bound: &str| {
        read(field.format, asked.parameter(carrier(stream, declared.as_ref(), bound)?)?)
    };
    bound(&field.since, "window.since").is_none_or(|since| at >= since)
        && bound(&field.until, "window.until").is_none_or(|until| at < until)
}

fn turn(stream: &Stream, asked: &Asked, texts: &[String], items: &[(Value, Stamp)], size: usize) -> Turn {
    let number = |name: &str| asked.parameter(name).and_then(|text| text.parse::<usize>().ok());
    match &stream.paginate {
        Paginate::None => Turn { offset: 0, size: items.len() },
        Paginate::Cursor { next: NextToken::LastRecord(path), query, .. } => {
            let named = |value: &Value| find(value, path.steps()).and_then(text);
            let is_asked = |name: &String| match query {
                Some(query) => asked.parameter(query) == Some(name.as_str()),
                None => texts.contains(name),
            };
            let last = items.iter().position(|(value, _)| named(value).is_some_and(|name| is_asked(&name)));
            Turn { offset: last.map_or(0, |last| last + 1), size }
        }
        Paginate::Cursor { .. } | Paginate::NextUrl { .. } | Paginate::Link => {
            let offset = marked(texts, PAGE).and_then(|offset| usize::try_from(offset).ok());
            Turn { offset: offset.unwrap_or(0), size }
        }
        Paginate::Page { query, first, size: sized, .. } => {
            let declared = sized.as_ref().map_or(size, |sized| sized.records as usize);
            let asked_for = sized.as_ref().and_then(|sized| number(sized.query.as_ref()?));
            let size = asked_for.unwrap_or(declared);
            let page = number(query).unwrap_or(0).saturating_sub(*first as usize);
            Turn { offset: page.saturating_mul(size), size }
        }
        Paginate::Offset { query, size: sized, .. } => {
            let asked_for = sized.query.as_ref().and_then(|query| number(query));
            Turn { offset: number(query).unwrap_or(0), size: asked_for.unwrap_or(sized.records as usize) }
        }
    }
}

/// The number behind a mark, in whichever text holds one.
fn marked(texts: &[String], mark: &str) -> Option<i64> {
    texts.iter().find_map(|text| {
        let digits = text.split_once(mark)?.1;
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits[..end].parse().ok()
    })
}

/// The same address with another place in the listing.
fn next_url(origin: &Url, asked: &Asked, token: &str) -> String {
    let mut url = origin.clone();
    url.set_path(&asked.path);
    let kept = asked.query.iter().filter(|(name, _)| name != "place");
    url.query_pairs_mut().clear().extend_pairs(kept).append_pair("place", token);
    url.into()
}
