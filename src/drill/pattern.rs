//! Which declared request an address belongs to: the path template with its holes open. What stood in the holes is handed out,
//! because it may be all that names a record.

use http::Method;
use percent_encoding::percent_decode_str;

use crate::expr::Template;

/// A method and a path with holes.
#[derive(Clone, Debug)]
pub struct Pattern {
    method: Method,
    /// A text, or nothing where a hole stands.
    parts: Vec<Option<String>>,
}

impl Pattern {
    /// The pattern of a path that is joined to a base path, as `http/render.rs` joins them.
    pub fn new(method: &Method, base: &str, path: &Template) -> Self {
        let mut parts = vec![Some(format!("{}/", base.trim_end_matches('/')))];
        for (at, part) in path.parts().enumerate() {
            match (part, parts.last_mut()) {
                (Some(text), Some(Some(last))) => {
                    last.push_str(if at == 0 { text.trim_start_matches('/') } else { text });
                }
                (part, _) => parts.push(part.map(str::to_owned)),
            }
        }
        Self { method: method.clone(), parts }
    }

    /// What stands in the holes, where the address fits.
    pub fn fits(&self, method: &Method, path: &str) -> Option<Vec<String>> {
        let mut held = Vec::new();
        (*method == self.method && fits(&self.parts, path, &mut held)).then_some(held)
    }

    /// How much of it is text: where two patterns fit, the one that says more is meant.
    pub fn weight(&self) -> usize {
        self.parts.iter().flatten().map(String::len).sum()
    }
}

fn fits(parts: &[Option<String>], path: &str, held: &mut Vec<String>) -> bool {
    match parts.split_first() {
        None => path.is_empty(),
        Some((Some(text), rest)) => path.strip_prefix(text.as_str()).is_some_and(|after| fits(rest, after, held)),
        Some((None, rest)) => {
            // A value in a path is encoded as part of one segment, and never empty.
            let longest = path.find('/').unwrap_or(path.len());
            (1..=longest).rev().filter(|end| path.is_char_boundary(*end)).any(|end| {
                held.push(percent_decode_str(&path[..end]).decode_utf8_lossy().into_owned());
                let fitted = fits(rest, &path[end..], held);
                if !fitted {
                    held.pop();
                }
                fitted
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(path: &str) -> Pattern {
        Pattern::new(&Method::GET, "/v1", &Template::compile(path).unwrap())
    }

    #[test]
    fn a_path_fits_its_template_and_tells_what_its_holes_held() {
        let one = pattern("/leads/{{ record.id }}/notes");
        assert_eq!(one.fits(&Method::GET, "/v1/leads/a%2Fb/notes"), Some(vec!["a/b".to_owned()]));
        assert_eq!(one.fits(&Method::POST, "/v1/leads/a/notes"), None);
        assert_eq!(one.fits(&Method::GET, "/v1/leads//notes"), None);
        assert_eq!(one.fits(&Method::GET, "/v1/leads/a/b/notes"), None);
        let odata = pattern("contacts(mail='{{ record.mail }}',no={{ record.no }})");
        let held = odata.fits(&Method::GET, "/v1/contacts(mail='a@b.test',no=7)");
        assert_eq!(held, Some(vec!["a@b.test".to_owned(), "7".to_owned()]));
        assert!(pattern("/leads/all").weight() > pattern("/leads/{{ record.id }}").weight());
    }
}
