//! JSON values as a column of MySQL stores them, decided without a database in sight. A value that the column would change is refused:
//! even in its strict mode the server rounds digits, cuts times and spaces, and takes numbers for choices without an error.
//!
//! | JSON           | makes a column    | goes into a column of type                                              |
//! |----------------|-------------------|-------------------------------------------------------------------------|
//! | text           | LONGTEXT          | text, dates and times, ENUM, SET, binary, and others that are written so |
//! | integer        | BIGINT            | integers, DECIMAL, FLOAT, DOUBLE, BIT, YEAR, text                       |
//! | other number   | DECIMAL(65,30)    | DECIMAL, FLOAT, DOUBLE, text                                            |
//! | true, false    | BOOLEAN           | integers, BIT, text                                                     |
//! | object, list   | JSON              | JSON, text                                                              |
//! | null           | none yet          | all that are not NOT NULL                                               |
//!
//! A JSON column takes everything. In a key a text is VARCHAR(255), because an index needs a length.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc};

use crate::{
    database::mysql::Value,
    sink::{
        kinds::{Kind, Kinds},
        number::{exact, exact_single, inexact, with_scale},
    },
};

/// A column of the table as it is.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Column {
    pub name: String,
    /// Its plain type: `decimal`.
    pub base: String,
    /// As the server writes it: `decimal(10,2)`.
    pub declared: String,
    /// Takes JSON text instead of the value it stands for.
    pub is_json: bool,
    pub is_nullable: bool,
    /// The database computes it, so nothing can be written.
    pub is_generated: bool,
    /// Has no default and nothing else that would be lost if it were declared anew.
    pub is_plain: bool,
    /// The most bytes of a text.
    pub bytes_max: Option<u64>,
    /// Digits behind the point, of a number.
    pub scale: Option<u64>,
    /// Digits of a second's fraction.
    pub fraction: Option<u64>,
}

/// The type of a column that is made for these; nothing when only null was seen.
pub fn learned(kinds: Kinds, is_key: bool) -> Option<&'static str> {
    Some(match kinds.learned()? {
        "boolean" => "BOOLEAN",
        "bigint" => "BIGINT",
        "numeric" => "DECIMAL(65,30)",
        _ if is_key => "VARCHAR(255)",
        "jsonb" => "JSON",
        _ => "LONGTEXT",
    })
}

impl Column {
    pub fn is_text(&self) -> bool {
        matches!(
            self.base.as_str(),
            "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" | "set"
        )
    }

    /// What stands for a value that is compared with the column: a text would make a floating number of a decimal one.
    pub fn mark(&self) -> String {
        match self.base.as_str() {
            "decimal" => format!("CAST(? AS DECIMAL(65,{}))", self.scale.unwrap_or(0)),
            _ => "?".to_owned(),
        }
    }

    /// The value for the column, or why there is none.
    pub fn stored(&self, raw: &str) -> Result<Value, String> {
        if raw == "null" {
            return if self.is_nullable { Ok(Value::Null) } else { Err("it is NOT NULL".to_owned()) };
        }
        if self.is_json {
            return match inexact(raw).filter(|_| self.base == "json") {
                Some(number) => Err(format!("the number {number} has more digits than JSON keeps in MySQL")),
                None => Ok(Value::Text(raw.to_owned())),
            };
        }
        match self.base.as_str() {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "bit" | "year" => self.integer(raw),
            "decimal" | "float" | "double" => self.number(raw),
            "date" | "datetime" | "timestamp" | "time" => self.time(&text(raw)?).map(Value::Text),
            "enum" | "set" => self.choice(text(raw)?),
            _ => self.text(text(raw)?),
        }
    }

    fn integer(&self, raw: &str) -> Result<Value, String> {
        let is_year = self.base == "year";
        match Kind::of(raw) {
            Kind::Boolean if !is_year => Ok(Value::Integer(i64::from(raw == "true"))),
            Kind::Integer => match raw.parse() {
                // Others of two digits would be years of a century that nobody named.
                Ok(number) if !is_year || (1901..=2155).contains(&number) => Ok(Value::Integer(number)),
                _ => Err("the number is no year that the column keeps".to_owned()),
            },
            Kind::Decimal if raw.parse::<u64>().is_ok() => Ok(Value::Unsigned(raw.parse().unwrap_or_default())),
            Kind::Decimal => Err("the number is no integer, or too large".to_owned()),
            kind => Err(format!("{} is no integer", kind.words())),
        }
    }

