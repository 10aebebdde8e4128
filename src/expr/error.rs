//! What can be wrong with an expression: its text, found before running, or a record it cannot deal with. Neither ever
//! quotes a field's value.

use std::ops::Range;

use crate::model::{Code, Reason};

/// The longest piece of an expression that a message repeats.
const QUOTED_CHARS_MAX: usize = 120;

/// Why a text is no expression or template.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("{message}")]
pub struct CompileError {
    /// A lowercase fragment.
    pub message: String,
    /// The bytes of the text that it is about, where they are known.
    pub offset: Option<Range<usize>>,
    pub help: Option<String>,
}

impl CompileError {
    pub(super) fn new(message: impl Into<String>, offset: Range<usize>) -> Self {
        Self { message: message.into(), offset: Some(offset), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same error seen from a text in which this one's text starts at byte `start`.
    pub(super) fn moved(mut self, start: usize) -> Self {
        self.offset = self.offset.map(|range| range.start + start..range.end + start);
        self
    }
}

/// Why an expression has no result for one record. The message names the expression and the trouble.
#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
#[error("`{expression}`: {message}")]
pub struct EvalError {
    pub code: Code,
    /// The text of the expression, shortened.
    pub expression: String,
    pub message: String,
}

impl EvalError {
    pub(super) fn new(code: Code, expression: &str, message: impl Into<String>) -> Self {
        let mut shown: String = expression.chars().take(QUOTED_CHARS_MAX).collect();
        if shown.len() < expression.len() {
            shown.push_str("...");
        }
        Self { code, expression: shown, message: message.into() }
    }

    /// The same trouble as the reason of one record; `place` says where the expression stands.
    pub fn reason(&self, place: &str) -> Reason {
        Reason::new(self.code, format!("{place}: {self}"))
    }
}
