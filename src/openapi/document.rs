//! The document as a tree, and how its references are followed. A document that is handed out has no reference that leads
//! nowhere, out of the document, or only to itself; schemas that contain themselves are normal.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::{
    contract::{decoded, escaped},
    model::Code,
};

/// References that lead to references.
const HOPS_MAX: usize = 32;

/// Why a document cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    pub code: Code,
    /// A JSON pointer into the document, or a line and column where there is no tree yet.
    pub at: String,
    pub message: String,
    pub help: &'static str,
}

impl Trouble {
    pub fn new(at: impl Into<String>, message: impl Into<String>, help: &'static str) -> Self {
        Self { code: Code::ApiDocument, at: at.into(), message: message.into(), help }
    }
}

/// The generation of a document: what stands where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Generation {
    Swagger2,
    OpenApi3,
}

/// A document whose references hold.
#[derive(Debug)]
pub struct Document {
    pub root: Value,
    pub generation: Generation,
    /// As it calls itself, such as `3.1.0`.
    pub version: String,
    /// SHA-256 of the file, in hexadecimal digits.
    pub digest: String,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Place<'d> {
    pub value: &'d Value,
    pub pointer: String,
}

impl<'d> Place<'d> {
    pub fn get(&self, key: &str) -> Option<Place<'d>> {
        let value = self.value.get(key)?;
        Some(Place { value, pointer: format!("{}/{}", self.pointer, escaped(key)) })
    }

    pub fn text(&self, key: &str) -> Option<&'d str> {
        self.value.get(key)?.as_str()
    }

    pub fn flag(&self, key: &str) -> bool {
        self.value.get(key).and_then(Value::as_bool) == Some(true)
    }

    pub fn fields(&self) -> Vec<(&'d str, Place<'d>)> {
        let place = |(key, value): (&'d String, &'d Value)| {
            (key.as_str(), Place { value, pointer: format!("{}/{}", self.pointer, escaped(key)) })
        };
        self.value.as_object().map(|fields| fields.iter().map(place).collect()).unwrap_or_default()
    }

    pub fn items(&self) -> Vec<Place<'d>> {
        let place = |(at, value): (usize, &'d Value)| Place { value, pointer: format!("{}/{at}", self.pointer) };
        self.value.as_array().map(|items| items.iter().enumerate().map(place).collect()).unwrap_or_default()
    }
}

impl Document {
    /// A document of a tree, if it is one and its references hold.
    pub fn of(root: Value, digest: String) -> Result<Self, Trouble> {
        let version =
            |key: &str| root.get(key).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let (generation, version) = match (version("openapi"), version("swagger")) {
            (Some(version), _) if version.starts_with("3.") => (Generation::OpenApi3, version),
            (None, Some(version)) if version.starts_with("2.") || version == "2" => (Generation::Swagger2, version),
            (Some(version), _) | (None, Some(version)) => {
                let message = format!("its version {version} is not known");
                return Err(Trouble::new("", message, "OpenAPI 3.0 and 3.1 and Swagger 2.0 can be read"));
            }
            (None, None) => {
                let message = "this is no OpenAPI document: it has neither `openapi` nor `swagger`";
                return Err(Trouble::new("", message, "give the vendor's OpenAPI document, as JSON or YAML"));
            }
        };
        if !root.get("paths").is_some_and(Value::is_object) {
            let help = "there is nothing to read or write in it; look for the vendor's whole document";
            return Err(Trouble::new("", "it has no `paths`", help));
        }
        let document = Self { root, generation, version, digest };
        document.references_hold(&document.root, &mut String::new())?;
        Ok(document)
    }

