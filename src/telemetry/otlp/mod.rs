//! OTLP over HTTP with protobuf bodies (OpenTelemetry protocol 1.9, read 2026-11-25): what is sent, and how it is kept from ever
//! slowing or failing a run. Sending the bytes is somebody else's matter ([`Post`]).
//!
//! ```text
//!   spans.rs --try_send--> queue of each signal --> lane.rs: batches, waits, counts --> Post
//!                 | full: counted and gone
//! ```
//!
//! Why this is not a library: [decision 19](../../../docs/decisions/0019-otlp.md).

mod filter;
mod lane;
mod line;
mod proto;
mod sampler;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, timeout_at},
};

pub use self::{
    filter::Kept,
    line::{Attribute, Kind, LogLine, SpanLine, Value},
    sampler::Sampler,
};
use self::{
    lane::{Lane, Pace},
    line::Resource,
};
use super::spans::Spans;
use crate::model::{BoxFuture, Entropy};

/// Spans and lines that wait to be sent.
const QUEUE_MAX: usize = 2_048;

/// What is sent to where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    Traces,
    Logs,
}

impl Signal {
    pub fn name(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Logs => "logs",
        }
    }
}

/// What a collector says.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    /// How long it asks to be left alone.
    pub after: Option<Duration>,
    pub body: Bytes,
}

/// Carries a body to the collector. An error says in words why there is no answer, and holds no secret.
pub trait Post: Send + Sync {
    fn post(&self, signal: Signal, body: Bytes) -> BoxFuture<'_, Result<Reply, String>>;
}

/// What is collected and what it is called.
#[derive(Clone, Debug)]
pub struct Settings {
    pub service: String,
    /// Further attributes of the resource.
    pub resource: Vec<(String, String)>,
    pub sampler: Sampler,
    /// Spans of one trace that are sent.
    pub spans_max: u32,
    pub traces: bool,
    pub logs: bool,
}

/// What became of spans and lines.
#[derive(Default, Debug)]
pub struct Counts {
    sent: [AtomicU64; 2],
    dropped: [AtomicU64; 2],
}

impl Counts {
    pub fn sent(&self, signal: Signal) -> u64 {
        self.sent[signal as usize].load(Relaxed)
    }

    pub fn dropped(&self, signal: Signal) -> u64 {
        self.dropped[signal as usize].load(Relaxed)
    }

    fn add_sent(&self, signal: Signal, count: u64) {
        self.sent[signal as usize].fetch_add(count, Relaxed);
    }

    fn add_dropped(&self, signal: Signal, count: u64) {
        self.dropped[signal as usize].fetch_add(count, Relaxed);
    }
}

/// Whether anybody collects. It is switched on once in a process, when the configuration is known, and off when it ends.
#[derive(Default)]
pub struct Switch {
    is_on: AtomicBool,
    sink: OnceLock<Sink>,
}

impl Switch {
    pub fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    pub fn sink(&self) -> Option<&Sink> {
        if self.is_on() { self.sink.get() } else { None }
    }

    fn turn(&self, is_on: bool) {
        self.is_on.store(is_on, Relaxed);
        // Whoever was told that nobody listens is told anew.
        tracing::callsite::rebuild_interest_cache();
    }
}

/// Where spans and lines go.
pub struct Sink {
    pub sampler: Sampler,
    pub spans_max: u32,
    traces: mpsc::Sender<SpanLine>,
    logs: Option<mpsc::Sender<LogLine>>,
    counts: Arc<Counts>,
}

impl Sink {
    pub fn takes_logs(&self) -> bool {
        self.logs.is_some()
    }

    pub fn span(&self, span: SpanLine) {
        if self.traces.try_send(span).is_err() {
            self.counts.add_dropped(Signal::Traces, 1);
        }
    }

    pub fn log(&self, line: LogLine) {
        if let Some(logs) = &self.logs
            && logs.try_send(line).is_err()
        {
            self.counts.add_dropped(Signal::Logs, 1);
        }
    }
}

/// Sending under way. Dropped without [`end`](Self::end), what waits is lost.
pub struct Exporting {
    switch: Arc<Switch>,
    counts: Arc<Counts>,
    lanes: JoinSet<()>,
    limit: watch::Sender<Option<Instant>>,
}

/// Begins to collect and to send. Nothing: this process has no logs and traces, or collects already.
pub fn start(settings: Settings, post: Arc<dyn Post>, entropy: Arc<dyn Entropy>) -> Option<Exporting> {
    let switch =
        tracing::dispatcher::get_default(|all| all.downcast_ref::<Spans>().map(|spans| spans.switch().clone()))?;
    let (counts, resource) = (Arc::new(Counts::default()), Arc::new(Resource::new(&settings)));
    let (limit, ends) = watch::channel(None);
    let (traces, spans) = mpsc::channel(QUEUE_MAX);
    let (logs, lines) = mpsc::channel(QUEUE_MAX);
    let sink = Sink {
        sampler: if settings.traces { settings.sampler } else { Sampler::Never },
        spans_max: settings.spans_max,
        traces,
        logs: settings.logs.then_some(logs),
        counts: counts.clone(),
    };
    switch.sink.set(sink).ok()?;
    let mut lanes = JoinSet::new();
    let pace = Pace { post, counts: counts.clone(), entropy, ends };
    if settings.traces {
        lanes.spawn(Lane::new(Signal::Traces, spans, resource.clone(), proto::traces, pace.clone()).run());
    }
    if settings.logs {
        lanes.spawn(Lane::new(Signal::Logs, lines, resource, proto::logs, pace).run());
    }
    switch.turn(true);
    Some(Exporting { switch, counts, lanes, limit })
}

impl Exporting {
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Collects nothing any more, and sends what waits, no longer than `within`. What is not taken by then is counted and gone.
    pub async fn end(mut self, within: Duration) {
        self.switch.turn(false);
        let limit = Instant::now() + within;
        self.limit.send_replace(Some(limit));
        let ended = async { while self.lanes.join_next().await.is_some() {} };
        // A lane keeps the limit by itself, unless its transport does not let go.
        if timeout_at(limit + Duration::from_millis(100), ended).await.is_err() {
            self.lanes.shutdown().await;
        }
        let dropped = [Signal::Traces, Signal::Logs].map(|signal| self.counts.dropped(signal));
        if dropped.iter().any(|count| *count > 0) {
            let [spans, lines] = dropped;
            tracing::warn!(code = %crate::model::Code::TelemetryUnsent, spans, lines, "not all telemetry reached the collector");
        }
    }
}
