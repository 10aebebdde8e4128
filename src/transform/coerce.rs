//! One value of the type that it is to have. What is that already keeps its bytes.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, SecondsFormat, TimeDelta, TimeZone, Utc};

use crate::config::plan::Kind;

/// The value has no meaning of that type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unfit;

/// The JSON text of a value as that type. An empty text is no value, but for a text.
pub fn coerced<'r>(kind: &Kind, raw: &'r str) -> Result<Cow<'r, str>, Unfit> {
    if raw == "null" {
        return Ok(Cow::Borrowed(raw));
    }
    let text = match raw.as_bytes().first() {
        Some(b'"') => Some(serde_json::from_str::<Cow<'_, str>>(raw).map_err(|_| Unfit)?),
        Some(b'{' | b'[') | None => return Err(Unfit),
        Some(_) => None,
    };
    let inner = text.as_deref().map_or(raw, str::trim);
    if text.is_some() && inner.is_empty() && *kind != Kind::Text {
        return Ok(Cow::Borrowed("null"));
    }
    let is_text = text.is_some();
    match kind {
        Kind::Text if is_text => Ok(Cow::Borrowed(raw)),
        Kind::Text => Ok(Cow::Owned(format!("\"{raw}\""))),
        Kind::Integer => integer(inner).map(|whole| kept(whole, raw)).ok_or(Unfit),
        Kind::Number => number(inner).map(|number| kept(number, raw)).ok_or(Unfit),
        Kind::Boolean => boolean(inner).map(|text| kept(text.to_owned(), raw)).ok_or(Unfit),
        Kind::Epoch(unit) => {
            let count: i64 = inner.parse().map_err(|_| Unfit)?;
            let millis = i64::try_from(unit.as_millis()).ok().and_then(|unit| count.checked_mul(unit)).ok_or(Unfit)?;
            DateTime::from_timestamp_millis(millis).and_then(time).map(Cow::Owned).ok_or(Unfit)
        }
        Kind::Date | Kind::DateAs(_) | Kind::Time | Kind::TimeAs(..) if !is_text => Err(Unfit),
        Kind::Date => date_of(inner).and_then(date).map(|text| kept(text, raw)).ok_or(Unfit),
        Kind::DateAs(form) => {
            NaiveDate::parse_from_str(inner, form).ok().and_then(date).map(|text| kept(text, raw)).ok_or(Unfit)
        }
        Kind::Time => {
            let at = DateTime::parse_from_rfc3339(inner).map_err(|_| Unfit)?;
            time(at.with_timezone(&Utc)).map(|text| kept(text, raw)).ok_or(Unfit)
        }
        Kind::TimeAs(form, zone) => {
            let at = match DateTime::parse_from_str(inner, form) {
                Ok(at) => Some(at.with_timezone(&Utc)),
                Err(_) => NaiveDateTime::parse_from_str(inner, form).ok().and_then(|local| in_zone(*zone, local)),
            };
            at.and_then(time).map(|text| kept(text, raw)).ok_or(Unfit)
        }
    }
}

fn kept(text: String, raw: &str) -> Cow<'_, str> {
    if text == raw { Cow::Borrowed(raw) } else { Cow::Owned(text) }
}

/// The instant that a clock on the wall shows: of an hour that comes twice the first, of one that is left out the one after.
fn in_zone(zone: chrono_tz::Tz, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    let at = |local: NaiveDateTime| zone.from_local_datetime(&local).earliest().map(|at| at.with_timezone(&Utc));
    at(local).or_else(|| at(local.checked_add_signed(TimeDelta::hours(1))?))
}

/// Years of four digits are what others read.
fn date(date: NaiveDate) -> Option<String> {
    (0..=9999).contains(&date.year()).then(|| format!("\"{date}\""))
}

fn time(at: DateTime<Utc>) -> Option<String> {
    let text = at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    (0..=9999).contains(&at.year()).then(|| format!("\"{text}\""))
}

fn date_of(text: &str) -> Option<NaiveDate> {
    let plain = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    plain.or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|at| at.date_naive()))
}

/// Digits with their sign. A fraction of nothing but zeros is none.
fn integer(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_whole = !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit());
    if !is_whole || fraction.is_empty() || fraction.bytes().any(|byte| byte != b'0') {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    Some(if whole.is_empty() { "0".to_owned() } else { format!("{sign}{whole}") })
}

