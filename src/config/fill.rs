//! `${VAR}`, `${VAR:-default}`, `${VAR:?message}` and `${file:/path}` inside a scalar, filled after parsing, so a value
//! can never become a key, a list or a comment. `$${` stands for `${`. Keys, expressions and templates are not filled.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::environment::Environment;

/// Stands for the value of a missing variable while the rest is still checked. Checks accept every text that holds it.
pub const HOLE: char = '\u{fffc}';

/// A scalar with its references filled in.
pub struct Filled {
    pub text: Zeroizing<String>,
    /// At least one reference was in it.
    pub references: bool,
    pub missing: Vec<Missing>,
}

/// Why a reference cannot be filled, and where it stands in the scalar's text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missing {
    pub at: usize,
    pub message: String,
    pub help: String,
    /// It is no reference at all, whatever the environment holds.
    pub malformed: bool,
}

/// Whether the text holds a reference.
pub fn has_reference(text: &str) -> bool {
    pieces(text).iter().any(|(_, piece)| !matches!(piece, Piece::Text(_)))
}

/// Fills the references of a text. Secret files are found relative to `base`.
pub fn fill(text: &str, env: &dyn Environment, base: &Path) -> Filled {
    let mut filled = Filled { text: Zeroizing::new(String::new()), references: false, missing: Vec::new() };
    for (at, piece) in pieces(text) {
        let value = match piece {
            Piece::Text(text) => {
                filled.text.push_str(text);
                continue;
            }
            Piece::Variable(inside) => variable(inside, env),
            Piece::File(path) => file(path, env, base),
            Piece::Unclosed => Err(malformed("`${` without its `}`", "close it, or write `$${` for a plain `${`")),
        };
        filled.references = true;
        match value {
            Ok(value) => filled.text.push_str(&value),
            Err(missing) => {
                filled.text.push(HOLE);
                filled.missing.push(Missing { at, ..missing });
            }
        }
    }
    filled
}

enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
    File(&'a str),
    Unclosed,
}

fn pieces(text: &str) -> Vec<(usize, Piece<'_>)> {
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find("${") {
        let start = at + found;
        if text[..start].ends_with('$') && start > at {
            all.push((at, Piece::Text(&text[at..start - 1])));
            all.push((start, Piece::Text("${")));
            at = start + 2;
            continue;
        }
        all.push((at, Piece::Text(&text[at..start])));
        let Some(length) = text[start..].find('}') else {
            all.push((start, Piece::Unclosed));
            return all;
        };
        let inside = &text[start + 2..start + length];
        let piece = inside.strip_prefix("file:").map_or(Piece::Variable(inside), Piece::File);
        all.push((start, piece));
        at = start + length + 1;
    }
    all.push((at, Piece::Text(&text[at..])));
    all
}

fn variable(inside: &str, env: &dyn Environment) -> Result<Zeroizing<String>, Missing> {
    let (name, rule) = inside.split_once(':').map_or((inside, None), |(name, rule)| (name, Some(rule)));
    let proper = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let rule = rule.map(|rule| (rule.chars().next(), rule.get(1..).unwrap_or("")));
    if !proper || !matches!(rule, None | Some((Some('-' | '?'), _))) {
        let help = "write ${NAME}, ${NAME:-default}, ${NAME:?message} or ${file:/path}; `$${` stands for a plain `${`";
        return Err(malformed(&format!("`${{{inside}}}` is no reference"), help));
    }
    let value = env.variable(name).map(|value| Zeroizing::new(value.expose_secret().to_owned()));
    match (value, rule) {
        (Some(value), None) => Ok(value),
        (Some(value), _) if !value.is_empty() => Ok(value),
        (_, Some((Some('-'), default))) => Ok(Zeroizing::new(default.to_owned())),
        (_, Some((_, message))) if !message.is_empty() => Err(missing(
            format!("the environment variable `{name}` is not set: {message}"),
            format!("set it: export {name}=..."),
        )),
        _ => Err(missing(
            format!("the environment variable `{name}` is not set"),
            format!("set it: export {name}=... ; or give a default: ${{{name}:-...}}"),
        )),
    }
}

fn file(path: &str, env: &dyn Environment, base: &Path) -> Result<Zeroizing<String>, Missing> {
    if path.is_empty() {
        return Err(malformed("`${file:}` names no file", "write ${file:/run/secrets/name}"));
    }
    let path: PathBuf = base.join(path);
    let text = env.file(&path).map_err(|error| {
        let help = "create the file, or correct the path; a relative path starts at the workspace";
        missing(format!("the secret file {} cannot be read: {error}", path.display()), help.to_owned())
    })?;
    Ok(Zeroizing::new(text.expose_secret().to_owned()))
}

fn missing(message: String, help: String) -> Missing {
    Missing { at: 0, message, help, malformed: false }
}

fn malformed(message: &str, help: &str) -> Missing {
    Missing { at: 0, message: message.to_owned(), help: help.to_owned(), malformed: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::MapEnvironment;

    fn filled(text: &str) -> (String, Vec<String>) {
        let env = MapEnvironment::new(&[("HOST", "example.org"), ("EMPTY", ""), ("EVIL", "${HOST}: [1]")]);
        let filled = fill(text, &env, Path::new("/work"));
        (filled.text.to_string(), filled.missing.into_iter().map(|missing| missing.message).collect())
    }

    #[test]
    fn references_are_filled_inside_text_and_defaults_apply_to_empty_values_too() {
        assert_eq!(filled("https://${HOST}/v1").0, "https://example.org/v1");
        assert_eq!(filled("${EMPTY:-a:b}${NONE:-}").0, "a:b");
        assert_eq!(filled("${EMPTY}").0, "");
        assert_eq!(filled("${EVIL}").0, "${HOST}: [1]", "a value is never filled again");
    }

    #[test]
    fn a_doubled_dollar_stands_for_itself() {
        assert_eq!(filled("$${HOST} costs 5$, ${HOST}").0, "${HOST} costs 5$, example.org");
        assert_eq!(filled("$$${HOST}").0, "$${HOST}");
        assert!(!has_reference("$${HOST}") && has_reference("x${HOST}"));
    }

    #[test]
    fn what_is_missing_is_said_and_where() {
        assert_eq!(filled("${NONE}").1, ["the environment variable `NONE` is not set"]);
        assert_eq!(filled("${NONE:?ask Mia}").1, ["the environment variable `NONE` is not set: ask Mia"]);
        assert_eq!(filled("${A} ${B}").1.len(), 2);
        assert!(filled("${file:/nowhere}").1[0].contains("/nowhere"));
        let env = MapEnvironment::default();
        assert_eq!(fill("ab${X}", &env, Path::new("/")).missing[0].at, 2);
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in ["${", "${}", "${1A}", "${A B}", "${A:+x}", "${file:}", "a ${é}"] {
            let filled = fill(text, &MapEnvironment::default(), Path::new("/"));
            assert!(filled.missing[0].malformed, "{text}");
        }
    }
}
