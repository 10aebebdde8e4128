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
    let power = exponent.parse::<i64>().ok()? - fraction.len() as i64 + (all.len() - kept.len()) as i64;
    let kept = kept.trim_start_matches('0');
    // Zero has no sign and no power that would matter.
    Some(if kept.is_empty() { (false, String::new(), 0) } else { (negative, kept.to_owned(), power) })
}
