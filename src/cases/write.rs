//! From traffic to the text of a case. What is not known to be harmless is left out: of headers those stay that the connector or the
//! request path reads.

use http::{HeaderMap, HeaderName};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    mask::Mask,
    recorder::{Came, Heard, Traffic, signed, unusable},
};
use crate::{
    config::{
        plan::{Api, Budget, LeftHeader},
        plan_case::Given,
    },
    model::{Fault, Verdict},
};

/// Headers of answers that the request path reads, besides those that a budget names.
const KEPT: &[&str] = &[
    "link",
    "retry-after",
    "etag",
    "last-modified",
    "ratelimit",
    "ratelimit-policy",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "idempotent-replayed",
    "idempotency-replayed",
    "location",
];

/// What stands for the account's host.
const ACCOUNT: &str = "https://account.example";

/// What was recorded.
pub struct Subject<'s> {
    pub api: &'s Api,
    pub is_stream: bool,
    pub name: &'s str,
    /// The header that carries an idempotency key.
    pub key_header: Option<&'s HeaderName>,
}

/// The text of a case. The error is that something cannot be kept.
pub fn case_of(subject: &Subject<'_>, traffic: &Traffic, mask: &mut Mask) -> Result<String, Fault> {
    let bodies = traffic.heard.iter().map(Bodies::of).collect::<Result<Vec<_>, _>>()?;
    for (heard, bodies) in traffic.heard.iter().zip(&bodies) {
        heard.request.url.query_pairs().for_each(|(name, value)| mask.learn_text(&name, &value));
        bodies.all().for_each(|body| mask.learn("", body));
    }
    if let Came::Written { records, .. } = &traffic.came {
        records.iter().for_each(|record| mask.learn("", &parsed(record.fields.as_str())));
    }
    let mut keys: Vec<String> = Vec::new();
    let exchanges = traffic.heard.iter().zip(&bodies);
    let exchanges: Vec<Value> = exchanges
        .map(|(heard, bodies)| json!({ "request": request(subject, heard, bodies, mask, &mut keys), "answer": answer(subject, heard, bodies, mask) }))
        .collect();
    let mut case = Map::new();
    case.insert("version".into(), json!(1));
    case.insert("description".into(), json!(format!("Recorded on {}", traffic.now.format("%Y-%m-%d"))));
    case.insert(if subject.is_stream { "stream" } else { "operation" }.into(), json!(subject.name));
    let mut connection = json!({ "base_url": subject.api.base_url.as_str().trim_end_matches('/') });
    let settings = mask.value("", &parsed(subject.api.settings.as_str()));
    if settings.as_object().is_some_and(|settings| !settings.is_empty()) {
        connection["config"] = settings;
    }
    case.insert("connection".into(), connection);
    case.insert("given".into(), given(traffic, mask));
    case.insert("exchanges".into(), json!(exchanges));
    case.insert("expect".into(), expected(traffic, mask));
    let mut text = "# yaml-language-server: $schema=../../../docs/schema/case.json\n".to_owned();
    block(&mut text, &Value::Object(case), 0);
    let text = without_host(&text, &subject.api.base_url);
    match mask.leak(&text) {
        Some(what) => Err(unusable(
            format!("{what} would stand in the case"),
            "the file was not written; write this case by hand, without that value",
        )),
        None => Ok(text),
    }
}

/// The account's host says whose account it is.
fn without_host(text: &str, base: &Url) -> String {
    let host = base.host_str().unwrap_or_default();
    let host = base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    text.replace(&format!("{}://{host}", base.scheme()), ACCOUNT).replace(&host, "account.example")
}

