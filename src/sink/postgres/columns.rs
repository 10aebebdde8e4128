//! Which column a field needs, decided without a database in sight.
//!
//! | JSON            | makes a column | goes into an existing                                        |
//! |-----------------|----------------|--------------------------------------------------------------|
//! | text            | text           | text, json, and every type that is written as text           |
//! | integer         | bigint         | bigint and smaller, numeric, float, text, json               |
//! | other number    | numeric        | numeric, float, text, json; a bigint column is widened       |
//! | true, false     | boolean        | boolean, text, json                                          |
//! | object, list    | jsonb          | json                                                         |
//! | null            | none yet       | all                                                          |
//!
//! A field that comes in several kinds at once makes a jsonb column when an object or list is among them, else text.

use std::collections::BTreeMap;

use crate::sink::kinds::{Kind, Kinds};

/// PostgreSQL cuts longer names, so two fields could fall into one column.
const NAME_BYTES_MAX: usize = 63;
/// Every table has columns of these names already.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// A column of the table as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Column {
    pub name: String,
    /// As PostgreSQL writes it: `numeric(12,2)`.
    pub type_text: String,
    /// The type's plain name, below domains: `numeric`.
    pub base: String,
    /// The database computes it, so nothing can be written.
    pub is_generated: bool,
}

impl Column {
    /// Takes JSON text instead of the value it stands for.
    pub fn is_json(&self) -> bool {
        matches!(self.base.as_str(), "json" | "jsonb")
    }

    /// Has no equality of its own, or one that overlooks differences.
    pub fn compares_as_text(&self) -> bool {
        matches!(self.base.as_str(), "json" | "xml" | "point" | "line" | "lseg" | "box" | "path" | "polygon" | "circle")
    }

    /// The kinds it can hold. A single value may still be refused: a text that is no date.
    pub fn holds(&self) -> Kinds {
        use Kind::{Boolean, Decimal, Integer, Null, Text};
        match self.base.as_str() {
            "json" | "jsonb" => Kinds::of(&Kind::ALL),
            "text" | "varchar" | "bpchar" | "citext" | "name" => Kinds::of(&[Null, Boolean, Integer, Decimal, Text]),
            "int2" | "int4" | "int8" => Kinds::of(&[Null, Integer]),
            "numeric" | "float4" | "float8" => Kinds::of(&[Null, Integer, Decimal]),
            "bool" => Kinds::of(&[Null, Boolean]),
            _ => Kinds::of(&[Null, Text]),
        }
    }
}

/// What must be done to the table before the batch fits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    pub name: String,
    pub type_text: String,
    /// The column is there as bigint and becomes numeric.
    pub is_widening: bool,
}

/// A field that no column can take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Conflict {
    NameTooLong { field: String },
    NameUnusable { field: String },
    Generated { column: Column },
    Type { column: Column, kind: Kind },
}

/// Decides what the fields need. `declared` types come before learned ones.
pub fn plan<'f>(
    existing: &[Column],
    fields: impl Iterator<Item = (&'f str, Kinds)>,
    declared: &BTreeMap<String, String>,
) -> Result<Vec<Change>, Conflict> {
    let mut changes = Vec::new();
    for (field, kinds) in fields {
        if let Some(column) = existing.iter().find(|column| column.name == field) {
            changes.extend(fit(column, kinds, declared)?);
            continue;
        }
        check_name(field)?;
        let type_text = declared.get(field).map(String::as_str).or_else(|| kinds.learned());
        if let Some(type_text) = type_text {
            changes.push(Change { name: field.to_owned(), type_text: type_text.to_owned(), is_widening: false });
        }
    }
    Ok(changes)
}

fn fit(column: &Column, kinds: Kinds, declared: &BTreeMap<String, String>) -> Result<Option<Change>, Conflict> {
    if column.is_generated {
        return Err(Conflict::Generated { column: column.clone() });
    }
    match kinds.outside(column.holds()) {
        None => Ok(None),
        // Every bigint is a numeric, so nothing is lost. A type that somebody declared stays.
        Some(Kind::Decimal) if column.type_text == "bigint" && !declared.contains_key(&column.name) => {
            let widened = Column { type_text: "numeric".to_owned(), base: "numeric".to_owned(), ..column.clone() };
            match kinds.outside(widened.holds()) {
                None => {
                    let change = Change { name: column.name.clone(), type_text: widened.type_text, is_widening: true };
                    Ok(Some(change))
                }
                Some(kind) => Err(Conflict::Type { column: column.clone(), kind }),
            }
        }
        Some(kind) => Err(Conflict::Type { column: column.clone(), kind }),
    }
}

