//! What an update would change: the fields that would be sent beside those that the sink holds, masked. Values are compared as
//! they are and shown as far as the rule of masking lets them through, so a personal field tells that it differs and not how. A
//! field that is declared personal and sent in the clear is hidden whatever it looks like. Pure.

use serde::Serialize;
use serde_json::Value;

use crate::{
    model::Reason,
    sink::{Held, covers},
    transform::masked_json,
};

/// Objects inside objects are compared field by field down to here, and deeper as a whole.
const DEPTH_MAX: usize = 6;
/// Fields of one record that are told. More of them do not fit anybody's eye.
const CHANGES_MAX: usize = 200;
const HIDDEN: &str = "***";

/// What the sink holds of a record, beside what it would be sent.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// All fields that would be sent are there already.
    None { equal: usize },
    Fields {
        changes: Vec<Change>,
        /// Fields that are there already.
        equal: usize,
    },
    /// The sink has no such record.
    Gone,
    /// It could not be read.
    Unknown(Reason),
}

/// One field that differs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Change {
    /// Its path, with dots.
    pub field: String,
    /// What is there, masked; nothing where the field is not there.
    pub from: Option<Value>,
    /// What would be sent, masked.
    pub to: Value,
}

impl Difference {
    /// Nothing where the sink was not asked.
    pub fn of(held: &Held) -> Option<Self> {
        Some(match held {
            Held::Unasked => return None,
            Held::Gone => Self::Gone,
            Held::Unreadable(reason) => Self::Unknown(reason.clone()),
            Held::Fields { sent, protected, there } => {
                let mut found = Found { changes: Vec::new(), equal: 0 };
                let (shown_sent, shown_there) = (masked_json(sent), masked_json(there));
                let whole = Field {
                    sent,
                    there: Some(there),
                    protected: Some(protected),
                    shown_sent: Some(&shown_sent),
                    shown_there: Some(&shown_there),
                };
                found.compare("", whole, 0);
                let Found { mut changes, equal } = found;
                match changes.is_empty() {
                    true => Self::None { equal },
                    false => {
                        changes.truncate(CHANGES_MAX);
                        Self::Fields { changes, equal }
                    }
                }
            }
        })
    }
}

struct Found {
    changes: Vec<Change>,
    equal: usize,
}

/// One field: what would be sent and what is there, and of both what may be shown.
#[derive(Clone, Copy)]
struct Field<'a> {
    sent: &'a Value,
    there: Option<&'a Value>,
    protected: Option<&'a Value>,
    shown_sent: Option<&'a Value>,
    shown_there: Option<&'a Value>,
}

impl<'a> Field<'a> {
    fn inside(self, name: &str, sent: &'a Value) -> Self {
        let of = |value: Option<&'a Value>| value.and_then(|value| value.get(name));
        Self {
            sent,
            there: of(self.there),
            protected: of(self.protected),
            shown_sent: of(self.shown_sent),
            shown_there: of(self.shown_there),
        }
    }

    /// It is declared personal and opened for the sink.
    fn is_opened(self) -> bool {
        self.protected != Some(self.sent)
    }

    fn change(self, path: &str) -> Change {
        let (from, to) = match self.is_opened() {
            true => (self.there.map(|_| Value::from(HIDDEN)), Value::from(HIDDEN)),
            false => (self.shown_there.cloned(), self.shown_sent.cloned().unwrap_or_default()),
        };
        Change { field: path.to_owned(), from, to }
    }
}

impl Found {
    /// Compares two values; objects that may be shown go on field by field.
    fn compare(&mut self, path: &str, field: Field<'_>, depth: usize) {
        if let (Value::Object(fields), Some(Value::Object(_)), Some(Value::Object(_))) =
            (field.sent, field.there, field.shown_sent)
            && depth < DEPTH_MAX
            && (depth == 0 || !fields.is_empty())
        {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                self.compare(&path, field.inside(name, value), depth + 1);
            }
            return;
        }
        match field.there.map_or(field.sent.is_null(), |there| covers(there, field.sent)) {
            true => self.equal += 1,
            false => self.changes.push(field.change(path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Code;

    fn of(sent: Value, there: Value) -> Value {
        json!(Difference::of(&Held::Fields { protected: sent.clone(), sent, there }))
    }

    #[test]
    fn fields_that_differ_are_shown_and_those_that_are_there_are_counted() {
        let sent =
            json!({"tier": "gold", "country": "JP", "n": 1, "none": null, "new": "x", "other": {"a": 1, "b": 2}});
        let there =
            json!({"tier": "silver", "country": "JP", "n": 1.0, "other": {"a": 1, "b": 3, "c": 4}, "theirs": true});
        let changes = json!([
            {"field": "tier", "from": "silver", "to": "gold"},
            {"field": "new", "from": null, "to": "x"},
            {"field": "other.b", "from": 3, "to": 2},
        ]);
        assert_eq!(of(sent.clone(), there), json!({"fields": {"changes": changes, "equal": 4}}));
        assert_eq!(of(sent.clone(), sent), json!({"none": {"equal": 7}}));
    }

    #[test]
    fn what_is_personal_tells_that_it_differs_and_not_how() {
        let sent = json!({"email": "a@b.example", "contact": {"x": 1}, "free": "Some words", "name": "Ann"});
        let there = json!({"email": "z@b.example", "contact": {"x": 2}, "free": "Other words", "name": "Ann"});
        let told = of(sent, there);
        let hidden = |field: &str| json!({"field": field, "from": "***", "to": "***"});
        let changes = json!([hidden("email"), hidden("contact"), hidden("free")]);
        assert_eq!(told, json!({"fields": {"changes": changes, "equal": 1}}));
    }

    #[test]
    fn what_is_opened_for_the_sink_is_compared_in_the_clear_and_hidden_whatever_it_looks_like() {
        let sent = json!({"tier": "gold", "ref": "cus_1", "deep": {"code": "x_1", "n": 1}});
        let protected = json!({"tier": "gold", "ref": "rk:e1:k1:aaaa", "deep": {"code": "rk:e1:k1:bbbb", "n": 1}});
        let there = json!({"tier": "gold", "ref": "cus_2", "deep": {"code": "x_1", "n": 2}});
        let told = json!(Difference::of(&Held::Fields { sent, protected, there }));
        let changes = json!([{"field": "ref", "from": "***", "to": "***"}, {"field": "deep.n", "from": 2, "to": 1}]);
        assert_eq!(told, json!({"fields": {"changes": changes, "equal": 2}}));
    }

    #[test]
    fn a_record_that_is_gone_or_could_not_be_read_is_told_so() {
        assert_eq!(Difference::of(&Held::Unasked), None);
        assert_eq!(json!(Difference::of(&Held::Gone)), json!("gone"));
        let reason = Reason::new(Code::StrangeAnswer, "no fields");
        let unknown = json!({"unknown": {"code": "RK0403", "message": "no fields"}});
        assert_eq!(json!(Difference::of(&Held::Unreadable(reason))), unknown);
    }
}
