//! Which fields a schema describes, wherever in it they are described: behind references, in alternatives, in lists. What a schema
//! says nothing about is a new field; whether it may be there is another question.
//!
//! The hard idea is that a value is described by a set of places in the schema, and a field of it by another set. Sets are made once
//! each, so a schema that contains itself comes to an end.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::{pointer::escaped, refs};
use crate::model::Step;

/// Sets of places. A schema with more is followed no further, and nothing new is told behind it.
const NODES_MAX: usize = 5_000;
/// New fields that are told of one record.
const TOLD_MAX: usize = 100;

/// What a schema says about fields.
#[derive(Debug)]
pub struct Known {
    nodes: Vec<Node>,
}

#[derive(Default, Debug)]
struct Node {
    fields: HashMap<String, usize>,
    rest: Rest,
    items: Option<usize>,
}

/// The fields that are not described by name.
#[derive(Clone, Copy, Default, Debug)]
enum Rest {
    /// Nothing is said about any of them.
    #[default]
    Open,
    /// Each of them is new.
    New,
    /// All of them are described so.
    Like(usize),
}

type Places = BTreeSet<String>;

struct Maker<'s> {
    root: &'s Value,
    nodes: Vec<Node>,
    made: BTreeMap<Places, usize>,
    waiting: Vec<(usize, Places)>,
}

impl Known {
    /// Of a schema whose references are checked.
    pub fn of(root: &Value) -> Self {
        let mut maker = Maker { root, nodes: Vec::new(), made: BTreeMap::new(), waiting: Vec::new() };
        maker.node([String::new()].into());
        while let Some((at, places)) = maker.waiting.pop() {
            let node = maker.describe(&places);
            maker.nodes[at] = node;
        }
        Self { nodes: maker.nodes }
    }

    /// The fields of a record that are not described, with what stands there.
    pub fn new_fields<'r>(&self, record: &'r Value) -> Vec<(Vec<Step>, &'r Value)> {
        let mut found = Vec::new();
        self.walk(0, record, &mut Vec::new(), &mut found);
        found
    }

    fn walk<'r>(&self, node: usize, value: &'r Value, at: &mut Vec<Step>, found: &mut Vec<(Vec<Step>, &'r Value)>) {
        let Some(node) = self.nodes.get(node) else { return };
        match value {
            Value::Object(fields) => {
                for (name, inner) in fields {
                    if found.len() >= TOLD_MAX {
                        return;
                    }
                    at.push(Step::Field(name.clone()));
                    match (node.fields.get(name).copied(), node.rest) {
                        (Some(next), _) | (None, Rest::Like(next)) => self.walk(next, inner, at, found),
                        (None, Rest::New) => found.push((at.clone(), inner)),
                        (None, Rest::Open) => {}
                    }
                    at.pop();
                }
            }
            Value::Array(items) => {
                let Some(next) = node.items else { return };
                for (index, inner) in items.iter().enumerate() {
                    at.push(Step::Item(index));
                    self.walk(next, inner, at, found);
                    at.pop();
                }
            }
            _ => {}
        }
    }
}

