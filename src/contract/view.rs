//! What a schema says about one value, pieced together from all places that speak about it: references followed, `allOf` joined.
//! Alternatives stay alternatives, but those that only add null.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{pointer::escaped, refs};

/// Keywords with a number above or below which a value is refused.
pub const LEAST: [&str; 5] = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
pub const MOST: [&str; 5] = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];
/// Keywords that refuse something, and of which nobody can say by how much more another one does.
const OTHERS: [&str; 15] = [
    "pattern",
    "format",
    "multipleOf",
    "uniqueItems",
    "contains",
    "not",
    "if",
    "then",
    "else",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
    "prefixItems",
    "unevaluatedProperties",
];

/// Places of one document that speak about one value.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Places(pub BTreeSet<String>);

impl Places {
    pub fn one(at: impl Into<String>) -> Self {
        Self([at.into()].into())
    }
}

/// What is said about a value.
#[derive(Default, Debug)]
pub struct View {
    /// Nothing: it may be of any type.
    pub types: Option<BTreeSet<String>>,
    /// In the order of the document.
    pub fields: Vec<(String, Places)>,
    pub required: BTreeSet<String>,
    /// Fields that are not described are refused.
    pub closed: bool,
    /// What all other fields are.
    pub rest: Option<Places>,
    pub items: Option<Places>,
    /// The JSON texts of the values that it may be. Nothing: any.
    pub values: Option<BTreeSet<String>>,
    /// By keyword.
    pub bounds: BTreeMap<&'static str, f64>,
    /// By keyword, with their JSON text.
    pub others: BTreeMap<&'static str, String>,
    /// Each list of alternatives, in the order of the document.
    pub alternatives: Vec<Vec<Places>>,
}

impl View {
    pub fn of(root: &Value, places: &Places) -> Self {
        let mut view = Self::default();
        let mut seen = BTreeSet::new();
        for at in &places.0 {
            view.add(root, at, &mut seen);
        }
        view.plain_alternatives(root);
        view
    }

    fn add(&mut self, root: &Value, at: &str, seen: &mut BTreeSet<String>) {
        let Some(part) = root.pointer(at).and_then(Value::as_object) else { return };
        if !seen.insert(at.to_owned()) {
            return;
        }
        self.add_types(part);
        self.add_fields(part, at);
        self.add_values(part);
        for key in LEAST.into_iter().chain(MOST) {
            if let Some(number) = part.get(key).and_then(Value::as_f64) {
                self.bounds.insert(key, number);
            }
        }
        for key in OTHERS {
            if let Some(value) = part.get(key) {
                self.others.insert(key, value.to_string());
            }
        }
        if let Some(next) = part.get("$ref").and_then(|_| refs::target(&Value::Object(part.clone()))) {
            self.add(root, &next, seen);
        }
        let count = |key: &str| part.get(key).and_then(Value::as_array).map_or(0, Vec::len);
        (0..count("allOf")).for_each(|item| self.add(root, &format!("{at}/allOf/{item}"), seen));
        for key in ["anyOf", "oneOf"] {
            self.add_alternatives(root, (0..count(key)).map(|item| format!("{at}/{key}/{item}")).collect(), seen);
        }
    }

    fn add_types(&mut self, part: &Map<String, Value>) {
        let mut types: BTreeSet<String> = match part.get("type") {
            Some(Value::String(name)) => [name.clone()].into(),
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => return,
        };
        // OpenAPI 3.0.
        if part.get("nullable") == Some(&Value::Bool(true)) {
            types.insert("null".to_owned());
        }
        self.types = Some(match self.types.take() {
            Some(known) => known.intersection(&types).cloned().collect(),
            None => types,
        });
    }

    fn add_fields(&mut self, part: &Map<String, Value>, at: &str) {
        for name in part.get("properties").and_then(Value::as_object).iter().flat_map(|all| all.keys()) {
            let place = format!("{at}/properties/{}", escaped(name));
            match self.fields.iter_mut().find(|(known, _)| known == name) {
                Some((_, places)) => drop(places.0.insert(place)),
                None => self.fields.push((name.clone(), Places::one(place))),
            }
        }
        let required = part.get("required").and_then(Value::as_array);
        self.required.extend(required.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
        match part.get("additionalProperties") {
            Some(Value::Bool(false)) => self.closed = true,
            Some(Value::Object(rest)) if !rest.is_empty() => {
                let place = format!("{at}/additionalProperties");
                self.rest.get_or_insert_with(|| Places(BTreeSet::new())).0.insert(place);
            }
            _ => {}
        }
        if part.get("items").is_some_and(Value::is_object) {
            self.items.get_or_insert_with(|| Places(BTreeSet::new())).0.insert(format!("{at}/items"));
        }
    }

    fn add_values(&mut self, part: &Map<String, Value>) {
        let listed = part.get("enum").and_then(Value::as_array);
        let listed = listed.map(|all| all.iter().map(Value::to_string).collect::<BTreeSet<_>>());
        let only = part.get("const").map(|one| [one.to_string()].into());
        for values in [listed, only].into_iter().flatten() {
            self.values = Some(match self.values.take() {
                Some(known) => known.intersection(&values).cloned().collect(),
                None => values,
            });
        }
    }

    /// One alternative beside null is no alternative: it is the value, which may be null.
    fn add_alternatives(&mut self, root: &Value, all: Vec<String>, seen: &mut BTreeSet<String>) {
        let is_null = |at: &String| root.pointer(at).and_then(|one| one.get("type")) == Some(&Value::from("null"));
        let real: Vec<&String> = all.iter().filter(|at| !is_null(at)).collect();
        if let ([one], true) = (real.as_slice(), all.len() > 1) {
            let before = self.types.take();
            self.add(root, one, seen);
            if let Some(types) = &mut self.types {
                types.insert("null".to_owned());
            }
            if let (Some(before), Some(types)) = (before, &mut self.types) {
                types.retain(|name| before.contains(name));
            }
            return;
        }
        if !all.is_empty() {
            self.alternatives.push(all.into_iter().map(Places::one).collect());
        }
    }

    /// Alternatives that are types and nothing else are types.
    fn plain_alternatives(&mut self, root: &Value) {
        let words = ["type", "description", "title", "nullable", "example", "examples", "default"];
        let types_of = |place: &Places| {
            let part = root.pointer(place.0.first()?)?.as_object()?;
            let plain = part.contains_key("type") && part.keys().all(|key| words.contains(&key.as_str()));
            let mut view = Self::default();
            view.add_types(part);
            plain.then_some(view.types?)
        };
        let mut left = Vec::new();
        for all in std::mem::take(&mut self.alternatives) {
            match (all.iter().map(types_of).collect::<Option<Vec<_>>>(), &self.types) {
                (Some(types), None) => self.types = Some(types.into_iter().flatten().collect()),
                _ => left.push(all),
            }
        }
        self.alternatives = left;
    }
}
