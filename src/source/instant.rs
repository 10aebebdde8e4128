//! Reads cursor values in the formats vendors write them in, and writes them the way they are sent back.
//!
//! The hard idea: an instant in UTC, which nearly all vendors send, has its canonical text written all over it. It is read
//! and made canonical by hand; every other spelling takes the long way through the calendar library.

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::{
    config::plan::CursorFormat,
    model::{Cursor, Version, day, midnight},
};

/// Reads a field's raw JSON text as a cursor, with the version it gives its record.
pub fn read(format: CursorFormat, raw: &str) -> Option<(Cursor, Version)> {
    let inner = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let text = inner.unwrap_or(raw).trim();
    match format {
        CursorFormat::Rfc3339 => {
            inner?;
            if let Some(found) = utc(text) {
                return Some(found);
            }
            // A few vendors leave out the colon of the offset.
            let at = DateTime::parse_from_rfc3339(text)
                .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"))
                .ok()?;
            Some(with_version(Cursor::Instant(at.to_utc())))
        }
        CursorFormat::EpochSeconds => epoch(text, 9).map(with_version),
        CursorFormat::EpochMillis => epoch(text, 6).map(with_version),
        CursorFormat::Integer => Some(with_version(Cursor::Integer(text.parse().ok()?))),
        CursorFormat::Date(zone) => Some(with_version(Cursor::Instant(midnight(inner?, zone)?))),
    }
}

fn with_version(cursor: Cursor) -> (Cursor, Version) {
    let version = Version::new(cursor.canonical());
    (cursor, version)
}

