//! Signing in against scripted servers.

mod fixed;
mod grants;
mod rotation;
mod secrets;
mod support;
