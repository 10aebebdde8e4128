//! A part of a file that cannot be read as what it should be: serde's errors in our codes and words. The value itself
//! is never quoted, because it may be a filled secret.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use serde::de::{self, Expected, Unexpected};

use super::{diagnostic::Problem, source::Span};
use crate::model::Code;

/// Why a part cannot be read.
#[derive(Debug)]
pub struct Mistake(Box<Inner>);

#[derive(Debug)]
pub struct Inner {
    pub code: Code,
    pub message: String,
    pub help: Option<String>,
    pub span: Option<Span>,
    /// The part was dropped, so reading again gets further.
    pub dropped: bool,
    /// It is only the consequence of an earlier one.
    pub follows: bool,
    /// The source at its place must not be shown.
    pub masked: bool,
}

impl Deref for Mistake {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl DerefMut for Mistake {
    fn deref_mut(&mut self) -> &mut Inner {
        &mut self.0
    }
}

impl Mistake {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Inner { code, message, help: None, span: None, dropped: false, follows: false, masked: false }))
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    pub fn masked(mut self) -> Self {
        self.masked = true;
        self
    }

    pub fn at(mut self, span: Span) -> Self {
        self.0.span.get_or_insert(span);
        self
    }

    pub fn problem(self, whole: Span) -> Option<Problem> {
        let inner = *self.0;
        let span = inner.span.unwrap_or(whole);
        let problem = Problem::new(inner.code, span, inner.message).maybe_help(inner.help);
        (!inner.follows).then(|| if inner.masked { problem.mask(span) } else { problem })
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mistake {}

impl de::Error for Mistake {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Code::WrongType, message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Code::WrongType, format!("expected {}, found {}", wanted(expected), kind_word(&found)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Code::OutOfRange, format!("a value out of bounds, expected {}", wanted(expected)))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Code::MissingKey, format!("the key `{field}` is missing")).help(format!("add `{field}:`"))
    }
}

/// serde's words for types in the words of the documentation.
fn wanted(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    match text.as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number".to_owned(),
        "i64" | "i32" => "an integer".to_owned(),
        "f64" | "f32" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" => "a text".to_owned(),
        _ => text,
    }
}

fn kind_word(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a decimal number",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map | Unexpected::StructVariant => "a map",
        _ => "a text",
    }
}
