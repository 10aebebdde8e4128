//! What a schema says about a value, whatever it is pieced together from. An answer without a schema but with an example is
//! described by the example.

use serde_json::{Map, Value};

use super::document::{Document, Place};

/// Kinds of values, as a set. Nothing known: any.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Types(u8);

impl Types {
    pub const OBJECT: Self = Self(1);
    pub const ARRAY: Self = Self(2);
    pub const TEXT: Self = Self(4);
    pub const NUMBER: Self = Self(8);
    pub const INTEGER: Self = Self(16);
    pub const BOOLEAN: Self = Self(32);
    pub const NULL: Self = Self(64);
    /// A whole number is a number, too.
    pub const NUMERIC: Self = Self(8 | 16);
    pub const SCALAR: Self = Self(4 | 8 | 16 | 32);
    const NAMES: [(Self, &str); 7] = [
        (Self::OBJECT, "object"),
        (Self::ARRAY, "array"),
        (Self::TEXT, "string"),
        (Self::NUMBER, "number"),
        (Self::INTEGER, "integer"),
        (Self::BOOLEAN, "boolean"),
        (Self::NULL, "null"),
    ];

    fn named(name: &str) -> Self {
        Self::NAMES.iter().find(|(_, known)| *known == name).map_or(Self(0), |(types, _)| *types)
    }

    pub fn is_unknown(self) -> bool {
        self.0 & !Self::NULL.0 == 0
    }

    /// It is one of these, or nobody knows.
    pub fn may_be(self, other: Self) -> bool {
        self.is_unknown() || self.0 & other.0 != 0
    }

    /// It is known, and it is nothing but these.
    pub fn surely(self, other: Self) -> bool {
        !self.is_unknown() && self.0 & !(other.0 | Self::NULL.0) == 0
    }
}

impl std::fmt::Display for Types {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> =
            Self::NAMES.iter().filter(|(types, _)| self.0 & types.0 != 0).map(|(_, name)| *name).collect();
        f.write_str(&if names.is_empty() { "anything".to_owned() } else { names.join(" or ") })
    }
}

/// A value's description.
#[derive(Clone, Debug)]
pub struct Schema<'d> {
    document: &'d Document,
    /// The schemas it consists of, and whether each holds for sure.
    parts: Vec<(Place<'d>, bool)>,
    /// Values that were given as examples, where no schema says anything.
    samples: Vec<Place<'d>>,
}

/// A field of an object.
#[derive(Clone, Debug)]
pub struct Field<'d> {
    pub name: &'d str,
    pub schema: Schema<'d>,
    /// It must be there.
    pub required: bool,
}

impl<'d> Schema<'d> {
    pub fn of(document: &'d Document, place: Place<'d>) -> Self {
        Self { document, parts: document.parts(place), samples: Vec::new() }
    }

    pub fn of_sample(document: &'d Document, place: Place<'d>) -> Self {
        Self { document, parts: Vec::new(), samples: vec![place] }
    }

    pub fn is_sample(&self) -> bool {
        self.parts.is_empty()
    }

    fn objects(&self) -> impl Iterator<Item = (&Map<String, Value>, bool)> {
        self.parts.iter().filter_map(|(place, sure)| Some((place.value.as_object()?, *sure)))
    }

    pub fn types(&self) -> Types {
        let mut types = Types::default();
        for (object, _) in self.objects() {
            match object.get("type") {
                Some(Value::String(name)) => types.0 |= Types::named(name).0,
                Some(Value::Array(names)) => {
                    names.iter().filter_map(Value::as_str).for_each(|name| types.0 |= Types::named(name).0);
                }
                _ if object.contains_key("properties") => types.0 |= Types::OBJECT.0,
                _ if object.contains_key("items") => types.0 |= Types::ARRAY.0,
                _ => {}
            }
            if object.get("nullable") == Some(&Value::Bool(true)) {
                types.0 |= Types::NULL.0;
            }
        }
        if types.is_unknown() {
            let constants = self.objects().flat_map(|(object, _)| {
                object.get("enum").and_then(Value::as_array).into_iter().flatten().chain(object.get("const"))
            });
            let samples = self.samples.iter().map(|place| place.value);
            constants.chain(samples).for_each(|value| types.0 |= type_of(value).0);
        }
        types
    }

