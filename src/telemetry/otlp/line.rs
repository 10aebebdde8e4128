//! A span and a log line as they wait to be sent.

use std::borrow::Cow;

use tracing::Level;

use super::Settings;
use crate::telemetry::trace_context::{SpanId, TraceContext};

/// A name and what it says. A name without a dot is ours, and leaves with the prefix `renkei.`.
pub type Attribute = (&'static str, Value);

#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Kind {
    #[default]
    Internal,
    Server,
    Client,
}

#[derive(Clone, Debug)]
pub struct SpanLine {
    pub context: TraceContext,
    pub parent: Option<SpanId>,
    pub name: Cow<'static, str>,
    pub kind: Kind,
    pub began_ns: u64,
    pub ended_ns: u64,
    pub attributes: Vec<Attribute>,
    pub links: Vec<TraceContext>,
    pub is_error: bool,
}

#[derive(Clone, Debug)]
pub struct LogLine {
    pub at_ns: u64,
    pub level: Level,
    pub body: String,
    pub attributes: Vec<Attribute>,
    pub context: Option<TraceContext>,
}

/// Who sends all this.
#[derive(Debug)]
pub struct Resource(pub Vec<(String, String)>);

impl Resource {
    pub fn new(settings: &Settings) -> Self {
        let own = [
            ("service.name", settings.service.as_str()),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("telemetry.sdk.name", "renkei"),
            ("telemetry.sdk.language", "rust"),
            ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
        ];
        let own: Vec<(String, String)> = own.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let further = settings.resource.iter().filter(|(name, _)| !own.iter().any(|(known, _)| known == name)).cloned();
        let further: Vec<_> = further.collect();
        Self(own.into_iter().chain(further).collect())
    }
}
