//! What a request asks for. Pure: it reads headers and bytes and decides; nothing is done here.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, header};
use serde_json::value::RawValue;

use super::problem::Problem;
use crate::{
    config::plan::{Ingress, Mode},
    model::{Code, Fields},
};

/// A key that is longer is refused.
const KEY_BYTES_MAX: usize = 255;

/// What is at a path. A path is compared as it was sent: nothing in it is decoded or resolved, so `..`, `%2e` and `//` lead nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target<'p> {
    Push { pipeline: &'p str },
    Record { pipeline: &'p str, slip: &'p str },
    OpenApi,
}

pub fn target(path: &str) -> Option<Target<'_>> {
    if path == "/openapi.json" {
        return Some(Target::OpenApi);
    }
    let mut parts = path.strip_prefix("/in/")?.split('/');
    let pipeline = parts.next().filter(|part| !part.is_empty())?;
    match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => Some(Target::Push { pipeline }),
        (Some("records"), Some(slip), None) if !slip.is_empty() => Some(Target::Record { pipeline, slip }),
        _ => None,
    }
}

/// A pipeline's name as a part of a path.
pub fn segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(one).collect()
}

/// How the caller wants to be answered, and how long it waits for it.
pub fn mode(headers: &HeaderMap, ingress: &Ingress) -> (Mode, Duration, Option<&'static str>) {
    let all = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let preferences: Vec<&str> = all.flat_map(|value| value.split([',', ';'])).map(str::trim).collect();
    let is_async = preferences.iter().any(|preference| preference.eq_ignore_ascii_case("respond-async"));
    let wait = preferences.iter().find_map(|preference| preference.strip_prefix("wait=")?.trim().parse().ok());
    match (is_async, wait.map(Duration::from_secs)) {
        // By RFC 7240 both together mean: wait so long, and only then answer before it is done.
        (_, Some(wait)) => (Mode::Sync, wait.min(ingress.deadline), Some("wait")),
        (true, None) => (Mode::Async, ingress.deadline, Some("respond-async")),
        (false, None) => (ingress.mode, ingress.deadline, None),
    }
}

/// The request's idempotency key: a text in quotes as the draft of the header says (draft 06, 2025-02-24), or bare as it is often
/// sent. Where there is none, the name that the signature gives the message.
pub fn key(headers: &HeaderMap, message: Option<String>, ingress: &Ingress) -> Result<Option<String>, Problem> {
    let unusable = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, Code::KeyUnusable, detail);
    let mut all = headers.get_all(HeaderName::from_static("idempotency-key")).iter();
    let Some(value) = all.next() else {
        return match message {
            None if ingress.idempotency.required => Err(unusable("the request has no Idempotency-Key")),
            message => Ok(message),
        };
    };
    let text = value.to_str().ok().map(str::trim).filter(|_| all.next().is_none());
    let text = text.ok_or_else(|| unusable("the Idempotency-Key is not one line of visible ASCII"))?;
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    match bare.len() {
        1..=KEY_BYTES_MAX => Ok(Some(bare.to_owned())),
        _ => Err(unusable("the Idempotency-Key is empty or longer than 255 bytes")),
    }
}

/// How the records of a body are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Json,
    Lines,
}

pub fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Form::Json) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Ok(Form::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Form::Lines),
        other if other.starts_with("application/") && other.ends_with("+json") => Ok(Form::Json),
        _ => {
            let detail = "records are sent as application/json or application/x-ndjson";
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::NotTaken, detail))
        }
    }
}

/// The records of a body: one object, a list of them, or one on each line.
pub fn records(body: &Bytes, form: Form, ingress: &Ingress) -> Result<Vec<Fields>, Problem> {
    if is_deeper(body, ingress.depth_max) {
        return Err(malformed(format!("the body is nested deeper than {} levels", ingress.depth_max)));
    }
    let no_json = |error: serde_json::Error| malformed(format!("the body is no JSON at line {}", error.line()));
    let begins = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let texts: Vec<&[u8]> = match (form, begins) {
        (Form::Lines, _) => body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect(),
        (Form::Json, Some(b'[')) => {
            let list: Vec<&RawValue> = serde_json::from_slice(body).map_err(no_json)?;
            list.into_iter().map(|item| item.get().as_bytes()).collect()
        }
        (Form::Json, _) => vec![body],
    };
    if texts.len() > ingress.records_max {
        let detail = format!("{} records are more than the {} of one request", texts.len(), ingress.records_max);
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, Code::PushTooLarge, detail));
    }
    if texts.is_empty() {
        return Err(malformed("the body holds no record".to_owned()));
    }
    let one = |(place, text): (usize, &[u8])| {
        Fields::parse(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => malformed(format!("record {} is no JSON object", place + 1)),
            _ => {
                malformed(format!("record {} is no JSON: line {}, column {}", place + 1, error.line(), error.column()))
            }
        })
    };
    texts.into_iter().enumerate().map(one).collect()
}

pub fn malformed(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, Code::NotARecord, detail)
}

/// Checks each record against the route's schema. One that does not fit is the end of the request.
pub fn fit(records: &[Fields], ingress: &Ingress) -> Result<(), Problem> {
    let Some(schema) = &ingress.schema else { return Ok(()) };
    for (place, record) in records.iter().enumerate() {
        let value =
            serde_json::from_slice(record.as_bytes()).map_err(|_| malformed("a record is no JSON".to_owned()))?;
        let violations = schema.violations(&value);
        if violations.is_empty() {
            continue;
        }
        let told: Vec<_> = violations
            .iter()
            .map(|violation| serde_json::json!({ "at": violation.at, "message": violation.message }))
            .collect();
        let detail = format!("record {} does not fit the schema", place + 1);
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, Code::SchemaRefused, detail);
        return Err(problem.with("record", (place + 1).into()).with("errors", told.into()));
    }
    Ok(())
}

/// Whether brackets outside of texts are nested deeper. It looks at bytes, so it costs no parser its stack.
fn is_deeper(body: &[u8], depth_max: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in body {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'{' | b'[') => {
                depth += 1;
                if depth > depth_max {
                    return true;
                }
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
