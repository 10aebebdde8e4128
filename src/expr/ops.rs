//! What the operators mean. The language's own would order a text after every number, print the word none into a
//! sentence and lose digits in floats; these refuse or calculate exactly.
//!
//! | operator | null or absent | otherwise |
//! |---|---|---|
//! | `+ - * / // % **` | error | exact decimals; `+` also joins two texts |
//! | `< <= > >=` | error | two numbers or two texts |
//! | `== !=` | null and absent equal each other only | same type and same content; numbers by their value |
//! | `~` | error | the texts of texts, numbers and booleans, one after the other |
//! | `in` | error on the right | item of a list, field of an object, part of a text |

use std::cmp::Ordering;

use minijinja::value::{Rest, Value, ValueKind};

use super::{
    json::OUTPUT_BYTES_MAX,
    library::{Result, no_value, text_of, too_large, trouble, type_name},
    number::{Decimal, decimal, fits, is_number},
};

/// Values nested deeper than this are not compared.
const COMPARE_DEPTH_MAX: usize = 64;
const EXPONENT_MAX: i64 = 128;

/// `a + b - c`: operands with the operator's text between them, from left to right.
pub fn math(parts: Rest<Value>) -> Result {
    let mut rest = parts.iter();
    let mut total = rest.next().cloned().unwrap_or_default();
    while let (Some(sign), Some(operand)) = (rest.next(), rest.next()) {
        total = step(sign.as_str().unwrap_or_default(), &total, operand)?;
    }
    Ok(total)
}

fn step(sign: &str, a: &Value, b: &Value) -> Result {
    if let (true, Some(left), Some(right)) = (sign == "+", a.as_str(), b.as_str()) {
        return join_text(&[left, right]);
    }
    for side in [a, b] {
        if no_value(side) {
            return Err(trouble(format!("`{sign}` has no value on one side: {}", type_name(side))));
        }
        if !is_number(side) {
            return Err(trouble(format!("`{sign}` needs two numbers, not {} and {}", type_name(a), type_name(b))));
        }
    }
    let too_long = || trouble("a number has more digits than can be calculated with");
    let (a, b) = (decimal(a).ok_or_else(too_long)?, decimal(b).ok_or_else(too_long)?);
    if matches!(sign, "/" | "//" | "%") && b == Decimal::from(0) {
        return Err(trouble(format!("`{sign}` divides by zero")));
    }
    fits(match sign {
        "+" => a.plus(b),
        "-" => a.minus(b),
        "*" => a.times(b),
        "/" => a.over(b),
        "//" => a.floor_over(b),
        "%" => a.modulo(b),
        _ => match b.to_i64() {
            Some(exponent @ 0..=EXPONENT_MAX) => a.power(exponent as u32),
            _ => return Err(trouble("`**` needs a whole exponent from 0 to 128")),
        },
    })
}

/// `-a`.
pub fn negate(value: &Value) -> Result {
    if !is_number(value) {
        return Err(trouble(format!("`-` needs a number, not {}", type_name(value))));
    }
    fits(decimal(value).and_then(Decimal::negated))
}

/// `a ~ b ~ c`.
pub fn concat(parts: Rest<Value>) -> Result {
    let mut texts = Vec::with_capacity(parts.len());
    for part in parts.iter() {
        if no_value(part) {
            return Err(trouble("`~` meets a part without a value; give it one with default(\"\")"));
        }
        texts.push(text_of(part)?);
    }
    join_text(&texts)
}

fn join_text<T: AsRef<str>>(parts: &[T]) -> Result {
    if parts.iter().map(|part| part.as_ref().len()).sum::<usize>() > OUTPUT_BYTES_MAX {
        return Err(too_large());
    }
    Ok(Value::from(parts.iter().map(AsRef::as_ref).collect::<String>()))
}