/// `2026-11-21T20:50:31.123Z`, with any number of digits after the point, read without the calendar library's parser.
fn utc(text: &str) -> Option<(Cursor, Version)> {
    const FRACTION_FROM: usize = 20;
    let bytes = text.as_bytes();
    let (head, rest) = bytes.split_at_checked(FRACTION_FROM - 1)?;
    let separated = head[4] == b'-' && head[7] == b'-' && head[10] == b'T' && head[13] == b':' && head[16] == b':';
    let fraction = match rest {
        [b'Z'] => &[],
        [b'.', digits @ .., b'Z'] if !digits.is_empty() => digits,
        _ => return None,
    };
    if !separated || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |at: usize, len: usize| {
        head[at..at + len]
            .iter()
            .try_fold(0u32, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0')))
    };
    let nine = |at: usize| u32::from(fraction.get(at).map_or(0, |digit| digit - b'0'));
    let nanos = (0..9).fold(0, |sum, at| sum * 10 + nine(at));
    let date = NaiveDate::from_ymd_opt(number(0, 4)? as i32, number(5, 2)?, number(8, 2)?)?;
    let at = date.and_hms_nano_opt(number(11, 2)?, number(14, 2)?, number(17, 2)?, nanos)?.and_utc();
    let mut canonical = *b"0000-00-00T00:00:00.000000000Z";
    canonical[..FRACTION_FROM - 1].copy_from_slice(head);
    let digits = fraction.len().min(9);
    canonical[FRACTION_FROM..FRACTION_FROM + digits].copy_from_slice(&fraction[..digits]);
    let canonical = std::str::from_utf8(&canonical).ok()?;
    Some((Cursor::Instant(at), Version::new(canonical)))
}

/// A decimal count of units, each 10^`digits` nanoseconds. Read as text: a float has no room for its last digits.
fn epoch(text: &str, digits: usize) -> Option<Cursor> {
    let (unsigned, sign) = text.strip_prefix('-').map_or((text, 1), |rest| (rest, -1));
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 20 || !plain(whole) || !plain(fraction) {
        return None;
    }
    let fraction: i128 = (0..digits)
        .fold(0, |sum, at| sum * 10 + i128::from(fraction.as_bytes().get(at).map_or(0, |digit| digit - b'0')));
    let nanos = sign * (whole.parse::<i128>().ok()? * 10i128.pow(digits as u32) + fraction);
    let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
    let at = DateTime::from_timestamp(seconds, nanos.rem_euclid(1_000_000_000) as u32)?;
    Some(Cursor::Instant(at))
}

/// The text that is sent for a window's bound. Finer digits than the format has are cut off, which moves a lower bound
/// further back: more is read, nothing is missed.
pub fn sent(format: Option<CursorFormat>, days: Option<Tz>, bound: &Cursor) -> String {
    if let (Some(zone), Cursor::Instant(at)) = (days, bound) {
        return day(*at, zone);
    }
    match (format, bound) {
        (Some(CursorFormat::EpochSeconds), Cursor::Instant(at)) => at.timestamp().to_string(),
        (Some(CursorFormat::EpochMillis), Cursor::Instant(at)) => at.timestamp_millis().to_string(),
        (_, Cursor::Instant(at)) if at.timestamp_subsec_millis() == 0 => at.to_rfc3339_opts(SecondsFormat::Secs, true),
        (_, Cursor::Instant(at)) => at.to_rfc3339_opts(SecondsFormat::Millis, true),
        (_, Cursor::Integer(_) | Cursor::Token(_)) => bound.canonical(),
    }
}

/// The whole second an instant lies in. Vendors that keep whole seconds must not have one of them cut in two.
pub fn whole_second(at: DateTime<Utc>) -> DateTime<Utc> {
    at - TimeDelta::nanoseconds(i64::from(at.timestamp_subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(format: CursorFormat, raw: &str) -> Option<String> {
        let (cursor, version) = read(format, raw)?;
        assert_eq!(cursor.canonical(), version.as_str(), "{raw}");
        Some(cursor.canonical())
    }

    #[test]
    fn one_instant_has_one_text_whatever_way_it_is_written() {
        let same = [
            r#""2026-11-21T20:50:31Z""#,
            r#""2026-11-21T20:50:31.0Z""#,
            r#""2026-11-21T20:50:31.000000000000Z""#,
            r#""2026-11-21T20:50:31+00:00""#,
            r#""2026-11-22T05:50:31+09:00""#,
            r#""2026-11-21T15:20:31.000-0530""#,
            r#""2026-11-21t20:50:31z""#,
        ];
        for raw in same {
            let text = canonical(CursorFormat::Rfc3339, raw);
            assert_eq!(text.as_deref(), Some("2026-11-21T20:50:31.000000000Z"), "{raw}");
        }
        for raw in ["1795294231", "\"1795294231\"", "1795294231.0"] {
            let text = canonical(CursorFormat::EpochSeconds, raw);
            assert_eq!(text.as_deref(), Some("2026-11-21T20:50:31.000000000Z"), "{raw}");
        }
        assert_eq!(canonical(CursorFormat::EpochMillis, "1795294231000").unwrap(), "2026-11-21T20:50:31.000000000Z");
    }

    #[test]
    fn every_digit_of_a_fraction_counts() {
        let nine = canonical(CursorFormat::Rfc3339, r#""2026-11-21T20:50:31.123456789Z""#).unwrap();
        assert_eq!(nine, "2026-11-21T20:50:31.123456789Z");
        assert_eq!(canonical(CursorFormat::EpochSeconds, "1795294231.123456789").unwrap(), nine);
        assert_eq!(canonical(CursorFormat::EpochMillis, "\"1795294231123.456789\"").unwrap(), nine);
        assert_eq!(canonical(CursorFormat::EpochSeconds, "-0.5").unwrap(), "1969-12-31T23:59:59.500000000Z");
    }

    #[test]
    fn integers_may_be_written_as_texts() {
        assert_eq!(canonical(CursorFormat::Integer, "42").unwrap(), "42");
        assert_eq!(canonical(CursorFormat::Integer, "\"-42\"").unwrap(), "-42");
    }

    #[test]
    fn a_date_is_the_beginning_of_its_day_where_the_vendor_is() {
        let tokyo = CursorFormat::Date(chrono_tz::Asia::Tokyo);
        assert_eq!(canonical(tokyo, r#""2026-11-30""#).unwrap(), "2026-11-29T15:00:00.000000000Z");
        for raw in ["null", "20261130", r#""2026-11-31""#, r#""2026-11-30T00:00:00Z""#] {
            assert_eq!(read(tokyo, raw), None, "{raw}");
        }
        let (late, _) = read(CursorFormat::Rfc3339, r#""2026-11-30T14:59:59Z""#).unwrap();
        assert_eq!(sent(Some(tokyo), Some(chrono_tz::Asia::Tokyo), &late), "2026-11-30");
        assert_eq!(sent(Some(CursorFormat::Rfc3339), Some(chrono_tz::UTC), &late), "2026-11-30");
        let (next, _) = read(CursorFormat::Rfc3339, r#""2026-11-30T15:00:00Z""#).unwrap();
        assert_eq!(sent(Some(tokyo), Some(chrono_tz::Asia::Tokyo), &next), "2026-12-01");
    }

    #[test]
    fn what_is_no_cursor_value_is_refused() {
        let texts = ["null", "true", "{}", "\"\"", "\"soon\"", "1795294231", r#""2026-11-21T20:50:31""#];
        for raw in texts.into_iter().chain([r#""2026-13-01T00:00:00Z""#, r#""2026-11-21T20:50:31.Z""#]) {
            assert_eq!(read(CursorFormat::Rfc3339, raw), None, "{raw}");
        }
        for raw in ["null", "\"\"", "1e9", "\"12a\"", "--1", "99999999999999999999999"] {
            assert_eq!(read(CursorFormat::EpochSeconds, raw), None, "{raw}");
        }
        assert_eq!(read(CursorFormat::Integer, "1.5"), None);
        assert_eq!(read(CursorFormat::Integer, "9223372036854775808"), None);
    }

    #[test]
    fn a_bound_is_sent_in_the_format_of_the_stream() {
        let (bound, _) = read(CursorFormat::Rfc3339, r#""2026-11-21T20:50:31.123999Z""#).unwrap();
        assert_eq!(sent(Some(CursorFormat::Rfc3339), None, &bound), "2026-11-21T20:50:31.123Z");
        assert_eq!(sent(Some(CursorFormat::EpochSeconds), None, &bound), "1795294231");
        assert_eq!(sent(Some(CursorFormat::EpochMillis), None, &bound), "1795294231123");
        let (whole, _) = read(CursorFormat::EpochSeconds, "1795294231").unwrap();
        assert_eq!(sent(Some(CursorFormat::Rfc3339), None, &whole), "2026-11-21T20:50:31Z");
        assert_eq!(sent(Some(CursorFormat::Integer), None, &Cursor::Integer(7)), "7");
        assert_eq!(sent(None, None, &Cursor::Token("t/1".to_owned())), "t/1");
    }
}
