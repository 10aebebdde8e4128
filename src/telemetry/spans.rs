//! Traces and logs on their way out: spans of two targets and log lines are collected here while somebody wants them.
//!
//! Whoever does something worth a span says so with `tracing`, whose spans cost next to nothing while nobody collects: a call that
//! is off is one look at a number. Fields become attributes; a name without a dot gets the prefix `renkei.`. Names that begin with
//! `otel.` are about the span itself:
//!
//! | field | what |
//! |---|---|
//! | `otel.name` | the name, where it is not known when the program is built |
//! | `otel.kind` | `client` or `server`; otherwise internal |
//! | `otel.parent`, `otel.state` | the headers of a request that the span continues |
//! | `otel.links` | spans that it is about, as `traceparent` headers with spaces between |
//! | `otel.error` | whether it failed |
//!
//! The hard idea is that a trace is bounded: of a run of a million requests the first so many spans are sent, and the span around
//! all of them says how many were left out.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use tracing::{
    Event, Span, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer, Registry,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

use super::{
    RUN, SPAN,
    otlp::{Attribute, Kind, LogLine, Sink, SpanLine, Switch, Value},
    trace_context::{SpanId, TraceContext, TraceId},
};
use crate::model::{Clock, Entropy};

/// Of one span or line; what is more is left out.
const ATTRIBUTES_MAX: usize = 64;
const LINKS_MAX: usize = 128;
const TEXT_BYTES_MAX: usize = 4_096;

/// Collects spans and lines while the switch is on.
pub struct Spans {
    switch: Arc<Switch>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// A span under way.
struct Open {
    context: TraceContext,
    parent: Option<SpanId>,
    began_ns: u64,
    said: Said,
    name: &'static str,
    is_run: bool,
    room: Arc<Room>,
    has_room: bool,
}

/// How many spans of a trace may still be sent, and how many were not.
struct Room {
    left: AtomicU32,
    left_out: AtomicU32,
}

/// The trace and span that a span belongs to; nothing while nobody collects.
pub fn context_of(span: &Span) -> Option<TraceContext> {
    let found = span.with_subscriber(|(id, dispatch)| {
        let registry = dispatch.downcast_ref::<Registry>()?;
        registry.span(id)?.scope().find_map(|span| Some(span.extensions().get::<Open>()?.context.clone()))
    });
    found.flatten()
}

/// Adds the ids of the trace and of the innermost span around a line.
pub(super) fn ids_around<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>) -> Option<(TraceId, SpanId)> {
    let extensions = span.extensions();
    let context = &extensions.get::<Open>()?.context;
    Some((context.trace, context.span))
}

