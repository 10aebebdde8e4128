//! Where words go: results to stdout, everything else to stderr. This is the only file that writes to either.
//!
//! While progress bars are drawn, every write goes between two frames of theirs, whoever writes: results, notes and logs.
//!
//! A reader that went away (`renkei runs | head`) is no trouble: from then on the stream is deaf, and the command goes on
//! to its end and its exit code, because a run must not stop half way for a closed pipe.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;

use super::args::{Format, Global};

/// Columns of text that is not on a terminal, and the widest that text gets on one.
pub const WIDTH: usize = 100;

/// Writes results and notes in the format, and with the colours, that were asked for.
#[derive(Debug)]
pub struct Output {
    pub format: Format,
    pub log_format: Format,
    /// Faults are told as one JSON line instead of a block.
    pub json_errors: bool,
    pub color_stdout: bool,
    pub color_stderr: bool,
    terminal_stderr: bool,
    bars: OnceLock<MultiProgress>,
    deaf: AtomicBool,
}

impl Output {
    pub fn new(global: &Global) -> Self {
        let terminal_stderr = io::stderr().is_terminal();
        let plain = global.no_color || no_color();
        let usual = if terminal_stderr { Format::Text } else { Format::Json };
        Self {
            format: global.output,
            log_format: global.log_format.unwrap_or(usual),
            json_errors: global.output == Format::Json || global.log_format == Some(Format::Json),
            color_stdout: !plain && io::stdout().is_terminal(),
            color_stderr: !plain && terminal_stderr,
            terminal_stderr,
            bars: OnceLock::new(),
            deaf: AtomicBool::new(false),
        }
    }

    pub fn json(&self) -> bool {
        self.format == Format::Json
    }

    /// A line of the result.
    pub fn line(&self, text: impl Display) {
        self.write(format_args!("{text}\n"));
    }

    /// Text of the result as it is.
    pub fn text(&self, text: impl Display) {
        self.write(format_args!("{text}"));
    }

    /// The result as one JSON document. What has no JSON form is a bug and never reaches this.
    pub fn document(&self, value: &impl Serialize) {
        match serde_json::to_string_pretty(value) {
            Ok(text) => self.line(text),
            Err(error) => self.note(format_args!("renkei: this result has no JSON form: {error}")),
        }
    }

    /// A line for the person who waits, on stderr.
    pub fn note(&self, text: impl Display) {
        self.stderr(format!("{text}\n").as_bytes());
    }

    /// Bytes as they are, on stderr.
    pub fn stderr(&self, bytes: &[u8]) {
        // Nobody is left to be told that stderr is closed.
        self.between_frames(|| drop(io::stderr().lock().write_all(bytes)));
    }

    /// Where bars can be drawn; nothing where stderr is no terminal or JSON was asked for.
    pub fn bars(&self) -> Option<&MultiProgress> {
        let drawn = self.terminal_stderr && self.log_format == Format::Text;
        drawn.then(|| self.bars.get_or_init(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr())))
    }

    fn between_frames(&self, write: impl FnOnce()) {
        match self.bars.get() {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    fn write(&self, text: std::fmt::Arguments<'_>) {
        if self.deaf.load(Ordering::Relaxed) {
            return;
        }
        self.between_frames(|| {
            let mut stdout = io::stdout().lock();
            if stdout.write_fmt(text).and_then(|()| stdout.flush()).is_err() {
                self.deaf.store(true, Ordering::Relaxed);
            }
        });
    }
}

/// <https://no-color.org>: set and not empty.
pub fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Colours of a terminal, or nothing at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Paint(pub bool);

impl Paint {
    pub fn bold(self, text: impl Display) -> String {
        self.with("1", text)
    }

    pub fn dim(self, text: impl Display) -> String {
        self.with("2", text)
    }

    pub fn red(self, text: impl Display) -> String {
        self.with("1;31", text)
    }

    pub fn green(self, text: impl Display) -> String {
        self.with("1;32", text)
    }

    pub fn yellow(self, text: impl Display) -> String {
        self.with("1;33", text)
    }

    pub fn blue(self, text: impl Display) -> String {
        self.with("1;34", text)
    }

    fn with(self, style: &str, text: impl Display) -> String {
        if self.0 { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// Text of a vendor or a file, made safe for a terminal: control characters cannot reach it.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_a_text_is_left_as_it_is() {
        assert_eq!(Paint(false).red("lost 1"), "lost 1");
        assert_eq!(Paint(true).bold("x"), "\x1b[1mx\x1b[0m");
    }

    #[test]
    fn an_escape_sequence_of_a_vendor_does_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb"), "a\u{fffd}[2Jb");
    }
}
