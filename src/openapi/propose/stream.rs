//! Which calls are listings, and each of them as a stream.

use super::{
    super::{
        call::{BodyKind, Call, In},
        schema::{Schema, Types},
        words::{folded, line, setting, snake, yaml},
    },
    paging::{self, Paging},
    records, since,
};

/// A stream as it will be written.
pub struct Stream<'d> {
    pub name: String,
    pub call: Call<'d>,
    pub path: String,
    /// Query parameters: name and value, ready for YAML.
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<(String, String)>,
    pub records: String,
    pub key: String,
    pub paging: Paging,
    pub since: since::Since,
    /// Settings without a default that it cannot be read without, and what each is for.
    pub needs: Vec<(String, String)>,
    pub notes: Vec<String>,
    /// The answer says where its records are.
    pub told: bool,
}

/// The stream of a call, if it is a listing. `usual`: where other answers of the document have their records.
pub fn of<'d>(call: &Call<'d>, usual: Option<&str>) -> Option<Stream<'d>> {
    if !path_is_usable(call.path) || !(call.method == "get" || is_search(call)) {
        return None;
    }
    if call.body.as_ref().is_some_and(|body| call.method == "post" && body.kind != BodyKind::Json) {
        return None;
    }
    let paged = paging::takes_position(call);
    let answer = call.answer.as_ref()?.schema.as_ref()?;
    let found = records::find(call, answer, paged);
    let ends_in_one = call.path.trim_end_matches('/').ends_with('}');
    let mut notes = Vec::new();
    let (records, item) = match found {
        Some(found) => (found.path, Some(found.item)),
        // Nothing is said about the answer, but it comes in pages.
        None if answer.is_bare() && paged && !ends_in_one => {
            notes.push("the answer is not described: where its records stand is a guess".to_owned());
            (usual.unwrap_or("data").to_owned(), None)
        }
        None => return None,
    };
    let key = item.as_ref().and_then(|item| records::key(item, call.path));
    if key.as_ref().is_none_or(|(_, sure)| !sure) {
        notes.push("the field that names a record is a guess".to_owned());
    }
    let told = item.is_some() && key.is_some();
    let key = key.map_or_else(|| "id".to_owned(), |(key, _)| key);
    let paging = paging::tell(call, answer, &records, &key);
    let since = item.as_ref().map(|item| since::tell(call, item)).unwrap_or_default();
    if answer.is_sample() {
        notes.push("the answer has no schema: its fields are those of an example".to_owned());
    }
    let mut stream = Stream {
        name: String::new(),
        call: call.clone(),
        path: String::new(),
        query: Vec::new(),
        headers: Vec::new(),
        body: paging.body.clone(),
        records,
        key,
        paging,
        since,
        needs: Vec::new(),
        notes,
        told,
    };
    stream.fill();
    Some(stream)
}

/// A path that can stand in a connector: no query, no spaces, each hole a whole name.
pub fn path_is_usable(path: &str) -> bool {
    !path.contains(['?', '#', '\\', '"'])
        && !path.chars().any(|c| c.is_whitespace() || c.is_control())
        && !path.contains("{{")
        && !path.contains("//")
        && path.matches('{').count() == path.matches('}').count()
}

fn is_search(call: &Call<'_>) -> bool {
    const WORDS: [&str; 6] = ["search", "query", "list", "find", "filter", "lookup"];
    let last = call.path.rsplit('/').find(|part| !part.is_empty() && !part.contains('{')).unwrap_or_default();
    let last = snake(last).unwrap_or_default();
    let id = snake(call.id).unwrap_or_default();
    let first = id.split('_').next().unwrap_or_default();
    call.method == "post" && (last.split('_').any(|word| WORDS.contains(&word)) || WORDS[..3].contains(&first))
}

