//! Logs go to stderr: text on a terminal, JSON lines otherwise. Which lines there are is decided here; how a JSON line looks, in
//! `telemetry/lines.rs`.

use std::{
    io::{self, Write},
    sync::Arc,
};

use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
};

use super::{
    args::{Format, LogLevel},
    output::Output,
};
use crate::{
    model::{SystemClock, SystemEntropy},
    telemetry::{CANONICAL, Lines, RUN, SPAN, Spans, otlp::Kept},
};

/// Starts logging for the rest of the process. Our own code logs at `level`; libraries log warnings at the most, because
/// their debug logs print headers. Spans and lines for a collector have the same levels, once there is one.
pub fn start(level: LogLevel, output: &Arc<Output>) {
    let own = of(level);
    let spans = Spans::new(Arc::new(SystemClock), Arc::new(SystemEntropy::new()));
    let (switch, writer) = (spans.switch().clone(), output.clone());
    let collected = Kept::collected(kept(own).with_target(CANONICAL, whole(own)), switch.clone());
    let collected = spans.with_filter(collected);
    let lines = match output.log_format {
        // A person reads how a run went in its summary, unless it was asked for lines.
        Format::Text => {
            let canonical = if own >= LevelFilter::INFO { own } else { LevelFilter::OFF };
            let kept = kept(own).with_target(RUN, LevelFilter::OFF).with_target(CANONICAL, canonical);
            // People read no ids, so the spans around a line are not for them.
            let kept = kept.with_target(SPAN, LevelFilter::OFF);
            let lines = fmt::layer().compact().with_ansi(output.color_stderr);
            lines.with_writer(move || LineWriter(writer.clone())).with_filter(kept).boxed()
        }
        // The span around a run is on for lines of every level: they name it.
        Format::Json => {
            let lines = Lines::new(Arc::new(SystemClock), Arc::new(move |line: &[u8]| writer.stderr(line)));
            lines.with_filter(Kept::lines(kept(own).with_target(CANONICAL, whole(own)), switch)).boxed()
        }
    };
    // A second start in one process changes nothing.
    drop(tracing::subscriber::set_global_default(tracing_subscriber::registry().with(collected).with(lines)));
}

/// What is kept of whom.
fn kept(own: LevelFilter) -> Targets {
    let others = own.min(LevelFilter::WARN);
    Targets::new().with_default(others).with_target("renkei", own).with_target(RUN, LevelFilter::ERROR)
}

/// The canonical line is there for every program that reads along, unless nothing at all is asked for.
fn whole(own: LevelFilter) -> LevelFilter {
    if own == LevelFilter::OFF { own } else { own.max(LevelFilter::INFO) }
}

/// Writes log lines where they do not cut through a progress bar.
struct LineWriter(Arc<Output>);

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.stderr(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn of(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
