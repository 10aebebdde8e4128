//! Times, sizes and status patterns as people write them.

use std::{borrow::Cow, fmt, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::fill::HOLE;

/// No time in a configuration is longer: ten years.
const SECONDS_MAX: f64 = 10.0 * 366.0 * 86_400.0;

/// `250ms`, `30s`, `5m`, `1h`, `7d`, or ISO 8601 `PT30S`, `P1DT12H`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Time(pub Duration);

/// `500kB`, `100MB`, `64MiB`, or a number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size(pub u64);

/// `404`, `4xx` or `500-599`: an inclusive range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Statuses(pub u16, pub u16);

/// `2%`: a part of a whole.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Share(pub f64);

impl Share {
    pub fn parse(text: &str) -> Option<Self> {
        let percent = decimal(text.strip_suffix('%')?)?;
        (percent <= 100.0).then_some(Self(percent / 100.0))
    }
}

impl Time {
    pub fn parse(text: &str) -> Option<Self> {
        let seconds = if let Some(iso) = text.strip_prefix('P') { iso_seconds(iso)? } else { unit_seconds(text)? };
        (0.0..=SECONDS_MAX).contains(&seconds).then(|| Self(Duration::from_secs_f64(seconds)))
    }
}

fn unit_seconds(text: &str) -> Option<f64> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    decimal(number).map(|number| number * scale)
}

fn iso_seconds(text: &str) -> Option<f64> {
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    let days = iso_part(date, &[('W', 7.0 * 86_400.0), ('D', 86_400.0)])?;
    match time {
        None if date.is_empty() => None,
        None => Some(days),
        Some("") => None,
        Some(time) => Some(days + iso_part(time, &[('H', 3600.0), ('M', 60.0), ('S', 1.0)])?),
    }
}

/// Numbers with designators, each at most once and in order.
fn iso_part(text: &str, designators: &[(char, f64)]) -> Option<f64> {
    let (mut rest, mut seconds) = (text, 0.0);
    for (designator, scale) in designators {
        if let Some((number, after)) = rest.split_once(*designator) {
            seconds += decimal(number)? * scale;
            rest = after;
        }
    }
    rest.is_empty().then_some(seconds)
}

fn decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let framed = text.starts_with(|c: char| c.is_ascii_digit()) && text.ends_with(|c: char| c.is_ascii_digit());
    (plain && framed && text.len() <= 18).then(|| text.parse().ok()).flatten()
}

impl Size {
    pub fn parse(text: &str) -> Option<Self> {
        let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let scale: u64 = match unit {
            "" | "B" => 1,
            "kB" | "KB" => 1000,
            "MB" => 1000 * 1000,
            "GB" => 1000 * 1000 * 1000,
            "TB" => 1000 * 1000 * 1000 * 1000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            _ => return None,
        };
        let number = number.trim_end();
        match number.parse::<u64>() {
            Ok(number) => number.checked_mul(scale).map(Self),
            // Up to 2^53 a decimal is exact, and no sensible size is near it.
            Err(_) => decimal(number).map(|number| Self((number * scale as f64) as u64)),
        }
    }
}

impl Statuses {
    pub fn parse(text: &str) -> Option<Self> {
        let code = |text: &str| text.parse::<u16>().ok().filter(|code| (100..=599).contains(code) && text.len() == 3);
        if let Some(class) = text.strip_suffix("xx") {
            let class = class.parse::<u16>().ok().filter(|class| (1..=5).contains(class))?;
            return Some(Self(class * 100, class * 100 + 99));
        }
        match text.split_once('-') {
            Some((from, to)) => {
                let (from, to) = (code(from.trim())?, code(to.trim())?);
                (from <= to).then_some(Self(from, to))
            }
            None => code(text).map(|code| Self(code, code)),
        }
    }
}

/// Reads a text by `parse`. A text that waits for a missing variable becomes the stand-in.
fn parsed<'de, D: Deserializer<'de>, T>(
    from: D,
    parse: fn(&str) -> Option<T>,
    stand_in: T,
    expected: &str,
) -> Result<T, D::Error> {
    struct Text;
    impl de::Visitor<'_> for Text {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }

        fn visit_str<E>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
    }
    let text = from.deserialize_str(Text)?;
    if text.contains(HOLE) {
        return Ok(stand_in);
    }
    parse(&text).ok_or_else(|| de::Error::custom(format!("expected {expected}")))
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parsed(from, Self::parse, Self(Duration::from_secs(1)), "a time such as 250ms, 30s, 5m, 1h, 7d or PT30S")
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parsed(from, Self::parse, Self(1.0), "a share such as 2% or 0.5%")
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parsed(from, Self::parse, Self(128 << 20), "a size such as 500kB, 100MB or 64MiB")
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parsed(from, Self::parse, Self(200, 200), "a status such as 404, 5xx or 500-503")
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A time: 250ms, 30s, 5m, 1h, 7d, or ISO 8601 such as PT30S.",
            "pattern": r"^[0-9.]+(ms|s|m|h|d)$|^P|\$\{",
            "examples": ["30s", "5m", "PT30S"]
        })
    }
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A part of a whole: 2%, 0.5%.",
            "pattern": r"^[0-9.]+%$|\$\{",
            "examples": ["2%", "0.5%"]
        })
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "description": "A size: 500kB, 100MB, 64MiB, or bytes.",
            "pattern": r"^[0-9.]+ ?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?$|\$\{",
            "examples": ["100MB", "64MiB"]
        })
    }
}

impl JsonSchema for Statuses {
    fn schema_name() -> Cow<'static, str> {
        "Statuses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "description": "A status, a class of statuses or a range: 404, 5xx, 500-503.",
            "examples": [404, "5xx"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_notations() {
        let ms = |text: &str| Time::parse(text).map(|time| time.0.as_millis());
        assert_eq!(ms("250ms"), Some(250));
        assert_eq!(ms("1.5h"), Some(5_400_000));
        assert_eq!(ms("PT30S"), Some(30_000));
        assert_eq!(ms("P1DT12H"), Some(129_600_000));
        assert_eq!(ms("PT0.5S"), Some(500));
        assert_eq!(ms("P2W"), Some(1_209_600_000));
        for text in ["", "30", "s", "30 s", "-5s", "5S", "P", "PT", "PT5", "PT5S3M", "1e9s", "NaNs", "99999d", "1.s"] {
            assert_eq!(ms(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_read_with_decimal_and_binary_units() {
        let size = |text: &str| Size::parse(text).map(|size| size.0);
        assert_eq!(size("100MB"), Some(100_000_000));
        assert_eq!(size("64MiB"), Some(64 << 20));
        assert_eq!(size("1.5 GB"), Some(1_500_000_000));
        assert_eq!(size("512"), Some(512));
        for text in ["", "MB", "10mb", "-1MB", "99999999999TB", "1..5MB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn statuses_are_single_classes_or_ranges() {
        assert_eq!(Statuses::parse("423"), Some(Statuses(423, 423)));
        assert_eq!(Statuses::parse("5xx"), Some(Statuses(500, 599)));
        assert_eq!(Statuses::parse("500-503"), Some(Statuses(500, 503)));
        for text in ["", "6xx", "99", "600", "503-500", "0404", "x", "2x"] {
            assert_eq!(Statuses::parse(text), None, "{text}");
        }
    }
}
