//! renkei keeps business systems in step: it reads what changed from one system, maps it, and writes it to another,
//! and every record ends with a verdict.
pub mod auth;
pub mod cases;
pub mod cli;
pub mod config;
pub mod contract;
pub mod database;
pub mod drill;
pub mod engine;
pub mod expr;
pub mod http;
pub mod model;
pub mod openapi;
pub mod sandbox;
pub mod server;
pub mod sink;
pub mod source;
pub mod store;
pub mod telemetry;
pub mod transform;
