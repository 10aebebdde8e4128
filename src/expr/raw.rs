//! JSON text as values of the language, parsed one level at a time and only when it is touched. An object or list that is
//! only passed on is written out as the very text it came in, so depth costs nothing and no digit is lost.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use minijinja::value::{Enumerator, Object, ObjectRepr, Value};
use serde_json::value::RawValue;

use super::number::Written;
use crate::model::entries;

/// The text of a JSON object or list.
pub struct Raw {
    text: Box<str>,
    parsed: OnceLock<Level>,
}

/// One level of it; what lies below is raw again.
enum Level {
    Object(Vec<(Arc<str>, Value)>),
    List(Vec<Value>),
}

/// The value that a JSON text means. JSON null is none.
pub fn value(text: &str) -> Value {
    match text.as_bytes().first() {
        Some(b'{' | b'[') => Value::from_object(Raw { text: text.into(), parsed: OnceLock::new() }),
        Some(b'"') => string(text),
        Some(b't') => Value::from(true),
        Some(b'f') => Value::from(false),
        Some(b'n') | None => Value::from(()),
        Some(_) => number(text),
    }
}

fn string(text: &str) -> Value {
    // A string without escapes is its own text between the quotes.
    match text.get(1..text.len().saturating_sub(1)) {
        Some(inner) if !inner.contains('\\') => Value::from(inner),
        _ => serde_json::from_str::<String>(text).map_or_else(|_| Value::from(()), Value::from),
    }
}

fn number(text: &str) -> Value {
    if let Ok(small) = text.parse::<i64>() {
        return if text == "-0" { Written::value(text) } else { Value::from(small) };
    }
    text.parse::<i128>().map_or_else(|_| Written::value(text), Value::from)
}

impl Raw {
    pub fn text(&self) -> &str {
        &self.text
    }

    fn level(&self) -> &Level {
        self.parsed.get_or_init(|| {
            if self.text.starts_with('{') {
                let fields = entries(&self.text);
                Level::Object(fields.into_iter().map(|(name, raw)| (name.into(), value(raw.get()))).collect())
            } else {
                let items: Vec<&RawValue> = serde_json::from_str(&self.text).unwrap_or_default();
                Level::List(items.into_iter().map(|raw| value(raw.get())).collect())
            }
        })
    }
}

/// Debug shows the size only: it belongs to a record.
impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raw({} bytes)", self.text.len())
    }
}

impl Object for Raw {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        if self.text.starts_with('{') { ObjectRepr::Map } else { ObjectRepr::Seq }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match self.level() {
            Level::Object(fields) => {
                let name = key.as_str()?;
                // A field that stands twice counts by its last value, as everywhere in this program.
                fields.iter().rev().find(|(field, _)| &**field == name).map(|(_, value)| value.clone())
            }
            Level::List(items) => items.get(key.as_usize()?).cloned(),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match self.level() {
            Level::Object(fields) => {
                let names: Vec<Value> = fields.iter().map(|(name, _)| Value::from(Arc::clone(name))).collect();
                Enumerator::Iter(Box::new(names.into_iter()))
            }
            Level::List(items) => Enumerator::Seq(items.len()),
        }
    }
}
