//! By what rows are ordered, and how a page is asked for. Pure.
//!
//! A page begins behind the last row of the one before, and "behind" is said by the very expressions that the rows are ordered by. Texts are
//! the hard part: their collation may take `a` and `A`, or `a` and `a `, for one. Where an index of the table keeps the key unique, it does so
//! by that collation, so no two rows are the same to it. Where nothing does, as in a query, the bytes come behind the text.

use super::shown::{json_text, shown};
use crate::{
    config::plan::CursorFormat,
    database::mysql::{Column, Kind, Value, quoted},
    model::{Cursor, Fault, Scan},
    source::rows::{Place, Row, bound, unfit},
};

/// The first time that is one: dates of zeros come before it.
const FIRST_TIME: &str = "0001-01-01 00:00:00";

/// A column that is read.
#[derive(Clone, Debug)]
pub struct Field {
    pub column: Column,
    /// A text that MariaDB keeps JSON in.
    pub is_json: bool,
}

/// A part of the order.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Part {
    sql: String,
    /// What stands for a value that is compared with it.
    mark: String,
}

/// What is read, and by which of its columns it is ordered.
pub struct Shape {
    from: String,
    fields: Vec<Field>,
    key: Vec<String>,
    cursor: Option<(String, CursorFormat)>,
    /// The cursor's, then the key's.
    order: Vec<Part>,
}

impl Shape {
    /// `is_unique`: an index keeps the key unique.
    pub fn new(
        from: String,
        fields: Vec<Field>,
        key: &[String],
        cursor: Option<(String, CursorFormat)>,
        is_unique: bool,
    ) -> Result<Self, Fault> {
        let names: Vec<&str> = fields.iter().map(|field| field.column.name.as_str()).collect();
        let column = |name: &String| match fields.iter().find(|field| field.column.name == *name) {
            Some(field) => Ok(&field.column),
            None => {
                Err(unfit(format!("there is no column \"{name}\""), &format!("The columns are: {}.", names.join(", "))))
            }
        };
        let mut order = Vec::new();
        if let Some((name, format)) = &cursor {
            order.push(cursor_part(column(name)?, *format)?);
        }
        for name in key {
            order.extend(key_parts(column(name)?, is_unique)?);
        }
        Ok(Self { from, key: key.to_vec(), cursor, order, fields })
    }

    pub fn key_names(&self) -> impl Iterator<Item = &str> {
        self.key.iter().map(String::as_str)
    }

    pub fn has_cursor(&self) -> bool {
        self.cursor.is_some()
    }

    pub fn places(&self) -> usize {
        self.order.len()
    }

    pub fn null_keys_sql(&self) -> String {
        let tests: Vec<String> = self.key.iter().map(|name| format!("s.{} IS NULL", quoted(name))).collect();
        format!("SELECT 1 FROM {} WHERE {} LIMIT 1", self.from, tests.join(" OR "))
    }

    /// The largest value of the cursor.
    pub fn largest_sql(&self) -> String {
        format!("SELECT MAX({}) FROM {}", self.order[0].sql, self.from)
    }

    pub fn page_sql(&self, place: &Place, window: &Scan, limit: usize) -> (String, Vec<Value>) {
        let (mut tests, mut values) = (Vec::new(), Vec::new());
        let (after, skipped) = match place {
            Place::Unplaced(after) => (after, usize::from(self.cursor.is_some())),
            Place::Placed(after) => (after, 0),
        };
        if !after.is_empty() {
            let after: Vec<Value> = after.iter().map(|text| placed(text)).collect();
            tests.push(behind(&self.order[skipped..], &after, &mut values));
        }
        if let Some((_, format)) = &self.cursor {
            let is_unplaced = matches!(place, Place::Unplaced(_));
            self.window(*format, is_unplaced, window, &mut tests, &mut values);
        }
        let wanted = if tests.is_empty() { String::new() } else { format!("WHERE {}", tests.join(" AND ")) };
        let columns: Vec<String> =
            self.fields.iter().map(|field| format!("s.{}", quoted(&field.column.name))).collect();
        let order = self.order.iter().map(|part| part.sql.as_str()).collect::<Vec<_>>().join(", ");
        let columns = columns.join(", ");
        (format!("SELECT {columns}, {order} FROM {} {wanted} ORDER BY {order} LIMIT {limit}", self.from), values)
    }

    /// The rows with a cursor in the window, or those without one. A `DATETIME NOT NULL` of zeros is null to MySQL and is not, so neither
    /// question is left to it.
    fn window(
        &self,
        format: CursorFormat,
        is_unplaced: bool,
        window: &Scan,
        tests: &mut Vec<String>,
        values: &mut Vec<Value>,
    ) {
        let Part { sql, mark } = &self.order[0];
        let is_time = format == CursorFormat::Rfc3339;
        let first = || Value::Text(FIRST_TIME.to_owned());
        match (is_unplaced, is_time) {
            (true, true) => {
                tests.push(format!("({sql} IS NULL OR {sql} < {mark})"));
                values.push(first());
            }
            (true, false) => tests.push(format!("{sql} IS NULL")),
            (false, true) => {
                tests.push(format!("{sql} >= {mark}"));
                values.push(first());
            }
            (false, false) => tests.push(format!("{sql} IS NOT NULL")),
        }
        if !is_unplaced {
            for (test, cursor) in [(">=", &window.from), ("<", &window.high)] {
                tests.extend(cursor.iter().map(|_| format!("{sql} {test} {mark}")));
                values.extend(cursor.iter().map(|cursor| compared(format, cursor)));
            }
        }
    }