fn given(traffic: &Traffic, mask: &Mask) -> Value {
    let now = traffic.now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    match &traffic.came {
        Came::Read { pages, .. } => json!({ "now": now, "pages": pages }),
        Came::Written { records, .. } => {
            let record = |record: &Given| {
                let fields = mask.value("", &parsed(record.fields.as_str()));
                let mut given = json!({ "key": mask.text("", record.key.as_str()), "fields": fields });
                if let Some(id) = &record.sink_id {
                    given["sink_id"] = json!(mask.text("", id));
                }
                given
            };
            json!({ "now": now, "records": records.iter().map(record).collect::<Vec<_>>() })
        }
    }
}

fn expected(traffic: &Traffic, mask: &Mask) -> Value {
    match &traffic.came {
        Came::Read { keys, cursor, .. } => {
            let keys: Vec<String> = keys.iter().map(|key| mask.text("", key)).collect();
            let mut expect = json!({ "keys": keys });
            if let Some(cursor) = cursor {
                expect["cursor"] = json!(mask.text("", &cursor.canonical()));
            }
            expect
        }
        Came::Written { verdicts, .. } => {
            json!({ "verdicts": verdicts.iter().map(|v| verdict(v, mask)).collect::<Vec<_>>() })
        }
    }
}

fn verdict(verdict: &Verdict, mask: &Mask) -> Value {
    let with_id = |is: &str, id: &Option<String>| match id {
        Some(id) => json!({ "is": is, "id": mask.text("", id) }),
        None => json!({ "is": is }),
    };
    match verdict {
        Verdict::Created(id) => with_id("created", id),
        Verdict::Updated(id) => with_id("updated", id),
        // No operation answers so.
        Verdict::Unchanged | Verdict::Skipped => Value::Null,
        Verdict::Deleted => json!({ "is": "deleted" }),
        Verdict::Rejected(reason) => json!({ "is": "rejected", "code": reason.code }),
        Verdict::Parked(reason) => json!({ "is": "parked", "code": reason.code }),
    }
}

/// The bodies of an exchange, read.
struct Bodies {
    request: Body,
    answer: Body,
}

enum Body {
    None,
    Json(Value),
    Form(Vec<(String, String)>),
}

impl Bodies {
    fn of(heard: &Heard) -> Result<Self, Fault> {
        let is_form = content_type(&heard.request.headers).starts_with("application/x-www-form-urlencoded");
        let request = match is_form {
            true => Body::Form(url::form_urlencoded::parse(&heard.request.body).into_owned().collect()),
            false => Body::json(&heard.request.body)?,
        };
        let answer = heard.answer.as_ref().map_or(Ok(Body::None), |answer| Body::json(&answer.body))?;
        Ok(Self { request, answer })
    }

    fn all(&self) -> impl Iterator<Item = &Value> {
        [&self.request, &self.answer].into_iter().filter_map(|body| match body {
            Body::Json(value) => Some(value),
            Body::None | Body::Form(_) => None,
        })
    }
}

