//! What a made-up field holds: a guess by its name, or any of the sorts of values that APIs have. Every value that can tells its
//! record, and the state of it, from all others.

use serde_json::{Value, json};

use crate::model::Step;

/// One sort of value.
#[derive(Clone, PartialEq, Debug)]
pub enum Kind {
    Text,
    Name,
    Email,
    Phone,
    Number,
    Decimal,
    DecimalText,
    Yes,
    No,
    Time,
    Day,
    Seconds,
    Address,
    Country,
    Currency,
    Texts,
    Objects,
    Fixed(Value),
}

/// Which value of which record.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub field: usize,
    pub record: usize,
    pub state: usize,
    pub seed: u64,
}

/// Parts of field names, and what such fields usually hold; the first that fits counts.
const BY_NAME: [(&[&str], Kind); 16] = [
    (&["email", "mail"], Kind::Email),
    (&["phone", "mobile", "tel", "fax"], Kind::Phone),
    (&["url", "link", "website", "href"], Kind::Address),
    (&["currency"], Kind::Currency),
    (&["country"], Kind::Country),
    (&["deleted", "archived", "disabled", "blocked", "spam", "test", "gone"], Kind::No),
    (&["consent", "active", "enabled", "verified", "agreed", "subscribed", "opt_in", "is_", "has_"], Kind::Yes),
    (&["amount", "price", "total", "cost", "balance", "value", "rate", "tax"], Kind::Decimal),
    (&["_at", "time", "created", "updated", "modified", "changed"], Kind::Time),
    (&["date", "day", "birth"], Kind::Day),
    (&["first", "last", "name", "company", "title"], Kind::Name),
    (&["count", "quantity", "qty", "number", "size", "score", "points", "cents"], Kind::Number),
    (&["tags", "labels", "list"], Kind::Texts),
    (&["items", "lines", "entries"], Kind::Objects),
    (&["id"], Kind::Text),
    (&["code", "key", "status", "state", "kind", "type"], Kind::Text),
];

impl Kind {
    /// The first guess.
    pub fn by_name(steps: &[Step]) -> Self {
        let name = match steps.last() {
            Some(Step::Field(name)) => name.to_lowercase(),
            _ => return Self::Text,
        };
        let fits = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        BY_NAME.iter().find(|(parts, _)| fits(parts)).map_or(Self::Text, |(_, kind)| kind.clone())
    }

    /// Any sort, among them the values that the pipeline itself names.
    pub fn any(chance: &mut fastrand::Rng, literals: &[Value]) -> Self {
        let literal = literals.get(chance.usize(..literals.len().max(1)));
        if let Some(literal) = literal.filter(|_| chance.usize(..3) == 0) {
            return Self::Fixed(literal.clone());
        }
        let all = [
            Self::Text,
            Self::Name,
            Self::Email,
            Self::Phone,
            Self::Number,
            Self::Decimal,
            Self::DecimalText,
            Self::Yes,
            Self::No,
            Self::Time,
            Self::Day,
            Self::Seconds,
            Self::Address,
            Self::Texts,
            Self::Objects,
            Self::Fixed(Value::Null),
            Self::Fixed(json!("")),
            Self::Fixed(json!({})),
        ];
        all.get(chance.usize(..all.len())).cloned().unwrap_or(Self::Text)
    }

    /// The value. No two fields, records or states have the same, where the sort has room for it.
    pub fn value(&self, steps: &[Step], place: Place) -> Option<Value> {
        let Place { field, record, state, seed } = place;
        let number = 1_000_000 * (field as u64 + 11) + 1_000 * (record as u64 + 1) % 1_000_000 + state as u64 % 1_000;
        let wide = number * 1_000 + record as u64 / 1_000;
        let name = match steps.last() {
            Some(Step::Field(name)) => name.as_str(),
            _ => "item",
        };
        let word = format!("{}{record}x{state}s{}", letters(name), seed % 10_000);
        let (month, day) = (1 + record / 28 % 12, 1 + record % 28);
        let second = (record / 336 + 60 * field) % 3_600;
        Some(match self {
            Self::Text => json!(word),
            Self::Name => json!(format!("Ada{record}s{} Lovelace{state}", seed % 10_000)),
            Self::Email => json!(format!("{word}@example.com")),
            Self::Phone => json!(format!("+81 3 {:05} {:05}", wide / 100_000 % 100_000, wide % 100_000)),
            Self::Number => json!(wide),
            Self::Decimal => json!(wide as f64 / 4.0),
            Self::DecimalText => json!(format!("{}.50", wide)),
            Self::Yes => json!(true),
            Self::No => json!(false),
            Self::Time => {
                json!(format!("2025-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", state % 24, second / 60, second % 60))
            }
            Self::Day => json!(format!("{}-{month:02}-{day:02}", 1950 + (state + 7 * field) % 70)),
            Self::Seconds => json!(1_600_000_000 + wide % 100_000_000),
            Self::Address => json!(format!("https://example.com/{word}")),
            Self::Country => json!("JP"),
            Self::Currency => json!("EUR"),
            Self::Texts => json!([word, "drill"]),
            Self::Objects => json!([{ "id": word, "quantity": 1, "price": 2 }]),
            Self::Fixed(value) => value.clone(),
        })
    }
}

/// A name's letters, so that a word made of it survives most filters.
fn letters(name: &str) -> String {
    let kept: String = name.chars().filter(char::is_ascii_alphabetic).take(12).collect();
    if kept.is_empty() { "field".to_owned() } else { kept.to_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(name: &str) -> Vec<Step> {
        vec![Step::Field(name.to_owned())]
    }

    #[test]
    fn a_name_says_what_its_field_probably_holds() {
        for (name, kind) in [
            ("work_email", Kind::Email),
            ("phone", Kind::Phone),
            ("consent", Kind::Yes),
            ("is_deleted", Kind::No),
            ("updated_at", Kind::Time),
            ("lifetime_value", Kind::Decimal),
            ("company", Kind::Name),
            ("weight", Kind::Text),
        ] {
            assert_eq!(Kind::by_name(&steps(name)), kind, "{name}");
        }
    }

    #[test]
    fn no_two_records_and_no_two_states_have_one_value() {
        let mut seen = std::collections::HashSet::new();
        for kind in [Kind::Text, Kind::Name, Kind::Email, Kind::Phone, Kind::Number, Kind::Decimal, Kind::Address] {
            for record in 0..300 {
                for state in 0..2 {
                    let value = kind.value(&steps("a"), Place { field: 3, record, state, seed: 7 }).unwrap();
                    assert!(seen.insert(format!("{kind:?} {value}")), "{kind:?} {value}");
                }
            }
        }
    }
}
