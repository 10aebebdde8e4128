//! The request path over real sockets: servers that answer, break off, stall, lie about lengths and redirect.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its servers has to fail")]

mod bodies;
mod hostile;
mod http2;
mod proxy;
mod reuse;
mod secrets;
mod sockets;
mod support;
mod tls;
mod tokens;