impl Spans {
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { switch: Arc::default(), clock, entropy }
    }

    pub fn switch(&self) -> &Arc<Switch> {
        &self.switch
    }

    fn now_ns(&self) -> u64 {
        let now = self.clock.now();
        now.timestamp_nanos_opt().map_or(0, i64::unsigned_abs)
    }

    fn open(&self, sink: &Sink, around: Option<&Open>, said: Said, name: &'static str, is_run: bool) -> Open {
        let remote = said.parent.as_deref().and_then(|parent| TraceContext::parse(parent, said.state.as_deref()));
        let parent = remote.or_else(|| around.map(|open| open.context.clone()));
        let room = around
            .map(|open| open.room.clone())
            .unwrap_or_else(|| Arc::new(Room { left: AtomicU32::new(sink.spans_max), left_out: AtomicU32::new(0) }));
        let (one, other) = (self.entropy.bits(), self.entropy.bits());
        let fresh = || TraceId((u128::from(one) << 64 | u128::from(other.max(1))).to_be_bytes());
        let trace = parent.as_ref().map_or_else(fresh, |parent| parent.trace);
        let sampled = sink.sampler.decides(trace, parent.as_ref().map(|parent| parent.sampled));
        let span = SpanId(self.entropy.bits().max(1).to_be_bytes());
        let state = parent.as_ref().and_then(|parent| parent.state.clone());
        let has_room = !sampled || room.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        if !has_room {
            room.left_out.fetch_add(1, Relaxed);
        }
        let context = TraceContext { trace, span, sampled, state };
        let parent = parent.map(|parent| parent.span);
        Open { context, parent, began_ns: self.now_ns(), said, name, is_run, room, has_room }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let metadata = attributes.metadata();
        let (Some(sink), RUN | SPAN, Some(span)) = (self.switch.sink(), metadata.target(), context.span(id)) else {
            return;
        };
        let mut said = Said::default();
        attributes.record(&mut said);
        let around = span.parent().into_iter().flat_map(|parent| parent.scope());
        let mut open = None;
        for outer in around {
            if let Some(around) = outer.extensions().get::<Open>() {
                open = Some(self.open(
                    sink,
                    Some(around),
                    std::mem::take(&mut said),
                    metadata.name(),
                    metadata.target() == RUN,
                ));
                break;
            }
        }
        let open = open.unwrap_or_else(|| self.open(sink, None, said, metadata.name(), metadata.target() == RUN));
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
        {
            values.record(&mut open.said);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let (Some(sink), Some(span)) = (self.switch.sink(), context.span(&id)) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else { return };
        if !open.context.sampled || !open.has_room {
            return;
        }
        let Open { context, parent, began_ns, mut said, name, is_run, room, .. } = open;
        let left_out = room.left_out.load(Relaxed);
        if is_run && left_out > 0 {
            said.attributes.push(("spans_left_out", Value::Int(left_out.into())));
        }
        let name = said.name.take().map_or(Cow::Borrowed(name), Cow::Owned);
        let links = said.links.iter().filter_map(|link| TraceContext::parse(link, None)).collect();
        let Said { kind, attributes, is_error, .. } = said;
        let ended_ns = self.now_ns().max(began_ns);
        sink.span(SpanLine { context, parent, name, kind, began_ns, ended_ns, attributes, links, is_error });
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(sink) = self.switch.sink().filter(|sink| sink.takes_logs()) else { return };
        let metadata = event.metadata();
        let mut said = Said::default();
        event.record(&mut said);
        said.attributes.push(("target", Value::Text(metadata.target().to_owned())));
        let mut at = None;
        for span in context.event_scope(event).into_iter().flatten() {
            let extensions = span.extensions();
            let Some(open) = extensions.get::<Open>() else { continue };
            at.get_or_insert_with(|| open.context.clone());
            if open.is_run {
                let names = open.said.attributes.iter().filter(|(name, _)| matches!(*name, "run" | "pipeline"));
                // What a line says itself wins.
                let missing: Vec<_> = names.filter(|(name, _)| !said.has(name)).cloned().collect();
                said.attributes.extend(missing);
            }
        }
        let (at_ns, level, body) = (self.now_ns(), *metadata.level(), said.message.take().unwrap_or_default());
        sink.log(LogLine { at_ns, level, body, attributes: said.attributes, context: at });
    }
}

/// The fields of a span or line, sorted by what they are for.
#[derive(Default)]
struct Said {
    name: Option<String>,
    kind: Kind,
    parent: Option<String>,
    state: Option<String>,
    links: Vec<String>,
    is_error: bool,
    message: Option<String>,
    attributes: Vec<Attribute>,
}

impl Said {
    fn add(&mut self, name: &'static str, value: Value) {
        match self.attributes.iter().position(|(known, _)| *known == name) {
            Some(at) => self.attributes[at].1 = value,
            None if self.attributes.len() < ATTRIBUTES_MAX => self.attributes.push((name, value)),
            None => {}
        }
    }

    fn has(&self, name: &str) -> bool {
        self.attributes.iter().any(|(known, _)| *known == name)
    }

    fn text(&mut self, name: &'static str, text: &str) {
        let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        match name {
            "message" => self.message = Some(text.to_owned()),
            "otel.name" => self.name = Some(text.to_owned()),
            "otel.kind" => {
                self.kind = match text {
                    "client" => Kind::Client,
                    "server" => Kind::Server,
                    _ => Kind::Internal,
                }
            }
            "otel.parent" => self.parent = Some(text.to_owned()),
            "otel.state" => self.state = Some(text.to_owned()),
            "otel.links" => {
                let room = LINKS_MAX.saturating_sub(self.links.len());
                self.links.extend(text.split_ascii_whitespace().take(room).map(str::to_owned));
            }
            _ => self.add(name, Value::Text(text.to_owned())),
        }
    }
}

impl Visit for Said {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), Value::Float(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), Value::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), Value::Int(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        match field.name() {
            "otel.error" => self.is_error = value,
            name => self.add(name, Value::Bool(value)),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), &format!("{value:?}"));
    }
}
