//! The front door: records that other systems push. It owes them an answer, and that nothing it acknowledged is ever lost or doubled
//! ([decision 15](../../../docs/decisions/0015-the-front-door.md)).
//!
//! ```text
//!   listen.rs --> serve.rs: path, body, caller, pace, key, records
//!                    |                                     ^
//!                    v  durable: one commit for many       | verdict, or the deadline
//!                 engine::accept ---> lane.rs: engine::deliver_pushed, run after run
//! ```
//!
//! The front door is opened when the first plan has a route, follows every later plan, and is the first thing that a stop closes.

mod answer;
mod hall;
mod lane;
mod openapi;
mod pace;
mod problem;
mod request;
mod serve;
mod traced;
mod verify;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

use self::{
    hall::{Hall, Routes},
    lane::Lane,
};
use super::{
    hub::Hub,
    listen::{Limits, Listening, listen},
};
use crate::{
    config::plan::ListenPlan,
    engine::{Engine, Stopper},
    model::Fault,
};

/// Requests under way when a stop is asked for are answered within this: a caller that waits for a verdict gets 202 at once.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Where records come in, and what delivers them.
#[derive(Default)]
pub struct FrontDoor {
    open: Option<Open>,
    lanes: JoinSet<Result<(), Fault>>,
    lanes_stop: Option<Stopper>,
    /// Who is told of deliveries.
    hub: Option<Arc<Hub>>,
}

struct Open {
    hall: Arc<Hall>,
    listening: Listening,
    plan: ListenPlan,
    stopper: Stopper,
}

impl FrontDoor {
    /// One that tells of its deliveries.
    pub(super) fn telling(hub: Arc<Hub>) -> Self {
        Self { hub: Some(hub), ..Self::default() }
    }

    /// Follows a plan: opens, moves or closes the listener, and delivers by the plan's own pipelines. Where the new address cannot
    /// be listened on, the old one stays.
    pub async fn follow(&mut self, engine: &Arc<Engine>, grace: Duration) -> Result<(), Fault> {
        self.end_lanes(Instant::now() + grace).await;
        engine.open_intake().await?;
        let opened = self.open_by(engine).await;
        if opened.is_err() && self.open.is_none() {
            return opened;
        }
        let (stopper, stop) = Stopper::within(grace);
        for route in Routes::of(engine).all() {
            let (engine, route, stop, hub) = (engine.clone(), route.clone(), stop.clone(), self.hub.clone());
            self.lanes.spawn(Lane { engine, route, stop, grace, hub }.run());
        }
        self.lanes_stop = Some(stopper);
        opened
    }

    async fn open_by(&mut self, engine: &Arc<Engine>) -> Result<(), Fault> {
        let (routes, plan) = (Routes::of(engine), engine.plan().serve.ingress.clone());
        if routes.all().next().is_none() {
            self.close_intake().await;
            return Ok(());
        }
        if let Some(open) = &self.open {
            open.hall.replace(Routes::of(engine));
            if open.plan == plan {
                return Ok(());
            }
        }
        let next = Open::at(plan, routes).await?;
        tracing::info!(address = %next.listening.address(), "records are taken in");
        if let Some(before) = self.open.replace(next) {
            before.close().await;
        }
        Ok(())
    }

    /// Waits until a delivery finds that the store is of no use any more; for ever while all goes well.
    pub async fn failed(&mut self) -> Fault {
        loop {
            match self.lanes.join_next().await {
                Some(Ok(Err(fault))) => return fault,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.open.as_ref().map(|open| open.listening.address())
    }

    /// Takes nothing in any more, and answers what is under way.
    pub async fn close_intake(&mut self) {
        if let Some(open) = self.open.take() {
            open.close().await;
        }
    }

    /// Ends deliveries at their checkpoints, or where they are when the time is over: what is staged stays staged.
    pub async fn end_lanes(&mut self, limit: Instant) {
        if let Some(stopper) = self.lanes_stop.take() {
            stopper.stop();
        }
        let ended = async { while self.lanes.join_next().await.is_some() {} };
        if timeout_at(limit, ended).await.is_err() {
            self.lanes.shutdown().await;
        }
    }
}

impl Open {
    async fn at(plan: ListenPlan, routes: Routes) -> Result<Self, Fault> {
        let (stopper, stop) = Stopper::within(LAST_ANSWERS);
        let hall = Arc::new(Hall::new(routes, stop.clone()));
        let listening = listen(plan.address, router(hall.clone()), limits(&plan), stop).await?;
        Ok(Self { hall, listening, plan, stopper })
    }

    async fn close(self) {
        self.stopper.stop();
        self.listening.ended().await;
    }
}

fn limits(plan: &ListenPlan) -> Limits {
    Limits { connections_max: plan.connections_max, header_time_max: plan.header_time_max, ..Limits::default() }
}

fn router(hall: Arc<Hall>) -> Router {
    Router::new().fallback(serve::serve).with_state(hall)
}
