//! From a file to a document: JSON or YAML, inside bounds, in one pass.

use std::{fmt::Write as _, fs::File, io::Read, path::Path};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::document::{Document, Trouble};
use crate::config::yaml_document;

/// The largest document. The largest that vendors publish have 12 MB (GitHub's, 2026).
const BYTES_MAX: u64 = 32 << 20;
/// Values in a YAML document with aliases followed.
const NODES_MAX: usize = 2_000_000;

/// Reads a document, or says what is wrong with it and where.
pub fn read(path: &Path) -> Result<Document, Trouble> {
    let unreadable = |message: String| Trouble::new("", message, "name a file that this user can read");
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| unreadable(format!("the file cannot be read: {error}")))?;
    file.take(BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(format!("the file cannot be read: {error}")))?;
    if bytes.len() as u64 > BYTES_MAX {
        let message = format!("it is larger than {} MiB", BYTES_MAX >> 20);
        return Err(Trouble::new("", message, "take out what is not needed: descriptions, examples, paths"));
    }
    let digest = Sha256::digest(&bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let text = String::from_utf8(bytes).map_err(|error| {
        unreadable(format!("it is not UTF-8 text, from byte {} on", error.utf8_error().valid_up_to()))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Document::of(tree(text)?, digest)
}

fn tree(text: &str) -> Result<Value, Trouble> {
    let help = "give the vendor's OpenAPI document, as JSON or YAML";
    if text.trim_start().starts_with(['{', '[']) {
        return serde_json::from_str(text).map_err(|error| {
            let at = format!("line {}, column {}", error.line(), error.column());
            let deep = error.to_string().starts_with("recursion limit exceeded");
            let message =
                if deep { "more than 127 objects and lists inside each other".to_owned() } else { reason(&error) };
            Trouble::new(at, message, help)
        });
    }
    yaml_document(text, NODES_MAX).map_err(|bad| {
        Trouble::new(
            format!("line {}, column {}", bad.line, bad.column),
            format!("it is no YAML: {}", bad.message),
            help,
        )
    })
}

/// What a JSON error says, without the place, which stands elsewhere.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let words = text.split(" at line ").next().unwrap_or(&text);
    format!("it is no JSON: {words}")
}
