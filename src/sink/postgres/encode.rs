//! JSON values as COPY text. Numbers keep their digits, because their text goes through as it is.

use std::borrow::Cow;

/// A text with a NUL, or with half a surrogate pair: PostgreSQL has no way to store it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unstorable;

/// Adds one value. A JSON column gets the JSON text, every other one the value it stands for.
pub fn push_value(out: &mut Vec<u8>, raw: &str, is_json: bool) -> Result<(), Unstorable> {
    let bytes = raw.as_bytes();
    if raw == "null" {
        out.extend_from_slice(b"\\N");
    } else if is_json {
        push_escaped(out, bytes);
    } else if bytes.first() != Some(&b'"') {
        out.extend_from_slice(bytes);
    } else if !bytes.contains(&b'\\') {
        // JSON allows control characters only as escapes, so without a backslash there is nothing to escape.
        out.extend_from_slice(&bytes[1..bytes.len() - 1]);
    } else {
        push_escaped(out, decoded(raw)?.as_bytes());
    }
    Ok(())
}

/// The text that a key column's value stands for.
pub fn decoded(raw: &str) -> Result<Cow<'_, str>, Unstorable> {
    if !raw.contains('\\') {
        return Ok(Cow::Borrowed(raw.trim_matches('"')));
    }
    let text: String = serde_json::from_str(raw).map_err(|_| Unstorable)?;
    if text.contains('\0') { Err(Unstorable) } else { Ok(Cow::Owned(text)) }
}

/// Escapes what COPY takes for its own: backslash, tab and the ends of lines.
fn push_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(raw: &str, is_json: bool) -> String {
        let mut out = Vec::new();
        push_value(&mut out, raw, is_json).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_become_copy_text() {
        assert_eq!(encoded("null", false), "\\N");
        assert_eq!(encoded("null", true), "\\N");
        assert_eq!(
            encoded("12345678901234567890.123456789012345678901", false),
            "12345678901234567890.123456789012345678901"
        );
        assert_eq!(encoded("\"naïve, 名\"", false), "naïve, 名");
        assert_eq!(encoded("true", false), "true");
        assert_eq!(encoded(r#""""#, false), "");
    }

    #[test]
    fn what_copy_takes_for_its_own_is_escaped() {
        assert_eq!(encoded(r#""a\tb\nc\rd\\e\"""#, false), r#"a\tb\nc\rd\\e""#);
        assert_eq!(encoded(r#""\\N""#, false), r"\\N");
        assert_eq!(encoded(r#""\\.""#, false), r"\\.");
        assert_eq!(encoded("{\n\t\"a\": \"\\n\"}", true), r#"{\n\t"a": "\\n"}"#);
        assert_eq!(encoded(r#""\u00e9\ud83d\ude00""#, false), "é😀");
    }

    #[test]
    fn a_text_that_the_database_cannot_store_is_told_before_it_is_sent() {
        assert_eq!(push_value(&mut Vec::new(), r#""a\u0000b""#, false), Err(Unstorable));
        assert_eq!(push_value(&mut Vec::new(), r#""\ud800""#, false), Err(Unstorable));
    }
}
