//! Writes a result as JSON text. Nothing that JSON cannot hold gets through, and nothing grows beyond a bound.

use minijinja::value::{Value, ValueKind};

use super::{
    library::{Result, too_large, trouble},
    number::{Written, decimal},
    raw::Raw,
};

/// The largest result of an expression.
pub const OUTPUT_BYTES_MAX: usize = 1024 * 1024;
/// Deeper results are refused. Raw text is passed on whatever its depth.
const DEPTH_MAX: usize = 64;

/// The JSON text of a value; a value that is absent has none.
pub fn text(value: &Value) -> Result<Option<String>> {
    if value.is_undefined() {
        return Ok(None);
    }
    let mut out = String::new();
    write(&mut out, value, 0)?;
    Ok(Some(out))
}

fn write(out: &mut String, value: &Value, depth: usize) -> Result<()> {
    if depth > DEPTH_MAX {
        return Err(trouble("the result is nested too deeply"));
    }
    if let Some(raw) = value.downcast_object_ref::<Raw>() {
        out.push_str(raw.text());
    } else if let Some(number) = value.downcast_object_ref::<Written>() {
        out.push_str(number.text());
    } else {
        match value.kind() {
            ValueKind::Undefined | ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => match decimal(value) {
                Some(number) => out.push_str(&number.to_string()),
                None => return Err(trouble("the result is a number that JSON cannot hold")),
            },
            ValueKind::String => push_string(out, value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => write_list(out, value, depth)?,
            ValueKind::Map => write_object(out, value, depth)?,
            _ => return Err(trouble("the result is nothing that JSON can hold")),
        }
    }
    if out.len() > OUTPUT_BYTES_MAX { Err(too_large()) } else { Ok(()) }
}

fn write_list(out: &mut String, value: &Value, depth: usize) -> Result<()> {
    out.push('[');
    for (at, item) in value.try_iter()?.enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(out, &item, depth + 1)?;
    }
    out.push(']');
    Ok(())
}

/// A field whose value is absent is left out.
fn write_object(out: &mut String, value: &Value, depth: usize) -> Result<()> {
    out.push('{');
    let mut first = true;
    for key in value.try_iter()? {
        let item = value.get_item(&key)?;
        if item.is_undefined() {
            continue;
        }
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        push_string(out, key.as_str().unwrap_or_default());
        out.push(':');
        write(out, &item, depth + 1)?;
    }
    out.push('}');
    Ok(())
}

/// Appends a text as a JSON string.
pub fn push_string(out: &mut String, text: &str) {
    // Writing a string to a string cannot fail; the quotes would be the only trace if it did.
    out.push_str(&serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned()));
}
