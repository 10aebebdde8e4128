//! The way of traces and logs to a collector: the transport of every other request, without budget, breaker and retries, which
//! `telemetry/otlp/` has of its own.

use std::sync::Arc;

use bytes::Bytes;
use chrono::TimeDelta;
use http::{HeaderMap, HeaderValue, Method, header};
use secrecy::{ExposeSecret, SecretString};

use super::{HttpTransport, Request, Transport, redact, retry_after, trouble};
use crate::{
    config::plan::{Api, Destination, OtlpPlan, TelemetryPlan},
    model::{BoxFuture, Clock, Code, SystemClock, SystemEntropy},
    telemetry::otlp::{self, Exporting, Post, Reply, Settings, Signal},
};

/// No answer of a collector is larger.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Begins to send traces and logs, where the plan says so. Nothing that goes wrong here is ever the end of anything.
pub fn start_telemetry(plan: &TelemetryPlan) -> Option<Exporting> {
    for why in &plan.unusable {
        tracing::warn!(code = %Code::TelemetryVariable, "{why}; it is left out");
    }
    let otlp = plan.otlp.as_ref()?;
    let settings = Settings {
        service: otlp.service.clone(),
        resource: otlp.resource.clone(),
        sampler: otlp.sampler,
        spans_max: otlp.spans_max,
        traces: otlp.traces.is_some(),
        logs: otlp.logs.is_some(),
    };
    otlp::start(settings, Arc::new(Collector::new(otlp)?), Arc::new(SystemEntropy::new()))
}

struct Collector {
    transport: HttpTransport,
    traces: Option<Destination>,
    logs: Option<Destination>,
}

impl Collector {
    fn new(plan: &OtlpPlan) -> Option<Self> {
        let (traces, logs) = (plan.traces.clone(), plan.logs.clone());
        let url = &traces.as_ref().or(logs.as_ref())?.url;
        let mut api = Api { ca: plan.ca.clone(), ..Api::new("telemetry", url.clone()) };
        api.timeouts.connect = plan.connect;
        // A collector stands inside as often as not, and whoever wrote its address meant it.
        api.egress.private = true;
        Some(Self { transport: HttpTransport::new(&api), traces, logs })
    }
}

impl Post for Collector {
    fn post(&self, signal: Signal, body: Bytes) -> BoxFuture<'_, Result<Reply, String>> {
        Box::pin(async move {
            let to = match signal {
                Signal::Traces => self.traces.as_ref(),
                Signal::Logs => self.logs.as_ref(),
            };
            let to = to.ok_or_else(|| "there is no address for it".to_owned())?;
            let (request, secrets) = request(to, body);
            match self.transport.send(request).await {
                Ok(response) => Ok(Reply {
                    status: response.status.as_u16(),
                    after: retry_after::retry_after(&response.headers, SystemClock.now()),
                    body: redacted(&response.body, &secrets),
                }),
                Err(error) => Err(redact::scrub(&trouble::unanswered(&error).message, &secrets)),
            }
        })
    }
}

/// The answer without what a collector says back of our credentials. What is no text stays as it is: there is a message in it
/// whose parts are measured.
fn redacted(body: &Bytes, secrets: &[SecretString]) -> Bytes {
    let text = String::from_utf8_lossy(body);
    if redact::scrub(&text, secrets) == text { body.clone() } else { Bytes::new() }
}

fn request(to: &Destination, body: Bytes) -> (Request, Vec<SecretString>) {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    let mut secrets = redact::in_url(&to.url);
    for (name, secret) in &to.headers {
        // It was looked at when the configuration was read.
        if let Ok(mut value) = HeaderValue::from_str(secret.expose_secret()) {
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        secrets.push(secret.clone());
    }
    let request = Request {
        method: Method::POST,
        url: to.url.clone(),
        headers,
        body,
        body_bytes_max: ANSWER_BYTES_MAX,
        spool: None,
        secrets: secrets.clone(),
        offset: TimeDelta::zero(),
        offset_learned: TimeDelta::zero(),
    };
    (request, secrets)
}
