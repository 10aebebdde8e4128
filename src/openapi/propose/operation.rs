//! Which calls are writes, and each of them as an operation. What makes it safe to send one twice is only believed where the
//! document says so.

use super::{
    super::{
        call::{Body, BodyKind, Call, In},
        schema::{Schema, Types},
        words::{folded, line, snake, yaml},
    },
    records::{self, is_step},
    stream::{headers_of, path_is_usable, value_of, with_settings},
};

/// An operation as it will be written.
pub struct Operation<'d> {
    pub name: String,
    pub call: Call<'d>,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    /// The value of `body`; nothing: the record as JSON.
    pub body: Option<String>,
    pub makes: &'static str,
    pub repeat: String,
    pub sink_id: Option<String>,
    pub needs: Vec<(String, String)>,
    /// For people, beside the body.
    pub fields: Option<String>,
    pub notes: Vec<String>,
}

/// The operation of a call, if it is a write that can be sent. `reads`: paths that can be read.
pub fn of<'d>(call: &Call<'d>, reads: &[Call<'d>]) -> Option<Operation<'d>> {
    if call.method == "get" || !path_is_usable(call.path) {
        return None;
    }
    if call.body.as_ref().is_some_and(|body| body.kind == BodyKind::Other) {
        return None;
    }
    let makes = makes(call);
    let has_hole = call.path.contains('{');
    let is_about_one = makes != "create" && has_hole;
    let (path, holes) = with_settings(call.path, is_about_one);
    let mut needs: Vec<(String, String)> = holes
        .into_iter()
        .map(|hole| {
            let words = call.parameter(In::Path, &hole).map_or("", |one| one.description);
            (hole.clone(), line(words, 100))
        })
        .collect();
    let mut notes = Vec::new();
    if makes != "create" && !has_hole {
        notes.push(
            "where the request names the record is not clear: put `{{ sink.id }}` where its id belongs".to_owned(),
        );
    }
    let mut query = Vec::new();
    for one in call.query().filter(|one| one.required && !super::paging::is_credential(one)) {
        let value = value_of(&one.schema).unwrap_or_else(|| {
            needs.push((one.name.to_owned(), line(one.description, 100)));
            format!("\"{{{{ config.{} }}}}\"", super::super::words::setting(one.name))
        });
        query.push((one.name.to_owned(), value));
    }
    let (headers, more) = headers_of(call);
    needs.extend(more);
    let (repeat, note) = repeat(call, makes, &path, reads);
    notes.extend(note);
    let body = call.body.as_ref().filter(|_| call.method != "delete");
    let (sent, fields) = body.map_or((None, None), |body| (body_of(body), fields_of(body)));
    // A POST without a body would send the record.
    let sent = if body.is_none() && call.method != "delete" { Some("{ json: {} }".to_owned()) } else { sent };
    let sink_id = if makes == "delete" { None } else { sink_id(call) };
    if makes == "create" && sink_id.is_none() {
        notes.push("where the answer has the new record's id is not told: later changes cannot find it".to_owned());
    }
    Some(Operation {
        name: String::new(),
        call: call.clone(),
        path,
        query,
        headers,
        body: sent,
        makes,
        repeat,
        sink_id,
        needs,
        fields,
        notes,
    })
}

/// What success makes of a record, by the method and the words of the call.
fn makes(call: &Call<'_>) -> &'static str {
    let words = |text: &str| -> Vec<String> { snake(text).unwrap_or_default().split('_').map(str::to_owned).collect() };
    let last = call.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let ends_in_one = last.ends_with('}');
    let mut said = words(call.id);
    said.extend(if ends_in_one { Vec::new() } else { words(last) });
    let says = |any: &[&str]| said.iter().any(|word| any.contains(&word.as_str()));
    match call.method {
        "delete" => "delete",
        "patch" => "update",
        _ if says(&["upsert"]) => "upsert",
        "put" => "update",
        _ if says(&["delete", "remove", "destroy"]) => "delete",
        _ if ends_in_one || says(&["update", "edit", "modify", "rename", "set", "archive", "unarchive"]) => "update",
        _ => "create",
    }
}

/// Why sending it twice is safe, where the document says so; else nothing makes it safe.
fn repeat(call: &Call<'_>, makes: &str, path: &str, reads: &[Call<'_>]) -> (String, Option<String>) {
    let header = |known: &[&str]| {
        call.parameters.iter().find(|one| one.place == In::Header && known.contains(&folded(one.name).as_str()))
    };
    if let Some(key) =
        header(&["idempotencykey", "xidempotencykey", "xlineretrykey", "idempotencytoken", "xidempotencetoken"])
    {
        let format = if key.schema.format() == "uuid" { ", format: uuid" } else { "" };
        let repeat = format!("{{ idempotency_key: {{ header: {}{format} }} }}", yaml(key.name));
        let note = "how long the vendor remembers an idempotency key is not told: 24h is taken; write `retention` if it is less";
        return (repeat, Some(note.to_owned()));
    }
    let read = reads.iter().find(|read| read.path == call.path);
    let etag = read
        .and_then(|read| read.answer.as_ref())
        .is_some_and(|answer| answer.headers.iter().any(|name| name.eq_ignore_ascii_case("etag")));
    if etag && header(&["ifmatch"]).is_some() && matches!(makes, "update" | "delete") {
        let repeat = format!("{{ revision: {{ read: {{ get: {} }}, at: {{ header: ETag }} }} }}", yaml(path));
        return (repeat, None);
    }
    let note = match makes {
        "create" => {
            "no idempotency key is declared: a write whose answer was lost waits for a person (RK0420), unless you declare how it is safe"
        }
        _ => {
            "whether it does the same when it is sent twice is not told: a write whose answer was lost waits for a person (RK0420)"
        }
    };
    ("{ never: {} }".to_owned(), Some(note.to_owned()))
}

/// The one field that wraps a record, such as the `ticket` of `{ "ticket": { .. } }`.
fn wrapper<'d>(body: &Body<'d>) -> Option<(&'d str, Schema<'d>)> {
    let fields = body.fields();
    let [only] = fields.as_slice() else { return None };
    let wraps =
        only.schema.types().surely(Types::OBJECT) && !only.schema.fields().is_empty() && !only.name.contains("{{");
    wraps.then(|| (only.name, only.schema.clone()))
}

