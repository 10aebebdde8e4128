//! Reading from APIs and writing to them, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod listing;
mod pages;
mod restart;
mod sandbox;
mod server;
mod window;
mod write;
mod write_batch;
mod writing;
