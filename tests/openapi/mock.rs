//! A vendor made of its own document: it answers the calls of a proposed stream with instances of their schemas, in two pages, to
//! whoever shows the right credentials.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
};

use serde_json::{Map, Value, json};

pub const SECRET: &str = "geheim-4711";

pub struct Mock {
    pub url: String,
}

/// What the mock serves: a document, the stream as it was proposed, and how it is signed.
pub struct Served {
    pub document: Value,
    pub stream: Value,
    pub auth: Value,
}

impl Mock {
    pub fn start(served: Served) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (served, base) = (Arc::new(served), url.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (served, base) = (Arc::clone(&served), base.clone());
                thread::spawn(move || drop(answer(&served, &base, stream)));
            }
        });
        Self { url }
    }
}

fn answer(served: &Served, base: &str, stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 && !head.ends_with("\r\n\r\n") {}
    let length = header(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let target = head.split(' ').nth(1).unwrap_or_default();
    let url = url::Url::parse(base).unwrap().join(target).unwrap();
    let (status, headers, text) = if url.path() == "/token" {
        (200, String::new(), json!({"access_token": SECRET, "token_type": "bearer", "expires_in": 3600}))
    } else if !signed(served, &head, &url) {
        (401, String::new(), json!({"error": "who are you"}))
    } else {
        let sent: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let (headers, text) = page(served, base, &url, &sent);
        (200, headers, text)
    };
    let text = text.to_string();
    let length = text.len();
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{text}"
    )
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn signed(served: &Served, head: &str, url: &url::Url) -> bool {
    let Some((kind, auth)) = served.auth.as_object().and_then(|auth| auth.iter().next()) else { return true };
    let shown = header(head, "authorization").unwrap_or_default();
    match kind.as_str() {
        // ann:geheim-4711
        "basic" => shown == "Basic YW5uOmdlaGVpbS00NzEx",
        "api_key" => match (auth["header"].as_str(), auth["query"].as_str()) {
            (Some(name), _) => header(head, name) == Some(SECRET),
            (_, Some(name)) => url.query_pairs().any(|(known, value)| known == name && value == SECRET),
            _ => false,
        },
        _ => shown == format!("Bearer {SECRET}"),
    }
}

/// The page that was asked for: three records more than one page holds, cut as the stream pages.
fn page(served: &Served, base: &str, url: &url::Url, sent: &Value) -> (String, Value) {
    let stream = &served.stream;
    let asked = |name: &Value| {
        let name = name.as_str()?;
        url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    };
    let (kind, paginate) = match stream["paginate"].as_object().and_then(|all| all.iter().next()) {
        Some((kind, paginate)) => (kind.as_str(), paginate),
        None => ("", &Value::Null),
    };
    let size = paginate["size"]["records"].as_u64().unwrap_or(3);
    let total = expected(stream);
    let in_body = || sent.as_object().and_then(|all| all.values().find_map(Value::as_str)).map(str::to_owned);
    let again = match kind {
        "cursor" if paginate["query"].is_null() => in_body().is_some_and(|token| token == "weiter"),
        "cursor" => asked(&paginate["query"]).is_some(),
        "next_url" | "link" => url.query_pairs().any(|(name, _)| name == "weiter"),
        _ => false,
    };
    let from = match kind {
        "page" => {
            let first = paginate["first"].as_u64().unwrap_or(1);
            asked(&paginate["query"]).and_then(|text| text.parse().ok()).unwrap_or(first).saturating_sub(first) * size
        }
        "offset" => asked(&paginate["query"]).and_then(|text| text.parse().ok()).unwrap_or(0),
        _ if again => size,
        _ => 0,
    };
    let to = if kind.is_empty() { total } else { (from + size).min(total) };
    let mut answer = instance(served, url.path(), from.min(to)..to);
    let more = to < total;
    let mut set = |path: &Value, value: Value| {
        if let Some(path) = path.as_str() {
            put(&mut answer, path, value);
        }
    };
    set(&paginate["more"], json!(more));
    set(&paginate["total"], json!(total));
    set(&paginate["total_pages"], json!(total.div_ceil(size)));
    let next = format!("{base}{}?weiter=1", url.path());
    match kind {
        "cursor" => set(&paginate["next"], if more { json!("weiter") } else { Value::Null }),
        "next_url" => set(&paginate["next"], if more { json!(next) } else { Value::Null }),
        _ => {}
    }
    let link = if kind == "link" && more { format!("Link: <{next}>; rel=\"next\"\r\n") } else { String::new() };
    (link, answer)
}

/// How many records the mock has for a stream.
pub fn expected(stream: &Value) -> u64 {
    let paginate = stream["paginate"].as_object().and_then(|all| all.values().next());
    let Some(paginate) = paginate else { return 2 };
    paginate["size"]["records"].as_u64().unwrap_or(3) + 2
}

fn instance(served: &Served, path: &str, range: std::ops::Range<u64>) -> Value {
    let document = &served.document;
    let method = if served.stream["post"].is_string() { "post" } else { "get" };
    let paths = document["paths"].as_object().unwrap();
    let prefix = document["basePath"].as_str().unwrap_or_default().trim_end_matches('/');
    let found = paths.iter().find(|(known, item)| {
        !item[method].is_null() && (path.ends_with(known.as_str()) || alike(known, path, prefix))
    });
    let (_, item) = found.unwrap_or_else(|| panic!("nothing at {path}"));
    let responses = item[method]["responses"].as_object().unwrap();
    let good = responses.iter().find(|(status, _)| status.starts_with('2')).or_else(|| responses.iter().next());
    let response = followed(document, good.unwrap().1);
    let media = response["content"].as_object().and_then(|all| all.values().next());
    let schema = media.map_or(&response["schema"], |media| &media["schema"]);
    let sample = media.and_then(|media| media["examples"].as_object()?.values().next()).map(|one| one["value"].clone());
    let mut answer = match followed(document, schema) {
        described
            if described["properties"].is_null() && described["items"].is_null() && described["allOf"].is_null() =>
        {
            sample.unwrap_or_else(|| made(document, described, 0))
        }
        described => made(document, described, 0),
    };
    let records = served.stream["records"].as_str().unwrap_or(".");
    let one = get(&answer, records).and_then(|list| list.as_array()?.first().cloned()).unwrap_or_else(|| json!({}));
    let key = served.stream["key"].as_str().unwrap();
    let list = range.map(|at| {
        let mut record = one.clone();
        let value =
            if get(&one, key).is_some_and(Value::is_number) { json!(at + 1) } else { json!(format!("k{at:05}")) };
        put(&mut record, key, value);
        record
    });
    put(&mut answer, records, list.collect());
    answer
}

fn alike(known: &str, path: &str, prefix: &str) -> bool {
    let path = path.strip_prefix(prefix).unwrap_or(path);
    let (known, path): (Vec<&str>, Vec<&str>) = (known.split('/').collect(), path.split('/').collect());
    known.len() == path.len() && known.iter().zip(path).all(|(one, other)| one.contains('{') || *one == other)
}

fn followed<'d>(document: &'d Value, mut at: &'d Value) -> &'d Value {
    while let Some(reference) = at["$ref"].as_str() {
        at = document.pointer(&reference[1..]).unwrap();
    }
    at
}

/// A value that a schema describes. What contains itself ends after some levels.
fn made(document: &Value, schema: &Value, depth: usize) -> Value {
    let schema = followed(document, schema);
    if depth > 6 {
        return Value::Null;
    }
    if let Some(value) = schema.get("example").filter(|value| !value.is_object()) {
        return value.clone();
    }
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    let mut fields = Map::new();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        if let Value::Object(more) = made(document, part, depth + 1) {
            fields.extend(more);
        }
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        fields.insert(name.clone(), made(document, property, depth + 1));
    }
    let choice = schema["oneOf"].as_array().or(schema["anyOf"].as_array()).and_then(|all| all.first());
    let kind = schema["type"].as_str().or_else(|| schema["type"].as_array()?.first()?.as_str());
    match (kind, choice) {
        _ if !fields.is_empty() => Value::Object(fields),
        (None, Some(choice)) => made(document, choice, depth + 1),
        (Some("array"), _) => json!([made(document, &schema["items"], depth + 1)]),
        (Some("integer" | "number"), _) => json!(1_700_000_000),
        (Some("boolean"), _) => json!(false),
        (Some("string"), _) if schema["format"] == "date-time" => json!("2026-01-31T09:00:00Z"),
        (Some("string"), _) => json!("text"),
        _ if !schema["items"].is_null() => json!([made(document, &schema["items"], depth + 1)]),
        _ => json!({}),
    }
}

fn get<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    if path == "." { Some(value) } else { path.split('.').try_fold(value, |at, step| at.get(step)) }
}

fn put(value: &mut Value, path: &str, new: Value) {
    if path == "." {
        *value = new;
        return;
    }
    let mut at = value;
    for step in path.split('.') {
        if !at.is_object() {
            *at = json!({});
        }
        at = at.as_object_mut().unwrap().entry(step).or_insert(Value::Null);
    }
    *at = new;
}
