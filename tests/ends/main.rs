//! Databases as ends, each against the real thing. `scripts/test` starts a PostgreSQL and says where it is in RENKEI_TEST_POSTGRES.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_macros, reason = "a test tells its runner the seed and what it found")]

#[path = "../postgres/database.rs"]
#[expect(dead_code, reason = "the tests of the sink use more of it")]
mod database;
mod mysql;
mod outbox;
mod rig;
mod sqlite;
mod tables;
mod vendor;
mod workers;
