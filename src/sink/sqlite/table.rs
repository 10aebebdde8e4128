//! The target table in a SQLite file: what it is, what the batch needs of it, and how a row gets in.

use std::collections::BTreeMap;

use super::value::learned;
use crate::{
    database::sqlite::{Db, Error, Value, quoted},
    model::{Blame, Code, Fault},
    sink::kinds::Kinds,
};

/// A column of the table as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Column {
    pub name: String,
    /// As the table declares it, which may be nothing.
    pub declared: String,
    /// The database computes it, so nothing can be written.
    is_generated: bool,
}

/// Where rows go.
#[derive(Clone, Debug)]
pub struct Target {
    pub table: String,
    /// Columns of the unique key.
    pub key: Vec<String>,
    /// Types of columns that are declared instead of learned.
    pub declared: BTreeMap<String, String>,
}

impl Target {
    /// The columns in their order; none: there is no such table.
    pub fn columns(&self, db: &mut Db) -> Result<Vec<Column>, Error> {
        let sql = "SELECT name, type, hidden FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid";
        let rows = db.rows(sql, &[Value::Text(self.table.clone())])?;
        let column = |row: Vec<Value>| match <[Value; 3]>::try_from(row) {
            Ok([Value::Text(name), Value::Text(declared), hidden]) => {
                Some(Column { name, declared, is_generated: hidden != Value::Integer(0) })
            }
            _ => None,
        };
        Ok(rows.into_iter().filter_map(column).collect())
    }

    /// Makes the table fit these fields, and returns its columns. None: there is no table, and no record with a key to make one of.
    pub fn fit(&self, db: &mut Db, fields: &[(String, Kinds)]) -> Result<Vec<Column>, Error> {
        let columns = self.columns(db)?;
        let mut added: Vec<(&str, String)> = Vec::new();
        for (field, kinds) in fields {
            let same = |name: &str| name.eq_ignore_ascii_case(field);
            let there = columns.iter().find(|column| same(&column.name));
            match there {
                Some(column) if column.is_generated => {
                    return Err(self.conflict(field, "is computed by the database").into());
                }
                Some(column) if column.name == *field => continue,
                _ if there.is_some() || added.iter().any(|(name, _)| same(name)) => {
                    return Err(self
                        .conflict(field, "differs from another column by upper and lower case only")
                        .into());
                }
                _ => {}
            }
            if field.is_empty() || field.contains('\0') {
                return Err(self.conflict(field, "cannot name a column").into());
            }
            let declared = self.declared.get(field).cloned();
            added.extend(declared.or_else(|| learned(*kinds).map(str::to_owned)).map(|kind| (field.as_str(), kind)));
        }
        if columns.is_empty() {
            if self.key.iter().any(|key| !added.iter().any(|(name, _)| name == key)) {
                return Ok(Vec::new());
            }
            db.execute(&self.create_sql(&added), &[])?;
            return self.columns(db);
        }
        self.check_unique(db)?;
        for (name, kind) in &added {
            db.execute(&format!("ALTER TABLE {} ADD COLUMN {} {kind}", quoted(&self.table), quoted(name)), &[])?;
        }
        if added.is_empty() { Ok(columns) } else { self.columns(db) }
    }

    fn create_sql(&self, added: &[(&str, String)]) -> String {
        let not_null = |name: &str| if self.key.iter().any(|key| key == name) { " NOT NULL" } else { "" };
        let columns = added.iter().map(|(name, kind)| format!("{} {kind}{}", quoted(name), not_null(name)));
        let columns = columns.collect::<Vec<_>>().join(", ");
        format!("CREATE TABLE {} ({columns}, PRIMARY KEY ({}))", quoted(&self.table), self.key_list())
    }

    fn key_list(&self) -> String {
        self.key.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
    }

    /// Refuses a table whose key nothing keeps unique: an upsert could not tell one row from another.
    fn check_unique(&self, db: &mut Db) -> Result<(), Error> {
        let table = Value::Text(self.table.clone());
        let mut wanted: Vec<String> = self.key.iter().map(|name| name.to_ascii_lowercase()).collect();
        wanted.sort();
        let is_key = |db: &mut Db, sql: &str, of: &Value| -> Result<bool, Error> {
            let rows = db.rows(sql, std::slice::from_ref(of))?;
            let mut names: Vec<String> = rows.into_iter().flatten().filter_map(text).collect();
            names.sort();
            Ok(names == wanted)
        };
        // A key of one INTEGER column has no index of its own.
        if is_key(db, "SELECT lower(name) FROM pragma_table_info(?) WHERE pk > 0", &table)? {
            return Ok(());
        }
        let sql = "SELECT name FROM pragma_index_list(?) WHERE \"unique\" AND NOT partial";
        for index in &db.rows(sql, &[table])?.concat() {
            if is_key(db, "SELECT lower(coalesce(name, '')) FROM pragma_index_info(?)", index)? {
                return Ok(());
            }
        }
        let message = format!("table {} has no unique index on its key ({})", quoted(&self.table), self.key.join(", "));
        let help = format!(
            "Nothing of this batch was written. An upsert needs one; type: CREATE UNIQUE INDEX {} ON {} ({});",
            quoted(&format!("{}_key", self.table)),
            quoted(&self.table),
            self.key_list()
        );
        Err(Fault::halt(Code::Database, Blame::Config, message).help(help).into())
    }

    fn conflict(&self, field: &str, why: &str) -> Fault {
        let message = format!("the field {field:?} has no column in {}: it {why}", quoted(&self.table));
        Fault::halt(Code::ColumnConflict, Blame::Config, message)
            .help("Nothing of this batch was written. Give the field another name under `fields:`, or leave it out.")
    }

    /// The statement that puts a row in, or changes the one that is there where it differs.
    pub fn upsert_sql(&self, written: &[&Column]) -> String {
        let names: Vec<String> = written.iter().map(|column| quoted(&column.name)).collect();
        let rest: Vec<&String> =
            names.iter().zip(written).filter(|(_, it)| !self.key.contains(&it.name)).map(|(name, _)| name).collect();
        let joined = |parts: Vec<String>, between: &str| parts.join(between);
        let on_conflict = if rest.is_empty() {
            "DO NOTHING".to_owned()
        } else {
            format!(
                "DO UPDATE SET {} WHERE {}",
                joined(rest.iter().map(|name| format!("{name} = excluded.{name}")).collect(), ", "),
                joined(rest.iter().map(|name| format!("t.{name} IS NOT excluded.{name}")).collect(), " OR "),
            )
        };
        format!(
            "INSERT INTO {} AS t ({}) VALUES ({}) ON CONFLICT ({}) {on_conflict}",
            quoted(&self.table),
            names.join(", "),
            vec!["?"; names.len()].join(", "),
            self.key_list()
        )
    }

    /// The statement that tells whether there is a row of a key.
    pub fn exists_sql(&self) -> String {
        let tests = self.key.iter().map(|name| format!("{} = ?", quoted(name))).collect::<Vec<_>>().join(" AND ");
        format!("SELECT 1 FROM {} WHERE {tests}", quoted(&self.table))
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}
