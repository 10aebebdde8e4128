//! The expression language: bare where a value is meant (`set`, `fields`, `filter`), inside `{{ }}` where it is text
//! (paths, queries, headers). What a person can write is in `docs/expressions.md`, whose examples are tests.
//!
//! Callers give JSON text and get JSON text; nobody else knows the interpreter. The hard idea is what a missing value
//! means: absent stays absent and null stays null through every filter, operators refuse both, and the word "none" is
//! never made from either.

#[cfg(test)]
mod documented;
mod error;
mod expression;
mod json;
mod library;
mod names;
mod number;
mod ops;
mod raw;
mod rewrite;
mod scope;
mod template;
#[cfg(test)]
mod tests;
mod token;

pub use error::{CompileError, EvalError};
pub use expression::Expression;
pub use scope::{Entry, Scope, object};
pub use template::{Template, encode_segment};
