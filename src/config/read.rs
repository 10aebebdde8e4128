//! Reads the raw types out of a tree with places. serde stops at the first mistake; a report must hold all of them, so a
//! part that cannot be read is dropped and the file is read again without it, until it reads or nothing is left.
//!
//! Scalars are filled here, at the last moment, and typed values never quote what they were filled with: a message may
//! name a type, a key or a bound, not a value.

use std::{cell::RefCell, path::Path};

use serde::de::{self, DeserializeOwned, Visitor};
use zeroize::Zeroizing;

use super::{
    access::{Choice, Entries, Items, Parts, Single},
    diagnostic::Problem,
    environment::Environment,
    fill::{self, Filled, HOLE},
    mistake::Mistake,
    node::{Entry, Node, Scalar, ScalarKind, Value, kind_of},
    shape,
    source::Span,
    suggest,
};
use crate::model::Code;

/// More mistakes than this in one file are not collected.
const MISTAKES_MAX: usize = 100;

/// What reading needs besides the tree.
pub struct Reading<'a> {
    pub env: &'a dyn Environment,
    /// The workspace: where relative secret files are found.
    pub base: &'a Path,
    /// A missing variable is no problem; checks go on with a stand-in.
    pub offline: bool,
    pub problems: RefCell<Vec<Problem>>,
    /// The places of parts that could not be read.
    pub dropped: RefCell<Vec<Span>>,
}

impl Reading<'_> {
    /// Reports the references that could not be filled.
    pub fn report_missing(&self, filled: &Filled, span: Span) {
        for missing in filled.missing.iter().filter(|missing| missing.malformed || !self.offline) {
            let code = if missing.malformed { Code::YamlSyntax } else { Code::MissingVariable };
            self.problems.borrow_mut().push(Problem::new(code, span, &missing.message).help(&missing.help));
        }
    }
}

/// Reads a file's tree. Parts that cannot be read are noted in `reading`, so that later checks do not complain about what
/// is only missing because of that.
pub fn read<T: DeserializeOwned>(node: &Node, reading: &Reading<'_>) -> Option<T> {
    for _ in 0..MISTAKES_MAX {
        match T::deserialize(From { node, key: None, reading }) {
            Ok(value) => return Some(value),
            Err(mistake) => {
                let dropped = mistake.dropped;
                if let Some(problem) = mistake.problem(node.span) {
                    reading.problems.borrow_mut().push(problem);
                }
                if !dropped {
                    break;
                }
            }
        }
    }
    None
}

/// One value of the tree, as serde wants to see it.
#[derive(Clone, Copy)]
pub struct From<'n, 'r> {
    pub node: &'n Node,
    /// The key it stands under, which is the better place to point at when something is missing inside it.
    pub key: Option<Span>,
    pub reading: &'r Reading<'r>,
}

impl<'n> From<'n, '_> {
    fn found(&self) -> &'static str {
        match &self.node.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Scalar(scalar) if !scalar.plain => "a text",
            Value::Scalar(scalar) => match kind_of(&scalar.text) {
                ScalarKind::Null => "nothing",
                ScalarKind::True | ScalarKind::False => "a boolean",
                ScalarKind::Integer => "an integer",
                ScalarKind::Decimal => "a decimal number",
                ScalarKind::Text => "a text",
            },
        }
    }

    fn wrong(&self, expected: &str) -> Mistake {
        Mistake::new(Code::WrongType, format!("expected {expected}, found {}", self.found())).at(self.node.span)
    }

    fn scalar(&self, expected: &str) -> Result<&'n Scalar, Mistake> {
        match &self.node.value {
            Value::Scalar(scalar) => Ok(scalar),
            _ => Err(self.wrong(expected)),
        }
    }

    /// The scalar's text, filled, and whether it held references. Missing variables are reported here.
    fn filled(&self, scalar: &Scalar) -> (Zeroizing<String>, bool) {
        let filled = fill::fill(&scalar.text, self.reading.env, self.reading.base);
        self.reading.report_missing(&filled, self.node.span);
        (filled.text, filled.references)
    }

    /// The text of a scalar that must be one.
    fn text(&self) -> Result<Zeroizing<String>, Mistake> {
        let scalar = self.scalar("a text")?;
        if scalar.plain && kind_of(&scalar.text) == ScalarKind::Null {
            return Err(self.wrong("a text"));
        }
        Ok(self.filled(scalar).0)
    }

    fn entries(&self, expected: &str) -> Result<&'n [Entry], Mistake> {
        match &self.node.value {
            Value::Map(entries) => Ok(entries),
            _ => Err(self.wrong(expected)),
        }
    }

    /// A secret's text. A literal is refused, and hidden in what is shown.
    fn secret(&self, literal: fn(&str) -> bool) -> Result<Zeroizing<String>, Mistake> {
        let text = self.text().map_err(Mistake::masked)?;
        let written = &self.scalar("a text")?.text;
        if literal(written) {
            let message = "a secret is written into the file; whoever reads the file has it";
            let help = "write ${NAME} and set the variable NAME, or ${file:/run/secrets/name}; and change the secret, \
                        for it may be in backups and version control";
            let problem = Problem::new(Code::LiteralSecret, self.node.span, message).help(help).mask(self.node.span);
            self.reading.problems.borrow_mut().push(problem);
        }
        Ok(text)
    }
}

/// A URL whose password is written out.
fn literal_password(url: &str) -> bool {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or("");
    let password = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':')).map(|(_, password)| password);
    password.is_some_and(|password| !password.is_empty() && !fill::has_reference(password))
        || url.split_once("password=").is_some_and(|(_, rest)| !rest.starts_with("${"))
}

