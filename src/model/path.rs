//! Where a value stands inside a JSON text: `paging.next.after`, `items[0].id`, or `.` for the whole.
//!
//! Finding a value slices the text; it never builds a tree.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// A parsed path. `.` has no steps and means the whole text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Path {
    text: String,
    steps: Vec<Step>,
}

/// One step down a JSON text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    Field(String),
    Item(usize),
}

/// Why a text is no path.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum PathError {
    #[error("a path cannot be empty; write `.` for the whole answer")]
    Empty,
    #[error("`{0}` has an empty step; steps are separated by single dots")]
    EmptyStep(String),
    #[error("`{0}` has an index that is no number; write items[0]")]
    Index(String),
}

impl Path {
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        let mut steps = Vec::new();
        if text != "." {
            for part in text.split('.') {
                push_steps(part, text, &mut steps)?;
            }
        }
        Ok(Self { text: text.to_owned(), steps })
    }

    /// The path `.`, the whole text.
    pub fn whole() -> Self {
        Self { text: ".".to_owned(), steps: Vec::new() }
    }

    /// The path of these steps; nothing where a name has no place in a path's text.
    pub fn of(steps: &[Step]) -> Option<Self> {
        let mut text = String::new();
        for step in steps {
            match step {
                Step::Item(index) => text.push_str(&format!("[{index}]")),
                Step::Field(name) if !name.is_empty() && !name.contains(['.', '[', ']']) => {
                    text.push_str(if text.is_empty() { "" } else { "." });
                    text.push_str(name);
                }
                Step::Field(_) => return None,
            }
        }
        Self::parse(if text.is_empty() { "." } else { &text }).ok()
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The single field name this path consists of, if it is one.
    pub fn single_field(&self) -> Option<&str> {
        match self.steps.as_slice() {
            [Step::Field(name)] => Some(name),
            _ => None,
        }
    }

    /// The raw text at this path, or nothing when a step is absent or stands in a value of another type.
    pub fn find<'a>(&self, text: &'a str) -> Option<&'a RawValue> {
        let mut at: &'a RawValue = serde_json::from_str(text).ok()?;
        for step in &self.steps {
            let mut json = serde_json::Deserializer::from_str(at.get());
            at = match step {
                Step::Field(name) if at.get().starts_with('{') => json.deserialize_map(FieldNamed(name)).ok()??,
                Step::Item(index) if at.get().starts_with('[') => json.deserialize_seq(ItemAt(*index)).ok()??,
                _ => return None,
            };
        }
        Some(at)
    }
}

fn push_steps(part: &str, whole: &str, steps: &mut Vec<Step>) -> Result<(), PathError> {
    let mut pieces = part.split('[');
    let name = pieces.next().unwrap_or_default();
    if !name.is_empty() {
        steps.push(Step::Field(name.to_owned()));
    } else if !part.starts_with('[') {
        return Err(PathError::EmptyStep(whole.to_owned()));
    }
    for piece in pieces {
        let index = piece.strip_suffix(']').and_then(|digits| digits.parse().ok());
        steps.push(Step::Item(index.ok_or_else(|| PathError::Index(whole.to_owned()))?));
    }
    Ok(())
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Keeps the raw value of one field and skips the others. A field that stands twice counts by its last value, as in
/// most JSON readers.
struct FieldNamed<'n>(&'n str);

impl<'de> Visitor<'de> for FieldNamed<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(Named(self.0))? {
            if is_it {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

struct Named<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Named<'_> {
    type Value = bool;

    fn deserialize<D: serde::Deserializer<'de>>(self, key: D) -> Result<bool, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for Named<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

struct ItemAt(usize);

impl<'de> Visitor<'de> for ItemAt {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut index = 0;
        let mut found = None;
        while let Some(item) = list.next_element::<&RawValue>()? {
            if index == self.0 {
                found = Some(item);
            }
            index += 1;
        }
        Ok(found)
    }
}

/// The fields of an object's text in their order. Nothing for a text that is no object.
pub fn entries(text: &str) -> Vec<(Cow<'_, str>, &RawValue)> {
    serde_json::from_str::<Entries<'_>>(text).map(|entries| entries.0).unwrap_or_default()
}

struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::with_capacity(16);
                while let Some(Name(name)) = map.next_key()? {
                    all.push((name, map.next_value()?));
                }
                Ok(all)
            }
        }
        json.deserialize_map(All).map(Entries)
    }
}

/// A field name, borrowed where it is written without escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn find(path: &str, text: &str) -> Option<String> {
        Path::parse(path).unwrap().find(text).map(|raw| raw.get().to_owned())
    }

    #[test]
    fn a_path_finds_fields_items_and_the_whole() {
        let text = r#"{"paging":{"next":{"after":"a1"}},"items":[{"id":7},{"id":8.50}]}"#;
        assert_eq!(find("paging.next.after", text).unwrap(), r#""a1""#);
        assert_eq!(find("items[1].id", text).unwrap(), "8.50");
        assert_eq!(find(".", "[1]").unwrap(), "[1]");
        assert_eq!(find("[0]", "[1,2]").unwrap(), "1");
    }

    #[test]
    fn an_absent_step_or_a_value_of_another_type_finds_nothing() {
        assert_eq!(find("a.b", r#"{"a":1}"#), None);
        assert_eq!(find("a[0]", r#"{"a":{"0":1}}"#), None);
        assert_eq!(find("a", "[]"), None);
        assert_eq!(find("a[3]", r#"{"a":[1]}"#), None);
    }

    #[test]
    fn a_name_written_with_escapes_is_the_same_name() {
        assert_eq!(find("naïve", r#"{"na\u00efve":1}"#).unwrap(), "1");
        assert_eq!(entries(r#"{"\u0061":1,"b":[2]}"#)[0].0, "a");
    }

    #[test]
    fn what_is_no_path_is_refused() {
        assert_eq!(Path::parse("").unwrap_err(), PathError::Empty);
        assert!(matches!(Path::parse("a..b"), Err(PathError::EmptyStep(_))));
        assert!(matches!(Path::parse("a[x]"), Err(PathError::Index(_))));
    }
}
