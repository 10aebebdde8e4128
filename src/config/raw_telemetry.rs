//! `telemetry:` of `renkei.yaml`, as typed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    shape::{Named, Secret, Spanned},
    units::{Share, Time},
};

/// What the program tells of itself to others. Metrics are read from the admin API.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTelemetry {
    /// Traces and logs to a collector of OpenTelemetry. Default: off, unless `OTEL_EXPORTER_OTLP_ENDPOINT` is set.
    pub otlp: Option<Spanned<RawOtlp>>,
}

/// Where traces and logs go, over HTTP with protobuf. What stands here wins over the environment; what does not is taken from the
/// variables that OpenTelemetry defines.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawOtlp {
    /// The collector, such as `http://127.0.0.1:4318`; `/v1/traces` and `/v1/logs` are added. Default `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub endpoint: Option<Spanned<String>>,
    /// Sent with every request. Default `OTEL_EXPORTER_OTLP_HEADERS`.
    pub headers: Option<Named<Spanned<Secret>>>,
    /// PEM file with certificates to trust besides the system's, relative to the workspace.
    pub ca: Option<Spanned<String>>,
    /// How long connecting to the collector may take. Default 1s, from 10ms to 10s.
    pub connect: Option<Spanned<Time>>,
    /// The name of the service. Default `OTEL_SERVICE_NAME`, or `renkei`.
    pub service: Option<Spanned<String>>,
    /// Further attributes of the resource. Default `OTEL_RESOURCE_ATTRIBUTES`.
    pub resource: Option<Named<Spanned<String>>>,
    /// The part of the traces that is sent, such as `10%`; a request that brings a trace along has decided. Default
    /// `OTEL_TRACES_SAMPLER`, or all.
    pub sample: Option<Spanned<Share>>,
    /// Spans of one trace that are sent; the span around a run says how many were not. Default 2000, from 1 to 100000.
    pub spans_max: Option<Spanned<u64>>,
    /// Whether traces are sent. Default true, unless `OTEL_TRACES_EXPORTER` is `none`.
    pub traces: Option<bool>,
    /// Whether log lines are sent, those that `--log-level` writes. Default true, unless `OTEL_LOGS_EXPORTER` is `none`.
    pub logs: Option<bool>,
}