impl<'de> de::Deserializer<'de> for From<'_, '_> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match &self.node.value {
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.deserialize_map(visitor),
            Value::Scalar(scalar) => {
                let (text, references) = self.filled(scalar);
                if text.contains(HOLE) {
                    return visitor.visit_u64(1).map_err(|mistake: Mistake| mistake.at(self.node.span));
                }
                let kind = if scalar.plain || references { kind_of(&text) } else { ScalarKind::Text };
                match (kind, text.parse::<u64>(), text.parse::<i64>()) {
                    (ScalarKind::Null, ..) => visitor.visit_unit(),
                    (ScalarKind::True, ..) => visitor.visit_bool(true),
                    (ScalarKind::False, ..) => visitor.visit_bool(false),
                    (ScalarKind::Integer, Ok(number), _) => visitor.visit_u64(number),
                    (ScalarKind::Integer, _, Ok(number)) => visitor.visit_i64(number),
                    (ScalarKind::Integer | ScalarKind::Decimal, ..) => visitor.visit_f64(text.parse().unwrap_or(0.0)),
                    (ScalarKind::Text, ..) => visitor.visit_str(&text),
                }
                .map_err(|mistake: Mistake| mistake.at(self.node.span))
            }
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let scalar = self.scalar("true or false")?;
        let (text, references) = self.filled(scalar);
        match kind_of(&text) {
            ScalarKind::True if scalar.plain || references => visitor.visit_bool(true),
            ScalarKind::False if scalar.plain || references => visitor.visit_bool(false),
            _ if text.contains(HOLE) => visitor.visit_bool(false),
            _ => Err(self.wrong("true or false").help("write true or false; yes, no, on and off are texts")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let text = self.text()?;
        visitor.visit_str(&text).map_err(|mistake: Mistake| mistake.at(self.node.span))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match &self.node.value {
            Value::Scalar(scalar) if scalar.plain && kind_of(&scalar.text) == ScalarKind::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Mistake> {
        match name {
            shape::SPANNED => visitor.visit_seq(Parts::new(self)),
            shape::SECRET => visitor.visit_str(&self.secret(|written| !fill::has_reference(written))?),
            shape::SECRET_URL => visitor.visit_str(&self.secret(literal_password)?),
            shape::NAMED | shape::KEPT => visitor.visit_newtype_struct(self),
            shape::CODE => match self.scalar("a text")? {
                scalar if scalar.plain && kind_of(&scalar.text) == ScalarKind::Null => Err(self.wrong("a text")),
                scalar => visitor.visit_str(&scalar.text),
            },
            shape::LIST => match &self.node.value {
                Value::List(_) => self.deserialize_seq(visitor),
                _ => visitor.visit_seq(Single(Some(self))),
            },
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match &self.node.value {
            Value::List(items) => visitor.visit_seq(Items::new(items, self.reading)),
            _ => Err(self.wrong("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let entries = self.entries("a map")?;
        visitor.visit_map(Entries::new(entries, None, self.reading))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let entries = self.entries("a map of settings")?;
        let dropped = entries.iter().any(|entry| entry.dropped.is());
        let map = Entries::new(entries, Some(fields), self.reading);
        visitor.visit_map(map).map_err(|mut mistake: Mistake| {
            if mistake.code == Code::MissingKey && mistake.span.is_none() {
                mistake.follows = dropped;
                mistake = mistake.at(self.key.unwrap_or(Span { end: self.node.span.start, ..self.node.span }));
            }
            mistake
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let choice = if name == shape::TREE { self.tree_kind() } else { self.choice(variants)? };
        visitor.visit_enum(choice)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
        identifier ignored_any
    }
}

impl<'n, 'r> From<'n, 'r> {
    /// The kind that a map's only key, or a bare word, names.
    fn choice(self, variants: &'static [&'static str]) -> Result<Choice<'n, 'r>, Mistake> {
        let list = variants.join(", ");
        let (name, span, content) = match &self.node.value {
            Value::Scalar(scalar) if kind_of(&scalar.text) != ScalarKind::Null => {
                (scalar.text.as_str(), self.node.span, None)
            }
            Value::Map(entries) if !entries.is_empty() => {
                if let Some(extra) = entries.get(1) {
                    let message = format!("`{}` and `{}` name two kinds where one belongs", entries[0].key, extra.key);
                    return Err(Mistake::new(Code::Conflict, message)
                        .help(format!("keep one of: {list}"))
                        .at(extra.key_span));
                }
                (entries[0].key.as_str(), entries[0].key_span, Some(&entries[0]))
            }
            _ => {
                let at = self.key.unwrap_or(self.node.span);
                let message = format!("expected one of {list}, found {}", self.found());
                return Err(Mistake::new(Code::WrongType, message).at(at));
            }
        };
        let Some(variant) = variants.iter().find(|variant| **variant == name) else {
            let help = suggest::or_list(name, variants.iter().copied(), "the kinds are");
            return Err(Mistake::new(Code::UnknownKey, format!("unknown kind `{name}`")).help(help).at(span));
        };
        let content = content.map(|entry| From { node: &entry.node, key: Some(entry.key_span), ..self });
        Ok(Choice { variant, span, content })
    }

    fn tree_kind(self) -> Choice<'n, 'r> {
        let variant = match &self.node.value {
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Scalar(scalar) if !scalar.plain => "text",
            Value::Scalar(scalar) => match kind_of(&scalar.text) {
                ScalarKind::Null => return Choice { variant: "null", span: self.node.span, content: None },
                ScalarKind::True | ScalarKind::False => "bool",
                ScalarKind::Integer | ScalarKind::Decimal => "number",
                ScalarKind::Text => "text",
            },
        };
        Choice { variant, span: self.node.span, content: Some(self) }
    }
}