fn check_name(field: &str) -> Result<(), Conflict> {
    if field.len() > NAME_BYTES_MAX {
        return Err(Conflict::NameTooLong { field: field.to_owned() });
    }
    if field.is_empty() || field.contains('\0') || SYSTEM_COLUMNS.contains(&field) {
        return Err(Conflict::NameUnusable { field: field.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, type_text: &str, base: &str) -> Column {
        Column { name: name.to_owned(), type_text: type_text.to_owned(), base: base.to_owned(), is_generated: false }
    }

    fn planned(existing: &[Column], name: &str, values: &[&str]) -> Result<Vec<String>, Conflict> {
        let mut kinds = Kinds::default();
        values.iter().for_each(|value| kinds.insert(Kind::of(value)));
        let changes = plan(existing, [(name, kinds)].into_iter(), &BTreeMap::new())?;
        Ok(changes.into_iter().map(|change| format!("{} {}", change.name, change.type_text)).collect())
    }

    #[test]
    fn a_column_is_learned_from_the_kinds_seen() {
        let learned = |values: &[&str]| planned(&[], "f", values).unwrap();
        assert_eq!(learned(&["true", "null"]), ["f boolean"]);
        assert_eq!(learned(&["1", "-9223372036854775808"]), ["f bigint"]);
        assert_eq!(learned(&["1", "2.50"]), ["f numeric"]);
        assert_eq!(learned(&["9223372036854775808"]), ["f numeric"]);
        assert_eq!(learned(&["1e3"]), ["f numeric"]);
        assert_eq!(learned(&[r#""1""#]), ["f text"]);
        assert_eq!(learned(&[r#""1""#, "1", "true"]), ["f text"]);
        assert_eq!(learned(&["[1]", r#""1""#]), ["f jsonb"]);
    }

    #[test]
    fn a_field_seen_only_as_null_waits_for_its_column() {
        assert!(planned(&[], "f", &["null"]).unwrap().is_empty());
    }

    #[test]
    fn a_bigint_column_is_widened_for_a_decimal_but_not_for_text_and_not_when_declared() {
        let bigint = [column("f", "bigint", "int8")];
        assert_eq!(planned(&bigint, "f", &["1.5"]).unwrap(), ["f numeric"]);
        let conflict = planned(&bigint, "f", &["1.5", r#""x""#]).unwrap_err();
        assert_eq!(conflict, Conflict::Type { column: bigint[0].clone(), kind: Kind::Text });
        let declared = BTreeMap::from([("f".to_owned(), "bigint".to_owned())]);
        let kinds = Kinds::of(&[Kind::Decimal]);
        assert!(plan(&bigint, [("f", kinds)].into_iter(), &declared).is_err());
    }

    #[test]
    fn a_column_that_cannot_hold_the_field_is_a_conflict() {
        let conflicts = |type_text, base, value| planned(&[column("f", type_text, base)], "f", &[value]).is_err();
        assert!(conflicts("integer", "int4", r#""x""#));
        assert!(conflicts("timestamp with time zone", "timestamptz", "5"));
        assert!(conflicts("text", "text", "{}"));
        assert!(conflicts("boolean", "bool", "1"));
        assert!(!conflicts("timestamp with time zone", "timestamptz", r#""2026-01-01T00:00:00Z""#));
        assert!(!conflicts("text", "text", "5"));
        assert!(!conflicts("jsonb", "jsonb", "5"));
    }

    #[test]
    fn names_that_postgresql_would_cut_or_refuse_are_conflicts() {
        assert!(planned(&[], &"x".repeat(63), &["1"]).is_ok());
        assert!(matches!(planned(&[], &"é".repeat(32), &["1"]), Err(Conflict::NameTooLong { .. })));
        for name in ["", "ctid", "a\0b"] {
            assert!(matches!(planned(&[], name, &["1"]), Err(Conflict::NameUnusable { .. })), "{name:?}");
        }
    }

    #[test]
    fn a_declared_type_comes_before_the_learned_one() {
        let declared = BTreeMap::from([("at".to_owned(), "timestamptz".to_owned())]);
        let changes = plan(&[], [("at", Kinds::of(&[Kind::Text]))].into_iter(), &declared).unwrap();
        assert_eq!(changes[0].type_text, "timestamptz");
    }
}
