//! What JSON values are, as far as columns of tables care. Pure.

use std::collections::BTreeMap;

use crate::model::Fields;

/// What a JSON value is, as far as columns care. Each is one bit of [`Kinds`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Null = 1,
    Boolean = 2,
    /// Fits 64 bits.
    Integer = 4,
    /// Any other number.
    Decimal = 8,
    Text = 16,
    /// An object or a list.
    Json = 32,
}

impl Kind {
    pub const ALL: [Self; 6] = [Self::Null, Self::Boolean, Self::Integer, Self::Decimal, Self::Text, Self::Json];

    /// The kind of a raw JSON text.
    pub fn of(raw: &str) -> Self {
        match raw.as_bytes().first() {
            Some(b'"') => Self::Text,
            Some(b'{' | b'[') => Self::Json,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'n') | None => Self::Null,
            // Eighteen digits always fit; only longer ones need a closer look.
            Some(_) if raw.len() <= 18 && raw.bytes().skip(1).all(|byte| byte.is_ascii_digit()) => Self::Integer,
            Some(_) if raw.parse::<i64>().is_ok() => Self::Integer,
            Some(_) => Self::Decimal,
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "true or false",
            Self::Integer => "an integer",
            Self::Decimal => "a decimal number",
            Self::Text => "text",
            Self::Json => "an object or list",
        }
    }
}

/// A set of kinds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Kinds(u8);

impl Kinds {
    pub fn of(kinds: &[Kind]) -> Self {
        Self(kinds.iter().fold(0, |bits, kind| bits | *kind as u8))
    }

    pub fn insert(&mut self, kind: Kind) {
        self.0 |= kind as u8;
    }

    pub fn has(self, kind: Kind) -> bool {
        self.0 & kind as u8 != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The first kind that is not in `other`.
    pub fn outside(self, other: Self) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| self.has(*kind) && !other.has(*kind))
    }

    /// The type of a column made for these; nothing when only null was seen.
    pub fn learned(self) -> Option<&'static str> {
        let mut some = self;
        some.0 &= !(Kind::Null as u8);
        let within = |kinds: &[Kind]| some.outside(Self::of(kinds)).is_none();
        if some.0 == 0 {
            None
        } else if within(&[Kind::Boolean]) {
            Some("boolean")
        } else if within(&[Kind::Integer]) {
            Some("bigint")
        } else if within(&[Kind::Integer, Kind::Decimal]) {
            Some("numeric")
        } else if some.has(Kind::Json) {
            Some("jsonb")
        } else {
            Some("text")
        }
    }
}

/// The fields of a stream with the kinds that they have in a batch: those that it is `known` to have, then those that were met.
pub fn met<'f>(
    known: impl Iterator<Item = &'f String>,
    records: impl Iterator<Item = &'f Fields>,
) -> Vec<(String, Kinds)> {
    let mut fields: Vec<(String, Kinds)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut place = |name: &str, fields: &mut Vec<(String, Kinds)>| match places.get(name) {
        Some(place) => *place,
        None => {
            places.insert(name.to_owned(), fields.len());
            fields.push((name.to_owned(), Kinds::default()));
            fields.len() - 1
        }
    };
    for name in known {
        place(name, &mut fields);
    }
    for record in records {
        for (name, raw) in record.entries() {
            let at = place(&name, &mut fields);
            fields[at].1.insert(Kind::of(raw.get()));
        }
    }
    fields
}
