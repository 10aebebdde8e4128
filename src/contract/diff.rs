//! What changed from one schema to the next, and whether it breaks anything. That depends on the direction: who reads is broken by
//! values that did not come before, who sends by values that are no longer taken. What cannot be compared counts as breaking.

use std::collections::{BTreeSet, HashSet, VecDeque};

use serde_json::Value;

use super::view::{LEAST, MOST, Places, View};

/// Changes that are told.
const TOLD_MAX: usize = 1_000;
/// Levels of fields inside each other that are compared. Schemas that contain themselves end earlier.
const DEPTH_MAX: usize = 100;

/// Who is asked whether it still works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Values of the schema come to us.
    Read,
    /// We send values of the schema.
    Sent,
}

/// A schema: a place in a document, which may be a schema as a whole.
#[derive(Clone, Copy, Debug)]
pub struct At<'d> {
    pub root: &'d Value,
    /// A JSON pointer; empty for the whole.
    pub pointer: &'d str,
}

/// One change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    pub breaking: bool,
    /// Where in the value, such as `lines[].price`; `.` for the whole.
    pub path: String,
    pub what: String,
}

/// What changed from one schema to another, by their order, each place once.
pub fn diff(old: At<'_>, new: At<'_>, direction: Direction) -> Vec<Change> {
    let (waiting, met) = (VecDeque::new(), HashSet::new());
    let mut differ = Differ { old: old.root, new: new.root, direction, waiting, met, all: Vec::new() };
    differ.compare(&Places::one(old.pointer), &Places::one(new.pointer), "", 0);
    // Outer places first, so that what stands at several has the shortest path.
    while let Some((old, new, path, depth)) = differ.waiting.pop_front() {
        differ.compare_views(&View::of(differ.old, &old), &View::of(differ.new, &new), &path, depth);
    }
    differ.all
}

struct Differ<'d> {
    old: &'d Value,
    new: &'d Value,
    direction: Direction,
    waiting: VecDeque<(Places, Places, String, usize)>,
    met: HashSet<(Places, Places)>,
    all: Vec<Change>,
}

/// What a change does to the values that a schema lets through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Values that were refused are let through.
    Wider,
    /// Values that were let through are refused.
    Narrower,
    /// Both, or nobody knows.
    Unclear,
    /// Neither, for who goes by what is described.
    None,
}

