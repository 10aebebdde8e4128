//! Where traces and logs go, as meant.

use std::{fmt, path::PathBuf, time::Duration};

use http::HeaderName;
use secrecy::SecretString;
use url::Url;

use crate::telemetry::otlp::Sampler;

#[derive(Clone, Debug, Default)]
pub struct TelemetryPlan {
    /// Nothing: nothing is collected or sent.
    pub otlp: Option<OtlpPlan>,
    /// Variables of the environment that cannot be used, each with the reason and without its value.
    pub unusable: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct OtlpPlan {
    /// Nothing: traces are not sent.
    pub traces: Option<Destination>,
    /// Nothing: log lines are not sent.
    pub logs: Option<Destination>,
    pub ca: Option<PathBuf>,
    pub connect: Duration,
    pub service: String,
    pub resource: Vec<(String, String)>,
    pub sampler: Sampler,
    pub spans_max: u32,
}

/// Where one signal goes.
#[derive(Clone)]
pub struct Destination {
    pub url: Url,
    pub headers: Vec<(HeaderName, SecretString)>,
}

/// Without the query, in which some vendors want their key.
impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        write!(f, "{}{} with {names:?}", self.url.origin().ascii_serialization(), self.url.path())
    }
}