impl Body {
    fn json(bytes: &[u8]) -> Result<Self, Fault> {
        match serde_json::from_slice(bytes) {
            _ if bytes.is_empty() => Ok(Self::None),
            Ok(value) => Ok(Self::Json(value)),
            Err(_) => Err(unusable(
                "a body is no JSON, so nobody knows what is personal in it",
                "the file was not written; write this case by hand",
            )),
        }
    }
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn request(subject: &Subject<'_>, heard: &Heard, bodies: &Bodies, mask: &Mask, keys: &mut Vec<String>) -> Value {
    let mut request = Map::new();
    let path = path_of(&heard.request.url, &subject.api.base_url);
    request.insert(heard.request.method.as_str().to_lowercase(), json!(mask.text("", &path)));
    let is_signed = |value: &str| signed(&heard.request).any(|secret| secret.expose_secret() == value);
    let pairs = heard.request.url.query_pairs().filter(|(_, value)| !is_signed(value));
    let query = gathered(pairs.map(|(name, value)| (name.clone().into_owned(), mask.text(&name, &value))));
    if !query.is_empty() {
        request.insert("query".into(), Value::Object(query));
    }
    if let Some((header, value)) = subject.key_header.and_then(|name| Some((name, heard.request.headers.get(name)?))) {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let number = keys.iter().position(|key| *key == value).unwrap_or_else(|| {
            keys.push(value);
            keys.len() - 1
        });
        request.insert("headers".into(), json!({ header.as_str(): format!("<key_{}>", number + 1) }));
    }
    match &bodies.request {
        Body::None => {}
        Body::Json(value) => {
            request.insert("json".into(), mask.value("", value));
        }
        Body::Form(pairs) => {
            let pairs = pairs.iter().map(|(name, value)| (name.clone(), mask.text(name, value)));
            request.insert("form".into(), Value::Object(gathered(pairs)));
        }
    }
    Value::Object(request)
}

/// The path under the base URL, or the whole URL where it lies elsewhere.
fn path_of(url: &Url, base: &Url) -> String {
    let mut bare = url.clone();
    bare.set_query(None);
    let bare = bare.as_str().to_owned();
    match bare.strip_prefix(base.as_str().trim_end_matches('/')) {
        Some(path) if path.starts_with('/') => path.to_owned(),
        _ => bare,
    }
}

/// One value for each name, or a list where it comes again.
fn gathered(pairs: impl Iterator<Item = (String, String)>) -> Map<String, Value> {
    let mut all: Map<String, Value> = Map::new();
    for (name, value) in pairs {
        match all.get_mut(&name) {
            Some(Value::Array(values)) => values.push(json!(value)),
            Some(one) => *one = json!([one.take(), value]),
            None => {
                all.insert(name, json!(value));
            }
        }
    }
    all
}

fn answer(subject: &Subject<'_>, heard: &Heard, bodies: &Bodies, mask: &Mask) -> Value {
    let Some(answer) = &heard.answer else { return json!({ "lost": {} }) };
    let mut kept = Map::new();
    if answer.status != http::StatusCode::OK {
        kept.insert("status".into(), json!(answer.status.as_u16()));
    }
    let named = named_headers(&subject.api.budget);
    let headers = answer.headers.iter().filter(|(name, _)| KEPT.contains(&name.as_str()) || named.contains(name));
    let headers: Map<String, Value> = headers
        .filter_map(|(name, value)| Some((name.to_string(), json!(mask.text("", value.to_str().ok()?)))))
        .collect();
    if !headers.is_empty() {
        kept.insert("headers".into(), Value::Object(headers));
    }
    if let Body::Json(value) = &bodies.answer {
        kept.insert("json".into(), mask.value("", value));
    }
    Value::Object(kept)
}

/// The headers that the account's limits read.
fn named_headers(budget: &Budget) -> Vec<HeaderName> {
    let named = |left: &LeftHeader| match left {
        LeftHeader::Remaining(name) | LeftHeader::Used(name) => name.clone(),
    };
    let windows = budget
        .windows
        .iter()
        .flat_map(|window| window.left.as_ref().map(named).into_iter().chain(window.reset.clone()));
    windows.chain(budget.daily.iter().filter_map(|daily| daily.left.as_ref().map(named))).collect()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

/// YAML in blocks, with every text in quotes.
fn block(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                text.push_str(&format!("{indent}{}:", key(name)));
                behind(text, value, depth + 1);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                text.push_str(&format!("{indent}-"));
                behind(text, item, depth + 1);
            }
        }
        other => text.push_str(&format!("{indent}{}\n", scalar(other))),
    }
}

fn behind(text: &mut String, value: &Value, depth: usize) {
    let is_nested = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    match is_nested {
        true => {
            text.push('\n');
            block(text, value, depth);
        }
        false => text.push_str(&format!(" {}\n", scalar(value))),
    }
}

/// JSON is YAML. References are escaped: a vendor's `${` is none of ours.
fn scalar(value: &Value) -> String {
    value.to_string().replace("${", "$${")
}

fn key(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
        && !matches!(name.to_lowercase().as_str(), "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null");
    if is_plain { name.to_owned() } else { Value::from(name).to_string() }
}
