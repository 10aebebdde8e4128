//! Where an answer has its list of records, and what names a record.

use super::super::{
    call::Call,
    schema::{Schema, Types},
    words::{folded, singular},
};

/// Names that vendors give to the list of what was asked for.
const USUAL: [&str; 18] = [
    "data",
    "items",
    "results",
    "records",
    "values",
    "entries",
    "list",
    "objects",
    "elements",
    "content",
    "rows",
    "hits",
    "value",
    "resources",
    "result",
    "collection",
    "payload",
    "response",
];
/// Lists that are beside the point.
const OTHERS: [&str; 9] =
    ["errors", "warnings", "links", "included", "meta", "facets", "messages", "fields", "aggregations"];
const DEPTH_MAX: usize = 3;
/// Scalars of an answer that are looked at.
const SCALARS_MAX: usize = 300;

/// A list of records in an answer.
pub struct Found<'d> {
    /// `.` for the whole answer.
    pub path: String,
    pub item: Schema<'d>,
}

/// A value of an answer outside of its lists.
pub struct Scalar<'d> {
    pub path: String,
    pub schema: Schema<'d>,
}

impl Scalar<'_> {
    /// The last step, folded.
    pub fn name(&self) -> String {
        folded(self.path.rsplit('.').next().unwrap_or_default())
    }

    pub fn whole(&self) -> String {
        folded(&self.path)
    }
}

/// Whether a name can be a step of a path in our files.
pub fn is_step(name: &str) -> bool {
    !name.is_empty() && !name.contains(['.', '[', ']']) && !name.chars().any(char::is_control)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The list of records, if the answer has one. `paged`: the call takes a page's position.
pub fn find<'d>(call: &Call<'d>, answer: &Schema<'d>, paged: bool) -> Option<Found<'d>> {
    let is_record = |item: &Schema<'_>| item.types().may_be(Types::OBJECT);
    if answer.types().surely(Types::ARRAY) {
        let item = answer.items()?;
        return is_record(&item).then_some(Found { path: ".".to_owned(), item });
    }
    // An answer with a name of its own is one record, whatever lists it holds.
    if !paged && answer.field("id").is_some() {
        return None;
    }
    let mut lists: Vec<(String, String, usize, Schema<'d>)> = Vec::new();
    let mut level = vec![(String::new(), answer.clone())];
    let mut fields_of_answer = 0;
    for depth in 0..DEPTH_MAX {
        let mut next = Vec::new();
        for (path, schema) in level {
            for field in schema.fields().into_iter().filter(|field| is_step(field.name)) {
                fields_of_answer += usize::from(depth == 0);
                let at = join(&path, field.name);
                let types = field.schema.types();
                if types.surely(Types::ARRAY) {
                    let item = field.schema.items().filter(|item| is_record(item));
                    lists.extend(item.map(|item| (at, folded(field.name), depth, item)));
                } else if types.surely(Types::OBJECT) {
                    next.push((at, field.schema));
                }
            }
        }
        level = next;
    }
    let alone = lists.len() == 1;
    let ends_in_one = call.path.trim_end_matches('/').ends_with('}');
    let named = words_of(call.path);
    let score = |name: &str, depth: usize| {
        let usual = if USUAL.contains(&name) { 6 } else { 0 };
        let same = if named.iter().any(|word| word == name) { 8 } else { 0 };
        let other = if OTHERS.contains(&name) { 10 } else { 0 };
        usual + same - other - 2 * depth as i32
    };
    let best = lists.into_iter().rev().max_by_key(|(_, name, depth, _)| score(name, *depth))?;
    let (path, name, depth, item) = best;
    let told = score(&name, depth) >= 4 - i32::from(depth > 0);
    let little_else = alone && fields_of_answer <= 5 && depth == 0 && !OTHERS.contains(&name.as_str());
    let is_list =
        if ends_in_one { paged && told } else { told || (paged && !OTHERS.contains(&name.as_str())) || little_else };
    is_list.then_some(Found { path, item })
}

/// The words that the end of a path names its things by.
fn words_of(path: &str) -> Vec<String> {
    let mut statics = path.split('/').filter(|part| !part.is_empty() && !part.contains('{'));
    let last = statics.next_back().unwrap_or_default();
    let last = last.strip_suffix(".json").unwrap_or(last);
    let mut words: Vec<String> = last.split(['.', '-', '_']).map(folded).collect();
    words.push(folded(last));
    let ones: Vec<String> = words.iter().map(|word| singular(word)).collect();
    let many: Vec<String> = words.iter().map(|word| format!("{word}s")).collect();
    words.extend(ones);
    words.extend(many);
    words
}

/// The scalars of an answer, outside of lists.
pub fn scalars<'d>(answer: &Schema<'d>) -> Vec<Scalar<'d>> {
    let mut all = Vec::new();
    let mut level = vec![(String::new(), answer.clone())];
    for _ in 0..=DEPTH_MAX {
        let mut next = Vec::new();
        for (path, schema) in level {
            for field in schema.fields().into_iter().filter(|field| is_step(field.name)) {
                let at = join(&path, field.name);
                let types = field.schema.types();
                if types.surely(Types::OBJECT) {
                    next.push((at, field.schema));
                } else if types.may_be(Types::SCALAR) && all.len() < SCALARS_MAX {
                    all.push(Scalar { path: at, schema: field.schema });
                }
            }
        }
        level = next;
    }
    all
}

/// The field that names a record, and whether that is more than a guess.
pub fn key(item: &Schema<'_>, path: &str) -> Option<(String, bool)> {
    let fields = item.fields();
    let named: Vec<_> = fields
        .iter()
        .filter(|field| is_step(field.name) && field.schema.types().may_be(Types::SCALAR))
        .filter(|field| !field.schema.types().surely(Types::BOOLEAN))
        .map(|field| (folded(field.name), field))
        .collect();
    let by = |name: &str| named.iter().find(|(folded, _)| folded == name).map(|(_, field)| field.name.to_owned());
    let usual = ["id", "gid", "uuid", "guid", "sid", "objectid"].into_iter().find_map(by);
    if let Some(name) = usual {
        return Some((name, true));
    }
    let of_kind = words_of(path).into_iter().flat_map(|word| {
        let word = singular(&word);
        [format!("{word}id"), format!("{word}sid"), format!("{word}uuid"), format!("{word}key"), format!("{word}code")]
    });
    if let Some(name) = of_kind.into_iter().find_map(|name| by(&name)) {
        return Some((name, true));
    }
    let ids = named.iter().filter(|(folded, _)| folded.ends_with("id")).collect::<Vec<_>>();
    let first = ids.iter().find(|(_, field)| field.required).or(ids.first());
    if let Some((_, field)) = first {
        return Some((field.name.to_owned(), ids.len() == 1));
    }
    let usual = ["key", "code", "number", "slug", "name", "login", "email", "ts"].into_iter().find_map(by);
    if let Some(name) = usual {
        return Some((name, false));
    }
    let first = named.iter().find(|(_, field)| field.required).or(named.first());
    first.map(|(_, field)| (field.name.to_owned(), false))
}
