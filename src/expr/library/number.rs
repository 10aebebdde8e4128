//! Filters of numbers. They count in exact decimals, see `expr/number.rs`.

use minijinja::{Environment, value::Value};

use super::{Result, integer_argument, no_value, text_of, trouble, type_name};
use crate::expr::number::{Decimal, decimal, fits, is_number};

pub const FILTERS: &[&str] = &["round", "floor", "ceil", "abs", "int", "float", "number", "bool", "clamp", "fixed"];

pub fn add(language: &mut Environment<'static>) {
    language.add_filter("round", |value: &Value, digits: Option<Value>| {
        let digits = digits.map_or(Ok(0), |digits| integer_argument(&digits, "digits"))?;
        let digits = u32::try_from(digits).map_err(|_| trouble("round needs its digits to be 0 or more"))?;
        map(value, |number| number.rounded(digits))
    });
    language.add_filter("fixed", fixed);
    language.add_filter("floor", |value: &Value| map(value, Decimal::floor));
    language.add_filter("ceil", |value: &Value| map(value, |number| number.negated()?.floor()?.negated()));
    language.add_filter("abs", |value: &Value| {
        map(value, |number| if number.compare(Decimal::from(0)).is_lt() { number.negated() } else { Some(number) })
    });
    language.add_filter("int", int);
    for name in ["float", "number"] {
        language.add_filter(name, number);
    }
    language.add_filter("bool", truth);
    language.add_filter("clamp", |value: &Value, low: &Value, high: &Value| {
        let (low, high) = (number_of(low)?, number_of(high)?);
        map(value, |number| {
            let raised = if number.compare(low).is_lt() { low } else { number };
            Some(if raised.compare(high).is_gt() { high } else { raised })
        })
    });
}

/// The text of a number with so many digits behind the point, zeros included.
fn fixed(value: &Value, digits: &Value) -> Result {
    const DIGITS_MAX: i64 = 30;
    let digits = integer_argument(digits, "digits")?;
    if !(0..=DIGITS_MAX).contains(&digits) {
        return Err(trouble("fixed takes 0 to 30 digits"));
    }
    if no_value(value) {
        return Ok(value.clone());
    }
    let digits = digits.unsigned_abs() as usize;
    let rounded = number_of(value)?.rounded(digits as u32).ok_or_else(|| trouble("the number has too many digits"))?;
    let text = rounded.to_string();
    let behind = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let point = if behind == 0 && digits > 0 { "." } else { "" };
    Ok(Value::from(format!("{text}{point}{}", "0".repeat(digits - behind))))
}

fn number_of(value: &Value) -> Result<Decimal> {
    if !is_number(value) {
        return Err(trouble(format!("needs a number, not {}; a text becomes one with `| number`", type_name(value))));
    }
    decimal(value).ok_or_else(|| trouble("a number has more digits than can be calculated with"))
}

fn map(value: &Value, change: impl Fn(Decimal) -> Option<Decimal>) -> Result {
    if no_value(value) {
        return Ok(value.clone());
    }
    fits(change(number_of(value)?))
}

/// The number that a text spells, with spaces around it and commas between thousands. All its digits count.
fn number(value: &Value) -> Result {
    if no_value(value) || is_number(value) {
        return Ok(value.clone());
    }
    parse(value).map(Value::from)
}

fn parse(value: &Value) -> Result<Decimal> {
    let text = text_of(value)?;
    let plain = text.trim();
    let bare = if grouped(plain) { plain.replace(',', "") } else { plain.to_owned() };
    Decimal::parse(&bare).ok_or_else(|| trouble("the text is not a number (or has too many digits)"))
}

/// Whether every comma stands before three digits of the whole part, as in 1,234,567.89.
fn grouped(text: &str) -> bool {
    let whole = text.split('.').next().unwrap_or_default();
    let mut groups = whole.split(',');
    let first = groups.next().unwrap_or_default().trim_start_matches(['-', '+']);
    (1..=3).contains(&first.len()) && !text[whole.len()..].contains(',') && groups.all(|group| group.len() == 3)
}

/// The whole part of a number or of the number a text spells; true is 1 and false is 0.
fn int(value: &Value) -> Result {
    if no_value(value) {
        return Ok(value.clone());
    }
    if let Ok(truth) = bool::try_from(value.clone()) {
        return Ok(Value::from(i64::from(truth)));
    }
    let number = if is_number(value) { number_of(value)? } else { parse(value)? };
    let toward_zero = |number: Decimal| {
        if number.compare(Decimal::from(0)).is_lt() { number.negated()?.floor()?.negated() } else { number.floor() }
    };
    fits(toward_zero(number))
}

/// What forms and spreadsheets write for true and false.
fn truth(value: &Value) -> Result {
    if no_value(value) || bool::try_from(value.clone()).is_ok() {
        return Ok(value.clone());
    }
    match text_of(value)?.trim().to_lowercase().as_str() {
        "true" | "yes" | "y" | "on" | "1" => Ok(Value::from(true)),
        "false" | "no" | "n" | "off" | "0" => Ok(Value::from(false)),
        _ => Err(trouble("the text is neither true, yes, y, on, 1 nor false, no, n, off, 0")),
    }
}
