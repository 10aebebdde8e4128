//! The target table: what it is, and the statements that make it fit. Every identifier goes through [`quoted`].

use tokio_postgres::Client;

use super::{
    columns::{Change, Column},
    fault::fault,
};
use crate::{
    database::postgres::quoted,
    model::{Blame, Code, Fault},
};

/// Where the rows go.
#[derive(Clone, Debug)]
pub struct Target {
    pub schema: String,
    pub table: String,
    /// Columns of the unique key.
    pub key: Vec<String>,
}

impl Target {
    /// The table's full name, ready for SQL.
    pub fn name(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.table))
    }

    /// The table's columns in their order; nothing when there is no such table.
    pub async fn columns(&self, client: &Client) -> Result<Option<Vec<Column>>, Fault> {
        let failed = |error| fault(&error, &format!("look at table {}", self.name()));
        let sql = "with recursive base as (
                select oid as asked, oid, typname, typtype, typbasetype from pg_type
                union all
                select base.asked, t.oid, t.typname, t.typtype, t.typbasetype from base join pg_type t on t.oid = base.typbasetype
                where base.typtype = 'd')
            select a.attname::text, format_type(a.atttypid, a.atttypmod), base.typname::text,
                a.attgenerated <> '' or a.attidentity = 'a'
            from pg_attribute a join base on base.asked = a.atttypid and base.typtype <> 'd'
            where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped order by a.attnum";
        let rows = client.query(sql, &[&self.name()]).await.map_err(failed)?;
        let columns: Vec<Column> = rows
            .iter()
            .map(|row| Column { name: row.get(0), type_text: row.get(1), base: row.get(2), is_generated: row.get(3) })
            .collect();
        Ok((!columns.is_empty()).then_some(columns))
    }

    pub async fn is_partitioned(&self, client: &Client) -> Result<bool, Fault> {
        let failed = |error| fault(&error, &format!("look at table {}", self.name()));
        let sql = "select relkind = 'p' from pg_class where oid = to_regclass($1)";
        Ok(client.query_one(sql, &[&self.name()]).await.map_err(failed)?.get(0))
    }

    /// Refuses a table whose key columns nothing keeps unique: an upsert could not tell one row from another.
    pub async fn check_unique(&self, client: &Client) -> Result<(), Fault> {
        let failed = |error| fault(&error, &format!("look at the indexes of {}", self.name()));
        let sql = "select exists (select from pg_index i where i.indrelid = to_regclass($1)
                and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null
                and (select array_agg(a.attname::text order by a.attname::text)
                     from pg_attribute a
                     where a.attrelid = i.indrelid and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
                    = (select array_agg(k order by k) from unnest($2::text[]) k))";
        let row = client.query_one(sql, &[&self.name(), &self.key]).await.map_err(failed)?;
        if row.get(0) {
            return Ok(());
        }
        let message = format!("table {} has no unique index on its key ({})", self.name(), self.key.join(", "));
        Err(Fault::halt(Code::Database, Blame::Config, message).help(format!(
            "Nothing of this batch was written. An upsert needs one; type: CREATE UNIQUE INDEX ON {} ({});",
            self.name(),
            self.key_list()
        )))
    }

    pub fn key_list(&self) -> String {
        list(self.key.iter().map(|name| quoted(name)))
    }

    /// The statement that makes the table, or makes it fit.
    pub fn change_sql(&self, changes: &[Change], is_new: bool) -> String {
        if is_new {
            let not_null = |name: &String| if self.key.contains(name) { " NOT NULL" } else { "" };
            let columns = changes
                .iter()
                .map(|change| format!("{} {}{}", quoted(&change.name), change.type_text, not_null(&change.name)));
            return format!("CREATE TABLE {} ({}, PRIMARY KEY ({}))", self.name(), list(columns), self.key_list());
        }
        let parts = changes.iter().map(|change| {
            let name = quoted(&change.name);
            if change.is_widening {
                format!("ALTER COLUMN {name} TYPE {}", change.type_text)
            } else {
                format!("ADD COLUMN {name} {}", change.type_text)
            }
        });
        format!("ALTER TABLE {} {}", self.name(), list(parts))
    }
}

pub fn list(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target { schema: "public".to_owned(), table: "a\"b".to_owned(), key: vec!["id".to_owned(), "Org".to_owned()] }
    }

    fn change(name: &str, type_text: &str, is_widening: bool) -> Change {
        Change { name: name.to_owned(), type_text: type_text.to_owned(), is_widening }
    }

    #[test]
    fn the_key_is_not_null_and_primary_and_names_are_quoted() {
        let changes = [change("id", "text", false), change("Org", "bigint", false), change("x\"; --", "jsonb", false)];
        assert_eq!(
            target().change_sql(&changes, true),
            r#"CREATE TABLE "public"."a""b" ("id" text NOT NULL, "Org" bigint NOT NULL, "x""; --" jsonb, PRIMARY KEY ("id", "Org"))"#
        );
    }

    #[test]
    fn new_fields_and_wider_numbers_alter_the_table_at_once() {
        let changes = [change("new", "text", false), change("sum", "numeric", true)];
        assert_eq!(
            target().change_sql(&changes, false),
            r#"ALTER TABLE "public"."a""b" ADD COLUMN "new" text, ALTER COLUMN "sum" TYPE numeric"#
        );
    }
}
