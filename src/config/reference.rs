//! The reference of a kind of file as Markdown, made from its JSON Schema: every key with its type, its default and what it means. What
//! the types say is all there is, so it cannot drift from what is accepted.

use std::{collections::BTreeSet, fmt::Write};

use serde_json::{Map, Value};

use super::schema::{FileKind, schema};

/// A page for a kind of file.
pub fn reference(kind: FileKind) -> String {
    let schema = schema(kind);
    let file = match kind {
        FileKind::Workspace => "renkei.yaml",
        FileKind::Connector => "connectors/NAME/connector.yaml",
        FileKind::Pipeline => "pipelines/NAME.yaml",
        FileKind::Case => "connectors/NAME/cases/CASE.yaml",
    };
    let mut page =
        Page { definitions: &schema["definitions"], text: String::new(), told: BTreeSet::new(), next: Vec::new() };
    page.line(format_args!("# {file}\n"));
    page.line("Every key, made from the types that read the file. [configuration.md](../configuration.md) explains them with examples, and");
    page.line("[keys.md](../keys.md) says where each is used.\n");
    page.about(&schema);
    page.keys(&schema);
    while let Some((heading, value)) = page.next.pop() {
        page.section(&heading, &value);
    }
    page.text
}

struct Page<'s> {
    definitions: &'s Value,
    text: String,
    told: BTreeSet<String>,
    /// What is named and not told yet, the next one last.
    next: Vec<(String, Value)>,
}

impl Page<'_> {
    fn line(&mut self, line: impl std::fmt::Display) {
        // Writing into a text does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn about(&mut self, value: &Value) {
        if let Some(description) = value["description"].as_str() {
            self.line(format_args!("{}\n", description.replace('\n', " ")));
        }
    }

    fn section(&mut self, heading: &str, value: &Value) {
        self.line(format_args!("\n## {heading}\n"));
        self.about(value);
        match &value["oneOf"] {
            Value::Array(kinds) => self.kinds(kinds),
            _ if value["properties"].is_object() => self.keys(value),
            _ => self.values(value),
        }
    }

    /// A map with given keys.
    fn keys(&mut self, value: &Value) {
        let none = Map::new();
        let properties = value["properties"].as_object().unwrap_or(&none);
        if properties.is_empty() {
            return;
        }
        let is_required =
            |key: &str| value["required"].as_array().is_some_and(|keys| keys.iter().any(|one| one == key));
        let mut later = Vec::new();
        self.line("| key | type | default | means |");
        self.line("|---|---|---|---|");
        for (key, property) in properties {
            let (means, default) = parted(property["description"].as_str().unwrap_or_default());
            let default = if is_required(key) { "required" } else { default };
            let kind = self.kind(key, property, &mut later);
            self.line(format_args!("| `{key}` | {kind} | {} | {} |", cell(default), cell(means)));
        }
        self.follow(later);
    }

    /// One of several: words, or maps with one key each.
    fn kinds(&mut self, kinds: &[Value]) {
        let mut later = Vec::new();
        self.line("One of:\n\n| key or word | type | means |");
        self.line("|---|---|---|");
        for kind in kinds {
            let means = kind["description"].as_str().unwrap_or_default();
            match kind["properties"].as_object().and_then(|properties| properties.iter().next()) {
                Some((key, value)) => {
                    let shown = self.kind(key, value, &mut later);
                    self.line(format_args!("| `{key}:` | {shown} | {} |", cell(means)));
                }
                None => {
                    let words = kind["const"].as_str().map(|word| vec![word.to_owned()]);
                    let words = words.unwrap_or_else(|| texts(&kind["enum"]));
                    self.line(format_args!("| `{}` | word | {} |", words.join("`, `"), cell(means)));
                }
            }
        }
        self.follow(later);
    }

    /// A plain value that is written in a way of its own.
    fn values(&mut self, value: &Value) {
        let examples = value["examples"].as_array().into_iter().flatten();
        let examples: Vec<String> =
            examples.map(|one| format!("`{}`", one.as_str().map_or(one.to_string(), str::to_owned))).collect();
        if !examples.is_empty() {
            self.line(format_args!("Such as {}.", examples.join(", ")));
        } else if value["additionalProperties"] == false {
            self.line("Written `{}`.");
        }
    }

    /// How a type is called, with a link where it has a section. What is met for the first time is noted.
    fn kind(&self, key: &str, value: &Value, later: &mut Vec<(String, Value)>) -> String {
        if let Some(name) = value["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            return self.named(name, later);
        }
        if let Some(Value::Array(any)) =
            ["anyOf", "allOf", "oneOf"].map(|of| value.get(of)).into_iter().flatten().next()
            && value["oneOf"].is_null()
        {
            let kinds: Vec<String> =
                any.iter().filter(|one| one["type"] != "null").map(|one| self.kind(key, one, later)).collect();
            return kinds.join(" or ");
        }
        if value["oneOf"].is_array() || value["properties"].is_object() {
            later.push((key.to_owned(), value.clone()));
            return format!("[{key}](#{key})");
        }
        let mut one = |name: &str| match name {
            "string" => "text".to_owned(),
            "integer" => "whole number".to_owned(),
            "boolean" => "true or false".to_owned(),
            "array" => format!("list of {}", self.kind(key, &value["items"], later)),
            "object" if value["additionalProperties"].is_object() => {
                format!("map of {}", self.kind(key, &value["additionalProperties"], later))
            }
            "object" => "map".to_owned(),
            other => other.to_owned(),
        };
        let names = match &value["type"] {
            Value::String(name) => vec![name.clone()],
            list => texts(list),
        };
        let kinds: Vec<String> = names.iter().filter(|name| *name != "null").map(|name| one(name)).collect();
        match kinds.is_empty() {
            true => "anything".to_owned(),
            false => kinds.join(", "),
        }
    }

    fn named(&self, name: &str, later: &mut Vec<(String, Value)>) -> String {
        match &self.definitions[name] {
            // Free trees are told of where they are used.
            tree if tree["type"].is_array() && tree["description"].is_null() => "anything".to_owned(),
            definition => {
                let heading = heading(name);
                later.push((heading.clone(), definition.clone()));
                format!("[{heading}](#{heading})")
            }
        }
    }

    /// Tells of these next, in their order, and of nothing twice.
    fn follow(&mut self, later: Vec<(String, Value)>) {
        let new: Vec<_> = later.into_iter().filter(|(heading, _)| self.told.insert(heading.clone())).collect();
        self.next.extend(new.into_iter().rev());
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

/// `RawCursorPages` is called `cursor-pages`.
fn heading(name: &str) -> String {
    let mut heading = String::new();
    for letter in name.strip_prefix("Raw").unwrap_or(name).chars() {
        if letter.is_ascii_uppercase() && !heading.is_empty() {
            heading.push('-');
        }
        heading.push(letter.to_ascii_lowercase());
    }
    heading
}

/// What a key means, and its default, which the comments say in a sentence of its own.
fn parted(description: &str) -> (&str, &str) {
    match description.find("Default") {
        Some(at) => {
            let default = description[at + "Default".len()..].trim_start_matches(':').trim();
            (description[..at].trim_end(), default.trim_end_matches('.'))
        }
        None => (description, ""),
    }
}

fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}
