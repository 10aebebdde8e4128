//! The PostgreSQL sink against a real server. `scripts/test` starts one and says where it is in RENKEI_TEST_POSTGRES.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "postgres/columns.rs"]
mod columns;
#[path = "postgres/crash.rs"]
mod crash;
#[path = "postgres/database.rs"]
mod database;
#[path = "postgres/engine.rs"]
mod engine;
#[path = "postgres/personal.rs"]
mod personal;
#[path = "postgres/records.rs"]
mod records;
#[path = "postgres/session.rs"]
mod session;
