//! Logs go to stderr: text on a terminal, JSON lines otherwise. A JSON line of a run names it under `span`: `{"run":..,"pipeline":..}`.

use std::{
    io::{self, Write},
    sync::Arc,
};

use tracing::Level;
use tracing_subscriber::{EnvFilter, fmt};

use super::{
    args::{Format, LogLevel},
    output::Output,
};

/// Starts logging for the rest of the process. Our own code logs at `level`; libraries log warnings at the most, because
/// their debug logs print headers.
pub fn start(level: LogLevel, output: &Arc<Output>) {
    let Some(own) = of(level) else {
        return;
    };
    let others = own.min(Level::WARN);
    // The engine's span around each run.
    let runs = match output.log_format {
        Format::Text => "off",
        Format::Json => "error",
    };
    let filter = EnvFilter::new(format!("{others},renkei={own},renkei_run={runs}"));
    let writer = output.clone();
    let lines = fmt().with_env_filter(filter).with_ansi(output.color_stderr);
    let lines = lines.with_writer(move || Lines(writer.clone()));
    // A second start in one process changes nothing.
    drop(match output.log_format {
        Format::Text => tracing::subscriber::set_global_default(lines.compact().finish()),
        Format::Json => {
            tracing::subscriber::set_global_default(lines.json().flatten_event(true).with_span_list(false).finish())
        }
    });
}

/// Writes log lines where they do not cut through a progress bar.
struct Lines(Arc<Output>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.stderr(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn of(level: LogLevel) -> Option<Level> {
    match level {
        LogLevel::Off => None,
        LogLevel::Error => Some(Level::ERROR),
        LogLevel::Warn => Some(Level::WARN),
        LogLevel::Info => Some(Level::INFO),
        LogLevel::Debug => Some(Level::DEBUG),
        LogLevel::Trace => Some(Level::TRACE),
    }
}
