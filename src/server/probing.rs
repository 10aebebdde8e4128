//! Looks at connections now and then by the small read that each declares, and tells how that went. Nothing follows from it: a vendor that
//! is down is no reason to restart the service, and pipelines go by their own calls.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::{
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use super::hub::Hub;
use crate::{
    config::{
        Plan,
        plan::{Api, Connection, Probe},
    },
    engine::Engine,
    model::Code,
};

/// How a probe went last.
#[derive(Clone, Debug, Serialize)]
pub struct Probed {
    pub up: bool,
    pub at: DateTime<Utc>,
    pub took_ms: u64,
    pub code: Option<Code>,
    pub message: Option<String>,
}

/// When each connection is looked at next.
pub struct Probing {
    hub: Arc<Hub>,
    due: BTreeMap<String, Instant>,
    tasks: JoinSet<()>,
    under_way: BTreeMap<String, AbortHandle>,
}

/// The connections of a plan that are looked at.
fn probed(plan: &Plan) -> impl Iterator<Item = (&Arc<Api>, &Probe)> {
    plan.connections.values().filter_map(|connection| match connection {
        Connection::Api(api) => api.probe.as_ref().map(|probe| (api, probe)),
        Connection::Folder(_) | Connection::Postgres(_) | Connection::Sqlite(_) | Connection::Mysql(_) => None,
    })
}

impl Probing {
    pub fn new(hub: Arc<Hub>, plan: &Plan) -> Self {
        let mut probing = Self { hub, due: BTreeMap::new(), tasks: JoinSet::new(), under_way: BTreeMap::new() };
        probing.follow(plan);
        probing
    }

    /// Follows another plan: what is new in it is looked at soon, and never later than it says.
    pub fn follow(&mut self, plan: &Plan) {
        let (before, now) = (std::mem::take(&mut self.due), Instant::now());
        let due = |(api, probe): (&Arc<Api>, &Probe)| {
            let due = before.get(&api.name).copied().unwrap_or(now);
            (api.name.clone(), due.min(now + probe.every))
        };
        self.due = probed(plan).map(due).collect();
        self.hub.keep_probes(|name| self.due.contains_key(name));
    }

    pub fn next(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    /// Begins to look at those whose time has come. One that is still looked at is left out.
    pub fn begin(&mut self, engine: &Arc<Engine>) {
        while self.tasks.try_join_next().is_some() {}
        let now = Instant::now();
        for (api, probe) in probed(engine.plan()) {
            let Some(due) = self.due.get_mut(&api.name).filter(|due| **due <= now) else { continue };
            *due = now + probe.every;
            if self.under_way.get(&api.name).is_none_or(AbortHandle::is_finished) {
                let look = look(engine.clone(), api.clone(), probe.clone(), self.hub.clone());
                self.under_way.insert(api.name.clone(), self.tasks.spawn(look));
            }
        }
    }

    /// Ends what is under way; a read leaves nothing behind.
    pub async fn end(&mut self) {
        self.tasks.shutdown().await;
        self.under_way.clear();
    }
}

async fn look(engine: Arc<Engine>, api: Arc<Api>, probe: Probe, hub: Arc<Hub>) {
    let began = Instant::now();
    let Some(read) = engine.probe(&api, &probe).await else { return };
    let took = read.as_ref().map_or_else(|_| began.elapsed(), |took: &Duration| *took);
    let fault = read.err();
    let (code, message) = (fault.as_ref().map(|fault| fault.code), fault.map(|fault| fault.message));
    let (up, took_ms) = (code.is_none(), u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    hub.probed(&api.name, Probed { up, at: engine.clock().now(), took_ms, code, message });
}