    pub fn place(&self) -> Place<'_> {
        Place { value: &self.root, pointer: String::new() }
    }

    /// Its title and the version of what it describes; empty where it does not say.
    pub fn info(&self) -> (&str, &str) {
        let said = |key: &str| self.root.get("info").and_then(|info| info.get(key)?.as_str()).unwrap_or_default();
        (said("title"), said("version"))
    }

    /// Follows a reference, if there is one.
    pub fn resolve<'d>(&'d self, place: Place<'d>) -> Place<'d> {
        self.follow(place.clone()).unwrap_or(place)
    }

    fn follow<'d>(&'d self, place: Place<'d>) -> Result<Place<'d>, Trouble> {
        let mut at = place.clone();
        for _ in 0..HOPS_MAX {
            let Some(reference) = reference(at.value) else { return Ok(at) };
            let Some(pointer) = reference.strip_prefix('#') else {
                let message = format!("`$ref` leads out of the document, to {reference:?}");
                let help =
                    "bundle it into one file first, with the vendor's or any OpenAPI bundler; nothing else is read";
                return Err(Trouble::new(at.pointer, message, help));
            };
            let decoded = decoded(pointer);
            let Some(value) = self.root.pointer(&decoded) else {
                let help = "the document is incomplete or misspelled; look for a newer one, or mend this place";
                return Err(Trouble::new(
                    at.pointer,
                    format!("`$ref` leads to {reference:?}, which is not there"),
                    help,
                ));
            };
            at = Place { value, pointer: decoded };
        }
        let help =
            "references may meet again inside of what they refer to, but must lead to something; mend this place";
        Err(Trouble::new(place.pointer, "`$ref` only leads to other references, in a circle", help))
    }

    /// Values that are examples are not looked into.
    fn references_hold(&self, value: &Value, pointer: &mut String) -> Result<(), Trouble> {
        let length = pointer.len();
        match value {
            Value::Object(fields) => {
                if reference(value).is_some() {
                    self.follow(Place { value, pointer: pointer.clone() })?;
                }
                for (key, field) in fields.iter().filter(|(key, _)| !is_data(key, fields)) {
                    pointer.push('/');
                    pointer.push_str(&escaped(key));
                    self.references_hold(field, pointer)?;
                    pointer.truncate(length);
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    pointer.push_str(&format!("/{at}"));
                    self.references_hold(item, pointer)?;
                    pointer.truncate(length);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The schemas that a schema consists of: itself, what it refers to, what `allOf` adds; and, less surely, its
    /// alternatives. Circles end where they began.
    pub fn parts<'d>(&'d self, place: Place<'d>) -> Vec<(Place<'d>, bool)> {
        let mut parts = Vec::new();
        let mut seen = HashSet::new();
        self.collect(place, true, &mut seen, &mut parts);
        parts
    }

    fn collect<'d>(
        &'d self,
        place: Place<'d>,
        sure: bool,
        seen: &mut HashSet<String>,
        parts: &mut Vec<(Place<'d>, bool)>,
    ) {
        const PARTS_MAX: usize = 200;
        if parts.len() >= PARTS_MAX || !seen.insert(place.pointer.clone()) {
            return;
        }
        parts.push((place.clone(), sure));
        if reference(place.value).is_some() {
            self.collect(self.resolve(place.clone()), sure, seen, parts);
        }
        for part in place.get("allOf").iter().flat_map(Place::items) {
            self.collect(part, sure, seen, parts);
        }
        for key in ["oneOf", "anyOf"] {
            let alternatives = place.get(key).map(|all| all.items()).unwrap_or_default();
            let real = |part: &Place<'_>| part.text("type") != Some("null");
            let alone = alternatives.iter().filter(|part| real(part)).count() == 1;
            for part in alternatives {
                self.collect(part, sure && alone, seen, parts);
            }
        }
    }
}

/// Keys under which a document holds values instead of descriptions of them. `properties: { example: .. }` is a description.
fn is_data(key: &str, beside: &Map<String, Value>) -> bool {
    let data = matches!(key, "example" | "examples" | "default" | "enum" | "const") || key.starts_with("x-");
    data && !beside.values().all(Value::is_object)
}

fn reference(value: &Value) -> Option<&str> {
    value.get("$ref")?.as_str()
}
