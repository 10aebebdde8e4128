//! Text with `{{ expression }}` in it: paths, queries, headers.

use std::sync::Arc;

use super::{CompileError, EvalError, Expression, Scope, json::OUTPUT_BYTES_MAX};
use crate::model::{Code, Step};

/// A checked template. Cloning is cheap.
#[derive(Clone, PartialEq, Debug)]
pub struct Template(Arc<Parts>);

#[derive(PartialEq, Debug)]
struct Parts {
    text: String,
    parts: Vec<Part>,
    roots: Vec<String>,
}

#[derive(PartialEq, Debug)]
enum Part {
    Text(String),
    Hole { expression: Expression, start: usize },
}

impl Template {
    /// Checks the text. Statements (`{% %}`) are no part of the language. Literal braces are written `{{ "{{" }}`.
    pub fn compile(text: &str) -> Result<Self, CompileError> {
        if let Some(at) = text.find("{%") {
            let error = CompileError::new("statements such as {% if %} cannot be used", at..at + 2);
            return Err(error.help("write {{ a if condition else b }}"));
        }
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(open) = text[at..].find("{{").map(|offset| at + offset) {
            let start = open + 2;
            let Some(end) = hole_end(text, start) else {
                return Err(CompileError::new("`{{` is never closed", open..start).help("write {{ expression }}"));
            };
            if open > at {
                parts.push(Part::Text(text[at..open].to_owned()));
            }
            let expression = Expression::compile(&text[start..end]).map_err(|error| error.moved(start))?;
            parts.push(Part::Hole { expression, start });
            at = end + 2;
        }
        if let Some(stray) = text[at..].find("}}").map(|offset| at + offset) {
            return Err(CompileError::new("`}}` closes nothing", stray..stray + 2).help("write {{ expression }}"));
        }
        if at < text.len() {
            parts.push(Part::Text(text[at..].to_owned()));
        }
        let mut roots: Vec<String> = holes(&parts).flat_map(|(expression, _)| expression.roots()).cloned().collect();
        roots.sort();
        roots.dedup();
        Ok(Self(Arc::new(Parts { text: text.to_owned(), parts, roots })))
    }

    /// The text it was compiled from.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The names of the variables it uses, sorted.
    pub fn roots(&self) -> &[String] {
        &self.0.roots
    }

    /// Finds the first variable that is not among the known ones.
    pub fn check_roots(&self, known: &[&str]) -> Result<(), CompileError> {
        for (expression, start) in holes(&self.0.parts) {
            // The expression was trimmed before it was compiled, but its offsets count from its untrimmed start.
            expression.check_roots(known).map_err(|error| error.moved(start))?;
        }
        Ok(())
    }

    /// Finds the first field of the variable `root` that is not among the known ones.
    pub fn check_fields(&self, root: &str, known: &[&str], lead: &str) -> Result<(), CompileError> {
        for (expression, start) in holes(&self.0.parts) {
            expression.check_fields(root, known, lead).map_err(|error| error.moved(start))?;
        }
        Ok(())
    }

    /// The places in the record that it looks at.
    pub fn record_steps(&self) -> impl Iterator<Item = &[Step]> {
        holes(&self.0.parts).flat_map(|(expression, _)| expression.record_steps())
    }

    /// Its parts in their order: a text, or nothing where a hole stands.
    pub fn parts(&self) -> impl Iterator<Item = Option<&str>> {
        self.0.parts.iter().map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Hole { .. } => None,
        })
    }

    /// The text without holes, when there are none.
    pub fn constant(&self) -> Option<&str> {
        holes(&self.0.parts).next().is_none().then_some(&self.0.text)
    }

    /// The expression, when the template is exactly one `{{ expression }}`.
    pub fn single(&self) -> Option<&Expression> {
        match self.0.parts.as_slice() {
            [Part::Hole { expression, .. }] => Some(expression),
            _ => None,
        }
    }

    /// Fills the holes. A template that is exactly one hole comes to nothing when its value is null or absent; beside
    /// other text such a value is an error.
    pub fn render(&self, scope: &Scope<'_>) -> Result<Option<String>, EvalError> {
        match self.single() {
            Some(expression) => expression.evaluate_text(scope),
            None => self.fill(scope, beside_text).map(Some),
        }
    }

    /// Fills the holes of a URL path. Each value is encoded as part of one segment, so that no value can change the
    /// route; a missing or empty one is an error, and so are `.` and `..`.
    pub fn render_path(&self, scope: &Scope<'_>) -> Result<String, EvalError> {
        self.fill(scope, segment)
    }

    /// Puts the text of each hole where it stands, as `write` writes it; an `Err` of it says why it cannot stand there.
    fn fill(&self, scope: &Scope<'_>, write: Write) -> Result<String, EvalError> {
        let mut out = String::with_capacity(self.0.text.len() + 32);
        for part in &self.0.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Hole { expression, .. } => {
                    let written = write(expression.evaluate_text(scope)?);
                    let failed = |message| EvalError::new(Code::Evaluation, expression.as_str(), message);
                    out.push_str(&written.map_err(failed)?);
                }
            }
            if out.len() > OUTPUT_BYTES_MAX {
                return Err(EvalError::new(Code::FuelSpent, &self.0.text, "the result is larger than 1 MiB"));
            }
        }
        Ok(out)
    }
}

type Write = fn(Option<String>) -> Result<String, &'static str>;

fn beside_text(value: Option<String>) -> Result<String, &'static str> {
    value.ok_or("has no value in the middle of a text; give it one with default(\"\")")
}

fn segment(value: Option<String>) -> Result<String, &'static str> {
    match value.as_deref() {
        None => Err("has no value, so the path leads nowhere"),
        Some("" | "." | "..") => Err("is empty, `.` or `..`, which cannot stand in a path"),
        Some(value) => Ok(encode_segment(value)),
    }
}

fn holes(parts: &[Part]) -> impl Iterator<Item = (&Expression, usize)> {
    parts.iter().filter_map(|part| match part {
        Part::Hole { expression, start } => Some((expression, *start)),
        Part::Text(_) => None,
    })
}

/// Where the hole that begins at `start` ends: at the first `}}` that stands in no quotes and closes no object.
fn hole_end(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut quote, mut depth, mut at) = (None, 0_usize, start);
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, b'{') => depth += 1,
            (None, b'}') if depth > 0 => depth -= 1,
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
pub fn encode_segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
