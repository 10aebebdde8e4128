//! A value as JSON: bytes as base64, times as ISO 8601, JSON and booleans where the column is of them.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::value::RawValue;

use super::shape::Field;
use crate::database::mysql::{Kind, Value};

/// `is_cursor`: the column holds times that are meant in UTC.
pub fn shown(value: &Value, field: &Field, is_cursor: bool) -> String {
    let kind = field.column.kind;
    match value {
        Value::Null => "null".to_owned(),
        Value::Integer(0) if matches!(kind, Kind::Boolean | Kind::Flag) => "false".to_owned(),
        Value::Integer(1) if matches!(kind, Kind::Boolean | Kind::Flag) => "true".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Unsigned(number) => number.to_string(),
        Value::Single(number) => format!("{number:?}"),
        Value::Real(number) => format!("{number:?}"),
        Value::Bytes(bytes) => json_text(&BASE64_STANDARD.encode(bytes)),
        Value::Text(text) => match kind {
            Kind::Decimal => number(text),
            // A date of zeros stands for none.
            Kind::Instant | Kind::Moment | Kind::Date if text.starts_with("0000-00-00") => "null".to_owned(),
            Kind::Instant => json_text(&format!("{}Z", text.replace(' ', "T"))),
            Kind::Moment => json_text(&format!("{}{}", text.replace(' ', "T"), if is_cursor { "Z" } else { "" })),
            Kind::Json => text.clone(),
            _ if field.is_json && serde_json::from_str::<&RawValue>(text).is_ok() => text.clone(),
            _ => json_text(text),
        },
    }
}

/// Without the zeros that a column may write before a number.
fn number(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let digits = digits.trim_start_matches('0');
    let zero = if digits.is_empty() || digits.starts_with('.') { "0" } else { "" };
    format!("{sign}{zero}{digits}")
}

pub fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::mysql::Column;

    fn field(kind: Kind) -> Field {
        let origin = [String::new(), String::new(), String::new()];
        Field { column: Column { name: "f".to_owned(), kind, decimals: 2, origin }, is_json: false }
    }

    fn text(kind: Kind, text: &str) -> String {
        shown(&Value::Text(text.to_owned()), &field(kind), false)
    }

    #[test]
    fn values_are_json_as_their_columns_are() {
        assert_eq!(shown(&Value::Integer(1), &field(Kind::Boolean), false), "true");
        assert_eq!(shown(&Value::Integer(7), &field(Kind::Boolean), false), "7");
        assert_eq!(shown(&Value::Integer(0), &field(Kind::Flag), false), "false");
        assert_eq!(shown(&Value::Unsigned(u64::MAX), &field(Kind::Integer), false), "18446744073709551615");
        assert_eq!(shown(&Value::Single(0.1), &field(Kind::Real), false), "0.1");
        assert_eq!(shown(&Value::Bytes(vec![0, 255]), &field(Kind::Bytes), false), "\"AP8=\"");
        assert_eq!(text(Kind::Decimal, "12345678901234567890.1200"), "12345678901234567890.1200");
        assert_eq!(text(Kind::Decimal, "0000.50"), "0.50");
        assert_eq!(text(Kind::Decimal, "0000"), "0");
        assert_eq!(text(Kind::Json, "{\"a\": 1}"), "{\"a\": 1}");
        assert_eq!(text(Kind::Text, "{\"a\": 1}"), "\"{\\\"a\\\": 1}\"");
        let json = Field { is_json: true, ..field(Kind::Text) };
        assert_eq!(shown(&Value::Text("{\"a\": 1}".to_owned()), &json, false), "{\"a\": 1}");
    }

    #[test]
    fn only_what_stands_for_an_instant_has_an_offset() {
        assert_eq!(text(Kind::Instant, "2026-03-01 09:00:00.5"), "\"2026-03-01T09:00:00.5Z\"");
        assert_eq!(text(Kind::Moment, "2026-03-01 09:00:00"), "\"2026-03-01T09:00:00\"");
        let cursor = shown(&Value::Text("2026-03-01 09:00:00".to_owned()), &field(Kind::Moment), true);
        assert_eq!(cursor, "\"2026-03-01T09:00:00Z\"");
        assert_eq!(text(Kind::Date, "2026-03-01"), "\"2026-03-01\"");
        assert_eq!(text(Kind::Moment, "0000-00-00 00:00:00"), "null");
    }
}
