//! How a record is written into a file: as a line of JSON, or as a row of CSV (RFC 4180).

use std::{borrow::Cow, collections::HashMap};

use serde_json::value::RawValue;

use crate::model::Fields;

/// What a file's lines are.
#[derive(Clone, Debug)]
pub enum FileForm {
    JsonLines,
    Csv { separator: char, columns: Vec<String> },
}

impl FileForm {
    /// The ending of file names.
    pub fn ending(&self) -> &'static str {
        match self {
            Self::JsonLines => "jsonl",
            Self::Csv { .. } => "csv",
        }
    }

    /// What each file begins with.
    pub fn head(&self) -> Vec<u8> {
        let mut head = Vec::new();
        if let Self::Csv { separator, columns } = self {
            row(&mut head, *separator, columns.iter().map(|name| Some(Cow::Borrowed(name.as_str()))));
        }
        head
    }

    /// Adds one record.
    pub fn push(&self, buffer: &mut Vec<u8>, record: &Fields) {
        match self {
            Self::JsonLines => push_line(buffer, record.as_bytes()),
            Self::Csv { separator, columns } => {
                let fields = by_name(record);
                row(buffer, *separator, columns.iter().map(|name| text(fields.get(name.as_str())?)));
            }
        }
    }
}

/// A record's values. It is one object: what is read here was written as one.
pub fn by_name(record: &Fields) -> HashMap<Cow<'_, str>, &RawValue> {
    serde_json::from_slice(record.as_bytes()).unwrap_or_default()
}

/// A value as a text of a cell. Nothing: null.
pub fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    match value.get().as_bytes().first() {
        Some(b'n') => None,
        Some(b'"') => serde_json::from_str::<String>(value.get()).ok().map(Cow::Owned),
        Some(b'{' | b'[') => Some(Cow::Owned(compact(value.get()))),
        _ => Some(Cow::Borrowed(value.get())),
    }
}

/// A JSON text without the white space between its tokens.
pub fn compact(raw: &str) -> String {
    let mut compact = Vec::new();
    push_compact(&mut compact, raw.as_bytes());
    // What was taken out was one byte each.
    String::from_utf8(compact).unwrap_or_else(|_| raw.to_owned())
}

/// An empty text is written `""` and null is nothing, so that a reader can tell them apart.
fn row<'a>(buffer: &mut Vec<u8>, separator: char, cells: impl Iterator<Item = Option<Cow<'a, str>>>) {
    let begin = buffer.len();
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            buffer.extend_from_slice(separator.encode_utf8(&mut [0; 4]).as_bytes());
        }
        let Some(cell) = cell else { continue };
        let is_plain = |letter: char| letter != separator && !matches!(letter, '"' | '\n' | '\r');
        if !cell.is_empty() && cell.chars().all(is_plain) && cell.trim() == cell {
            buffer.extend_from_slice(cell.as_bytes());
        } else {
            buffer.push(b'"');
            buffer.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
            buffer.push(b'"');
        }
    }
    if buffer.len() == begin {
        // An empty line would be no row.
        buffer.extend_from_slice(b"\"\"");
    }
    buffer.push(b'\n');
}

/// Adds one record as one line. Vendors that pretty-print send records over several lines; only those are rewritten.
fn push_line(buffer: &mut Vec<u8>, object: &[u8]) {
    if memchr::memchr2(b'\n', b'\r', object).is_some() {
        push_compact(buffer, object);
    } else {
        buffer.extend_from_slice(object);
    }
    buffer.push(b'\n');
}

/// Copies a JSON text without the white space between its tokens.
fn push_compact(buffer: &mut Vec<u8>, object: &[u8]) {
    let mut in_string = false;
    let mut escaped = false;
    for &byte in object {
        if in_string || !byte.is_ascii_whitespace() {
            buffer.push(byte);
        }
        if byte == b'"' && !escaped {
            in_string = !in_string;
        }
        escaped = in_string && byte == b'\\' && !escaped;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn written(columns: &[&str], records: &[Value]) -> String {
        let form = FileForm::Csv { separator: ',', columns: columns.iter().map(|name| (*name).to_owned()).collect() };
        let mut buffer = form.head();
        records
            .iter()
            .for_each(|record| form.push(&mut buffer, &Fields::parse(record.to_string().as_bytes()).unwrap()));
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn every_kind_of_value_has_its_cell() {
        let record = json!({"b": "x", "n": 1.50, "t": true, "e": "", "z": null, "l": [1, {"a": "q\"r"}], "s": " a ", "c": "1,2", "m": "1\n2"});
        assert_eq!(
            written(&["b", "n", "t", "e", "z", "none", "l", "s", "c", "m"], &[record]),
            "b,n,t,e,z,none,l,s,c,m\nx,1.5,true,\"\",,,\"[1,{\"\"a\"\":\"\"q\\\"\"r\"\"}]\",\" a \",\"1,2\",\"1\n2\"\n"
        );
        assert_eq!(written(&["a"], &[json!({"a": null})]), "a\n\"\"\n", "a row of nothing is a row");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_it_was(texts in prop::collection::vec(prop::collection::vec(any::<String>(), 2), 0..5)) {
            let texts: Vec<Vec<String>> = texts.into_iter().map(|row| row.into_iter().map(|text| text.replace('\r', "")).collect()).collect();
            let records: Vec<Value> = texts.iter().map(|row| json!({"a": row[0], "b": row[1]})).collect();
            let rows = crate::sink::csv_rows(&written(&["a", "b"], &records), ',', false).unwrap();
            let read: Vec<Value> = rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
            prop_assert_eq!(read, records);
        }
    }
}
