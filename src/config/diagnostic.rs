//! What is wrong with the files, all of it at once. A problem points with byte spans while the files are checked; a
//! diagnostic is the same for people and programs, with lines, columns and the source line. A report is all of them.

use std::{fmt, path::PathBuf};

use serde::Serialize;

use super::source::{Sources, Span};
use crate::model::Code;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Error,
    /// It would run, but probably not as meant.
    Warning,
}

/// A problem in the terms of the checks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    pub code: Code,
    pub severity: Severity,
    pub span: Span,
    pub message: String,
    pub help: Option<String>,
    pub related: Vec<(Span, String)>,
    /// Places whose source must not be shown: they hold secrets.
    pub masks: Vec<Span>,
}

impl Problem {
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, severity: Severity::Error, span, message, help: None, related: Vec::new(), masks: Vec::new() }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    pub fn related(mut self, span: Span, message: impl Into<String>) -> Self {
        self.related.push((span, message.into()));
        self
    }

    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Hides the source at a place, in this problem and in all others.
    pub fn mask(mut self, span: Span) -> Self {
        self.masks.push(span);
        self
    }
}

/// One problem, fit to be shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    /// Relative to the workspace.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Characters of the line that it is about.
    pub length: usize,
    /// A lowercase fragment.
    pub message: String,
    /// The source line; a literal secret in it is masked.
    pub snippet: String,
    pub help: Option<String>,
    /// The other places involved.
    pub related: Vec<Related>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Related {
    pub file: PathBuf,
    pub line: usize,
    pub column: usize,
    pub length: usize,
    pub message: String,
    pub snippet: String,
}

/// All problems of all files, in the order of files and lines.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Report {
    pub diagnostics: Vec<Diagnostic>,
}

impl Report {
    pub(super) fn new(sources: &Sources, problems: Vec<Problem>) -> Self {
        let masks: Vec<Span> = problems.iter().flat_map(|problem| &problem.masks).copied().collect();
        let mut diagnostics: Vec<Diagnostic> =
            problems.into_iter().map(|problem| diagnostic(sources, &masks, problem)).collect();
        diagnostics.sort_by(|a, b| order(a).cmp(&order(b)));
        diagnostics.dedup();
        Self { diagnostics }
    }

    pub fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }

    pub fn warnings(&self) -> usize {
        self.diagnostics.len() - self.errors()
    }

    pub fn is_empty(&self) -> bool {
        self.diagnostics.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

fn order(diagnostic: &Diagnostic) -> (&PathBuf, usize, usize, Code, &str) {
    (&diagnostic.file, diagnostic.line, diagnostic.column, diagnostic.code, &diagnostic.message)
}

fn diagnostic(sources: &Sources, masks: &[Span], problem: Problem) -> Diagnostic {
    let place = place(sources, masks, problem.span);
    let related = problem.related.into_iter();
    let related = related.map(|(span, message)| Related { message, ..self::place(sources, masks, span) }).collect();
    Diagnostic {
        code: problem.code,
        severity: problem.severity,
        file: place.file,
        line: place.line,
        column: place.column,
        length: place.length,
        message: problem.message,
        snippet: place.snippet,
        help: problem.help,
        related,
    }
}

fn place(sources: &Sources, masks: &[Span], span: Span) -> Related {
    let position = sources.position(span);
    Related {
        file: sources.file(span.file).map(|file| file.path.clone()).unwrap_or_default(),
        line: position.line,
        column: position.column,
        length: position.length,
        message: String::new(),
        snippet: mask(sources, masks, span, position.line, position.text),
    }
}

/// Replaces the characters of literal secrets on this line by stars. A secret of several lines hides each of them.
fn mask(sources: &Sources, masks: &[Span], span: Span, line: usize, text: String) -> String {
    let mut text = text;
    for mask in masks.iter().filter(|mask| mask.file == span.file) {
        let first = sources.position(*mask);
        let lines = sources.slice(*mask).matches('\n').count();
        if line == first.line {
            let (from, to) = (first.column - 1, first.column - 1 + first.length);
            text = text.chars().enumerate().map(|(at, c)| if at >= from && at < to { '*' } else { c }).collect();
        } else if line > first.line && line <= first.line + lines {
            text = text.chars().map(|c| if c.is_whitespace() { c } else { '*' }).collect();
        }
    }
    mask_words(&text)
}

/// Hides what stands behind the usual names of secrets. This is for lines that could not be parsed, where nobody knows
/// what is a secret.
fn mask_words(line: &str) -> String {
    let mut out = line.to_owned();
    for name in ["token:", "password:", "secret:"] {
        let mut from = 0;
        while let Some(found) = out[from..].find(name) {
            let start = from + found + name.len();
            let rest = &out[start..];
            let length = rest.find([',', '}']).unwrap_or(rest.len());
            let value = &rest[..length];
            from = start + length;
            if !value.trim().is_empty() && !value.contains("${") && !value.trim_start().starts_with(['{', '[', '/']) {
                let stars: String = value.chars().map(|c| if c.is_whitespace() { c } else { '*' }).collect();
                let tail = out[start + length..].to_owned();
                out = format!("{}{stars}{tail}", &out[..start]);
                from = start + stars.len();
            }
        }
    }
    out
}
