//! Sinks that store records and checkpoint together, each held to one contract against the real thing. `scripts/test` starts the
//! databases and has a server that speaks S3.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_macros, reason = "a test tells its runner the seed and what it found")]

#[path = "../postgres/database.rs"]
#[expect(dead_code, reason = "the tests of the sink use more of it")]
mod database;
#[path = "../ends/rig.rs"]
#[expect(dead_code, reason = "the tests of sources use more of it")]
mod rig;

mod bucket;
mod contract;
mod crash;
mod ends;
mod mysql;
mod parquet;
mod pipelines;
mod s3;
