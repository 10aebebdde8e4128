//! References between the parts of a schema. Only a place in the same text can be referred to: `#`, or `#/..`. A schema whose
//! references go in a circle without ever reaching into a value would be checked for ever, so it is refused.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::pointer::{decoded, escaped};

/// References and alternatives that lead to each other, one after the other, all about one value.
const HOPS_MAX: usize = 100;

/// Keywords whose schemas are about the same value.
const LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const SINGLES: [&str; 4] = ["if", "then", "else", "not"];
/// Keywords whose schemas are about parts of the value, or stand ready to be referred to.
const INNER_MAPS: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
const INNER: [&str; 8] = [
    "items",
    "additionalItems",
    "additionalProperties",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
];

/// The place that a schema's `$ref` leads to.
pub fn target(schema: &Value) -> Option<String> {
    let reference = schema.get("$ref")?.as_str()?;
    let pointer = decoded(reference.strip_prefix('#')?);
    (pointer.is_empty() || pointer.starts_with('/')).then_some(pointer)
}

/// The parts of a schema that are about the same value as it: where its reference leads, and what its alternatives are.
pub fn beside(schema: &Value, at: &str) -> Vec<String> {
    let mut all: Vec<String> = target(schema).into_iter().collect();
    for key in LISTS {
        let count = schema.get(key).and_then(Value::as_array).map_or(0, Vec::len);
        all.extend((0..count).map(|item| format!("{at}/{key}/{item}")));
    }
    all.extend(SINGLES.iter().filter(|key| schema.get(**key).is_some()).map(|key| format!("{at}/{key}")));
    let dependent = schema.get("dependentSchemas").and_then(Value::as_object);
    all.extend(
        dependent.iter().flat_map(|all| all.keys()).map(|key| format!("{at}/dependentSchemas/{}", escaped(key))),
    );
    all
}

fn inner(schema: &Value, at: &str) -> Vec<String> {
    let mut all = Vec::new();
    for key in INNER_MAPS {
        let map = schema.get(key).and_then(Value::as_object);
        all.extend(map.iter().flat_map(|map| map.keys()).map(|name| format!("{at}/{key}/{}", escaped(name))));
    }
    for key in INNER {
        match schema.get(key) {
            Some(Value::Array(items)) => all.extend((0..items.len()).map(|item| format!("{at}/{key}/{item}"))),
            Some(_) => all.push(format!("{at}/{key}")),
            None => {}
        }
    }
    let count = schema.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
    all.extend((0..count).map(|item| format!("{at}/prefixItems/{item}")));
    all
}

/// Says what is wrong with the references of a schema, if something is.
pub fn check(root: &Value) -> Result<(), String> {
    let mut waiting = vec![String::new()];
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut whole = HashSet::new();
    while let Some(at) = waiting.pop() {
        if !seen.insert(at.clone()) {
            continue;
        }
        let Some(schema) = root.pointer(&at) else { continue };
        one(root, schema, &at)?;
        ends(root, &at, &mut Vec::new(), &mut whole)?;
        waiting.extend(beside(schema, &at));
        waiting.extend(inner(schema, &at));
    }
    Ok(())
}

fn one(root: &Value, schema: &Value, at: &str) -> Result<(), String> {
    for key in ["$dynamicRef", "$recursiveRef"] {
        if schema.get(key).is_some() {
            return Err(format!("at `{at}`: `{key}` is not followed; write `$ref` with a place in this schema"));
        }
    }
    if schema.get("$id").is_some() && !at.is_empty() {
        return Err(format!("at `{at}`: a schema with an `$id` of its own inside of another is not followed"));
    }
    let Some(reference) = schema.get("$ref") else { return Ok(()) };
    let shown = reference.as_str().map_or_else(|| reference.to_string(), str::to_owned);
    let Some(pointer) = target(schema) else {
        return Err(format!(
            "at `{at}`: `$ref` leads to {shown:?}; it can only lead to a place in this schema, `#/..`"
        ));
    };
    match root.pointer(&pointer) {
        Some(Value::Object(_) | Value::Bool(_)) => Ok(()),
        Some(_) => Err(format!("at `{at}`: `$ref` leads to {shown:?}, which is no schema")),
        None => Err(format!("at `{at}`: `$ref` leads to {shown:?}, which is not there")),
    }
}

/// Follows all that is about one value to its end. `whole`: what is known to end.
fn ends(root: &Value, at: &str, way: &mut Vec<String>, whole: &mut HashSet<String>) -> Result<(), String> {
    if whole.contains(at) {
        return Ok(());
    }
    if way.iter().any(|before| before == at) {
        return Err(format!("at `{at}`: `$ref` leads back to where it began, in a circle"));
    }
    if way.len() >= HOPS_MAX {
        return Err(format!("at `{at}`: more than {HOPS_MAX} references follow each other"));
    }
    way.push(at.to_owned());
    for next in root.pointer(at).map(|schema| beside(schema, at)).unwrap_or_default() {
        ends(root, &next, way, whole)?;
    }
    way.pop();
    whole.insert(at.to_owned());
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_that_lead_nowhere_elsewhere_or_in_a_circle_are_refused() {
        for (schema, why) in [
            (json!({"$ref": "#"}), "circle"),
            (json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}), "circle"),
            (json!({"properties": {"a": {"allOf": [{"anyOf": [{"$ref": "#/properties/a"}]}]}}}), "circle"),
            (json!({"$ref": "#/$defs/a"}), "not there"),
            (json!({"properties": {"a": {"$ref": "other.json"}}}), "only lead to a place in this schema"),
            (json!({"properties": {"a": {"$ref": "#anchor"}}}), "only lead to a place in this schema"),
            (json!({"$ref": "#/enum", "enum": [1]}), "no schema"),
            (json!({"$dynamicRef": "#a"}), "not followed"),
            (json!({"$defs": {"a": {"$id": "x"}}}), "not followed"),
        ] {
            let error = check(&schema).unwrap_err();
            assert!(error.contains(why), "{schema}: {error}");
        }
    }

    #[test]
    fn a_long_way_of_references_is_refused_and_does_not_overflow() {
        let mut defs = serde_json::Map::new();
        for n in 0..20_000 {
            defs.insert(format!("d{n}"), json!({"$ref": format!("#/$defs/d{}", n + 1)}));
        }
        defs.insert("d20000".to_owned(), json!(true));
        let error = check(&json!({"$ref": "#/$defs/d0", "$defs": defs})).unwrap_err();
        assert!(error.contains("follow each other"), "{error}");
    }

    #[test]
    fn a_schema_that_contains_itself_is_normal() {
        let tree = json!({"$ref": "#/$defs/a%20b", "$defs": {"a b": {"properties": {"next": {"$ref": "#"}}}},
            "properties": {"list": {"items": {"$ref": "#"}}}});
        check(&tree).unwrap();
        check(&json!({"enum": [{"$ref": "http://data.example"}], "default": {"$ref": "x"}})).unwrap();
    }
}
