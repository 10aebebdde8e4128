//! Decimal numbers by their digits, so that none is lost without a word. Pure.

/// The floating number that is exactly this one, whatever zeros it is written with.
pub fn exact(raw: &str) -> Option<f64> {
    let real: f64 = raw.parse().ok().filter(|real: &f64| real.is_finite())?;
    (digits(raw)? == digits(&format!("{real:e}"))?).then_some(real)
}

/// A decimal number as its sign, its digits without zeros around, and the power of ten of the last one.
pub fn digits(text: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (unsigned, negative) = mantissa.strip_prefix('-').map_or((mantissa, false), |rest| (rest, true));
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let all = format!("{whole}{fraction}");
    let kept = all.trim_end_matches('0');
    // JSON bounds no exponent.
    let shift = (all.len() - kept.len()) as i64 - fraction.len() as i64;
    let power = exponent.parse::<i64>().ok()?.checked_add(shift)?;
    let kept = kept.trim_start_matches('0');
    // Zero has no sign and no power that would matter.
    Some(if kept.is_empty() { (false, String::new(), 0) } else { (negative, kept.to_owned(), power) })
}

/// The same for a column of single precision.
pub fn exact_single(raw: &str) -> Option<f32> {
    let real: f32 = raw.parse().ok().filter(|real: &f32| real.is_finite())?;
    (digits(raw)? == digits(&format!("{real:e}"))?).then_some(real)
}

/// The number with this many digits behind the point. Nothing: it has more of them, or is far out of any column's range.
pub fn with_scale(raw: &str, scale: usize) -> Option<String> {
    const PLACES_MAX: i64 = 100;
    let (negative, digits, power) = digits(raw)?;
    if power < -(scale as i64) || power > PLACES_MAX {
        return None;
    }
    let zeros = usize::try_from(power + scale as i64).ok()?;
    let all = format!("{digits}{}", "0".repeat(zeros));
    let all = format!("{all:0>width$}", width = scale + 1);
    let (whole, fraction) = all.split_at(all.len() - scale);
    let sign = if negative { "-" } else { "" };
    Some(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

/// The first number in a JSON text that a floating number does not keep.
pub fn inexact(raw: &str) -> Option<&str> {
    let bytes = raw.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let from = at;
        match bytes[at] {
            b'"' => {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                while at < bytes.len() && matches!(bytes[at], b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') {
                    at += 1;
                }
                let number = &raw[from..at];
                let is_whole = number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok();
                if !is_whole && exact(number).is_none() {
                    return Some(number);
                }
            }
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_with_the_digits_of_its_column_or_not_at_all() {
        let scaled = |raw, scale| with_scale(raw, scale);
        assert_eq!(scaled("1.5", 2).as_deref(), Some("1.50"));
        assert_eq!(scaled("1.500", 1).as_deref(), Some("1.5"));
        assert_eq!(scaled("-0.07", 2).as_deref(), Some("-0.07"));
        assert_eq!(scaled("12e3", 0).as_deref(), Some("12000"));
        assert_eq!(scaled("0.0", 2).as_deref(), Some("0.00"));
        assert_eq!(scaled("1.005", 2), None);
        assert_eq!(scaled("1e-31", 30), None);
        assert_eq!(scaled("1e999999999", 2), None);
        assert_eq!(scaled("10e9223372036854775807", 2), None);
        assert_eq!(scaled("0.1e-9223372036854775808", 2), None);
    }

    #[test]
    fn numbers_inside_of_json_are_looked_at_and_texts_are_not() {
        assert_eq!(inexact(r#"{"a": [1.50, -2, 1e3], "12345678901234567890.5": "0.12345678901234567890123"}"#), None);
        assert_eq!(
            inexact(r#"{"a\"": [18446744073709551615, 12345678901234567890.5]}"#),
            Some("12345678901234567890.5")
        );
    }

    #[test]
    fn single_precision_keeps_less() {
        assert_eq!(exact_single("0.1"), Some(0.1));
        assert_eq!(exact_single("16777217"), None);
        assert_eq!(exact("16777217"), Some(16_777_217.0));
    }
}
