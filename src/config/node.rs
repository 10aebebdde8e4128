//! A YAML file as a tree with places. Nothing is interpreted yet: a scalar is its text and the way it was written.

use std::{cell::Cell, rc::Rc};

use super::source::Span;

#[derive(Debug)]
pub struct Node {
    pub span: Span,
    pub value: Value,
    /// Nodes in it, itself included, aliases counted as often as they are used.
    pub weight: usize,
}

#[derive(Debug)]
pub enum Value {
    Scalar(Scalar),
    List(Vec<Item>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub struct Scalar {
    pub text: String,
    /// Not in quotes and no block: it may be a number, a boolean or null.
    pub plain: bool,
}

#[derive(Debug)]
pub struct Item {
    pub node: Rc<Node>,
    pub dropped: Dropped,
}

#[derive(Debug)]
pub struct Entry {
    pub key: String,
    pub key_span: Span,
    pub node: Rc<Node>,
    pub dropped: Dropped,
}

/// A part that cannot be read is dropped and the file is read again without it, so that one report holds all problems.
#[derive(Default, Debug)]
pub struct Dropped(Cell<bool>);

impl Dropped {
    pub fn is(&self) -> bool {
        self.0.get()
    }

    pub fn set(&self) {
        self.0.set(true);
    }
}

/// What a scalar is under the rules of this project, a narrow reading of YAML 1.2: `yes`, `on`, `0123` and `0x1f` are
/// text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScalarKind {
    Null,
    True,
    False,
    Integer,
    Decimal,
    Text,
}

pub fn kind_of(text: &str) -> ScalarKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => ScalarKind::Null,
        "true" | "True" | "TRUE" => ScalarKind::True,
        "false" | "False" | "FALSE" => ScalarKind::False,
        _ => number_kind(text),
    }
}

/// Exactly the numbers of JSON, so that their text can travel on unchanged.
fn number_kind(text: &str) -> ScalarKind {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.trim_start_matches(['+', '-']))),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    if !digits(whole) || (whole.len() > 1 && whole.starts_with('0')) {
        return ScalarKind::Text;
    }
    if fraction.is_some_and(|fraction| !digits(fraction)) || exponent.is_some_and(|exponent| !digits(exponent)) {
        return ScalarKind::Text;
    }
    if fraction.is_none() && exponent.is_none() { ScalarKind::Integer } else { ScalarKind::Decimal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_surely_meant_as_a_number_or_boolean_is_one() {
        for text in ["NO", "yes", "on", "off", "y", "0123", "0x1f", "1_000", ".5", "1.", "1e", "--1", "+1", "1.2.3"] {
            assert_eq!(kind_of(text), ScalarKind::Text, "{text}");
        }
        assert_eq!(kind_of("-12"), ScalarKind::Integer);
        assert_eq!(kind_of("0"), ScalarKind::Integer);
        assert_eq!(kind_of("1.50"), ScalarKind::Decimal);
        assert_eq!(kind_of("1e+3"), ScalarKind::Decimal);
        assert_eq!(kind_of("true"), ScalarKind::True);
        assert_eq!(kind_of("~"), ScalarKind::Null);
    }
}
