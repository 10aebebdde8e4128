//! The span of one attempt, by the semantic conventions for HTTP clients (OpenTelemetry, stable since 1.23, read 2026-11-25), and how
//! the attempt tells the server which trace it belongs to.
//!
//! Where a URL would be, there is the path's template: what fills it comes from records. So no span holds anything of a record, and
//! nothing that signs a request: headers and bodies are not looked at.

use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::{Span, field::Empty};

use super::{Call, Response, SendError, policy::Policy};
use crate::telemetry::{SPAN, context_of};

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");

/// The span of an attempt that is about to leave; one that is off while nobody collects.
pub fn span(policy: &Policy, call: &Call, attempt: u32) -> Span {
    let url = &call.url;
    tracing::error_span!(
        target: SPAN,
        "attempt",
        otel.name = format!("{} {}{}", call.method, policy.below, call.route),
        otel.kind = "client",
        http.request.method = call.method.as_str(),
        http.request.resend_count = (attempt > 1).then(|| attempt - 1),
        server.address = url.host_str(),
        server.port = url.port_or_known_default(),
        url.full = format!("{}{}{}", url.origin().ascii_serialization(), policy.below, call.route),
        url.template = format!("{}{}", policy.below, call.route),
        connection = policy.name,
        call = &*call.name,
        http.response.status_code = Empty,
        "error.type" = Empty,
        otel.error = Empty,
    )
}

/// Says in the request which trace it belongs to.
pub fn tell_context(span: &Span, headers: &mut HeaderMap) {
    let Some(context) = context_of(span) else { return };
    let value = |text: &str| HeaderValue::from_str(text).ok();
    if let Some(parent) = value(&context.parent()) {
        headers.insert(PARENT, parent);
        headers.remove(STATE);
        if let Some(state) = context.state.as_deref().and_then(value) {
            headers.insert(STATE, state);
        }
    }
}

/// Adds what came of it.
pub fn over(span: &Span, outcome: &Result<Response, SendError>) {
    match outcome {
        Ok(response) => {
            let status = response.status;
            span.record("http.response.status_code", status.as_u16());
            if status.as_u16() >= 400 {
                span.record("error.type", status.as_str());
                span.record("otel.error", true);
            }
        }
        Err(error) => {
            if let SendError::Truncated { status } | SendError::BodyTooLarge { status } = error {
                span.record("http.response.status_code", status.as_u16());
            }
            span.record("error.type", kind(error));
            span.record("otel.error", true);
        }
    }
}

/// Why there was no answer, in one word.
fn kind(error: &SendError) -> &'static str {
    match error {
        SendError::Unreachable(_) => "unreachable",
        SendError::Tls(_) => "tls",
        SendError::ClientCertificate(_) => "client_certificate",
        SendError::ClientRefused(_) => "client_refused",
        SendError::Egress(_) => "egress",
        SendError::Timeout => "timeout",
        SendError::Broken(_) => "broken",
        SendError::Truncated { .. } => "truncated",
        SendError::BodyTooLarge { .. } => "body_too_large",
        SendError::Unkept { .. } => "unkept",
        SendError::Redirect { .. } => "redirect",
    }
}