    fn number(&self, raw: &str) -> Result<Value, String> {
        let kind = Kind::of(raw);
        if !matches!(kind, Kind::Integer | Kind::Decimal) {
            return Err(format!("{} is no number", kind.words()));
        }
        let scaled = |scale: u64| with_scale(raw, usize::try_from(scale).unwrap_or(usize::MAX));
        let value = match (self.base.as_str(), self.scale) {
            ("decimal", scale) => scaled(scale.unwrap_or(0)).map(Value::Text),
            // FLOAT(7,2) rounds to its digits.
            (_, Some(scale)) if scaled(scale).is_none() => None,
            ("float", _) => exact_single(raw).map(|number| Value::Real(f64::from(number))),
            _ => exact(raw).map(Value::Real),
        };
        value.ok_or_else(|| "a number has more digits than the column keeps".to_owned())
    }

    /// The time in the form that the column takes, in UTC where it comes with an offset.
    fn time(&self, text: &str) -> Result<String, String> {
        let no = |what: &str| Err(format!("the text is no {what}"));
        let naive = |text: &str| {
            let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
            forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        };
        let (shown, nanos) = match self.base.as_str() {
            "date" => match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
                Ok(date) => (date.format("%Y-%m-%d").to_string(), 0),
                Err(_) => return no("date (YYYY-MM-DD)"),
            },
            "time" => match NaiveTime::parse_from_str(text, "%H:%M:%S%.f") {
                Ok(time) => (time.format("%H:%M:%S").to_string(), time.nanosecond()),
                Err(_) => return no("time (hh:mm:ss)"),
            },
            _ => {
                let with_offset = DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc).naive_utc());
                let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
                match with_offset.or_else(|| naive(text)).or_else(day) {
                    Some(at) => (at.format("%Y-%m-%d %H:%M:%S").to_string(), at.nanosecond()),
                    None => return no("time (YYYY-MM-DDThh:mm:ssZ)"),
                }
            }
        };
        let digits = format!("{nanos:09}");
        let kept = digits.trim_end_matches('0');
        if nanos >= 1_000_000_000 || kept.len() as u64 > self.fraction.unwrap_or(0) {
            return Err("the time has more digits than the column keeps".to_owned());
        }
        Ok(if nanos == 0 { shown } else { format!("{shown}.{kept}") })
    }

    /// A choice by its text. A number, and another case, would be taken for one of the choices too.
    fn choice(&self, text: String) -> Result<Value, String> {
        let is_there = |choice: &str| self.declared.contains(&format!("'{}'", choice.replace('\'', "''")));
        let fits = match self.base.as_str() {
            "set" => text.is_empty() || text.split(',').all(is_there),
            _ => is_there(&text),
        };
        if fits { Ok(Value::Text(text)) } else { Err("the text is none of its choices".to_owned()) }
    }

    fn text(&self, text: String) -> Result<Value, String> {
        match self.base.as_str() {
            "char" if text.ends_with(' ') => Err("the column drops spaces at the end".to_owned()),
            "binary" if self.bytes_max != Some(text.len() as u64) => {
                Err("the column fills shorter values up".to_owned())
            }
            // What is too long is refused by the server, or told as a warning where only spaces are.
            _ => Ok(Value::Text(text)),
        }
    }
}

