//! The small types that the raw configuration is made of: values with their places, maps that keep their order, secrets,
//! texts that are not filled, free trees. Each tells `read.rs` what it wants by the name it deserializes under.

use std::{borrow::Cow, fmt, marker::PhantomData};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::SecretString;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use super::source::Span;

pub const SPANNED: &str = "$spanned";
pub const SECRET: &str = "$secret";
pub const SECRET_URL: &str = "$secret_url";
pub const CODE: &str = "$code";
pub const LIST: &str = "$list";
pub const TREE: &str = "$tree";
pub const NAMED: &str = "$named";
pub const KEPT: &str = "$kept";

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Spanned<T> {
    pub value: T,
    pub span: Span,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Parts<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Parts<T> {
            type Value = Spanned<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
                let mut number = || parts.next_element::<u32>().map(Option::unwrap_or_default);
                let span = Span { file: number()?, start: number()?, end: number()? };
                match parts.next_element()? {
                    Some(value) => Ok(Spanned { value, span }),
                    None => Err(serde::de::Error::custom("a value is missing")),
                }
            }
        }
        from.deserialize_newtype_struct(SPANNED, Parts(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A map from names that people choose, in the order of the file.
#[derive(Clone, Debug)]
pub struct Named<T> {
    entries: Vec<(Spanned<String>, T)>,
    /// Names whose values cannot be read. They exist, so nobody is told that they are unknown.
    dropped: Vec<String>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), dropped: Vec::new() }
    }
}

impl<T> Named<T> {
    pub fn iter(&self) -> std::slice::Iter<'_, (Spanned<String>, T)> {
        self.entries.iter()
    }

    pub fn dropped(&self) -> &[String] {
        &self.dropped
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.dropped.is_empty()
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some() || self.dropped.iter().any(|dropped| dropped == name)
    }

    pub fn get(&self, name: &str) -> Option<&(Spanned<String>, T)> {
        self.entries.iter().find(|(key, _)| key.value == name)
    }

    pub fn names(&self) -> Vec<&str> {
        self.entries.iter().map(|(key, _)| key.value.as_str()).chain(self.dropped.iter().map(String::as_str)).collect()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut named = Named::default();
                while let Some(key) = map.next_key::<Spanned<String>>()? {
                    match map.next_value()? {
                        Kept(Some(value)) => named.entries.push((key, value)),
                        Kept(None) => named.dropped.push(key.value),
                    }
                }
                Ok(named)
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
                from.deserialize_map(self)
            }
        }
        from.deserialize_newtype_struct(NAMED, Entries(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Named_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": generator.subschema_for::<T>() })
    }
}

/// A value of a map of names, or nothing when it was dropped.
struct Kept<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Kept<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Value<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Value<T> {
            type Value = Kept<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Kept<T>, E> {
                Ok(Kept(None))
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<Kept<T>, D::Error> {
                T::deserialize(from).map(|value| Kept(Some(value)))
            }
        }
        from.deserialize_newtype_struct(KEPT, Value(PhantomData))
    }
}

/// One value or a list of them.
#[derive(Clone, Debug)]
pub struct OneOrMany<T>(pub Vec<Spanned<T>>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Values<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Values<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or a list of values")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(value) = list.next_element()? {
                    all.push(value);
                }
                Ok(OneOrMany(all))
            }
        }
        from.deserialize_newtype_struct(LIST, Values(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

/// An empty map: a kind without settings.
#[derive(Clone, Copy, Default, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// Filled from a reference; a literal is refused. It never stands in a plain text once it was read.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline)]
pub struct Secret(#[schemars(with = "String", extend("pattern" = r"\$\{.+\}"))] pub SecretString);

/// A URL that may hold a password; a literal password is refused.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline)]
pub struct SecretUrl(#[schemars(with = "String")] pub SecretString);

/// An expression or a template: `${}` is not filled in it.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(inline)]
pub struct Source(#[schemars(with = "String", extend("type" = ["string", "number", "boolean"]))] pub String);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_newtype_struct(SECRET, Text).map(|text| Self(text.into()))
    }
}

impl<'de> Deserialize<'de> for SecretUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_newtype_struct(SECRET_URL, Text).map(|text| Self(text.into()))
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_newtype_struct(CODE, Text).map(Self)
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

/// JSON as people write it in YAML. Numbers keep their text, and texts are not filled.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename = "$tree", rename_all = "snake_case")]
pub enum Tree {
    Null,
    Bool(bool),
    Number(Source),
    Text(Source),
    List(Vec<Spanned<Tree>>),
    Map(Named<Spanned<Tree>>),
}

impl JsonSchema for Tree {
    fn schema_name() -> Cow<'static, str> {
        "Tree".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["object", "array", "string", "number", "boolean", "null"] })
    }
}
