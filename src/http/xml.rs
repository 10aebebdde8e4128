//! Texts of XML answers, by the names of their elements. Nothing of the answer is kept but these, and no entity is looked up.

use quick_xml::{Reader, escape::resolve_predefined_entity, events::Event};

/// An answer of more elements is cut off there.
const ELEMENTS_MAX: usize = 100_000;

/// The texts of all elements of a name, in their order, whatever they are in. Nothing: it is no XML.
pub fn texts(body: &[u8], name: &str) -> Option<Vec<String>> {
    let mut reader = Reader::from_reader(body);
    let (mut texts, mut open, mut depth) = (Vec::new(), None::<String>, 0_usize);
    for _ in 0..ELEMENTS_MAX {
        match reader.read_event().ok()? {
            Event::Start(element) => {
                depth += 1;
                open = (element.local_name().as_ref() == name.as_bytes()).then(String::new);
            }
            Event::Text(text) => {
                if let Some(open) = &mut open {
                    open.push_str(&text.decode().ok()?);
                }
            }
            Event::GeneralRef(reference) => {
                if let Some(open) = &mut open {
                    match reference.resolve_char_ref().ok()? {
                        Some(letter) => open.push(letter),
                        None => open.push_str(resolve_predefined_entity(&reference.decode().ok()?)?),
                    }
                }
            }
            Event::End(_) => {
                depth = depth.checked_sub(1)?;
                texts.extend(open.take());
            }
            Event::Empty(element) if element.local_name().as_ref() == name.as_bytes() => texts.push(String::new()),
            Event::Eof => return (depth == 0).then_some(texts),
            _ => {}
        }
    }
    None
}

/// What an error of S3 and its relatives says: `AccessDenied: Access Denied`.
pub fn said(body: &[u8]) -> Option<String> {
    if !body.trim_ascii_start().starts_with(b"<") {
        return None;
    }
    let first = |name| texts(body, name).and_then(|texts| texts.into_iter().next()).filter(|text| !text.is_empty());
    match (first("Code"), first("Message")) {
        (Some(code), Some(message)) => Some(format!("{code}: {message}")),
        (code, message) => code.or(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_the_names_of_their_elements() {
        let list = br#"<?xml version="1.0"?><List xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Contents><Key>a&amp;b/1</Key><Size>3</Size></Contents><Contents><Key>&#x540D;</Key></Contents><Next/></List>"#;
        assert_eq!(texts(list, "Key").unwrap(), ["a&b/1", "\u{540d}"]);
        assert_eq!(texts(list, "Next").unwrap(), [""]);
        assert_eq!(texts(list, "None").unwrap(), [""; 0]);
        for broken in ["<a><Key>1</Key>", "<a>&nope;</b>", "<a", "{}</a>"] {
            assert_eq!(texts(broken.as_bytes(), "Key"), None, "{broken}");
        }
    }

    #[test]
    fn an_error_says_its_code_and_its_message() {
        let error = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message><Resource>/b</Resource></Error>";
        assert_eq!(said(error).unwrap(), "AccessDenied: Access Denied");
        assert_eq!(said(b"<html><body><h1>Bad Gateway</h1></body></html>"), None);
        assert_eq!(said(b"Bad Gateway"), None);
    }
}
