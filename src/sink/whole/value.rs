//! JSON values as cells of Parquet columns, decided without a file in sight. A value that the column would change is refused.
//!
//! | column          | takes                                             | is stored as                             |
//! |-----------------|---------------------------------------------------|------------------------------------------|
//! | text            | everything: texts as they are, others as JSON     | STRING                                   |
//! | json            | everything, as JSON                               | JSON                                     |
//! | boolean         | true, false                                       | BOOLEAN                                  |
//! | bigint          | whole numbers of 64 bits                          | INT64                                    |
//! | double          | numbers that a double is exactly, to their digits | DOUBLE                                   |
//! | decimal(p,s)    | numbers of these digits                           | DECIMAL on INT64, from 19 digits on of 16 bytes |
//! | date            | `2026-01-31`                                      | DATE                                     |
//! | timestamp       | RFC 3339 with its offset, to the microsecond      | TIMESTAMP, UTC, microseconds             |

use chrono::{DateTime, NaiveDate};
use serde_json::value::RawValue;

use crate::{
    config::plan::ColumnKind,
    sink::{
        file_form::{compact, text},
        kinds::Kind,
        number::{exact, with_scale},
    },
};

/// A value as Parquet stores it.
#[derive(Clone, PartialEq, Debug)]
pub enum Cell {
    Bytes(Vec<u8>),
    Boolean(bool),
    Int32(i32),
    Int64(i64),
    Double(f64),
    /// The largest decimals, big end first.
    Wide([u8; 16]),
}

/// Decimals of so many digits fit 64 bits.
pub const NARROW_DIGITS: u8 = 18;

/// The cell of a value, or why there is none. Nothing: null.
pub fn cell(value: &RawValue, kind: ColumnKind) -> Result<Option<Cell>, &'static str> {
    let raw = value.get();
    let of = Kind::of(raw);
    if of == Kind::Null {
        return Ok(None);
    }
    let is_number = matches!(of, Kind::Integer | Kind::Decimal);
    Ok(Some(match kind {
        ColumnKind::Text => Cell::Bytes(text(value).ok_or("a text holds half a character")?.into_owned().into_bytes()),
        ColumnKind::Json => Cell::Bytes(compact(raw).into_bytes()),
        ColumnKind::Boolean if of == Kind::Boolean => Cell::Boolean(raw == "true"),
        ColumnKind::Boolean => return Err("the value is neither true nor false"),
        ColumnKind::BigInt if of == Kind::Integer => raw.parse().map(Cell::Int64).map_err(|_| NO_INTEGER)?,
        ColumnKind::BigInt => return Err(NO_INTEGER),
        ColumnKind::Double if is_number => exact(raw).map(Cell::Double).ok_or(TOO_MANY)?,
        ColumnKind::Decimal(all, behind) if is_number => decimal(raw, all, behind)?,
        ColumnKind::Double | ColumnKind::Decimal(..) => return Err("the value is no number"),
        ColumnKind::Date => Cell::Int32(date(value).ok_or("the value is no date such as 2026-01-31")?),
        ColumnKind::Timestamp => Cell::Int64(instant(value)?),
    }))
}

const NO_INTEGER: &str = "the value is no whole number of 64 bits";
const TOO_MANY: &str = "a number has more digits than the column keeps";

/// The digits as a number of the column's smallest unit.
fn decimal(raw: &str, all: u8, behind: u8) -> Result<Cell, &'static str> {
    let written = with_scale(raw, behind.into()).ok_or(TOO_MANY)?.replace('.', "");
    if written.trim_start_matches(['-', '0']).len() > usize::from(all) {
        return Err(TOO_MANY);
    }
    let units: i128 = written.parse().map_err(|_| TOO_MANY)?;
    match i64::try_from(units) {
        Ok(units) if all <= NARROW_DIGITS => Ok(Cell::Int64(units)),
        _ => Ok(Cell::Wide(units.to_be_bytes())),
    }
}