/// A path with its holes filled from settings, and which they are.
pub fn with_settings(path: &str, last_is_sink: bool) -> (String, Vec<String>) {
    let mut out = String::new();
    let mut names = Vec::new();
    let mut rest = path;
    let last = path.rfind('{');
    while let Some(at) = rest.find('{') {
        let end = rest[at..].find('}').map_or(rest.len(), |end| at + end);
        let here = path.len() - rest.len() + at;
        out.push_str(&rest[..at]);
        if last_is_sink && Some(here) == last {
            out.push_str("{{ sink.id }}");
        } else {
            let name = rest[at + 1..end].trim_start_matches('+').trim_end_matches('*').to_owned();
            out.push_str(&format!("{{{{ config.{} }}}}", setting(&name)));
            names.push(name);
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    (out, names)
}

/// The value of a parameter that must be sent: its only or usual value, else a setting.
pub fn value_of(schema: &Schema<'_>) -> Option<String> {
    let plain = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) if !text.is_empty() => Some(yaml(text)),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Bool(value) => Some(value.to_string()),
        _ => None,
    };
    let only = schema.choices().into_iter().next().filter(|_| schema.choices().len() == 1);
    schema
        .said("default")
        .and_then(plain)
        .or_else(|| only.map(|only| yaml(&only)))
        .filter(|value| !value.contains("{{"))
}

/// Names with their values.
type Pairs = Vec<(String, String)>;

/// Headers that a call must send: name and value, and the settings without a default.
pub fn headers_of(call: &Call<'_>) -> (Pairs, Pairs) {
    const OWN: [&str; 11] = [
        "authorization",
        "host",
        "contentlength",
        "transferencoding",
        "connection",
        "acceptencoding",
        "te",
        "accept",
        "contenttype",
        "useragent",
        "ifmatch",
    ];
    let mut headers = Vec::new();
    let mut needs = Vec::new();
    for one in call.parameters.iter().filter(|one| one.place == In::Header && one.required) {
        let is_name = one.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let name = folded(one.name);
        if OWN.contains(&name.as_str()) || paging::is_credential(one) || !is_name || name.contains("idempotency") {
            continue;
        }
        let value = value_of(&one.schema).or_else(|| version_of(&one.schema));
        let value = value.unwrap_or_else(|| {
            needs.push((one.name.to_owned(), line(one.description, 100)));
            format!("\"{{{{ config.{} }}}}\"", setting(one.name))
        });
        headers.push((one.name.to_owned(), value));
    }
    (headers, needs)
}

/// A version header's own example is a version.
fn version_of(schema: &Schema<'_>) -> Option<String> {
    schema.said("example").and_then(serde_json::Value::as_str).filter(|text| !text.contains("{{")).map(yaml)
}

impl Stream<'_> {
    fn fill(&mut self) {
        let (path, holes) = with_settings(self.call.path, false);
        self.path = path;
        for hole in holes {
            let words = self.call.parameter(In::Path, &hole).map_or("", |one| one.description);
            self.needs.push((hole.clone(), line(words, 100)));
        }
        if let Some((name, size)) = &self.paging.query {
            self.query.push((name.clone(), size.to_string()));
        }
        let used = |name: &str| {
            let texts = [&self.paging.paginate, &self.since.incremental];
            let texts = texts.into_iter().flatten();
            texts.into_iter().any(|text| {
                text.contains(&format!(": {} ", yaml(name))) || text.contains(&format!(": {},", yaml(name)))
            })
        };
        let required: Vec<_> = self
            .call
            .query()
            .filter(|one| one.required && !paging::is_credential(one) && !used(one.name))
            .filter(|one| self.query.iter().all(|(name, _)| name != one.name))
            .map(|one| {
                (one.name, value_of(&one.schema), line(one.description, 100), one.schema.types().surely(Types::ARRAY))
            })
            .collect();
        for (name, value, words, is_list) in required {
            let value = value.unwrap_or_else(|| {
                self.needs.push((name.to_owned(), words));
                format!("\"{{{{ config.{} }}}}\"", setting(name))
            });
            if is_list {
                self.notes.push(format!("the parameter {name} takes a list"));
            }
            self.query.push((name.to_owned(), value));
        }
        self.fill_body();
        let (headers, needs) = headers_of(&self.call);
        self.headers = headers;
        self.needs.extend(needs);
        self.notes.extend(self.paging.notes.iter().cloned());
        self.notes.extend(self.since.note.clone());
    }

    fn fill_body(&mut self) {
        let Some(body) = self.call.body.as_ref().filter(|_| self.call.method == "post") else { return };
        for field in body.fields().into_iter().filter(|field| field.required) {
            if self.body.iter().any(|(name, _)| name == field.name) {
                continue;
            }
            let value = value_of(&field.schema).unwrap_or_else(|| {
                self.needs.push((field.name.to_owned(), line(field.schema.description(), 100)));
                format!("\"{{{{ config.{} }}}}\"", setting(field.name))
            });
            self.body.push((field.name.to_owned(), value));
        }
    }
}
