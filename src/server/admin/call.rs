//! A request as a handler sees it: names out of the path, parameters, and a body that came whole, within its bounds and in time.

use std::{net::SocketAddr, time::Duration};

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header, request::Parts};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::{problem::Problem, routes::Route};
use crate::model::Code;

const BODY_BYTES_MAX: usize = 1 << 20;
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

pub struct Call {
    /// The parts of the path that the route leaves open, in their order.
    names: Vec<String>,
    query: Vec<(String, String)>,
    /// What a form of the page sent.
    form: Vec<(String, String)>,
    pub headers: HeaderMap,
    body: Bytes,
    pub peer: SocketAddr,
}

impl Call {
    pub async fn read(
        route: &Route,
        names: Vec<String>,
        parts: Parts,
        body: Body,
        peer: SocketAddr,
    ) -> Result<Self, Problem> {
        let query =
            url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let body = match timeout(BODY_TIME_MAX, to_bytes(body, BODY_BYTES_MAX)).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) => return Err(bad(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 1 MiB or broke off")),
            Err(_) => return Err(bad(StatusCode::REQUEST_TIMEOUT, "the body did not come within 10 s")),
        };
        let wanted = if route.is_page { "application/x-www-form-urlencoded" } else { "application/json" };
        let is_wanted = |value: &http::HeaderValue| {
            let text = value.to_str().unwrap_or_default();
            text.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted))
        };
        if !body.is_empty() && !parts.headers.get(header::CONTENT_TYPE).is_some_and(is_wanted) {
            let detail = format!("the body is not sent as {wanted}");
            return Err(bad(StatusCode::UNSUPPORTED_MEDIA_TYPE, &detail));
        }
        let form = if route.is_page { url::form_urlencoded::parse(&body).into_owned().collect() } else { Vec::new() };
        Ok(Self { names, query, form, headers: parts.headers, body, peer })
    }

    /// The name that the path holds.
    pub fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// A parameter. The first one counts where it stands twice.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A field of the form that was sent.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn parameters(&self, name: &str) -> Vec<String> {
        self.query.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
    }

    /// Refuses a parameter that is not known, because a filter with a typing error would show too much.
    pub fn only(&self, known: &[&str]) -> Result<(), Problem> {
        match self.query.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => {
                let help = match crate::config::nearest(name, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there is: {}", known.join(", ")),
                };
                Err(Problem::request(format!("there is no parameter `{}`", name.escape_debug()), help))
            }
        }
    }

    /// How many are wanted.
    pub fn limit(&self, usual: usize, most: usize) -> Result<usize, Problem> {
        let Some(text) = self.parameter("limit") else { return Ok(usual) };
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        number.ok_or_else(|| {
            Problem::request(
                format!("limit: `{}` is no such number", text.escape_debug()),
                format!("write 1 to {most}"),
            )
        })
    }

    /// The body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let body: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        serde_json::from_slice(body).map_err(|error| {
            Problem::request(format!("the body cannot be read: {error}"), "/openapi.json describes it")
        })
    }
}

fn bad(status: StatusCode, detail: &str) -> Problem {
    Problem::new(status, Code::AdminRequest, detail, "nothing was changed; /openapi.json describes what can be sent")
}
