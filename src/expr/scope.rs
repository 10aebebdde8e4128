//! What an expression can see: the record at hand and a few named values. A scope borrows everything, costs nothing to
//! build, and slices the record once for all the expressions that are evaluated in it.

use std::{borrow::Cow, cell::OnceCell};

use serde_json::value::RawValue;

use crate::model::{Fields, Step, entries};

type Entries<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// The name under which expressions see the record.
pub const RECORD: &str = "record";

/// Borrowed values by name.
#[derive(Default)]
pub struct Scope<'a> {
    record: Option<&'a Fields>,
    index: OnceCell<Entries<'a>>,
    named: Vec<(&'a str, Cow<'a, str>)>,
}

impl<'a> Scope<'a> {
    pub fn new() -> Self {
        Self::default()
    }

    /// A scope whose `record` is this one.
    pub fn of(record: &'a Fields) -> Self {
        Self { record: Some(record), ..Self::default() }
    }

    pub fn record(mut self, record: &'a Fields) -> Self {
        self.record = Some(record);
        self.index = OnceCell::new();
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
        match self.record {
            Some(fields) if root == RECORD => match steps.split_first() {
                None => Some(fields.as_str()),
                Some((Step::Field(name), rest)) => walk(field(self.entries(fields), name)?, rest),
                Some((Step::Item(_), _)) => None,
            },
            _ => walk(&self.named.iter().rev().find(|(name, _)| *name == root)?.1, steps),
        }
    }

    fn entries(&self, fields: &'a Fields) -> &Entries<'a> {
        self.index.get_or_init(|| fields.entries())
    }
}

/// A field that stands twice counts by its last value.
fn field<'a>(all: &[(Cow<'_, str>, &'a RawValue)], name: &str) -> Option<&'a str> {
    all.iter().rev().find(|(field, _)| field == name).map(|(_, raw)| raw.get())
}

fn walk<'t>(text: &'t str, steps: &[Step]) -> Option<&'t str> {
    let mut at = text;
    for step in steps {
        at = match step {
            Step::Field(name) => field(&entries(at), name)?,
            Step::Item(index) => serde_json::from_str::<Vec<&RawValue>>(at).ok()?.get(*index)?.get(),
        };
    }
    Some(at)
}
