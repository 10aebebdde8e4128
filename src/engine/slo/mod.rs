//! What a pipeline is to keep: how well it does, and what is to be done about it.
//!
//! ```text
//!   the deliverer, the front door, the service      count what was good and what was not, each where it happens
//!                  |
//!             vitals.rs     rings of minutes, bounded and in memory
//!                  |  burn rates
//!             reflexes.rs   decides what begins and what ends; pure, `now` goes in
//!                  |  changes
//!             the service   does it: rests, valve, pause
//! ```
//!
//! The hard idea is that nothing here acts. What is decided is a value, so a table over a made-up clock shows every step of a bad day.

mod reflexes;
mod vitals;
mod window;

pub use reflexes::{Change, InForce, Reflexes, Seen, Why};
pub use vitals::{Burn, Standard, Vitals};