fn body_of(body: &Body<'_>) -> Option<String> {
    let kind = if body.kind == BodyKind::Form { "form" } else { "json" };
    if let Some((name, _)) = wrapper(body) {
        return Some(format!("{{ {kind}: {{ {}: \"{{{{ record }}}}\" }} }}", key(name)));
    }
    (body.kind == BodyKind::Form).then(|| "{ form: \"{{ record }}\" }".to_owned())
}

/// A key of a YAML map.
pub fn key(name: &str) -> String {
    serde_json::from_str::<serde_json::Number>(name).map_or_else(|_| yaml(name), |_| format!("\"{name}\""))
}

/// "name (required), email, phone": what a pipeline's `fields` can give.
fn fields_of(body: &Body<'_>) -> Option<String> {
    const SHOWN: usize = 24;
    let inner = wrapper(body).map(|(_, schema)| schema);
    let mut fields: Vec<(String, bool)> = match &inner {
        Some(schema) => schema.fields().iter().map(|field| (field.name.to_owned(), field.required)).collect(),
        None => body.fields().iter().map(|field| (field.name.to_owned(), field.required)).collect(),
    };
    fields.sort_by_key(|(_, required)| !required);
    let shown: Vec<String> = fields
        .iter()
        .take(SHOWN)
        .map(|(name, required)| format!("{}{}", line(name, 60), if *required { " (required)" } else { "" }))
        .collect();
    let more = if fields.len() > SHOWN { format!(" and {} more", fields.len() - SHOWN) } else { String::new() };
    (!shown.is_empty()).then(|| format!("takes {}{more}", shown.join(", ")))
}

/// Where the answer has the record's id: at its top, or inside the one object that it holds.
fn sink_id(call: &Call<'_>) -> Option<String> {
    let answer = call.answer.as_ref()?.schema.as_ref()?;
    if answer.types().surely(Types::ARRAY) {
        return None;
    }
    let own = records::key(answer, call.path).filter(|(_, sure)| *sure).map(|(key, _)| key);
    let inside = || {
        let objects: Vec<_> =
            answer.fields().into_iter().filter(|field| field.schema.types().surely(Types::OBJECT)).collect();
        let inside = |field: &super::super::schema::Field<'_>| {
            let (key, sure) = records::key(&field.schema, call.path)?;
            (sure && is_step(field.name)).then(|| format!("{}.{key}", field.name))
        };
        objects.iter().find_map(inside)
    };
    own.or_else(inside)
}
