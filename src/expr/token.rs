//! Cuts an expression into words. The text was accepted by the parser of minijinja before, so this only has to agree with
//! it on where a word ends.

use std::ops::Range;

use super::CompileError;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Name,
    Text,
    Number,
    Sign,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    pub kind: Kind,
    pub at: Range<usize>,
}

/// Signs of two characters come first, because the first match wins.
const SIGNS: [&str; 27] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", ".", ",", ":", "~", "|", "=", ">", "<", "(", ")", "[",
    "]", "{", "}", "!", "&",
];

pub fn tokens(text: &str) -> Result<Vec<Token>, CompileError> {
    let mut all: Vec<Token> = Vec::new();
    let mut start = 0;
    while let Some(first) = text[start..].chars().next() {
        if first.is_whitespace() {
            start += first.len_utf8();
            continue;
        }
        let after_dot = all.last().is_some_and(|token| &text[token.at.clone()] == ".");
        let (kind, end) = next(text, start, first, after_dot)?;
        all.push(Token { kind, at: start..end });
        start = end;
    }
    Ok(all)
}

fn next(text: &str, start: usize, first: char, after_dot: bool) -> Result<(Kind, usize), CompileError> {
    let rest = &text[start..];
    if first.is_ascii_alphabetic() || first == '_' {
        let len = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        return Ok((Kind::Name, start + len));
    }
    if first.is_ascii_digit() {
        return Ok((Kind::Number, start + number_len(rest, after_dot)));
    }
    if first == '"' || first == '\'' {
        let len = text_len(rest, first).ok_or_else(|| {
            CompileError::new("a text that never ends", start..text.len()).help("close it with the quote it began with")
        })?;
        return Ok((Kind::Text, start + len));
    }
    match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        Some(sign) => Ok((Kind::Sign, start + sign.len())),
        None => Err(CompileError::new(format!("`{first}` means nothing here"), start..start + first.len_utf8())),
    }
}

/// The length of a number. After a dot it is the index of an item, which has no fraction.
fn number_len(rest: &str, after_dot: bool) -> usize {
    let bytes = rest.as_bytes();
    let run = |from: usize, ok: fn(&u8) -> bool| bytes[from..].iter().take_while(|byte| ok(byte)).count();
    let digits = |from: usize| run(from, |byte| byte.is_ascii_digit() || *byte == b'_');
    if bytes.len() > 2 && bytes[0] == b'0' && bytes[1].is_ascii_alphabetic() && !matches!(bytes[1], b'e' | b'E') {
        return 2 + run(2, |byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    }
    let mut len = digits(0);
    if after_dot {
        return len;
    }
    if bytes.get(len) == Some(&b'.') && bytes.get(len + 1).is_some_and(u8::is_ascii_digit) {
        len += 1 + digits(len + 1);
    }
    if matches!(bytes.get(len), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(len + 1), Some(b'+' | b'-')));
        let exponent = digits(len + 1 + sign);
        len += if exponent > 0 { 1 + sign + exponent } else { 0 };
    }
    len
}

fn text_len(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        tokens(text).unwrap().into_iter().map(|token| &text[token.at]).collect()
    }

    #[test]
    fn words_end_where_the_language_ends_them() {
        assert_eq!(
            words("record.a[0]|lower~'x\\'y'"),
            ["record", ".", "a", "[", "0", "]", "|", "lower", "~", "'x\\'y'"]
        );
        assert_eq!(
            words("1.5e-3 + 1//2**3 >= a.0.b"),
            ["1.5e-3", "+", "1", "//", "2", "**", "3", ">=", "a", ".", "0", ".", "b"]
        );
        assert_eq!(words("\"é\" == a_1"), ["\"é\"", "==", "a_1"]);
        assert_eq!(tokens("é").unwrap_err().offset, Some(0..2));
    }
}
