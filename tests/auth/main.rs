//! Signing in against the sandbox: tokens that rotate, end and get lost, over a network that a test controls and over real
//! sockets.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_macros, reason = "a test prints what it measured")]

mod grants;
mod keys;
mod lifetime;
mod mtls;
mod openssl;
mod rotation;
mod secrets;
mod sessions;
mod sign_in;
mod wire;
mod yaml;
