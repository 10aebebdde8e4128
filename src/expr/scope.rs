//! What an expression can see: the record at hand and a few named values. A scope borrows everything, costs nothing to
//! build, and slices the record once for all the expressions that are evaluated in it.

use std::{borrow::Cow, cell::OnceCell};

use serde_json::value::RawValue;

use crate::model::{Fields, Step, entries};

/// The name under which expressions see the record.
pub const RECORD: &str = "record";

/// A field's name and its raw JSON text.
pub type Entry<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Borrowed values by name.
#[derive(Default)]
pub struct Scope<'a> {
    record: Option<View<'a>>,
    named: Vec<(&'a str, Cow<'a, str>)>,
}

/// A record as one text, or as the fields it is being made of.
enum View<'a> {
    Whole { fields: &'a Fields, index: OnceCell<Vec<(Cow<'a, str>, &'a RawValue)>> },
    Parts { entries: &'a [Entry<'a>], text: OnceCell<String> },
}

impl<'a> Scope<'a> {
    pub fn new() -> Self {
        Self::default()
    }

    /// A scope whose `record` is this one.
    pub fn of(record: &'a Fields) -> Self {
        Self::new().record(record)
    }

    /// A scope whose `record` has these fields.
    pub fn of_entries(entries: &'a [Entry<'a>]) -> Self {
        Self { record: Some(View::Parts { entries, text: OnceCell::new() }), ..Self::default() }
    }

    pub fn record(mut self, record: &'a Fields) -> Self {
        self.record = Some(View::Whole { fields: record, index: OnceCell::new() });
        self
    }

    /// Adds a value that is JSON text, usually an object whose fields expressions name (`config.limit`).
    pub fn json(mut self, name: &'a str, text: impl Into<Cow<'a, str>>) -> Self {
        self.named.push((name, text.into()));
        self
    }

    /// Adds a text.
    pub fn text(self, name: &'a str, text: &str) -> Self {
        let mut json = String::with_capacity(text.len() + 2);
        super::json::push_string(&mut json, text);
        self.json(name, json)
    }

    /// Adds a number.
    pub fn integer(self, name: &'a str, number: i64) -> Self {
        self.json(name, number.to_string())
    }

    /// The raw JSON text at the end of the steps, or nothing when one of them leads nowhere.
    pub(super) fn find(&self, root: &str, steps: &[Step]) -> Option<&str> {
        match &self.record {
            Some(view) if root == RECORD => match steps.split_first() {
                None => Some(view.text()),
                Some((Step::Field(name), rest)) => walk(view.field(name)?, rest),
                Some((Step::Item(_), _)) => None,
            },
            _ => walk(&self.named.iter().rev().find(|(name, _)| *name == root)?.1, steps),
        }
    }
}

impl<'a> View<'a> {
    /// A field that stands twice counts by its last value.
    fn field(&self, name: &str) -> Option<&str> {
        match self {
            View::Whole { fields, index } => last_of(index.get_or_init(|| fields.entries()), name),
            View::Parts { entries, .. } => entries.iter().rev().find(|(field, _)| field == name).map(|(_, raw)| &**raw),
        }
    }

    fn text(&self) -> &str {
        match self {
            View::Whole { fields, .. } => fields.as_str(),
            View::Parts { entries, text } => text.get_or_init(|| object(entries)),
        }
    }
}

/// The text of an object with these fields.
pub fn object(entries: &[Entry<'_>]) -> String {
    let bytes: usize = entries.iter().map(|(name, raw)| name.len() + raw.len() + 4).sum();
    let mut out = String::with_capacity(bytes + 2);
    out.push('{');
    for (at, (name, raw)) in entries.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        super::json::push_string(&mut out, name);
        out.push(':');
        out.push_str(raw);
    }
    out.push('}');
    out
}

fn last_of<'t>(all: &[(Cow<'_, str>, &'t RawValue)], name: &str) -> Option<&'t str> {
    all.iter().rev().find(|(field, _)| field == name).map(|(_, raw)| raw.get())
}

fn walk<'t>(text: &'t str, steps: &[Step]) -> Option<&'t str> {
    let mut at = text;
    for step in steps {
        at = match step {
            Step::Field(name) => last_of(&entries(at), name)?,
            Step::Item(index) => serde_json::from_str::<Vec<&RawValue>>(at).ok()?.get(*index)?.get(),
        };
    }
    Some(at)
}
