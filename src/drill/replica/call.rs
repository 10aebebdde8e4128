//! One request to a replica, taken apart, and the answers that it gives.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use serde_json::{Value, json};

use super::super::leaves;

/// A request, with its body read whole.
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub bytes: Bytes,
    /// JSON, or a form as an object. Nothing: there is no body, or it is neither.
    pub body: Option<Value>,
    /// What stood in the holes of the declared path.
    pub held: Vec<String>,
}

pub type Answer = Response<Bytes>;

impl Asked {
    pub fn new(request: http::Request<Bytes>) -> Self {
        let (parts, bytes) = request.into_parts();
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_form = kind.starts_with("application/x-www-form-urlencoded");
        let query = leaves::pairs(parts.uri.query().unwrap_or_default());
        let body = leaves::body(&bytes, is_form);
        let path = parts.uri.path().to_owned();
        Self { method: parts.method, path, query, headers: parts.headers, bytes, body, held: Vec::new() }
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Everything in it that may name something: the holes of its path, its query, and its body.
    pub fn texts(&self) -> Vec<String> {
        let query = self.query.iter().map(|(_, value)| value.clone());
        let body = self.body.iter().flat_map(leaves::of);
        self.held.iter().cloned().chain(query).chain(body).collect()
    }

    pub fn header(&self, name: &http::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

pub fn answer(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(Bytes::from(body.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

pub fn csv(text: String) -> Answer {
    let mut answer = Response::new(Bytes::from(text));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv"));
    answer
}

pub fn error(status: StatusCode, message: &str) -> Answer {
    answer(status, &json!({ "error": message }))
}