impl Maker<'_> {
    fn node(&mut self, places: Places) -> Option<usize> {
        if let Some(known) = self.made.get(&places) {
            return Some(*known);
        }
        if self.nodes.len() >= NODES_MAX {
            return None;
        }
        let at = self.nodes.len();
        self.nodes.push(Node::default());
        self.made.insert(places.clone(), at);
        self.waiting.push((at, places));
        Some(at)
    }

    fn describe(&mut self, places: &Places) -> Node {
        let root = self.root;
        let all = closure(root, places);
        let parts: Vec<(&String, &Map<String, Value>)> =
            all.iter().filter_map(|at| Some((at, root.pointer(at)?.as_object()?))).collect();
        let mut fields: BTreeMap<&String, Places> = BTreeMap::new();
        let (mut rest, mut items) = (Places::new(), Places::new());
        let mut open = false;
        for (at, part) in &parts {
            for name in part.get("properties").and_then(Value::as_object).iter().flat_map(|all| all.keys()) {
                fields.entry(name).or_default().insert(format!("{at}/properties/{}", escaped(name)));
            }
            if part.get("additionalProperties").and_then(Value::as_object).is_some_and(|it| !it.is_empty()) {
                rest.insert(format!("{at}/additionalProperties"));
            }
            open |= part.contains_key("patternProperties");
            if part.get("items").is_some_and(Value::is_object) && !part.contains_key("prefixItems") {
                items.insert(format!("{at}/items"));
            }
        }
        let says_nothing = fields.is_empty();
        let fields = fields.into_iter().filter_map(|(name, places)| Some((name.clone(), self.node(places)?))).collect();
        let like = if rest.is_empty() { None } else { self.node(rest.clone()) };
        let rest = match like {
            Some(node) => Rest::Like(node),
            None if open || says_nothing || !rest.is_empty() => Rest::Open,
            None => Rest::New,
        };
        Node { fields, rest, items: if items.is_empty() { None } else { self.node(items) } }
    }
}

/// All places that are about the same value as these, but for what it must not be.
fn closure(root: &Value, places: &Places) -> Places {
    let mut all = Places::new();
    let mut waiting: Vec<String> = places.iter().cloned().collect();
    while let Some(at) = waiting.pop() {
        if let Some(schema) = root.pointer(&at).filter(|_| !all.contains(&at)) {
            waiting.extend(refs::beside(schema, &at).into_iter().filter(|next| !next.ends_with("/not")));
        }
        all.insert(at);
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Path;

    fn new_fields(schema: Value, record: Value) -> Vec<String> {
        let found = Known::of(&schema).new_fields(&record);
        found.iter().map(|(at, _)| Path::of(at).unwrap().to_string()).collect()
    }

    #[test]
    fn fields_are_known_wherever_they_are_described() {
        let schema = json!({
            "properties": {"id": {}, "lines": {"items": {"$ref": "#/$defs/line"}}, "map": {"additionalProperties": {"$ref": "#/$defs/line"}}},
            "allOf": [{"properties": {"a": {"properties": {"x": {}}}}}, {"properties": {"a": {"properties": {"y": {}}}}}],
            "anyOf": [{"properties": {"b": {}}}, {"type": "null"}],
            "$defs": {"line": {"properties": {"sku": {}, "parts": {"items": {"$ref": "#/$defs/line"}}}}}
        });
        let record = json!({
            "id": {"free": 1}, "b": 1, "c": 2, "a": {"x": 1, "y": 1, "z": 1},
            "lines": [{"sku": 1}, {"sku": 1, "tax": 1, "parts": [{"sku": 1, "deep": 1}]}], "map": {"k1": {"new": 1}}
        });
        assert_eq!(new_fields(schema, record), ["c", "a.z", "lines[1].tax", "lines[1].parts[0].deep", "map.k1.new"]);
    }

    #[test]
    fn where_a_schema_says_nothing_of_fields_none_is_new() {
        let record = json!({"a": {"b": 1}, "c": [{"d": 1}]});
        for schema in [
            json!({}),
            json!({"type": "object"}),
            json!({"additionalProperties": {"type": "object"}}),
            json!({"patternProperties": {"^a": {}}, "properties": {"c": {}}}),
        ] {
            assert_eq!(new_fields(schema.clone(), record.clone()), [""; 0], "{schema}");
        }
        assert_eq!(new_fields(json!({"properties": {"a": {}}, "additionalProperties": true}), record), ["c"]);
    }

    #[test]
    fn a_schema_that_contains_itself_comes_to_an_end() {
        let schema = json!({"properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}});
        let record = json!({"next": {"next": {"next": null, "x": 1}}});
        assert_eq!(new_fields(schema, record), ["next.next.x"]);
    }
}
