//! JSON values as SQLite stores them, decided without a database in sight. A value that the column would change is refused: SQLite
//! makes a number of a text that looks like one, and cuts digits, without a word.
//!
//! | JSON           | makes a column | is stored as                                                        |
//! |----------------|----------------|---------------------------------------------------------------------|
//! | text           | TEXT           | TEXT                                                                |
//! | integer        | INTEGER        | INTEGER                                                             |
//! | other number   | of no type     | REAL where that is exactly the number, else TEXT with all digits    |
//! | true, false    | BOOLEAN        | INTEGER 1, 0                                                        |
//! | object, list   | JSON TEXT      | TEXT                                                                |
//! | null           | none yet       | NULL                                                                |

use crate::{
    database::sqlite::Value,
    sink::{
        kinds::{Kind, Kinds},
        number::exact,
    },
};

/// Integers up to here are exact as a REAL.
const REAL_EXACT_MAX: u64 = 1 << 53;

/// What SQLite makes of values on their way into a column, by its declared type.
/// <https://www.sqlite.org/datatype3.html>, 3.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Affinity {
    /// Numbers become text.
    Text,
    /// Texts that look like numbers become numbers.
    Number,
    /// The same, and all numbers become floating.
    Real,
    /// Everything stays as it is.
    None,
}

impl Affinity {
    pub fn of(declared: &str) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |part: &str| declared.contains(part);
        match () {
            () if has("INT") => Self::Number,
            () if has("CHAR") || has("CLOB") || has("TEXT") => Self::Text,
            () if has("BLOB") || declared.is_empty() => Self::None,
            () if has("REAL") || has("FLOA") || has("DOUB") => Self::Real,
            () => Self::Number,
        }
    }
}

/// Whether a column takes JSON text instead of the value it stands for.
pub fn is_json(declared: &str) -> bool {
    declared.to_ascii_uppercase().contains("JSON")
}

/// The type of a column that is made for these; nothing when only null was seen.
pub fn learned(kinds: Kinds) -> Option<&'static str> {
    Some(match kinds.learned()? {
        "boolean" => "BOOLEAN",
        "bigint" => "INTEGER",
        "numeric" => "",
        "jsonb" => "JSON TEXT",
        _ => "TEXT",
    })
}

/// The value for a column of a declared type, or why there is none.
pub fn stored(raw: &str, declared: &str) -> Result<Value, &'static str> {
    let affinity = Affinity::of(declared);
    let becomes_number = |text: &str| !matches!(affinity, Affinity::Text | Affinity::None) && looks_like_number(text);
    if raw == "null" {
        return Ok(Value::Null);
    }
    let value = match Kind::of(raw) {
        _ if is_json(declared) => Value::Text(raw.to_owned()),
        Kind::Null => Value::Null,
        Kind::Boolean => Value::Integer(i64::from(raw == "true")),
        Kind::Json => Value::Text(raw.to_owned()),
        Kind::Text => Value::Text(serde_json::from_str(raw).map_err(|_| "a text holds half a character")?),
        Kind::Integer | Kind::Decimal if affinity == Affinity::Text => return Ok(Value::Text(raw.to_owned())),
        Kind::Integer => {
            let number: i64 = raw.parse().map_err(|_| "a number cannot be read")?;
            if affinity == Affinity::Real && number.unsigned_abs() > REAL_EXACT_MAX {
                return Err("a number has more digits than the column keeps");
            }
            return Ok(Value::Integer(number));
        }
        Kind::Decimal => match exact(raw) {
            Some(real) => return Ok(Value::Real(real)),
            None if affinity == Affinity::None => return Ok(Value::Text(raw.to_owned())),
            None => return Err("a number has more digits than the column keeps"),
        },
    };
    match &value {
        Value::Text(text) if becomes_number(text) => Err("a text would become a number in its column"),
        _ => Ok(value),
    }
}

fn looks_like_number(text: &str) -> bool {
    text.trim().parse::<f64>().is_ok() && text.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn numbers_are_kept_exactly_or_refused() {
        assert_eq!(stored("1.50", ""), Ok(Value::Real(1.5)));
        assert_eq!(stored("0.1", ""), Ok(Value::Real(0.1)));
        assert_eq!(stored("-0.0", ""), Ok(Value::Real(-0.0)));
        assert_eq!(stored("1e3", "REAL"), Ok(Value::Real(1000.0)));
        let long = "12345678901234567890.123456789";
        assert_eq!(stored(long, ""), Ok(text(long)));
        assert_eq!(stored(long, "TEXT"), Ok(text(long)));
        for declared in ["INTEGER", "REAL", "DECIMAL(10,2)"] {
            assert!(stored(long, declared).is_err(), "{declared}");
        }
        assert_eq!(stored("1.50", "TEXT"), Ok(text("1.50")));
        assert_eq!(stored("9007199254740993", "INTEGER"), Ok(Value::Integer(9_007_199_254_740_993)));
        assert!(stored("9007199254740993", "DOUBLE").is_err());
        assert!(stored("1e999", "REAL").is_err());
    }

    #[test]
    fn texts_stay_texts() {
        assert_eq!(stored(r#""007""#, "TEXT"), Ok(text("007")));
        assert_eq!(stored(r#""007""#, ""), Ok(text("007")));
        assert!(stored(r#""007""#, "INTEGER").is_err());
        assert_eq!(stored(r#""2026-01-01""#, "DATETIME"), Ok(text("2026-01-01")));
        assert_eq!(stored(r#""a\nb""#, "TEXT"), Ok(text("a\nb")));
        assert!(stored(r#""\ud800""#, "TEXT").is_err());
    }

    #[test]
    fn a_json_column_takes_the_text_and_booleans_are_numbers() {
        assert_eq!(stored(r#""a""#, "JSON TEXT"), Ok(text(r#""a""#)));
        assert_eq!(stored("12345678901234567890.5", "JSON TEXT"), Ok(text("12345678901234567890.5")));
        assert_eq!(stored("[1, 2]", "TEXT"), Ok(text("[1, 2]")));
        assert_eq!(stored("true", "BOOLEAN"), Ok(Value::Integer(1)));
        assert_eq!(stored("null", "JSON TEXT"), Ok(Value::Null));
    }
}
