//! A large YAML text of somebody else's, such as an OpenAPI document, as a tree of JSON: the same reading of YAML as our own
//! files have, inside wider bounds. Aliases are followed, and what they expand to is bounded.

use serde_json::{Map, Number, Value};

use super::{
    node::{self, Node, ScalarKind, kind_of},
    source::Sources,
    yaml::{self, Bounds},
};

/// Maps and lists inside each other; a JSON document has the same bound.
const DEPTH_MAX: usize = 127;

/// Why a text is no tree, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unreadable {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    pub message: String,
    /// It is too deep or holds too much.
    pub over_bounds: bool,
}

/// Reads a YAML text of at most `nodes` values.
pub fn yaml_document(text: &str, nodes: usize) -> Result<Value, Unreadable> {
    let mut problems = Vec::new();
    let bounds = Bounds { depth: DEPTH_MAX, nodes };
    let tree = yaml::parse_within(0, text, bounds, &mut problems);
    if let Some(problem) = problems.into_iter().next() {
        let mut sources = Sources::default();
        sources.add("document".into(), text.to_owned());
        let at = sources.position(problem.span);
        let over_bounds = problem.code == crate::model::Code::YamlBudget;
        return Err(Unreadable { line: at.line, column: at.column, message: problem.message, over_bounds });
    }
    Ok(tree.map_or(Value::Null, |tree| value(&tree)))
}

fn value(node: &Node) -> Value {
    match &node.value {
        node::Value::List(items) => Value::Array(items.iter().map(|item| value(&item.node)).collect()),
        node::Value::Map(entries) => {
            let fields = entries.iter().map(|entry| (entry.key.clone(), value(&entry.node)));
            Value::Object(fields.collect::<Map<String, Value>>())
        }
        node::Value::Scalar(scalar) if !scalar.plain => Value::String(scalar.text.clone()),
        node::Value::Scalar(scalar) => match kind_of(&scalar.text) {
            ScalarKind::Null => Value::Null,
            ScalarKind::True => Value::Bool(true),
            ScalarKind::False => Value::Bool(false),
            ScalarKind::Text => Value::String(scalar.text.clone()),
            ScalarKind::Integer | ScalarKind::Decimal => {
                let number: Result<Number, _> = serde_json::from_str(&scalar.text);
                number.map_or_else(|_| Value::String(scalar.text.clone()), Value::Number)
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_is_read_as_the_json_it_means() {
        let read = yaml_document("a: [1, yes, '1', null]\nb: &x { '200': 1.5 }\nc: *x\n", 100).unwrap();
        assert_eq!(read, json!({"a": [1, "yes", "1", null], "b": {"200": 1.5}, "c": {"200": 1.5}}));
    }

    #[test]
    fn anchors_that_expand_without_end_are_over_the_bounds() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let before = format!("*a{}", level - 1);
            text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(", ")));
        }
        let refused = yaml_document(&text, 1_000_000).unwrap_err();
        assert!(refused.over_bounds, "{refused:?}");
        assert!(refused.line <= 7, "{refused:?}");
    }
}
