//! How serde walks lists, maps and kinds of a tree. Two rules live here: an unknown key is reported and passed over, and
//! the entry or item in which a mistake is found is dropped.

use std::slice;

use serde::de::{self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::{
    diagnostic::Problem,
    mistake::Mistake,
    node::{Dropped, Entry, Item, Value},
    read::{From, Reading},
    source::Span,
    suggest,
};
use crate::model::Code;

/// Keys that hold secrets. Where one of them is known, the value of an unknown key is not shown.
const SECRETS: [&str; 7] = ["token", "password", "client_secret", "value", "private_key", "secret", "secrets"];

/// Reads one value; a mistake drops the entry or item it stands in, unless a smaller part was dropped already.
fn part<'de, S: DeserializeSeed<'de>>(seed: S, from: From<'_, '_>, dropped: &Dropped) -> Result<S::Value, Mistake> {
    let (span, reading) = (from.node.span, from.reading);
    seed.deserialize(from).map_err(|mistake| {
        let mut mistake = mistake.at(span);
        if !mistake.dropped {
            mistake.dropped = true;
            dropped.set();
            reading.dropped.borrow_mut().push(span);
        }
        mistake
    })
}

pub struct Items<'n, 'r> {
    items: slice::Iter<'n, Item>,
    reading: &'r Reading<'r>,
}

impl<'n, 'r> Items<'n, 'r> {
    pub fn new(items: &'n [Item], reading: &'r Reading<'r>) -> Self {
        Self { items: items.iter(), reading }
    }
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Mistake;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Mistake> {
        let Some(item) = self.items.find(|item| !item.dropped.is()) else { return Ok(None) };
        part(seed, From { node: &item.node, key: None, reading: self.reading }, &item.dropped).map(Some)
    }
}

/// A single value seen as a list of one.
pub struct Single<'n, 'r>(pub Option<From<'n, 'r>>);

impl<'de> SeqAccess<'de> for Single<'_, '_> {
    type Error = Mistake;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Mistake> {
        self.0.take().map(|from| seed.deserialize(from)).transpose()
    }
}

pub struct Entries<'n, 'r> {
    entries: slice::Iter<'n, Entry>,
    current: Option<&'n Entry>,
    /// The keys that a struct knows. A map of names takes all, and is told of dropped ones, too.
    known: Option<&'static [&'static str]>,
    reading: &'r Reading<'r>,
}

impl<'n, 'r> Entries<'n, 'r> {
    pub fn new(entries: &'n [Entry], known: Option<&'static [&'static str]>, reading: &'r Reading<'r>) -> Self {
        Self { entries: entries.iter(), current: None, known, reading }
    }

    fn unknown(&self, entry: &Entry, known: &'static [&'static str]) {
        let help = match known {
            [] => "nothing is set here; remove it".to_owned(),
            _ => suggest::or_list(&entry.key, known.iter().copied(), "the keys here are"),
        };
        let problem = Problem::new(Code::UnknownKey, entry.key_span, format!("unknown key `{}`", entry.key)).help(help);
        // A mistyped name of a secret stands beside the secret itself.
        let secret = known.iter().any(|name| SECRETS.contains(name));
        let problem = if secret { problem.mask(entry.node.span) } else { problem };
        self.reading.problems.borrow_mut().push(problem);
    }
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Mistake;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Mistake> {
        while let Some(entry) = self.entries.next() {
            match self.known {
                Some(_) if entry.dropped.is() => {}
                Some(known) if !known.contains(&entry.key.as_str()) => self.unknown(entry, known),
                _ => {
                    self.current = Some(entry);
                    return seed.deserialize(KeyText { text: &entry.key, span: entry.key_span }).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Mistake> {
        let Some(entry) = self.current.take() else { return Err(de::Error::custom("a value without its key")) };
        if entry.dropped.is() {
            return seed.deserialize(().into_deserializer());
        }
        let from = From { node: &entry.node, key: Some(entry.key_span), reading: self.reading };
        part(seed, from, &entry.dropped)
    }
}

/// A key. Keys are never filled.
struct KeyText<'n> {
    text: &'n str,
    span: Span,
}

impl<'de> de::Deserializer<'de> for KeyText<'_> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_str(self.text).map_err(|mistake: Mistake| mistake.at(self.span))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_seq(KeyParts { key: self, next: 0 })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// A spanned key: its place as three numbers, then its text.
struct KeyParts<'n> {
    key: KeyText<'n>,
    next: usize,
}

impl<'de> SeqAccess<'de> for KeyParts<'_> {
    type Error = Mistake;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Mistake> {
        self.next += 1;
        let KeyText { text, span } = self.key;
        place(seed, span, self.next, |seed| seed.deserialize(KeyText { text, span })).map(Some)
    }
}

/// A spanned value: its place as three numbers, then itself.
pub struct Parts<'n, 'r> {
    from: From<'n, 'r>,
    next: usize,
}

impl<'n, 'r> Parts<'n, 'r> {
    pub fn new(from: From<'n, 'r>) -> Self {
        Self { from, next: 0 }
    }
}

impl<'de> SeqAccess<'de> for Parts<'_, '_> {
    type Error = Mistake;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Mistake> {
        self.next += 1;
        let from = self.from;
        place(seed, from.node.span, self.next, |seed| seed.deserialize(from)).map(Some)
    }
}

fn place<'de, S: DeserializeSeed<'de>>(
    seed: S,
    span: Span,
    step: usize,
    value: impl FnOnce(S) -> Result<S::Value, Mistake>,
) -> Result<S::Value, Mistake> {
    match step {
        1 => seed.deserialize(span.file.into_deserializer()),
        2 => seed.deserialize(span.start.into_deserializer()),
        3 => seed.deserialize(span.end.into_deserializer()),
        _ => value(seed),
    }
}

/// A kind by its name, and what it holds.
pub struct Choice<'n, 'r> {
    pub variant: &'static str,
    pub span: Span,
    /// Nothing for a bare word.
    pub content: Option<From<'n, 'r>>,
}

impl<'de> EnumAccess<'de> for Choice<'_, '_> {
    type Error = Mistake;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Mistake> {
        let name: de::value::StrDeserializer<'_, Mistake> = self.variant.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'n, 'r> Choice<'n, 'r> {
    fn content(&self) -> Result<From<'n, 'r>, Mistake> {
        self.content.ok_or_else(|| {
            let message = format!("`{}` needs settings", self.variant);
            Mistake::new(Code::WrongType, message).help(format!("write {{ {}: {{ .. }} }}", self.variant)).at(self.span)
        })
    }
}

impl<'de> VariantAccess<'de> for Choice<'_, '_> {
    type Error = Mistake;

    fn unit_variant(self) -> Result<(), Mistake> {
        match self.content.map(|from| &from.node.value) {
            None => Ok(()),
            Some(Value::Map(entries)) if entries.is_empty() => Ok(()),
            Some(_) => {
                let message = format!("`{}` has no settings", self.variant);
                let help = format!("write `{}` alone", self.variant);
                Err(Mistake::new(Code::WrongType, message).help(help).at(self.span))
            }
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Mistake> {
        seed.deserialize(self.content()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Mistake> {
        de::Deserializer::deserialize_seq(self.content()?, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Mistake> {
        de::Deserializer::deserialize_struct(self.content()?, self.variant, fields, visitor)
    }
}
