//! When to run, and one run: reading ahead, ordered staging, delivery, and what a fault leads to.
//!
//! ```text
//!   reader    source.read -> steps, links -> stage -----.        one task, two loops,
//!                                                        | queue  joined by a bounded queue
//!   deliverer             commit <- settle <- sink.write <'
//! ```

mod backfill;
mod build;
mod canary;
mod canonical;
mod contracts;
mod crontab;
mod deletes;
mod deliver;
mod difference;
pub mod doctor;
mod escalate;
mod files;
mod forecast;
mod forecast_deletions;
mod gather;
mod gone;
mod hops;
mod ingress;
pub mod letters;
mod limit;
mod look;
mod lookups;
mod missing;
mod naming;
mod nested;
mod plan_file;
mod prepare;
mod probe;
mod progress;
mod read_ahead;
mod replay;
mod rows;
mod schedule;
mod slo;
mod slow_down;
mod spans;
mod steps;
mod stop;
mod sweep;
mod sync;
mod timetable;
mod used;
mod valve;

pub use backfill::plan_backfill;
pub use build::{Engine, Parts, stream_id};
pub use canary::Canary;
pub use canonical::{DueAt, Job};
pub use deletes::{Deletes, Sweep};
pub use difference::{Change, Difference};
pub use escalate::{Ending, ending};
pub use forecast::{Forecast, Sample, Tally, Write};
pub use ingress::{Rest, pushed_stream};
pub use limit::RejectLimit;
pub use naming::{agree, naming};
pub use plan_file::{PlanHead, Planned, unusable};
pub use prepare::Writes;
pub use progress::Progress;
pub use replay::{Accepted, HeldBack, Replay, choose, is_repeatable};
pub use schedule::{Action, Decision, Doing, Ended, Note, Refused, Schedule, Standing};
pub use slo::{Burn, Change as Reflex, InForce, Reflexes, Seen, Standard, Vitals, Why};
pub use stop::{Stop, Stopper};
pub use sync::{Context, Options, Route, replay, sync};
pub use timetable::{Due, Passed, Timetable};
pub use valve::Valve;
