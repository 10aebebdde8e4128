//! Personal fields on their whole way: the real engine, a vendor that echoes, a store that can be read byte by byte, and keys that
//! come and go.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod gone;
mod keys;
mod naming;
mod planted;
mod rig;
mod vendor;
