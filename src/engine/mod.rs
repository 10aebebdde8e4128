//! When to run, and one run: reading ahead, ordered staging, delivery, and what a fault leads to.
//!
//! ```text
//!   reader    source.read -> steps, links -> stage -----.        one task, two loops,
//!                                                        | queue  joined by a bounded queue
//!   deliverer             commit <- settle <- sink.write <'
//! ```

mod build;
mod deliver;
mod escalate;
mod prepare;
mod progress;
mod read_ahead;
mod stop;
mod sync;

pub use build::{Engine, Parts, stream_id};
pub use escalate::{Ending, ending};
pub use prepare::Writes;
pub use progress::Progress;
pub use stop::{Stop, Stopper};
pub use sync::{Context, Options, Route, sync};
