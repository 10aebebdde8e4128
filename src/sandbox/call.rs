//! One request taken apart, and the answers both apps give in the same shape. A room of the sandbox gets a [`Call`] and
//! gives a response; it never sees a socket.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use serde_json::{Value, json};

/// What the rooms of the sandbox need to know of a request.
pub(super) struct Call<'a> {
    pub now: DateTime<Utc>,
    /// How long the server will sit on the answer. A create is in flight for that long.
    pub takes: Duration,
    pub method: &'a Method,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    pub body: &'a Bytes,
    /// `scheme://host`, if the request line has it.
    pub authority: Option<(&'a str, &'a str)>,
}

impl<'a> Call<'a> {
    pub fn parameter(&self, name: &str) -> Option<Cow<'a, str>> {
        url::form_urlencoded::parse(self.query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// A non-negative whole number, `fallback` when absent.
    pub fn number(&self, name: &str, fallback: u64) -> Result<u64, Refusal> {
        match self.parameter(name) {
            None => Ok(fallback),
            Some(text) => text.parse().map_err(|_| bad_parameter(name, "is not a whole number")),
        }
    }

    /// A page size of at least one, cut to `max`.
    pub fn page_size(&self, name: &str, fallback: usize, max: usize) -> Result<usize, Refusal> {
        match self.number(name, fallback as u64)? {
            0 => Err(bad_parameter(name, "must be at least 1")),
            size => Ok(usize::try_from(size).unwrap_or(max).clamp(1, max.max(1))),
        }
    }

    /// `http://host:port`, for the absolute addresses of next pages; empty if the client did not say.
    pub fn origin(&self) -> String {
        match (self.authority, self.header("host")) {
            (Some((scheme, host)), _) => format!("{scheme}://{host}"),
            (None, Some(host)) => format!("http://{host}"),
            (None, None) => String::new(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as a JSON object.
    pub fn object(&self) -> Result<serde_json::Map<String, Value>, Refusal> {
        match serde_json::from_slice(self.body) {
            Ok(Value::Object(object)) => Ok(object),
            Ok(_) => Err(bad_body("the body is not a JSON object")),
            Err(error) => Err(bad_body(&error.to_string())),
        }
    }
}

pub(super) type Answer = Response<Bytes>;
/// An answer that says no. Boxed, because a response is a large thing to carry in every `Result`.
pub(super) type Refusal = Box<Answer>;

pub(super) fn bytes(status: StatusCode, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Bytes::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

pub(super) fn json(status: StatusCode, body: &Value) -> Answer {
    bytes(status, body.to_string().into_bytes())
}

/// `{"error": code, "message": ...}`
pub(super) fn error(status: StatusCode, code: &str, message: &str) -> Refusal {
    Box::new(json(status, &json!({ "error": code, "message": message })))
}

pub(super) fn bad_parameter(name: &str, what: &str) -> Refusal {
    error(StatusCode::BAD_REQUEST, "invalid_parameter", &format!("{name} {what}"))
}

/// RFC 9457, because some vendors answer so.
pub(super) fn bad_body(detail: &str) -> Refusal {
    let body = json!({ "type": "about:blank", "title": "Bad Request", "status": 400, "detail": detail });
    let mut answer = Box::new(json(StatusCode::BAD_REQUEST, &body));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    answer
}

pub(super) fn not_found() -> Refusal {
    error(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")
}

/// Sets a header whose value is made of visible ASCII; any other value is left out.
pub(super) fn set(answer: &mut Answer, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

/// The instant as the APIs write it.
pub(super) fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

pub(super) fn later(at: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    chrono::TimeDelta::from_std(by).ok().and_then(|by| at.checked_add_signed(by)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
