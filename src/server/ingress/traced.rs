//! The span of one request, by the semantic conventions for HTTP servers (OpenTelemetry, stable since 1.23, read 2026-11-25). It
//! continues the trace that the request brings along, where its headers are exactly right.
//!
//! A path holds names and slips that callers choose, so the span has the route in its place, and of the configuration's own
//! pipelines the name.

use axum::body::Body;
use http::{HeaderMap, Request, Response, StatusCode};
use tracing::{Span, field::Empty};

use super::{
    hall::Routes,
    request::{self, Target},
};
use crate::telemetry::SPAN;

/// The methods that have a name of their own; others share one.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// The span of a request that begins; one that is off while nobody collects.
pub fn span(request: &Request<Body>, routes: &Routes) -> Span {
    let method = METHODS.into_iter().find(|known| *known == request.method().as_str()).unwrap_or("_OTHER");
    let (route, pipeline) = match request::target(request.uri().path()) {
        Some(Target::Push { pipeline }) => (Some("/in/{pipeline}"), Some(pipeline)),
        Some(Target::Record { pipeline, .. }) => (Some("/in/{pipeline}/records/{slip}"), Some(pipeline)),
        Some(Target::OpenApi) => (Some("/openapi.json"), None),
        None => (None, None),
    };
    let pipeline = pipeline.and_then(|segment| routes.get(segment)).map(|route| route.pipeline.name.as_str());
    tracing::error_span!(
        target: SPAN,
        "request",
        otel.name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}")),
        otel.kind = "server",
        otel.parent = only(request.headers(), "traceparent"),
        otel.state = only(request.headers(), "tracestate"),
        http.request.method = method,
        http.route = route,
        url.scheme = "http",
        url.path = route,
        pipeline,
        http.response.status_code = Empty,
        "error.type" = Empty,
        otel.error = Empty,
    )
}

/// Adds how it was answered. That a caller is refused is no error of ours.
pub fn over<B>(span: &Span, response: &Response<B>) {
    let status: StatusCode = response.status();
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("error.type", status.as_str());
        span.record("otel.error", true);
    }
}

/// A header that came once. `tracestate` may come in several, which are then as if they were not there.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut all = headers.get_all(name).iter();
    let value = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(value)
}
