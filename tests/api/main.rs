//! Reading from APIs and writing to them, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod listing;
mod model;
mod pages;
mod restart;
mod sandbox;
mod sandbox_shapes;
mod server;
mod window;
mod write;
mod write_batch;
mod write_cut;
mod write_job;
mod write_shapes;
mod writing;
