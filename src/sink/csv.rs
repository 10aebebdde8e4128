//! Reads a CSV result file into rows of named texts. Pure, and strict: what a lenient reader would mend (an open quote, a
//! short row, a last line that is not ended) is how a file that was cut short looks.

use serde_json::{Map, Value};

/// The rows below the line of names, each a JSON object of texts. `open_end`: the last line may end without a line break.
/// An error says what is wrong, and in which line.
pub fn rows(text: &str, delimiter: char, open_end: bool) -> Result<Vec<String>, String> {
    let mut lines = lines(text.strip_prefix('\u{feff}').unwrap_or(text), delimiter, open_end)?.into_iter();
    let Some((_, names)) = lines.next() else { return Ok(Vec::new()) };
    lines
        .map(|(line, fields)| {
            if fields.len() != names.len() {
                return Err(format!("line {line} has {} fields for {} names", fields.len(), names.len()));
            }
            let named = names.iter().cloned().zip(fields.into_iter().map(Value::String));
            Ok(Value::Object(Map::from_iter(named)).to_string())
        })
        .collect()
}

/// Lines with the number at which they begin, without empty ones.
fn lines(text: &str, delimiter: char, open_end: bool) -> Result<Vec<(usize, Vec<String>)>, String> {
    let mut lines = Vec::new();
    let (mut begins, mut line) = (1, 1);
    let (mut fields, mut field) = (Vec::new(), String::new());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if field.is_empty() => {
                quoted(&mut letters, &mut field, &mut line)
                    .ok_or_else(|| format!("the text that begins in line {begins} has no end"))?;
                if letters.peek().is_some_and(|next| *next != delimiter && !matches!(next, '\r' | '\n')) {
                    return Err(format!("in line {line} something stands behind a closing quote"));
                }
            }
            '\r' if letters.peek() == Some(&'\n') => {}
            '\n' => {
                fields.push(std::mem::take(&mut field));
                keep(&mut lines, begins, std::mem::take(&mut fields));
                line += 1;
                begins = line;
            }
            _ if letter == delimiter => fields.push(std::mem::take(&mut field)),
            _ => field.push(letter),
        }
    }
    if !fields.is_empty() || !field.is_empty() {
        if !open_end {
            return Err(format!("the last line, {begins}, is not ended by a line break"));
        }
        fields.push(field);
        keep(&mut lines, begins, fields);
    }
    Ok(lines)
}

fn keep(lines: &mut Vec<(usize, Vec<String>)>, line: usize, fields: Vec<String>) {
    if fields.len() > 1 || fields.first().is_some_and(|only| !only.is_empty()) {
        lines.push((line, fields));
    }
}

/// Reads to the closing quote. Nothing: there is none.
fn quoted(letters: &mut std::iter::Peekable<std::str::Chars<'_>>, field: &mut String, line: &mut usize) -> Option<()> {
    loop {
        match letters.next()? {
            '"' if letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' => return Some(()),
            letter => {
                *line += usize::from(letter == '\n');
                field.push(letter);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        rows(text, ',', false)
    }

    #[test]
    fn rows_are_named_by_the_first_line() {
        let text = "\u{feff}id,Error\r\n7,\"a \"\"b\"\", c\r\nd\"\r\n\r\n8,\n";
        let all: Vec<Value> = read(text).unwrap().iter().map(|row| serde_json::from_str(row).unwrap()).collect();
        let expected = [json!({"id": "7", "Error": "a \"b\", c\r\nd"}), json!({"id": "8", "Error": ""})];
        assert_eq!(all, expected);
        assert_eq!(rows("a;b\n1,5;2\n", ';', false).unwrap(), [r#"{"a":"1,5","b":"2"}"#]);
        assert!(read("").unwrap().is_empty());
        assert!(read("id,Error\n").unwrap().is_empty());
    }

    #[test]
    fn a_file_that_is_cut_short_anywhere_but_between_lines_is_seen() {
        let whole = "id,note\n1,\"x, \"\"y\"\"\"\n22,zwei\n";
        for end in 1..whole.len() {
            let between = whole[..end].ends_with('\n');
            assert_eq!(read(&whole[..end]).is_ok(), between, "{:?}", &whole[..end]);
        }
        for wrong in ["a,b\n1\n", "a,b\n1,2,3\n", "a,b\n\"1\"x,2\n", "a,b\n1,\"2\n"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_vendor_that_never_ends_the_last_line_can_be_read() {
        assert_eq!(rows("a,b\n1,2", ',', true).unwrap(), [r#"{"a":"1","b":"2"}"#]);
    }
}
