//! Delivers what is pushed to one pipeline: a run whenever something waits, and after a fault again and again, ever more slowly. And
//! forgets, now and then, what nobody may ask about any more.
//!
//! While the pipeline is paused nothing is delivered; one that is under way ends at its next checkpoint.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use chrono::TimeDelta;
use futures_util::FutureExt;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::hall::Route;
use crate::{
    engine::{Engine, Stop, Stopper, Valve},
    model::{Blame, Code, Fault},
    server::hub::Hub,
    store::Run,
};

/// The first wait after a fault; each further one is twice as long.
const WAIT: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Between two looks at what is old.
const SWEEP: Duration = Duration::from_secs(60);
/// Verdicts of a pipeline that are kept.
const VERDICTS_MAX: u64 = 100_000;

pub struct Lane {
    pub engine: Arc<Engine>,
    pub route: Arc<Route>,
    pub stop: Stop,
    /// What a delivery may take that is asked to stop.
    pub grace: Duration,
    /// Who is told of deliveries.
    pub hub: Option<Arc<Hub>>,
}

impl Lane {
    /// Delivers until it is asked to stop, or the store is of no use any more.
    pub async fn run(self) -> Result<(), Fault> {
        let came = self.engine.state().came(&self.route.stream);
        let mut valve = self.engine.valve(&self.route.pipeline.name);
        let mut wait = WAIT;
        let mut sweep = Instant::now() + SWEEP;
        while !self.stop.requested() {
            let came = came.notified();
            tokio::pin!(came);
            came.as_mut().enable();
            if Instant::now() >= sweep {
                sweep = Instant::now() + SWEEP;
                self.sweep().await;
            }
            if valve.borrow().held {
                tokio::select! {
                    () = self.stop.wait() => {}
                    () = held(&mut valve, false) => {}
                    () = tokio::time::sleep_until(sweep) => {}
                }
                continue;
            }
            let delivered = AssertUnwindSafe(self.deliver(&mut valve)).catch_unwind().await;
            match delivered.unwrap_or_else(|_| Err(panicked())) {
                Ok(true) => wait = WAIT,
                Ok(false) => tokio::select! {
                    () = self.stop.wait() => {}
                    () = &mut came => {}
                    () = tokio::time::sleep_until(sweep) => {}
                },
                Err(fault) if fault.code == Code::StoreClosed => return Err(fault),
                Err(fault) => {
                    self.engine.state().set_stuck(&self.route.stream);
                    tracing::warn!(
                        pipeline = self.route.pipeline.name, code = %fault.code, why = fault.message,
                        place = fault.place.join(", "), wait_ms = wait.as_millis() as u64,
                        "pushed records are not delivered; they are durable and it is tried again"
                    );
                    tokio::select! {
                        () = self.stop.wait() => {}
                        () = sleep(wait) => {}
                    }
                    wait = (wait * 2).min(WAIT_MAX);
                }
            }
        }
        Ok(())
    }

    /// Whether there was anything to deliver.
    async fn deliver(&self, valve: &mut watch::Receiver<Valve>) -> Result<bool, Fault> {
        let (pipeline, began) = (&self.route.pipeline.name, Instant::now());
        if !self.engine.has_pushed(&self.route.pipeline).await? {
            return Ok(false);
        }
        if let Some(hub) = &self.hub {
            hub.delivery_began(pipeline);
        }
        let ended = self.until_held(valve).await;
        if let Some(hub) = &self.hub {
            hub.delivered(pipeline, began, &ended);
        }
        let (_, fault) = ended?;
        fault.map_or(Ok(true), Err)
    }

    /// Delivers until it is done, asked to stop, or the pipeline is paused.
    async fn until_held(&self, valve: &mut watch::Receiver<Valve>) -> Result<(Run, Option<Fault>), Fault> {
        let (stopper, stop) = Stopper::within(self.grace);
        let delivering = self.engine.deliver_pushed(&self.route.pipeline.name, &stop);
        tokio::pin!(delivering);
        tokio::select! {
            ended = &mut delivering => return ended,
            () = self.stop.wait() => {}
            () = held(valve, true) => {}
        }
        stopper.stop();
        delivering.await
    }

    async fn sweep(&self) {
        let (state, now) = (self.engine.state(), self.engine.clock().now());
        let before =
            |keep| TimeDelta::from_std(keep).ok().and_then(|keep| now.checked_sub_signed(keep)).unwrap_or_default();
        let ingress = &self.route.ingress;
        let swept = async {
            state.sweep_intake(&self.route.stream, before(ingress.keep), VERDICTS_MAX).await?;
            let idempotency = ingress.idempotency;
            state.sweep_answers(&self.route.pipeline.name, before(idempotency.keep), idempotency.max).await
        };
        if let Err(fault) = swept.await {
            tracing::warn!(code = %fault.code, why = fault.message, "old verdicts and answers stay");
        }
    }
}

/// Waits until deliveries are held back, or not any more.
async fn held(valve: &mut watch::Receiver<Valve>, is_held: bool) {
    // The other end lives as long as the engine's desk, and the lane no longer.
    drop(valve.wait_for(|valve| valve.held == is_held).await);
}

fn panicked() -> Fault {
    Fault::halt(Code::Bug, Blame::Bug, "delivering pushed records panicked")
        .help("nothing is lost: it is tried again, and other pipelines go on; please report it with the lines above")
}
