//! The texts in a Rust source: string literals, with their escapes undone. Comments are passed over.

pub fn of(source: &str) -> Vec<String> {
    let (mut found, mut at) = (Vec::new(), 0);
    let bytes = source.as_bytes();
    while at < bytes.len() {
        let rest = &source[at..];
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("'\"'") || rest.starts_with("b'\"'") {
            at += rest.find("\"'").map_or(1, |end| end + 2);
        } else if let Some((text, length)) = raw(rest).filter(|_| !is_inside_a_name(source, at)) {
            found.push(text);
            at += length;
        } else if rest.starts_with('"') {
            let (text, length) = plain(rest);
            found.push(text);
            at += length;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    found
}

fn is_inside_a_name(source: &str, at: usize) -> bool {
    source[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// A raw text with any number of `#`, and its length.
fn raw(rest: &str) -> Option<(String, usize)> {
    let marks = rest.strip_prefix('r')?.bytes().take_while(|byte| *byte == b'#').count();
    let open = 1 + marks;
    let body = rest.get(open..)?.strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(marks));
    let end = body.find(&close)?;
    Some((body[..end].to_owned(), open + 1 + end + close.len()))
}

fn plain(rest: &str) -> (String, usize) {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (text, at + 1),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n') => text.push('\n'),
                Some('\n') => while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                Some(c) => text.push(c),
                None => {}
            },
            c => text.push(c),
        }
    }
    (text, rest.len())
}
