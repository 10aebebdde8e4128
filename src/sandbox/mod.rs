//! The sandbox: a shop and a CRM that behave as badly as real ones, for the demo, the simulation and the tests.
//!
//! Two halves, kept apart. [`World`] decides: it is pure, has no socket and no clock, and the same seed with the same
//! calls gives the same answers. [`Sandbox`] does: it serves a world over real sockets and adds what only a network can
//! do, such as latency, resets and half bodies. The world keeps its own [`Report`] of what arrived, so "lost 0, doubled 0" never
//! rests on what the engine believes about itself.

mod account;
mod assertion;
mod call;
mod client;
mod config;
mod consent;
mod control;
mod crm;
mod crm_batch;
mod crm_jobs;
mod crm_repeat;
mod crm_shapes;
mod faults;
mod gone;
mod idempotency;
mod lead;
mod line;
mod listing;
mod oauth;
mod people;
#[cfg(test)]
mod probe;
mod quota;
mod report;
mod rotation;
mod route;
mod server;
mod shelf;
mod shop;
mod signed;
mod token;
mod world;

pub use account::{Counters, Effect, Entry};
pub use config::{App, Quota, WorldConfig};
pub use faults::{FaultKind, FaultPlan};
pub use lead::Lead;
pub use line::{Door, Line};
pub use people::Customer;
pub use report::{Fit, Report};
pub use rotation::{Rotation, SignIns};
pub use server::{Sandbox, SandboxConfig, StartError};
pub use world::World;