/// A number as JSON writes one, with its own digits.
fn number(text: &str) -> Option<String> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let begins = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let is_number = begins && serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
    is_number.then(|| text.to_owned())
}

fn boolean(text: &str) -> Option<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some("true"),
        "false" | "no" | "off" | "0" => Some("false"),
        _ => None,
    }
}

/// What was wanted, for messages.
pub fn wanted(kind: &Kind) -> String {
    match kind {
        Kind::Integer => "a whole number".to_owned(),
        Kind::Number => "a number".to_owned(),
        Kind::Boolean => "true or false".to_owned(),
        Kind::Text => "a text, number or boolean".to_owned(),
        Kind::Date => "a date such as 2026-01-31".to_owned(),
        Kind::DateAs(form) => format!("a date by {form}"),
        Kind::Time => "an RFC 3339 time".to_owned(),
        Kind::TimeAs(form, _) => format!("a time by {form}"),
        Kind::Epoch(unit) if unit.as_secs() > 0 => "a count of seconds since 1970".to_owned(),
        Kind::Epoch(_) => "a count of milliseconds since 1970".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn all(kind: &Kind, pairs: &[(&str, Option<&str>)]) {
        for (raw, wanted) in pairs {
            assert_eq!(coerced(kind, raw).ok().as_deref(), *wanted, "{kind:?} {raw}");
        }
    }

    #[test]
    fn a_number_keeps_its_digits_and_a_text_becomes_one() {
        let big = "123456789012345678901234567890";
        all(&Kind::Integer, &[("12", Some("12")), (r#"" -007 ""#, Some("-7")), ("12.0", Some("12")), (big, Some(big))]);
        all(&Kind::Integer, &[("1.5", None), (r#""1,234""#, None), ("true", None), ("[1]", None), (r#""12a""#, None)]);
        all(
            &Kind::Number,
            &[("1.50", Some("1.50")), (r#""+2.5e3""#, Some("2.5e3")), (r#""1.""#, None), (r#""NaN""#, None)],
        );
        all(&Kind::Integer, &[("null", Some("null")), (r#"" ""#, Some("null"))]);
    }

    #[test]
    fn booleans_and_texts_are_read_from_what_people_write() {
        all(
            &Kind::Boolean,
            &[("true", Some("true")), (r#""Yes""#, Some("true")), ("0", Some("false")), (r#""j""#, None)],
        );
        all(
            &Kind::Text,
            &[("1.50", Some(r#""1.50""#)), (r#""a\u00e9""#, Some(r#""a\u00e9""#)), (r#""""#, Some(r#""""#))],
        );
        all(&Kind::Text, &[("{}", None)]);
    }

    #[test]
    fn dates_and_times_have_one_form() {
        let day = Some(r#""2026-01-31""#);
        all(
            &Kind::Date,
            &[(r#""2026-01-31""#, day), (r#""2026-01-31T23:30:00+09:00""#, day), (r#""2026-02-30""#, None)],
        );
        all(&Kind::DateAs("%d/%m/%Y".to_owned()), &[(r#""31/01/2026""#, day), (r#""01/31/2026""#, None), ("31", None)]);
        let at = Some(r#""2026-01-31T00:00:00Z""#);
        all(&Kind::Time, &[(r#""2026-01-31T09:00:00+09:00""#, at), (r#""2026-01-31""#, None)]);
        let tokyo = Kind::TimeAs("%Y/%m/%d %H:%M".to_owned(), chrono_tz::Asia::Tokyo);
        all(&tokyo, &[(r#""2026/01/31 09:00""#, at), (r#""2026/01/31""#, None)]);
        all(&Kind::Epoch(Duration::from_secs(1)), &[("1769817600", at), (r#""1769817600""#, at), ("1e9", None)]);
        all(&Kind::Epoch(Duration::from_millis(1)), &[("1769817600000", at), ("9223372036854775807", None)]);
    }

    #[test]
    fn a_wall_clock_that_leaves_an_hour_out_or_shows_it_twice_still_names_one_instant() {
        let berlin = Kind::TimeAs("%Y-%m-%d %H:%M".to_owned(), chrono_tz::Europe::Berlin);
        all(&berlin, &[(r#""2026-03-29 02:30""#, Some(r#""2026-03-29T01:30:00Z""#))]);
        all(&berlin, &[(r#""2026-10-25 02:30""#, Some(r#""2026-10-25T00:30:00Z""#))]);
    }
}