/// The text of a JSON text, and of any other value what stands there.
fn text(raw: &str) -> Result<String, String> {
    match Kind::of(raw) {
        Kind::Text => serde_json::from_str(raw).map_err(|_| "a text holds half a character".to_owned()),
        _ => Ok(raw.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(declared: &str) -> Column {
        let (base, rest) = declared.split_once('(').unwrap_or((declared, ""));
        let sizes: Vec<u64> = rest.trim_end_matches(')').split(',').filter_map(|size| size.parse().ok()).collect();
        let (first, second) = (sizes.first().copied(), sizes.get(1).copied());
        let is_time = matches!(base, "datetime" | "timestamp" | "time");
        Column {
            base: base.to_owned(),
            declared: declared.to_owned(),
            is_json: base == "json",
            is_nullable: true,
            bytes_max: first.map(|size| if base == "binary" { size } else { 4 * size }),
            scale: if base == "decimal" { Some(second.unwrap_or(0)) } else { second },
            fraction: is_time.then(|| first.unwrap_or(0)),
            ..Column::default()
        }
    }

    fn stored(declared: &str, raw: &str) -> Option<Value> {
        column(declared).stored(raw).ok()
    }

    fn texted(text: &str) -> Option<Value> {
        Some(Value::Text(text.to_owned()))
    }

    #[test]
    fn numbers_are_kept_exactly_or_refused() {
        assert_eq!(stored("decimal(10,2)", "1.5"), texted("1.50"));
        assert_eq!(stored("decimal(10,2)", "1.005"), None);
        assert_eq!(stored("decimal(10,2)", r#""1.5""#), None);
        assert_eq!(stored("bigint", "18446744073709551615"), Some(Value::Unsigned(u64::MAX)));
        assert_eq!(stored("int", "1.5"), None);
        assert_eq!(stored("int", r#""7""#), None);
        assert_eq!(stored("tinyint", "true"), Some(Value::Integer(1)));
        assert_eq!(stored("double", "0.1"), Some(Value::Real(0.1)));
        assert_eq!(stored("double", "0.12345678901234567890123"), None);
        assert_eq!(stored("float", "16777217"), None);
        assert_eq!(stored("float(7,2)", "0.125"), None);
        assert_eq!(stored("year", "26"), None);
        assert_eq!(stored("year", "2026"), Some(Value::Integer(2026)));
        assert_eq!(stored("varchar(20)", "1.50"), texted("1.50"));
        assert_eq!(stored("json", "[1.50]"), texted("[1.50]"));
        assert_eq!(stored("json", "[12345678901234567890.5]"), None);
    }

    #[test]
    fn times_are_brought_to_utc_and_never_cut() {
        let time = |declared, text: &str| stored(declared, &format!("\"{text}\""));
        assert_eq!(time("datetime(6)", "2026-03-01T09:00:00.123456+09:00"), texted("2026-03-01 00:00:00.123456"));
        assert_eq!(time("datetime(0)", "2026-03-01T09:00:00Z"), texted("2026-03-01 09:00:00"));
        assert_eq!(time("timestamp(0)", "2026-03-01 09:00:00.000"), texted("2026-03-01 09:00:00"));
        assert_eq!(time("datetime(0)", "2026-03-01"), texted("2026-03-01 00:00:00"));
        assert_eq!(time("datetime(3)", "2026-03-01T09:00:00.1234Z"), None);
        assert_eq!(time("datetime(6)", "tomorrow"), None);
        assert_eq!(time("datetime(6)", "2026-02-30T00:00:00Z"), None);
        assert_eq!(time("datetime(6)", "2016-12-31T23:59:60Z"), None);
        assert_eq!(time("date", "2026-03-01"), texted("2026-03-01"));
        assert_eq!(time("date", "2026-03-01T09:00:00Z"), None);
        assert_eq!(time("time(0)", "09:00:00"), texted("09:00:00"));
        assert_eq!(time("time(0)", "09:00:00.5"), None);
    }

    #[test]
    fn texts_are_whole_or_refused() {
        assert_eq!(stored("char(9)", r#""a ""#), None);
        assert_eq!(stored("varchar(9)", r#""a ""#), texted("a "));
        assert_eq!(stored("binary(4)", r#""abc""#), None);
        assert_eq!(stored("longtext", r#""\ud800""#), None);
        assert_eq!(stored("longtext", "{\"a\": 1}"), texted("{\"a\": 1}"));
        assert_eq!(stored("enum('calm','it''s')", r#""it's""#), texted("it's"));
        assert_eq!(stored("enum('calm','wild')", r#""Calm""#), None);
        assert_eq!(stored("enum('calm','wild')", "1"), None);
        assert_eq!(stored("set('a','b')", r#""b,a""#), texted("b,a"));
        assert_eq!(stored("set('a','b')", r#""a,c""#), None);
    }

    #[test]
    fn null_goes_where_it_may() {
        assert_eq!(stored("int", "null"), Some(Value::Null));
        assert!(Column { is_nullable: false, ..column("timestamp(0)") }.stored("null").is_err());
    }
}