impl Differ<'_> {
    fn tell(&mut self, path: &str, effect: Effect, what: impl Into<String>) {
        let breaking = match effect {
            Effect::Wider => self.direction == Direction::Read,
            Effect::Narrower => self.direction == Direction::Sent,
            Effect::Unclear => true,
            Effect::None => false,
        };
        if self.all.len() < TOLD_MAX {
            let path = if path.is_empty() { "." } else { path };
            self.all.push(Change { breaking, path: path.to_owned(), what: what.into() });
        }
    }

    fn compare(&mut self, old: &Places, new: &Places, path: &str, depth: usize) {
        if depth <= DEPTH_MAX && self.met.insert((old.clone(), new.clone())) {
            self.waiting.push_back((old.clone(), new.clone(), path.to_owned(), depth));
        }
    }

    fn compare_views(&mut self, old: &View, new: &View, path: &str, depth: usize) {
        self.types(old, new, path);
        self.values(old, new, path);
        self.bounds(old, new, path);
        self.others(old, new, path);
        self.fields(old, new, path, depth);
        for (one, other, suffix) in [(&old.rest, &new.rest, ".*"), (&old.items, &new.items, "[]")] {
            match (one, other) {
                (Some(one), Some(other)) => self.compare(one, other, &format!("{path}{suffix}"), depth + 1),
                (Some(_), None) => self.tell(&format!("{path}{suffix}"), Effect::Wider, "is no longer described"),
                (None, Some(_)) => self.tell(&format!("{path}{suffix}"), Effect::Narrower, "is described now"),
                (None, None) => {}
            }
        }
        self.alternatives(old, new, path, depth);
    }

    fn types(&mut self, old: &View, new: &View, path: &str) {
        let joined = |types: &BTreeSet<String>| types.iter().cloned().collect::<Vec<_>>().join(" or ");
        match (&old.types, &new.types) {
            (Some(old), Some(new)) => {
                let takes = |all: &BTreeSet<String>, name: &String| {
                    all.contains(name) || (name == "integer" && all.contains("number"))
                };
                let more: BTreeSet<String> = new.iter().filter(|name| !takes(old, name)).cloned().collect();
                let less: BTreeSet<String> = old.iter().filter(|name| !takes(new, name)).cloned().collect();
                if !more.is_empty() {
                    self.tell(path, Effect::Wider, format!("may be {} now; it was {}", joined(&more), joined(old)));
                }
                if !less.is_empty() {
                    self.tell(path, Effect::Narrower, format!("is {} now; it could be {}", joined(new), joined(&less)));
                }
            }
            (Some(old), None) => {
                self.tell(path, Effect::Wider, format!("has no type any more; it was {}", joined(old)));
            }
            (None, Some(new)) => self.tell(path, Effect::Narrower, format!("has a type now: {}", joined(new))),
            (None, None) => {}
        }
    }

    fn values(&mut self, old: &View, new: &View, path: &str) {
        match (&old.values, &new.values) {
            (Some(old), Some(new)) => {
                for value in new.difference(old) {
                    self.tell(path, Effect::Wider, format!("may be {value} now"));
                }
                for value in old.difference(new) {
                    self.tell(path, Effect::Narrower, format!("may not be {value} any more"));
                }
            }
            (Some(_), None) => self.tell(path, Effect::Wider, "may be any value now; its values were listed"),
            (None, Some(new)) => {
                self.tell(path, Effect::Narrower, format!("may only be one of {} listed values now", new.len()));
            }
            (None, None) => {}
        }
    }

    fn bounds(&mut self, old: &View, new: &View, path: &str) {
        for (keys, least) in [(LEAST, true), (MOST, false)] {
            for key in keys {
                let effect = match (old.bounds.get(key), new.bounds.get(key)) {
                    (Some(old), Some(new)) if old == new => continue,
                    (Some(old), Some(new)) if (new > old) == least => Effect::Narrower,
                    (Some(_), Some(_) | None) => Effect::Wider,
                    (None, Some(_)) => Effect::Narrower,
                    (None, None) => continue,
                };
                let shown = |bound: Option<&f64>| bound.map_or_else(|| "none".to_owned(), f64::to_string);
                let (old, new) = (shown(old.bounds.get(key)), shown(new.bounds.get(key)));
                self.tell(path, effect, format!("`{key}` is {new} now; it was {old}"));
            }
        }
    }

    fn others(&mut self, old: &View, new: &View, path: &str) {
        let keys: BTreeSet<&'static str> = old.others.keys().chain(new.others.keys()).copied().collect();
        for key in keys {
            let (effect, what) = match (old.others.get(key), new.others.get(key)) {
                (Some(old), Some(new)) if old == new => continue,
                (Some(_), None) => (Effect::Wider, "is gone"),
                (None, _) => (Effect::Narrower, "is new"),
                (Some(_), Some(_)) => (Effect::Unclear, "is another one"),
            };
            self.tell(path, effect, format!("the rule `{key}` {what}"));
        }
        match (old.closed, new.closed) {
            (false, true) => self.tell(path, Effect::Narrower, "takes no fields any more that are not described"),
            (true, false) => self.tell(path, Effect::None, "may have fields now that are not described"),
            _ => {}
        }
    }

    fn fields(&mut self, old: &View, new: &View, path: &str, depth: usize) {
        let inside = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        for (name, places) in &old.fields {
            match new.fields.iter().find(|(known, _)| known == name) {
                Some((_, now)) => self.compare(places, now, &inside(name), depth + 1),
                None => {
                    self.tell(&inside(name), Effect::Unclear, "is gone");
                    continue;
                }
            }
            match (old.required.contains(name), new.required.contains(name)) {
                (true, false) => self.tell(&inside(name), Effect::Wider, "may be missing now"),
                (false, true) => self.tell(&inside(name), Effect::Narrower, "must be there now"),
                _ => {}
            }
        }
        for (name, _) in new.fields.iter().filter(|(name, _)| !old.fields.iter().any(|(known, _)| known == name)) {
            match new.required.contains(name) && !old.required.contains(name) {
                true => self.tell(&inside(name), Effect::Narrower, "is new, and must be there"),
                false => self.tell(&inside(name), Effect::None, "is new"),
            }
        }
        // What must be there need not be described.
        let is_described = |name: &str| old.fields.iter().chain(&new.fields).any(|(known, _)| known == name);
        for name in old.required.symmetric_difference(&new.required).filter(|name| !is_described(name)) {
            match new.required.contains(name) {
                true => self.tell(&inside(name), Effect::Narrower, "must be there now"),
                false => self.tell(&inside(name), Effect::Wider, "may be missing now"),
            }
        }
    }

    /// By their order. That two lists hold the same in another order is not looked for.
    fn alternatives(&mut self, old: &View, new: &View, path: &str, depth: usize) {
        if old.alternatives.len() != new.alternatives.len() {
            let (effect, what) = match (old.alternatives.len(), new.alternatives.len()) {
                (0, _) => (Effect::Unclear, "has alternatives now"),
                (_, 0) => (Effect::Unclear, "has no alternatives any more"),
                _ => (Effect::Unclear, "has other alternatives"),
            };
            return self.tell(path, effect, what);
        }
        for (one, other) in old.alternatives.iter().zip(&new.alternatives) {
            match one.len().cmp(&other.len()) {
                std::cmp::Ordering::Less => self.tell(path, Effect::Wider, "has more alternatives"),
                std::cmp::Ordering::Greater => self.tell(path, Effect::Narrower, "has fewer alternatives"),
                std::cmp::Ordering::Equal => {}
            }
            one.iter().zip(other).for_each(|(one, other)| self.compare(one, other, path, depth + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changes(old: &Value, new: &Value, direction: Direction) -> Vec<String> {
        let at = |root| At { root, pointer: "" };
        let word = |change: &Change| if change.breaking { "breaking" } else { "compatible" };
        let all = diff(at(old), at(new), direction);
        all.iter().map(|change| format!("{} {} {}", word(change), change.path, change.what)).collect()
    }

    fn is_breaking(old: Value, new: Value) -> (bool, bool) {
        let any = |direction| changes(&old, &new, direction).iter().any(|change| change.starts_with("breaking"));
        (any(Direction::Read), any(Direction::Sent))
    }

    #[test]
    fn who_reads_is_broken_by_what_did_not_come_before_and_who_sends_by_what_is_no_longer_taken() {
        let field = |schema: Value| json!({"properties": {"a": schema}});
        for (old, new, wanted) in [
            (field(json!({"type": "integer"})), field(json!({"type": "number"})), (true, false)),
            (field(json!({"type": "number"})), field(json!({"type": "integer"})), (false, true)),
            (field(json!({"type": "string"})), field(json!({"type": ["string", "null"]})), (true, false)),
            (field(json!({"type": "string"})), field(json!({"type": "string", "nullable": true})), (true, false)),
            (
                field(json!({"type": "string"})),
                field(json!({"anyOf": [{"type": "string"}, {"type": "null"}]})),
                (true, false),
            ),
            (field(json!({"type": "string"})), field(json!({"type": "integer"})), (true, true)),
            (field(json!({"enum": ["a"]})), field(json!({"enum": ["a", "b"]})), (true, false)),
            (field(json!({"enum": ["a", "b"]})), field(json!({"enum": ["a"]})), (false, true)),
            (field(json!({"maxLength": 5})), field(json!({"maxLength": 6})), (true, false)),
            (field(json!({"minimum": 5})), field(json!({"minimum": 6})), (false, true)),
            (field(json!({"maximum": 5})), field(json!({})), (true, false)),
            (field(json!({"pattern": "a"})), field(json!({"pattern": "b"})), (true, true)),
            (field(json!({})), json!({"properties": {}}), (true, true)),
            (json!({"properties": {}}), field(json!({})), (false, false)),
            (json!({}), json!({"required": ["a"], "properties": {"a": {}}}), (false, true)),
            (json!({}), json!({"required": ["a"]}), (false, true)),
            (json!({"required": ["a"]}), json!({}), (true, false)),
            (json!({"required": ["a"]}), json!({"required": ["a"], "properties": {"a": {}}}), (false, false)),
            (field(json!({})), json!({"required": ["a"], "properties": {"a": {}}}), (false, true)),
            (json!({"required": ["a"], "properties": {"a": {}}}), field(json!({})), (true, false)),
            (field(json!({})), json!({"properties": {"a": {}}, "additionalProperties": false}), (false, true)),
            (field(json!({"items": {"type": "string"}})), field(json!({"items": {"type": "null"}})), (true, true)),
            (
                field(json!({"oneOf": [{"minimum": 1}, {"maximum": 0}]})),
                field(json!({"oneOf": [{"minimum": 1}]})),
                (false, true),
            ),
        ] {
            assert_eq!(is_breaking(old.clone(), new.clone()), wanted, "{old} -> {new}");
            assert_eq!(is_breaking(old.clone(), old.clone()), (false, false), "{old}");
        }
    }

    #[test]
    fn references_are_followed_and_circles_end() {
        let tree = |kind: &str| {
            json!({"$ref": "#/$defs/node", "$defs": {"node": {
                "properties": {"next": {"$ref": "#/$defs/node"}, "id": {"allOf": [{"$ref": "#/$defs/id"}]}}},
                "id": {"type": kind}}})
        };
        assert_eq!(
            changes(&tree("string"), &tree("integer"), Direction::Sent),
            ["compatible id may be integer now; it was string", "breaking id is integer now; it could be string"]
        );
        // The same, written without references.
        let flat = json!({"properties": {"id": {"type": "string"}}});
        let moved = json!({"properties": {"id": {"$ref": "#/$defs/id"}}, "$defs": {"id": {"type": "string"}}});
        assert_eq!(changes(&flat, &moved, Direction::Read), [""; 0]);
    }

    #[test]
    fn a_change_is_told_with_its_path() {
        let lines = |kind: &str| json!({"properties": {"lines": {"items": {"properties": {"price": {"type": kind}}}}}});
        assert_eq!(
            changes(&lines("integer"), &lines("number"), Direction::Read),
            ["breaking lines[].price may be number now; it was integer"]
        );
    }
}
