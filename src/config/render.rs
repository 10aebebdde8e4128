//! A report as text: the code and message, where, the source line with carets, help, and the other places involved.

use std::fmt::Write as _;

use super::diagnostic::{Diagnostic, Report, Severity};

const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const BLUE: &str = "\x1b[1;34m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";
/// Longer source lines are cut around the place that is pointed at.
const LINE_CHARS_MAX: usize = 160;

impl Report {
    /// The whole report, ending with a line that counts. Nothing for an empty report.
    pub fn render(&self, color: bool) -> String {
        let paint = Paint(color);
        let mut out = String::new();
        for diagnostic in &self.diagnostics {
            one(&mut out, diagnostic, paint);
            out.push('\n');
        }
        if !self.is_empty() {
            let counts = [(self.errors(), "error"), (self.warnings(), "warning")];
            let counts: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| plural(*n, word)).collect();
            let _ = writeln!(out, "{}", counts.join(", "));
        }
        out
    }
}

#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, style: &str, text: &str) -> String {
        if self.0 { format!("{style}{text}{RESET}") } else { text.to_owned() }
    }
}

fn plural(n: usize, word: &str) -> String {
    if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") }
}

fn one(out: &mut String, diagnostic: &Diagnostic, paint: Paint) {
    let (word, style) = match diagnostic.severity {
        Severity::Error => ("error", RED),
        Severity::Warning => ("warning", YELLOW),
    };
    let head = paint.with(style, &format!("{word}[{}]", diagnostic.code));
    let _ = writeln!(out, "{head}: {}", paint.with(BOLD, &printable(&diagnostic.message)));
    let widest = diagnostic.related.iter().map(|related| related.line).chain([diagnostic.line]).max().unwrap_or(1);
    let margin = widest.to_string().len();
    let at = At { line: diagnostic.line, column: diagnostic.column, length: diagnostic.length };
    source(out, margin, "-->", &diagnostic.file.display().to_string(), at, &diagnostic.snippet, "", style, paint);
    for related in &diagnostic.related {
        let at = At { line: related.line, column: related.column, length: related.length };
        let file = related.file.display().to_string();
        source(out, margin, ":::", &file, at, &related.snippet, &related.message, BLUE, paint);
    }
    if let Some(help) = &diagnostic.help {
        let _ = writeln!(
            out,
            "{:margin$} {} {}",
            "",
            paint.with(BLUE, "="),
            paint.with(BOLD, &format!("help: {}", printable(help)))
        );
    }
}

#[derive(Clone, Copy)]
struct At {
    line: usize,
    column: usize,
    length: usize,
}

#[expect(clippy::too_many_arguments, reason = "the parts of one printed block, used in this file only")]
fn source(
    out: &mut String,
    margin: usize,
    arrow: &str,
    file: &str,
    at: At,
    snippet: &str,
    label: &str,
    style: &str,
    paint: Paint,
) {
    let _ = writeln!(out, "{:margin$}{} {file}:{}:{}", "", paint.with(BLUE, arrow), at.line, at.column);
    if snippet.trim().is_empty() {
        return;
    }
    let (shown, column) = window(&printable(snippet), at.column);
    let bar = paint.with(BLUE, "|");
    let carets = "^".repeat(at.length.clamp(1, shown.chars().count().saturating_sub(column - 1).max(1)));
    let number = paint.with(BLUE, &format!("{:>margin$}", at.line));
    let _ = writeln!(out, "{:margin$} {bar}", "");
    let _ = writeln!(out, "{number} {bar} {shown}");
    let under = format!("{carets} {label}");
    let _ = writeln!(
        out,
        "{:margin$} {bar} {:indent$}{}",
        "",
        "",
        paint.with(style, under.trim_end()),
        indent = column - 1
    );
}

/// The part of a long line around a column, and the column in it.
fn window(line: &str, column: usize) -> (String, usize) {
    let length = line.chars().count();
    if length <= LINE_CHARS_MAX {
        return (line.to_owned(), column);
    }
    let from = column.saturating_sub(LINE_CHARS_MAX / 2).min(length - LINE_CHARS_MAX);
    let part: String = line.chars().skip(from).take(LINE_CHARS_MAX).collect();
    (part, column.saturating_sub(from).max(1))
}

/// One character for one, so that columns stay; control characters cannot reach the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '\t' {
                ' '
            } else if c.is_control() {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}