    /// A row as one JSON object, with its place.
    pub fn row(&self, mut values: Vec<Value>) -> Row {
        let mut place = values.split_off(self.fields.len());
        let is_time = matches!(&self.cursor, Some((_, CursorFormat::Rfc3339)));
        let is_cursor = |name: &str| is_time && self.cursor.as_ref().is_some_and(|(cursor, _)| cursor == name);
        // A date of zeros is no place among the rows with a time.
        if is_time && matches!(place.first(), Some(Value::Text(text)) if text.as_str() < FIRST_TIME) {
            place[0] = Value::Null;
        }
        let mut json = String::from("{");
        for (field, value) in self.fields.iter().zip(&values) {
            let name = &field.column.name;
            json.push_str(if json.len() > 1 { "," } else { "" });
            json.push_str(&json_text(name));
            json.push(':');
            json.push_str(&shown(value, field, is_cursor(name)));
        }
        json.push('}');
        Row { json, place: place.iter().map(place_text).collect() }
    }
}

fn cursor_part(column: &Column, format: CursorFormat) -> Result<Part, Fault> {
    let fits = match format {
        CursorFormat::Rfc3339 => matches!(column.kind, Kind::Instant | Kind::Moment),
        CursorFormat::EpochSeconds | CursorFormat::EpochMillis | CursorFormat::Integer => {
            column.kind == Kind::Integer || column.kind == Kind::Decimal && column.decimals == 0
        }
        // Days are no cursor of rows: a column of dates is too coarse.
        CursorFormat::Date(_) => false,
    };
    if !fits {
        let message = format!("the cursor \"{}\" has type {}", column.name, column.kind.words());
        let help = "A cursor of times is a datetime or a timestamp; the other formats are for columns of whole numbers. A query can cast \
                    what is neither.";
        return Err(unfit(message, help));
    }
    Ok(part(column))
}

fn key_parts(column: &Column, is_unique: bool) -> Result<Vec<Part>, Fault> {
    match column.kind {
        Kind::Json | Kind::Geometry => {
            let message = format!("the key \"{}\" has type {}", column.name, column.kind.words());
            Err(unfit(message, "It has no order that pages could go by. Name rows by other columns."))
        }
        Kind::Text | Kind::Choice if !is_unique => {
            let bytes =
                Part { sql: format!("CAST(s.{} AS BINARY)", quoted(&column.name)), mark: "UNHEX(?)".to_owned() };
            Ok(vec![part(column), bytes])
        }
        _ => Ok(vec![part(column)]),
    }
}

fn part(column: &Column) -> Part {
    let name = format!("s.{}", quoted(&column.name));
    let (sql, mark) = match column.kind {
        Kind::Choice => (format!("CAST({name} AS CHAR)"), "?".to_owned()),
        // As a text it would be compared by floating numbers.
        Kind::Decimal => (name, format!("CAST(? AS DECIMAL(65,{}))", column.decimals)),
        Kind::Instant | Kind::Moment => (name, "CAST(? AS DATETIME(6))".to_owned()),
        Kind::Date => (name, "CAST(? AS DATE)".to_owned()),
        Kind::Time => (name, "CAST(? AS TIME(6))".to_owned()),
        Kind::Bytes => (name, "UNHEX(?)".to_owned()),
        _ => (name, "?".to_owned()),
    };
    Part { sql, mark }
}

/// The test for rows behind these values. It is written out, because MySQL finds no index for `(a, b) > (?, ?)`, and the first value is
/// named once more for the same reason.
fn behind(order: &[Part], after: &[Value], values: &mut Vec<Value>) -> String {
    let (Some((Part { sql, mark }, parts)), Some((value, rest))) = (order.split_first(), after.split_first()) else {
        return "TRUE".to_owned();
    };
    values.push(value.clone());
    if parts.is_empty() {
        return format!("{sql} > {mark}");
    }
    values.extend([value.clone(), value.clone()]);
    let inner = behind(parts, rest, values);
    format!("({sql} >= {mark} AND ({sql} > {mark} OR ({sql} = {mark} AND {inner})))")
}

/// A bound of the window.
fn compared(format: CursorFormat, cursor: &Cursor) -> Value {
    match (format, cursor) {
        (CursorFormat::Rfc3339, Cursor::Instant(at)) => Value::Text(at.format("%Y-%m-%d %H:%M:%S%.6f").to_string()),
        _ => bound(format, cursor).parse().map_or(Value::Null, Value::Integer),
    }
}

