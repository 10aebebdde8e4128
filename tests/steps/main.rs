//! Steps that look at more than one value, and streams whose records are not what the answer lists, over a real socket.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod lookups;
mod reading;
mod rig;
mod shaping;
mod targets;
