//! What may become of the records that are pushed to a pipeline: whether they are delivered now, and whether callers are let wait for a
//! verdict. Records are accepted in any case: durable first, whatever stands in the way behind.
//!
//! A valve belongs to the process and not to a plan, so a reload changes nothing about it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::Engine;

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Valve {
    /// Nothing is delivered: the pipeline is paused.
    pub held: bool,
    /// Nobody waits for a verdict, whatever they asked for.
    pub at_once: bool,
}

impl Valve {
    /// Whether a caller would wait in vain, or shall not.
    pub fn answers_at_once(self) -> bool {
        self.held || self.at_once
    }
}

/// The valves of a process by pipeline.
#[derive(Default)]
pub struct Valves(Mutex<BTreeMap<String, watch::Sender<Valve>>>);

impl Valves {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, watch::Sender<Valve>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// How the valve of a pipeline stands, now and later.
    pub fn valve(&self, pipeline: &str) -> watch::Receiver<Valve> {
        let mut all = self.desk.valves.all();
        match all.get(pipeline) {
            Some(valve) => valve.subscribe(),
            None => all.entry(pipeline.to_owned()).or_default().subscribe(),
        }
    }

    /// Turns the valve of a pipeline.
    pub fn turn_valve(&self, pipeline: &str, turn: impl FnOnce(&mut Valve)) {
        let mut all = self.desk.valves.all();
        let valve = all.entry(pipeline.to_owned()).or_default();
        valve.send_if_modified(|valve| {
            let before = *valve;
            turn(valve);
            *valve != before
        });
    }
}
