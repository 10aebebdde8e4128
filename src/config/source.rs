//! The files as they were read, and places in them. A place is a file and a range of bytes; lines and columns are
//! computed only for what is shown.

use std::path::PathBuf;

/// A range of bytes in one file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Span {
    pub file: u32,
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn new(file: u32, start: usize, end: usize) -> Self {
        // A file is at most 1 MB, so an offset always fits.
        Self { file, start: start as u32, end: end.max(start) as u32 }
    }

    /// Whether a part lies inside.
    pub fn holds(&self, part: Self) -> bool {
        part.file == self.file && self.start <= part.start && part.end <= self.end
    }
}

/// One file. The text is empty when it could not be read.
#[derive(Debug)]
pub struct SourceFile {
    /// Relative to the workspace, as shown.
    pub path: PathBuf,
    pub text: String,
}

/// All files of a workspace that were looked at.
#[derive(Default, Debug)]
pub struct Sources {
    files: Vec<SourceFile>,
}

/// Where a span begins, as people count: lines and columns from 1, columns in characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Position {
    pub line: usize,
    pub column: usize,
    /// Characters of the span on its first line.
    pub length: usize,
    /// The whole line.
    pub text: String,
}

impl Sources {
    pub fn add(&mut self, path: PathBuf, text: String) -> u32 {
        self.files.push(SourceFile { path, text });
        (self.files.len() - 1) as u32
    }

    pub fn file(&self, file: u32) -> Option<&SourceFile> {
        self.files.get(file as usize)
    }

    /// The text of a whole file.
    pub fn text(&self, file: u32) -> &str {
        self.file(file).map_or("", |file| file.text.as_str())
    }

    /// The texts of all files that are not in a folder of the workspace.
    pub fn texts_outside(&self, folder: &str) -> impl Iterator<Item = &str> {
        self.files.iter().filter(move |file| !file.path.starts_with(folder)).map(|file| file.text.as_str())
    }

    /// The text of a span as it stands in the file.
    pub fn slice(&self, span: Span) -> &str {
        self.file(span.file).and_then(|file| file.text.get(span.start as usize..span.end as usize)).unwrap_or("")
    }

    pub fn position(&self, span: Span) -> Position {
        let text = self.file(span.file).map_or("", |file| file.text.as_str());
        let start = floor(text, span.start as usize);
        let end = floor(text, span.end as usize).max(start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let line = text[line_start..line_end].trim_end_matches('\r');
        let shown_end = end.min(line_start + line.len()).max(start);
        Position {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            length: text[start..shown_end].chars().count(),
            text: line.to_owned(),
        }
    }
}

/// The nearest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Finds where the byte `offset` of a scalar's value stands in the scalar's source text, which may be quoted, escaped,
/// folded or indented. It walks both side by side; where they part, the answer is the last place they agreed on.
pub fn offset_in_source(source: &str, value: &str, offset: usize) -> usize {
    let (mut at, quote) = opening(source);
    for (value_at, c) in value.char_indices() {
        at += skipped(&source[at..], c, quote);
        if value_at >= offset {
            return at;
        }
        at += consumed(&source[at..], c, quote);
    }
    at.min(source.len())
}

/// How many bytes open the scalar, and its quote.
fn opening(source: &str) -> (usize, Option<char>) {
    match source.chars().next() {
        Some(quote @ ('"' | '\'')) => (1, Some(quote)),
        Some('|' | '>') => (source.find('\n').map_or(source.len(), |at| at + 1), None),
        _ => (0, None),
    }
}

/// Indentation and line breaks of the source that the value does not hold.
fn skipped(source: &str, next: char, quote: Option<char>) -> usize {
    if next.is_whitespace() || source.starts_with(next) || (quote == Some('"') && source.starts_with('\\')) {
        return 0;
    }
    let spaces = source.len() - source.trim_start().len();
    if source[spaces..].starts_with(next) || source[spaces..].starts_with('\\') { spaces } else { 0 }
}

/// How many bytes of the source stand for this character of the value.
fn consumed(source: &str, c: char, quote: Option<char>) -> usize {
    match (quote, source.chars().next()) {
        (Some('\''), Some('\'')) => 2.min(source.len()),
        (Some('"'), Some('\\')) => {
            let digits = match source.as_bytes().get(1) {
                Some(b'x') => 2,
                Some(b'u') => 4,
                Some(b'U') => 8,
                _ => 0,
            };
            floor(source, 2 + digits)
        }
        (_, Some(first)) if first == c => first.len_utf8(),
        (_, Some(first)) if first.is_whitespace() && c.is_whitespace() => source.len() - source.trim_start().len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_in_characters() {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml".into(), "a: 1\r\nü: né\r\n".to_owned());
        let at = "a: 1\r\nü: ".len();
        let position = sources.position(Span::new(file, at, at + 100));
        assert_eq!((position.line, position.column, position.length), (2, 4, 2));
        assert_eq!(position.text, "ü: né");
    }

    #[test]
    fn a_place_in_a_value_is_found_in_its_source_however_it_is_written() {
        let found = |source: &str, value: &str, word: &str| {
            let at = offset_in_source(source, value, value.find(word).unwrap());
            source[at..].starts_with(word)
        };
        assert!(found("record.x | lwer", "record.x | lwer", "lwer"));
        assert!(found("\"a \\\" \\u00e9 lwer\"", "a \" é lwer", "lwer"));
        assert!(found("'it''s lwer'", "it's lwer", "lwer"));
        assert!(found("|\n    one\n    two lwer\n", "one\ntwo lwer\n", "lwer"));
        assert!(found(">-\n    one\n    two lwer\n", "one two lwer", "lwer"));
        assert!(found("one\n    two lwer", "one two lwer", "lwer"));
    }
}
