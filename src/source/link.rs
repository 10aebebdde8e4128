//! The `Link` header of RFC 8288, as far as finding one relation needs it.

use http::{HeaderMap, header::LINK};

/// The target of the first link with this relation. Several headers count as one; a header that is malformed ends at its
/// first bad place.
pub fn target(headers: &HeaderMap, relation: &str) -> Option<String> {
    let values = headers.get_all(LINK).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(links).find(|link| link.has(relation)).map(|link| link.target.to_owned())
}

struct Link<'h> {
    target: &'h str,
    relations: Option<String>,
}

impl Link<'_> {
    /// A relation may be one of several, and is compared without regard to case.
    fn has(&self, relation: &str) -> bool {
        let relations = self.relations.as_deref().unwrap_or_default();
        relations.split_ascii_whitespace().any(|one| one.eq_ignore_ascii_case(relation))
    }
}

fn links(header: &str) -> Vec<Link<'_>> {
    let mut found = Vec::new();
    let mut rest = header.trim_start_matches(separator);
    while let Some((target, after)) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
        let mut link = Link { target: target.trim(), relations: None };
        rest = after.trim_start();
        while let Some(parameter) = rest.strip_prefix(';') {
            let name_end = parameter.find(['=', ';', ',']).unwrap_or(parameter.len());
            let name = parameter[..name_end].trim();
            rest = &parameter[name_end..];
            let mut text = None;
            if let Some(written) = rest.strip_prefix('=') {
                let (value, after) = value(written.trim_start());
                text = Some(value);
                rest = after.trim_start();
            }
            // Only the first `rel` of a link counts.
            if name.eq_ignore_ascii_case("rel") && link.relations.is_none() {
                link.relations = text;
            }
        }
        found.push(link);
        rest = rest.trim_start_matches(separator);
    }
    found
}

fn separator(c: char) -> bool {
    c == ',' || c.is_ascii_whitespace()
}

/// A token or a quoted string, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut out = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (out, &quoted[at + 1..]),
            '\\' => out.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => out.push(c),
        }
    }
    (out, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(headers: &[&str]) -> Option<String> {
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(LINK, header.parse().unwrap());
        }
        target(&map, "next")
    }

    #[test]
    fn the_next_link_is_found_wherever_it_stands() {
        let cases = [
            (r#"<https://a.example/x?page=2>; rel="next""#, "https://a.example/x?page=2"),
            (
                r#"<https://a.example/?page=1>; rel="prev", <https://a.example/?page=3>; rel="next""#,
                "https://a.example/?page=3",
            ),
            (r#"</x?page=2>;rel=next;title="a, b; rel=\"prev\"""#, "/x?page=2"),
            (r#"<a>; title="say \"next\", <b>; rel=next"; rel=last, <c>; rel=next"#, "c"),
            (r#"<a?x=1,2;3>; rel="last next""#, "a?x=1,2;3"),
            (r#"< a > ; REL = "Next""#, "a"),
            (r#"<a>; crossorigin; rel=next"#, "a"),
            (r#", ,<a>; rel=next"#, "a"),
        ];
        for (header, target) in cases {
            assert_eq!(next(&[header]).as_deref(), Some(target), "{header}");
        }
        assert_eq!(next(&["<a>; rel=prev", "<b>; rel=next"]).as_deref(), Some("b"));
    }

    #[test]
    fn no_next_link_is_found_where_there_is_none() {
        for header in [
            "",
            "<a>",
            "<a>; rel=prev; rel=next",
            "<a; rel=next",
            "a; rel=next",
            r#"<a>; title="rel=next""#,
            "<a>; rel=nextish",
        ] {
            assert_eq!(next(&[header]), None, "{header}");
        }
        assert_eq!(next(&[]), None);
    }
}