/// A value as a part of a place, by a letter for its type. Bytes are digits of the base 16, as they go back.
fn place_text(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Integer(number) => format!("i{number}"),
        Value::Unsigned(number) => format!("u{number}"),
        Value::Single(number) => format!("r{:?}", f64::from(*number)),
        Value::Real(number) => format!("r{number:?}"),
        Value::Text(text) => format!("t{text}"),
        Value::Bytes(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
            format!("t{digits}")
        }
    })
}

fn placed(text: &str) -> Value {
    let rest = text.get(1..).unwrap_or_default();
    let value = match text.as_bytes().first() {
        Some(b'i') => rest.parse().ok().map(Value::Integer),
        Some(b'u') => rest.parse().ok().map(Value::Unsigned),
        Some(b'r') => rest.parse().ok().map(Value::Real),
        Some(b't') => Some(Value::Text(rest.to_owned())),
        _ => None,
    };
    value.unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, kind: Kind) -> Field {
        let origin = [String::new(), String::new(), String::new()];
        Field { column: Column { name: name.to_owned(), kind, decimals: 2, origin }, is_json: false }
    }

    fn shape(fields: &[(&str, Kind)], key: &[&str], cursor: Option<&str>, is_unique: bool) -> Result<Shape, Fault> {
        let fields = fields.iter().map(|(name, kind)| field(name, *kind)).collect();
        let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
        let cursor = cursor.map(|name| (name.to_owned(), CursorFormat::Rfc3339));
        Shape::new("`t` s".to_owned(), fields, &key, cursor, is_unique)
    }

    #[test]
    fn a_page_begins_behind_a_row_by_the_expressions_that_it_is_ordered_by() {
        let shape = shape(&[("a", Kind::Integer), ("b", Kind::Decimal)], &["a", "b"], None, true).unwrap();
        let place = Place::Placed(vec!["i7".to_owned(), "t1.50".to_owned()]);
        let (sql, values) = shape.page_sql(&place, &Scan::default(), 10);
        assert_eq!(
            sql,
            "SELECT s.`a`, s.`b`, s.`a`, s.`b` FROM `t` s WHERE (s.`a` >= ? AND (s.`a` > ? OR (s.`a` = ? AND s.`b` > CAST(? AS \
             DECIMAL(65,2))))) ORDER BY s.`a`, s.`b` LIMIT 10"
        );
        assert_eq!(
            values,
            [7, 7, 7].map(Value::Integer).into_iter().chain([Value::Text("1.50".to_owned())]).collect::<Vec<_>>()
        );
    }

    #[test]
    fn bytes_tell_texts_apart_where_no_index_does() {
        let order = |is_unique| {
            let shape = shape(&[("k", Kind::Text)], &["k"], None, is_unique).unwrap();
            shape.page_sql(&Place::Placed(Vec::new()), &Scan::default(), 1).0
        };
        assert!(order(true).ends_with("ORDER BY s.`k` LIMIT 1"), "{}", order(true));
        assert!(order(false).ends_with("ORDER BY s.`k`, CAST(s.`k` AS BINARY) LIMIT 1"), "{}", order(false));
    }

    #[test]
    fn a_date_of_zeros_is_among_the_rows_without_a_cursor() {
        let shape = shape(&[("id", Kind::Integer), ("at", Kind::Moment)], &["id"], Some("at"), true).unwrap();
        let sql = |place| shape.page_sql(&place, &Scan::default(), 1).0;
        let unplaced = sql(Place::Unplaced(vec!["i1".to_owned()]));
        assert!(unplaced.contains("s.`id` > ? AND (s.`at` IS NULL OR s.`at` < CAST(? AS DATETIME(6)))"), "{unplaced}");
        let row = |at: &str| {
            let at = Value::Text(at.to_owned());
            shape.row(vec![Value::Integer(1), at.clone(), at, Value::Integer(1)]).place
        };
        assert_eq!(row("0000-00-00 00:00:00")[0], None, "a place that is of two listings ends neither");
        assert!(row("2026-01-01 00:00:00")[0].is_some());
        assert!(sql(Place::Placed(Vec::new())).contains("WHERE s.`at` >= CAST(? AS DATETIME(6)) ORDER BY"));
    }

    #[test]
    fn columns_without_an_order_are_refused() {
        assert!(shape(&[("j", Kind::Json)], &["j"], None, true).is_err());
        for kind in [Kind::Date, Kind::Text, Kind::Integer] {
            assert!(shape(&[("id", Kind::Integer), ("at", kind)], &["id"], Some("at"), true).is_err(), "{kind:?}");
        }
    }

    #[test]
    fn a_place_keeps_the_type_of_its_values() {
        let values = [Value::Integer(-7), Value::Unsigned(u64::MAX), Value::Real(0.1), Value::Text("7".to_owned())];
        for value in values {
            assert_eq!(placed(&place_text(&value).unwrap()), value);
        }
        assert_eq!(placed(&place_text(&Value::Bytes(vec![1, 254])).unwrap()), Value::Text("01FE".to_owned()));
    }
}
