//! The statements that read rows, written without a database in sight. Every name goes through [`quoted`], and every value is a
//! parameter: its text, which the server reads as the column's type.

use crate::{database::postgres::quoted, source::rows::Place};

/// A column of what is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Column {
    pub name: String,
    /// The type below domains, as PostgreSQL names it: `timestamptz`.
    pub type_name: String,
    /// The type's full name, ready for SQL.
    pub type_sql: String,
}

/// What is read, and by which of its columns it is ordered.
#[derive(Clone, Debug)]
pub struct Shape {
    /// What stands behind FROM, as `s`.
    pub from: String,
    pub columns: Vec<Column>,
    pub key: Vec<Column>,
    pub cursor: Option<Column>,
}

/// The bounds of a window: from the first on, before the second.
#[derive(Clone, Default, Debug)]
pub struct Bounds {
    pub from: Option<String>,
    pub until: Option<String>,
}

impl Shape {
    /// The columns that order rows: the cursor, then the key.
    pub fn order(&self) -> impl Iterator<Item = &Column> {
        self.cursor.iter().chain(&self.key)
    }

    /// Reads a page: each row as one JSON object, then the texts of its place.
    pub fn page_sql(&self, place: &Place, bounds: &Bounds, limit: usize) -> (String, Vec<String>) {
        let mut params: Vec<String> = Vec::new();
        let mut bind = |text: &String, column: &Column| {
            params.push(text.clone());
            format!("${}::text::{}", params.len(), column.type_sql)
        };
        let mut tests: Vec<String> = Vec::new();
        let mut behind = |columns: &[&Column], texts: &[String], bind: &mut dyn FnMut(&String, &Column) -> String| {
            if !texts.is_empty() {
                let values = texts.iter().zip(columns).map(|(text, column)| bind(text, column));
                let values = list(values.collect::<Vec<_>>().into_iter());
                tests.push(format!("({}) > ({values})", list(columns.iter().map(|column| own(column)))));
            }
        };
        let (all, key): (Vec<&Column>, Vec<&Column>) = (self.order().collect(), self.key.iter().collect());
        match place {
            Place::Unplaced(after) => behind(&key, after, &mut bind),
            Place::Placed(after) => behind(&all, after, &mut bind),
        }
        match (&self.cursor, place) {
            (Some(cursor), Place::Unplaced(_)) => tests.push(format!("{} is null", own(cursor))),
            (Some(cursor), Place::Placed(_)) => {
                tests.push(format!("{} is not null", own(cursor)));
                let Bounds { from, until } = bounds;
                tests.extend(from.iter().map(|text| format!("{} >= {}", own(cursor), bind(text, cursor))));
                tests.extend(until.iter().map(|text| format!("{} < {}", own(cursor), bind(text, cursor))));
            }
            (None, _) => {}
        }
        let wanted = if tests.is_empty() { String::new() } else { format!("where {}", tests.join(" and ")) };
        let order = list(self.order().map(own));
        let texts: String = self.order().map(|column| format!(", {}::text", own(column))).collect();
        let sql = format!(
            "select {}{texts} from (select * from {} {wanted} order by {order} limit {limit}) s order by {order}",
            record(&self.columns, self.cursor.as_ref()),
            self.from,
        );
        (sql, params)
    }

    /// Whether any of these columns is null in any row.
    pub fn nulls_sql(&self, columns: &[&Column]) -> String {
        let tests: Vec<String> = columns.iter().map(|column| format!("{} is null", own(column))).collect();
        format!("select exists (select from {} where {})", self.from, tests.join(" or "))
    }

    /// The largest cursor there is.
    pub fn largest_sql(&self, cursor: &Column) -> String {
        format!("select max({})::text from {}", own(cursor), self.from)
    }
}

fn own(column: &Column) -> String {
    format!("s.{}", quoted(&column.name))
}

/// A row `s` as one JSON object. PostgreSQL writes numbers with all their digits, times as RFC 3339, arrays as lists, and JSON as it
/// is; bytes are made base64 here. A time without a zone is meant in UTC where it is the cursor.
pub fn record(columns: &[Column], cursor: Option<&Column>) -> String {
    let value = |column: &Column| match column.type_name.as_str() {
        "bytea" => format!("translate(encode({}, 'base64'), E'\\n', '') as {}", own(column), quoted(&column.name)),
        "timestamp" if cursor.is_some_and(|cursor| cursor.name == column.name) => {
            format!("{} at time zone 'UTC' as {}", own(column), quoted(&column.name))
        }
        _ => own(column),
    };
    format!("row_to_json((select r from (select {}) r))::text", list(columns.iter().map(value)))
}

pub fn list(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, type_name: &str) -> Column {
        Column {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            type_sql: format!("\"pg_catalog\".\"{type_name}\""),
        }
    }

    fn shape(cursor: Option<Column>) -> Shape {
        let columns = vec![column("id", "int8"), column("at", "timestamptz"), column("x\"; --", "bytea")];
        Shape { from: "\"public\".\"t\" s".to_owned(), key: vec![columns[0].clone()], columns, cursor }
    }

    #[test]
    fn a_page_goes_on_behind_a_row_inside_the_window() {
        let place = Place::Placed(vec!["a".to_owned(), "7".to_owned()]);
        let bounds = Bounds { from: Some("b".to_owned()), until: Some("c".to_owned()) };
        let (sql, params) = shape(Some(column("at", "timestamptz"))).page_sql(&place, &bounds, 10);
        assert_eq!(params, ["a", "7", "b", "c"]);
        let wanted = r#"where (s."at", s."id") > ($1::text::"pg_catalog"."timestamptz", $2::text::"pg_catalog"."int8") and s."at" is not null and s."at" >= $3::text::"pg_catalog"."timestamptz" and s."at" < $4::text::"pg_catalog"."timestamptz" order by s."at", s."id" limit 10"#;
        assert!(sql.contains(wanted), "{sql}");
    }

    #[test]
    fn names_are_quoted_and_a_listing_without_a_cursor_goes_by_its_key() {
        let (sql, params) = shape(None).page_sql(&Place::Placed(Vec::new()), &Bounds::default(), 10);
        assert!(params.is_empty() && sql.contains(r#"from "public"."t" s  order by s."id" limit 10"#), "{sql}");
        assert!(sql.contains(r#"translate(encode(s."x""; --", 'base64'), E'\n', '') as "x""; --""#), "{sql}");
        let (sql, _) = shape(None).page_sql(&Place::Placed(vec!["3".to_owned()]), &Bounds::default(), 10);
        assert!(sql.contains(r#"where (s."id") > ($1::text::"pg_catalog"."int8") order"#), "{sql}");
    }
}
