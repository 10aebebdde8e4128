//! What a caller is told that gets no record in: problem details (RFC 9457) with the code of the trouble as a member.

use std::time::Duration;

use axum::{body::Body, response::Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::model::{Code, Fault};

/// An answer that is no success.
#[derive(Clone, PartialEq, Debug)]
pub struct Problem(Box<Parts>);

#[derive(Clone, PartialEq, Debug)]
struct Parts {
    status: StatusCode,
    code: Code,
    detail: String,
    more: Map<String, Value>,
    headers: Vec<(HeaderName, String)>,
}

impl Problem {
    pub fn new(status: StatusCode, code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts { status, code, detail: detail.into(), more: Map::new(), headers: Vec::new() }))
    }

    #[cfg(test)]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The service cannot do it now. What the caller reads names no place of ours.
    pub fn of_fault(fault: &Fault) -> Self {
        let detail = match fault.code {
            Code::IntakeFull => "too many records wait to be delivered",
            _ => "the record could not be made durable",
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, fault.code, detail).later(Duration::from_secs(5))
    }

    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.0.more.insert(name.to_owned(), value);
        self
    }

    pub fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.0.headers.push((name, value.into()));
        self
    }

    /// The caller may come again after this.
    pub fn later(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.header(header::RETRY_AFTER, seconds.max(1).to_string())
    }

    /// What is left of the request is not read.
    pub fn hang_up(self) -> Self {
        self.header(header::CONNECTION, "close")
    }

    pub fn json(&self) -> Value {
        let mut all = Map::new();
        all.insert("title".to_owned(), json!(self.0.status.canonical_reason().unwrap_or("Error")));
        all.insert("status".to_owned(), json!(self.0.status.as_u16()));
        all.insert("detail".to_owned(), json!(self.0.detail));
        all.insert("code".to_owned(), json!(self.0.code.to_string()));
        all.extend(self.0.more.clone());
        Value::Object(all)
    }

    pub fn response(self) -> Response {
        let mut response = Response::new(Body::from(self.json().to_string()));
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        for (name, value) in self.0.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        response
    }
}

pub const PROBLEM: &str = "application/problem+json";
