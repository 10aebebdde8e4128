//! Which call of a document a request means. What is filled in at a connector's path stands where the document has a parameter.

use super::{
    super::{
        call::Call,
        document::{Document, Generation},
    },
    Use,
};
use crate::config::nearest;

/// Stands for what is filled in.
const HOLE: char = '\u{0}';

/// The paths that a document's servers begin with.
pub fn bases(document: &Document) -> Vec<String> {
    let place = document.place();
    let urls: Vec<&str> = match document.generation {
        Generation::Swagger2 => place.text("basePath").into_iter().collect(),
        Generation::OpenApi3 => {
            let servers = place.get("servers").map(|all| all.items()).unwrap_or_default();
            servers.iter().filter_map(|one| one.text("url")).collect()
        }
    };
    let mut all: Vec<String> = urls.into_iter().map(path_of).collect();
    all.push(String::new());
    all
}

/// The path of a URL, which may hold variables, without its last slash.
fn path_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest.find('/').map_or("", |at| &rest[at..]));
    rest.trim_end_matches('/').to_owned()
}

/// The document's call that a request means, or why there is none.
pub fn find<'k, 'd>(
    one: &Use<'_>,
    base: Option<&str>,
    bases: &[String],
    known: &'k [Call<'d>],
) -> Result<&'k Call<'d>, String> {
    let method = one.request.method.as_str().to_ascii_lowercase();
    let ours = pattern(one, base);
    let whole = |call: &Call<'_>| bases.iter().map(|base| plain(&format!("{base}{}", call.path))).collect::<Vec<_>>();
    let at_path: Vec<&Call<'d>> = known.iter().filter(|call| whole(call).contains(&ours)).collect();
    if let Some(found) = at_path.iter().find(|call| call.method == method) {
        return Ok(found);
    }
    let shown = shown(&ours);
    if !at_path.is_empty() {
        let methods: Vec<String> = at_path.iter().map(|call| call.method.to_ascii_uppercase()).collect();
        return Err(format!("{} {shown} is not there; the path has {}", one.request.method, methods.join(", ")));
    }
    // A part that the connector writes out may be a parameter to the document.
    let fitting = known
        .iter()
        .filter(|call| call.method == method)
        .find(|call| whole(call).iter().any(|theirs| fits(&ours, theirs)));
    if let Some(found) = fitting {
        return Ok(found);
    }
    let near = nearest(&shown, known.iter().map(|call| call.path));
    let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    Err(format!("{} {shown} is not there{near}", one.request.method))
}

fn pattern(one: &Use<'_>, base: Option<&str>) -> String {
    let parts = one.request.path.parts();
    let path: String = parts.map(|part| part.map_or_else(|| HOLE.to_string(), str::to_owned)).collect();
    format!("{}{path}", base.map(path_of).unwrap_or_default())
}

fn plain(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        out.push(HOLE);
        rest = rest[open..].find('}').map_or("", |close| &rest[open + close + 1..]);
    }
    out.push_str(rest);
    out
}

fn shown(pattern: &str) -> String {
    pattern.replace(HOLE, "{}")
}

fn fits(ours: &str, theirs: &str) -> bool {
    let (ours, theirs): (Vec<&str>, Vec<&str>) = (ours.split('/').collect(), theirs.split('/').collect());
    let is_hole = |part: &str| part.chars().eq([HOLE]);
    ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(one, other)| one == other || is_hole(other))
}