/// `a < b` and its like; several in a row (`1 <= a < 5`) must all hold.
pub fn compare(parts: Rest<Value>) -> Result<bool> {
    for window in parts.windows(3).step_by(2) {
        let [a, sign, b] = window else { break };
        if !holds(sign.as_str().unwrap_or_default(), a, b)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn holds(sign: &str, a: &Value, b: &Value) -> Result<bool> {
    Ok(match sign {
        "==" => same(a, b)?,
        "!=" => !same(a, b)?,
        "in" => contains(b, a)?,
        "not in" => !contains(b, a)?,
        "<" => order(sign, a, b)?.is_lt(),
        "<=" => order(sign, a, b)?.is_le(),
        ">" => order(sign, a, b)?.is_gt(),
        _ => order(sign, a, b)?.is_ge(),
    })
}

fn order(sign: &str, a: &Value, b: &Value) -> Result<Ordering> {
    ordering(a, b).ok_or_else(|| trouble(format!("`{sign}` cannot order {} and {}", type_name(a), type_name(b))))
}

/// The order of two numbers or two texts; others have none.
pub fn ordering(a: &Value, b: &Value) -> Option<Ordering> {
    match (a.as_str(), b.as_str()) {
        (Some(a), Some(b)) => Some(a.cmp(b)),
        (None, None) => Some(decimal(a)?.compare(decimal(b)?)),
        _ => None,
    }
}

/// Whether two values are equal: same type, same content.
pub fn same(a: &Value, b: &Value) -> Result<bool> {
    equal(a, b, 0)
}

fn equal(a: &Value, b: &Value, depth: usize) -> Result<bool> {
    if depth > COMPARE_DEPTH_MAX {
        return Err(trouble("values nested too deeply to be compared"));
    }
    if no_value(a) || no_value(b) {
        return Ok(no_value(a) && no_value(b));
    }
    if is_number(a) && is_number(b) {
        return Ok(match (decimal(a), decimal(b)) {
            (Some(a), Some(b)) => a == b,
            // Too long to calculate with, so only the same digits are surely the same number.
            _ => text_of(a)? == text_of(b)?,
        });
    }
    if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        return Ok(a == b);
    }
    match (a.kind(), b.kind()) {
        (ValueKind::Bool, ValueKind::Bool) => Ok(a.is_true() == b.is_true()),
        (ValueKind::Seq | ValueKind::Iterable, ValueKind::Seq | ValueKind::Iterable) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            for (left, right) in a.try_iter()?.zip(b.try_iter()?) {
                if !equal(&left, &right, depth + 1)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (ValueKind::Map, ValueKind::Map) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            for key in a.try_iter()? {
                if !equal(&a.get_item(&key)?, &b.get_item(&key)?, depth + 1)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// `item in container`.
pub fn contains(container: &Value, item: &Value) -> Result<bool> {
    if let Some(text) = container.as_str() {
        let part = item.as_str().ok_or_else(|| trouble(format!("a text cannot contain {}", type_name(item))))?;
        return Ok(text.contains(part));
    }
    match container.kind() {
        ValueKind::Map => Ok(!container.get_item(item)?.is_undefined()),
        ValueKind::Seq | ValueKind::Iterable => {
            for candidate in container.try_iter()? {
                if same(&candidate, item)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Err(trouble(format!("`in` needs a list, an object or a text on its right, not {}", type_name(container)))),
    }
}

/// The name of a field in `{name: value}`.
pub fn name(value: &Value) -> Result {
    if value.as_str().is_some() || value.is_integer() {
        return text_of(value).map(Value::from);
    }
    Err(trouble(format!("the name of a field must be a text, not {}", type_name(value))))
}

/// `a[key]` and `a.key` on anything that is no plain variable. Nothing comes out of nothing.
pub fn get(value: &Value, key: &Value) -> Result {
    if no_value(value) {
        return Ok(value.clone());
    }
    let index = key.as_i64().filter(|index| *index < 0);
    match (value.kind(), index) {
        (ValueKind::Seq, Some(index)) => {
            let at = value.len().and_then(|len| len.checked_sub(index.unsigned_abs() as usize));
            at.map_or(Ok(Value::UNDEFINED), |at| value.get_item_by_index(at))
        }
        (ValueKind::Map | ValueKind::Seq, _) => Ok(value.get_item(key)?),
        _ => Err(trouble(format!("{} has no parts to take by name or index", type_name(value)))),
    }
}

/// `a[start:stop]` of a text (in characters) or a list. Negative positions count from the end.
pub fn slice(value: &Value, start: &Value, stop: &Value) -> Result {
    if no_value(value) {
        return Ok(value.clone());
    }
    let bounds = |len: usize| -> Result<(usize, usize)> {
        let start = position(start, 0, len)?;
        Ok((start, position(stop, len, len)?.max(start)))
    };
    if let Some(text) = value.as_str() {
        let (start, stop) = bounds(text.chars().count())?;
        return Ok(Value::from(text.chars().skip(start).take(stop - start).collect::<String>()));
    }
    if value.kind() != ValueKind::Seq {
        return Err(trouble(format!("{} cannot be sliced", type_name(value))));
    }
    let items: Vec<Value> = value.try_iter()?.collect();
    let (start, stop) = bounds(items.len())?;
    Ok(Value::from(items[start..stop].to_vec()))
}

fn position(at: &Value, absent: usize, len: usize) -> Result<usize> {
    if no_value(at) {
        return Ok(absent);
    }
    let at = at.as_i64().ok_or_else(|| trouble("the bounds of a slice are whole numbers"))?;
    let distance = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
    Ok(if at < 0 { len.saturating_sub(distance) } else { distance.min(len) })
}
