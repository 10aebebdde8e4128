//! The keys of the language, out of the schemas: which there are, by what way one comes to them, and which of them a file uses.

use std::{collections::BTreeMap, collections::VecDeque, fs, path::Path};

use serde_json::{Map, Value};

/// The kinds of files, in the order of the page.
pub const KINDS: [&str; 4] = ["connector", "pipeline", "workspace", "case"];

pub fn file(kind: &str) -> &'static str {
    match kind {
        "connector" => "connector.yaml",
        "pipeline" => "pipelines/NAME.yaml",
        "workspace" => "renkei.yaml",
        _ => "cases/NAME.yaml",
    }
}

/// A key of a type, or a word that stands for a value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    /// The type that has it: a definition, or the kind of the file.
    pub owner: String,
    pub name: String,
    pub word: bool,
}

/// How one comes to a key.
pub struct Way {
    pub kind: &'static str,
    /// The way to its owner.
    path: String,
}

impl Way {
    pub fn shown(&self, key: &Key) -> String {
        match (key.word, self.path.is_empty()) {
            (true, _) => format!("{}: {}", self.path, key.name),
            (false, true) => key.name.clone(),
            (false, false) => format!("{}.{}", self.path, key.name),
        }
    }
}

pub struct Language {
    schemas: BTreeMap<&'static str, Value>,
    keys: Vec<(Key, Way)>,
}

impl Language {
    pub fn of(folder: &Path) -> Self {
        let read = |kind: &str| fs::read_to_string(folder.join(format!("{kind}.json"))).unwrap();
        let schemas = KINDS.map(|kind| (kind, serde_json::from_str(&read(kind)).unwrap())).into();
        let mut language = Self { schemas, keys: Vec::new() };
        let mut known = BTreeMap::new();
        for kind in KINDS {
            language.collect(kind, &mut known);
        }
        language
    }

    /// Each with the way to it, in the order of the schemas.
    pub fn keys(&self) -> impl Iterator<Item = (&Key, &Way)> {
        self.keys.iter().map(|(key, way)| (key, way))
    }

    /// The nearest ones first, so that each type is known by its shortest way.
    fn collect(&mut self, kind: &'static str, known: &mut BTreeMap<Key, ()>) {
        let root = self.schemas[kind].clone();
        let mut found = Vec::new();
        let mut seen: BTreeMap<String, ()> = BTreeMap::new();
        let mut waiting = VecDeque::from([(&root, kind.to_owned(), String::new())]);
        while let Some((schema, owner, path)) = waiting.pop_front() {
            let (schema, owner) = resolved(&root, schema, &owner);
            for branch in branches(schema) {
                waiting.push_back((branch, owner.clone(), path.clone()));
            }
            for word in words(schema) {
                found.push((Key { owner: owner.clone(), name: word.to_owned(), word: true }, path.clone()));
            }
            if let Some(item) = schema.get("items") {
                waiting.push_back((item, owner.clone(), format!("{path}[]")));
            }
            if let Some(each) = schema.get("additionalProperties").filter(|each| each.is_object()) {
                waiting.push_back((each, owner.clone(), format!("{path}.NAME")));
            }
            for (name, property) in properties(schema) {
                let key = Key { owner: owner.clone(), name: name.clone(), word: false };
                if seen.insert(format!("{owner}.{name}"), ()).is_some() {
                    continue;
                }
                let way = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                waiting.push_back((property, format!("{owner}.{name}"), way));
                found.push((key, path.clone()));
            }
        }
        for (key, path) in found {
            if known.insert(key.clone(), ()).is_none() {
                self.keys.push((key, Way { kind, path }));
            }
        }
    }

    /// Tells every key that a file of this kind uses.
    pub fn walk(&self, kind: &str, tree: &Value, tell: &mut dyn FnMut(Key)) {
        let root = &self.schemas[kind];
        walk(root, root, kind, tree, tell);
    }

    /// The kind of file that a tree is, or a beginning of it: the one that has all its keys.
    pub fn kind_of(&self, tree: &Value) -> Option<&'static str> {
        let keys = tree.as_object().filter(|keys| !keys.is_empty())?;
        let has_all = |kind: &&&str| keys.keys().all(|key| self.schemas[**kind]["properties"].get(key).is_some());
        let mut kinds = KINDS.iter().filter(has_all);
        // What several kinds have, such as `version`, tells none.
        kinds.next().filter(|_| kinds.next().is_none()).copied()
    }
}

fn walk(root: &Value, schema: &Value, owner: &str, value: &Value, tell: &mut dyn FnMut(Key)) {
    let (schema, owner) = resolved(root, schema, owner);
    for branch in branches(schema).filter(|branch| fits(root, branch, value)) {
        walk(root, branch, &owner, value, tell);
    }
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                let property = schema.get("properties").and_then(|properties| properties.get(name));
                let each = schema.get("additionalProperties").filter(|each| each.is_object());
                if let Some(property) = property {
                    tell(Key { owner: owner.clone(), name: name.clone(), word: false });
                    walk(root, property, &format!("{owner}.{name}"), value, tell);
                } else if let Some(each) = each {
                    walk(root, each, &owner, value, tell);
                }
            }
        }
        Value::Array(items) => {
            for item in schema.get("items").into_iter().flat_map(|schema| items.iter().map(move |item| (schema, item)))
            {
                walk(root, item.0, &owner, item.1, tell);
            }
        }
        Value::String(text) => {
            if words(schema).any(|word| word == text) {
                tell(Key { owner, name: text.clone(), word: true });
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a value may be of this branch of a choice.
fn fits(root: &Value, branch: &Value, value: &Value) -> bool {
    let (schema, _) = resolved(root, branch, "");
    if let Some(word) = schema.get("const") {
        return word == value;
    }
    if branches(schema).next().is_some() {
        return branches(schema).any(|branch| fits(root, branch, value));
    }
    let kind = match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "boolean",
        Value::Null => "null",
    };
    let is_kind = |named: &Value| named == kind || (kind == "number" && named == "integer");
    let of_kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(is_kind),
        Some(named) => is_kind(named),
        None => true,
    };
    let open = schema.get("additionalProperties").is_some_and(Value::is_object);
    let has = |key: &String| schema.get("properties").is_some_and(|properties| properties.get(key).is_some());
    let known = |entries: &Map<String, Value>| open || schema.get("properties").is_none() || entries.keys().all(has);
    of_kind && value.as_object().is_none_or(known)
}

/// Behind a reference stands a definition, which owns its keys.
fn resolved<'s>(root: &'s Value, schema: &'s Value, owner: &str) -> (&'s Value, String) {
    match schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/definitions/")) {
        Some(name) => (&root["definitions"][name], name.to_owned()),
        None => (schema, owner.to_owned()),
    }
}

fn branches(schema: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|name| schema.get(name)?.as_array());
    lists.flatten()
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn words(schema: &Value) -> impl Iterator<Item = &str> {
    let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    listed.chain(schema.get("const")).filter_map(Value::as_str)
}