fn date(value: &RawValue) -> Option<i32> {
    let text: String = serde_json::from_str(value.get()).ok()?;
    let date = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok().filter(|_| text.len() == 10)?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

fn instant(value: &RawValue) -> Result<i64, &'static str> {
    let text: Option<String> = serde_json::from_str(value.get()).ok();
    let at = text.and_then(|text| DateTime::parse_from_rfc3339(&text).ok());
    let at = at.ok_or("the value is no time such as 2026-01-31T09:00:00+09:00")?;
    match at.timestamp_subsec_nanos() % 1000 {
        0 => Ok(at.timestamp_micros()),
        _ => Err("a time is finer than microseconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(raw: &str, kind: ColumnKind) -> Result<Option<Cell>, &'static str> {
        cell(&RawValue::from_string(raw.to_owned()).unwrap(), kind)
    }

    fn bytes(text: &str) -> Result<Option<Cell>, &'static str> {
        Ok(Some(Cell::Bytes(text.as_bytes().to_vec())))
    }

    #[test]
    fn texts_and_json_take_everything() {
        assert_eq!(of(r#""a\nb""#, ColumnKind::Text), bytes("a\nb"));
        assert_eq!(of("[1, 2.50]", ColumnKind::Text), bytes("[1,2.50]"));
        assert_eq!(of(r#""a""#, ColumnKind::Json), bytes(r#""a""#));
        assert_eq!(of("null", ColumnKind::Json), Ok(None));
        assert!(of(r#""\ud800""#, ColumnKind::Text).is_err());
    }

    #[test]
    fn numbers_keep_all_their_digits_or_are_refused() {
        assert_eq!(of("9007199254740993", ColumnKind::BigInt), Ok(Some(Cell::Int64(9_007_199_254_740_993))));
        assert_eq!(of("0.1", ColumnKind::Double), Ok(Some(Cell::Double(0.1))));
        for (raw, kind) in [
            ("9223372036854775808", ColumnKind::BigInt),
            ("1.5", ColumnKind::BigInt),
            (r#""1""#, ColumnKind::BigInt),
            ("9007199254740993", ColumnKind::Double),
            ("0.12345678901234567890123", ColumnKind::Double),
            ("1.005", ColumnKind::Decimal(12, 2)),
            ("10000000000", ColumnKind::Decimal(12, 2)),
            ("1e300", ColumnKind::Decimal(38, 0)),
            ("10e9223372036854775807", ColumnKind::Decimal(38, 0)),
            (r#""1.5""#, ColumnKind::Decimal(12, 2)),
            ("1", ColumnKind::Boolean),
        ] {
            assert!(of(raw, kind).is_err(), "{raw} {kind}");
        }
    }

    #[test]
    fn decimals_are_counted_in_their_smallest_unit() {
        let narrow = |raw: &str| of(raw, ColumnKind::Decimal(12, 2));
        for (raw, units) in
            [("1.50", 150), ("-1.5", -150), ("1e3", 100_000), ("0", 0), ("0e9", 0), ("9999999999.99", 999_999_999_999)]
        {
            assert_eq!(narrow(raw), Ok(Some(Cell::Int64(units))), "{raw}");
        }
        let widest = "-12345678901234567890123456789.123456789";
        let units: i128 = -12_345_678_901_234_567_890_123_456_789_123_456_789;
        assert_eq!(of(widest, ColumnKind::Decimal(38, 9)), Ok(Some(Cell::Wide(units.to_be_bytes()))));
        assert_eq!(of("1", ColumnKind::Decimal(19, 0)), Ok(Some(Cell::Wide(1_i128.to_be_bytes()))));
    }

    #[test]
    fn times_are_told_in_utc_and_no_finer_than_the_column_keeps() {
        assert_eq!(of(r#""1970-01-02""#, ColumnKind::Date), Ok(Some(Cell::Int32(1))));
        assert_eq!(of(r#""1969-12-31""#, ColumnKind::Date), Ok(Some(Cell::Int32(-1))));
        let at = |raw: &str| of(raw, ColumnKind::Timestamp);
        assert_eq!(at(r#""1970-01-01T09:00:00.000001+09:00""#), Ok(Some(Cell::Int64(1))));
        for raw in [r#""1970-01-01T00:00:00.0000001Z""#, r#""1970-01-01T00:00:00""#, "5", r#""soon""#] {
            assert!(at(raw).is_err(), "{raw}");
        }
        for raw in [r#""1970-1-2""#, r#""2026-02-30""#, r#""2026-01-01T00:00:00Z""#, "20260101"] {
            assert!(of(raw, ColumnKind::Date).is_err(), "{raw}");
        }
    }
}
