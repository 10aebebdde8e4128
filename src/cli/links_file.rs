//! Reads the file of `links import`: keys with the ids that the sink gave them, as CSV or as JSON Lines.
//!
//! The whole file is checked before any of it is used, because half an import is hard to tell from a whole one. A key that
//! stands twice is refused: nobody can know which id is right.

use std::{collections::HashSet, path::Path};

use serde_json::Value;

use super::failure::Failure;
use crate::{
    model::{Key, KeyHash},
    sink::csv_rows,
};

/// Larger files are cut into several by whoever has them.
const FILE_BYTES_MAX: u64 = 256 << 20;
const ID_BYTES_MAX: usize = 1_024;

/// The pairs of a file, in its order, each key once.
pub fn read(path: &Path) -> Result<Vec<(Key, String)>, Failure> {
    let refuse = |what: String| {
        let help = "nothing was imported; mend the file and import it again";
        Failure::usage(format!("{}: {what}", path.display()), help)
    };
    let length = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?.len();
    if length > FILE_BYTES_MAX {
        return Err(refuse(format!("{length} bytes are more than the {FILE_BYTES_MAX} of one import; cut it")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    pairs(&text).map_err(refuse)
}

fn pairs(text: &str) -> Result<Vec<(Key, String)>, String> {
    let first = text.trim_start_matches('\u{feff}').trim_start().chars().next();
    let rows = match first {
        Some('{') => text.trim_start_matches('\u{feff}').lines().map(str::to_owned).collect(),
        Some(_) => csv_rows(text, ',', true)?,
        None => return Err("it is empty".to_owned()),
    };
    let mut pairs = Vec::with_capacity(rows.len());
    let mut seen = HashSet::with_capacity(rows.len());
    for (at, row) in rows.iter().enumerate().filter(|(_, row)| !row.trim().is_empty()) {
        let entry = format!("entry {}", at + 1);
        let value: Value = serde_json::from_str(row).map_err(|error| format!("{entry} is no JSON: {error}"))?;
        let part = |name: &str| word(&value[name]).ok_or_else(|| format!("{entry} has no usable `{name}`"));
        let (key, id) = (Key::new(part("key")?), part("sink_id")?);
        if id.len() > ID_BYTES_MAX {
            return Err(format!("the `sink_id` of {entry} is longer than {ID_BYTES_MAX} bytes"));
        }
        if !seen.insert(KeyHash::of(&key)) {
            return Err(format!("the `key` of {entry} stands there twice"));
        }
        pairs.push((key, id));
    }
    if pairs.is_empty() {
        return Err("it holds no links".to_owned());
    }
    Ok(pairs)
}

/// A text, an integer, or for a key of several fields the list of those, as the store names it.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        Value::Array(parts) if parts.len() > 1 && parts.iter().all(|part| word(part).is_some()) => {
            serde_json::to_string(parts).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        Ok(pairs(text)?.into_iter().map(|(key, id)| (key.as_str().to_owned(), id)).collect())
    }

    fn both(key: &str, id: &str) -> (String, String) {
        (key.to_owned(), id.to_owned())
    }

    #[test]
    fn csv_and_json_lines_say_the_same() {
        let expected = [both("7", "lead_1"), both("a,b", "12")];
        assert_eq!(read("\u{feff}key,sink_id,note\r\n7,lead_1,\r\n\"a,b\",12,x").unwrap(), expected);
        let lines = "{\"key\":7,\"sink_id\":\"lead_1\"}\n\n{\"key\":\"a,b\",\"sink_id\":12}\n";
        assert_eq!(read(lines).unwrap(), expected);
        assert_eq!(read(r#"{"key":["a",1],"sink_id":"x"}"#).unwrap(), [both(r#"["a",1]"#, "x")]);
    }

    #[test]
    fn a_file_with_one_wrong_entry_is_refused_whole_and_no_value_is_quoted() {
        for (text, what) in [
            ("", "it is empty"),
            ("key,sink_id\n", "it holds no links"),
            ("key,id\nsecret,1\n", "entry 1 has no usable `sink_id`"),
            ("key,sink_id\nsecret,\n", "entry 1 has no usable `sink_id`"),
            ("key,sink_id\nsecret,1\nsecret,2\n", "the `key` of entry 2 stands there twice"),
            ("{\"key\":\"secret\"}", "entry 1 has no usable `sink_id`"),
            ("{\"key\":1.5,\"sink_id\":\"x\"}", "entry 1 has no usable `key`"),
        ] {
            assert_eq!(read(text).unwrap_err(), what, "{text}");
        }
        assert!(read("key,sink_id\n\"secret,1\n").unwrap_err().contains("has no end"));
        assert!(!read("{\"key\":\"secret\"").unwrap_err().contains("secret"));
    }
}