    /// The fields that are described, in the order of the document.
    pub fn fields(&self) -> Vec<Field<'d>> {
        let mut fields: Vec<Field<'d>> = Vec::new();
        for (place, _) in &self.parts {
            for (name, property) in place.get("properties").iter().flat_map(Place::fields) {
                self.add(&mut fields, name, Self::of(self.document, property));
            }
        }
        for place in &self.samples {
            for (name, value) in place.fields() {
                self.add(&mut fields, name, Self::of_sample(self.document, value));
            }
        }
        fields
    }

    fn add(&self, fields: &mut Vec<Field<'d>>, name: &'d str, schema: Self) {
        match fields.iter_mut().find(|field| field.name == name) {
            Some(field) => {
                field.schema.parts.extend(schema.parts);
                field.schema.samples.extend(schema.samples);
            }
            None => fields.push(Field { name, schema, required: self.requires(name) }),
        }
    }

    pub fn field(&self, name: &str) -> Option<Field<'d>> {
        self.fields().into_iter().find(|field| field.name == name)
    }

    pub fn requires(&self, name: &str) -> bool {
        let named = |object: &Map<String, Value>| {
            object.get("required").and_then(Value::as_array).is_some_and(|all| all.iter().any(|one| one == name))
        };
        self.objects().any(|(object, sure)| sure && named(object))
    }

    /// Nothing is said about what is in it.
    pub fn is_bare(&self) -> bool {
        let described = |object: &Map<String, Value>| object.contains_key("properties") || object.contains_key("items");
        self.samples.is_empty()
            && !self.objects().any(|(object, _)| described(object))
            && !self.types().surely(Types::SCALAR)
    }

    /// It may have fields that are not described: the document says so, or leaves an alternative without any.
    pub fn is_open(&self) -> bool {
        let described = |value: &Value| value.as_object().is_some_and(|rest| !rest.is_empty()) || value == true;
        self.objects().any(|(object, _)| {
            object.get("additionalProperties").is_some_and(described) || object.contains_key("patternProperties")
        })
    }

    /// Nothing that is said holds for one of several alternatives only.
    pub fn is_certain(&self) -> bool {
        self.parts.iter().all(|(_, sure)| *sure)
    }

    /// Where it stands in the document.
    pub fn pointer(&self) -> Option<&str> {
        self.parts.first().map(|(place, _)| place.pointer.as_str())
    }

    /// What a list holds.
    pub fn items(&self) -> Option<Self> {
        let mut items: Option<Self> = None;
        let mut add = |schema: Self| match &mut items {
            Some(items) => {
                items.parts.extend(schema.parts);
                items.samples.extend(schema.samples);
            }
            None => items = Some(schema),
        };
        for (place, _) in &self.parts {
            if let Some(inside) = place.get("items") {
                add(Self::of(self.document, inside));
            }
        }
        for item in self.samples.iter().flat_map(Place::items).take(3) {
            add(Self::of_sample(self.document, item));
        }
        items
    }

    /// The first thing that is said under a key.
    pub fn said(&self, key: &str) -> Option<&Value> {
        self.objects().find_map(|(object, _)| object.get(key))
    }

    pub fn format(&self) -> &str {
        self.said("format").and_then(Value::as_str).unwrap_or_default()
    }

    pub fn description(&self) -> &str {
        self.said("description").and_then(Value::as_str).unwrap_or_default()
    }

    pub fn number(&self, key: &str) -> Option<u64> {
        self.said(key).and_then(Value::as_u64)
    }

    /// The texts that it may be.
    pub fn choices(&self) -> Vec<String> {
        let all = self.said("enum").and_then(Value::as_array);
        all.into_iter().flatten().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned)).collect()
    }
}

fn type_of(value: &Value) -> Types {
    match value {
        Value::Null => Types::NULL,
        Value::Bool(_) => Types::BOOLEAN,
        Value::Number(number) if number.is_f64() => Types::NUMBER,
        Value::Number(_) => Types::INTEGER,
        Value::String(_) => Types::TEXT,
        Value::Array(_) => Types::ARRAY,
        Value::Object(_) => Types::OBJECT,
    }
}
