//! One PostgreSQL server: how a session begins, and what its errors lead to.

mod connect;
mod fault;
mod tls;

pub use connect::connect;
pub use fault::{NOTHING_CHANGED, fault, is_value_refused};

/// An identifier as SQL takes it, whatever is in it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
