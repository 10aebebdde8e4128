//! Puts on a page what everybody knows: the clients their requests, the pipelines their records, the service its runs, the store what
//! waits in it. Nothing is counted here.
//!
//! What has to be read from the store is read once for all pipelines, and again after a while only, however often somebody asks.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{sync::Mutex, time::Instant};

use super::{care, hub::Hub, service::View};
use crate::{
    auth::Account,
    config::plan::{Api, Connection},
    engine::{Doing, Engine, stream_id},
    http::{BreakerState, Client},
    model::{Cursor, Fault},
    store::StagedNow,
    telemetry::{self as names, Page, otlp::Signal},
};

/// What was read from the store is good for so long.
const FRESH: Duration = Duration::from_secs(5);

#[derive(Default)]
pub struct Metrics {
    read: Mutex<Option<(Instant, Arc<Stored>)>>,
}

/// What only the store knows.
#[derive(Default)]
pub struct Stored {
    pub staged: BTreeMap<String, StagedNow>,
    pub letters: BTreeMap<String, usize>,
    /// How far each pipeline's own stream is delivered, where that is a time.
    delivered: BTreeMap<String, DateTime<Utc>>,
    /// By connection, when its access token and its certificate end.
    ends: BTreeMap<String, [Option<DateTime<Utc>>; 2]>,
    bytes: Option<u64>,
}

impl Metrics {
    pub async fn page(&self, hub: &Hub, view: &View) -> Result<Page, Fault> {
        let (engine, now) = (&view.engine, view.engine.clock().now());
        let stored = self.stored(engine).await?;
        let mut page = Page::default();
        of_process(&mut page, hub);
        for (connection, probed) in hub.probes() {
            page.put(&names::PROBE_UP, &[&connection], f64::from(u8::from(probed.up)));
            page.put(&names::PROBE_SECONDS, &[&connection], probed.took_ms as f64 / 1e3);
        }
        of_pipelines(&mut page, hub, view, now);
        of_store(&mut page, &stored, engine, now);
        engine.clients().iter().for_each(|client| of_client(&mut page, client));
        Ok(page)
    }

    pub async fn stored(&self, engine: &Engine) -> Result<Arc<Stored>, Fault> {
        // Whoever asks meanwhile waits and gets the same.
        let mut read = self.read.lock().await;
        if let Some((at, stored)) = &*read
            && at.elapsed() < FRESH
        {
            return Ok(stored.clone());
        }
        let stored = Arc::new(Stored::read(engine).await?);
        *read = Some((Instant::now(), stored.clone()));
        Ok(stored)
    }
}

impl Stored {
    async fn read(engine: &Engine) -> Result<Self, Fault> {
        let state = engine.state();
        let mut delivered = BTreeMap::new();
        for (stream, checkpoint) in state.checkpoints().await? {
            if let Some(Cursor::Instant(at)) = checkpoint.cursor
                && engine.plan().pipelines.get(&stream.pipeline).is_some_and(|pipeline| stream_id(pipeline) == stream)
            {
                delivered.insert(stream.pipeline, at);
            }
        }
        let mut ends = BTreeMap::new();
        for api in apis(engine) {
            // One that cannot say how it is signed in has no date to tell.
            let Ok(account) = Account::new(api, engine.ground()) else { continue };
            let status = account.status().await?;
            let certificate = status.certificate.and_then(|certificate| certificate.not_after);
            ends.insert(api.name.clone(), [status.access_ends_at, certificate]);
        }
        let (staged, letters) = (state.staged_now().await?, state.letter_counts().await?);
        Ok(Self { staged, letters, delivered, ends, bytes: engine.disk_bytes().await })
    }
}

/// The accounts of the plan that requests are sent with.
pub fn apis(engine: &Engine) -> impl Iterator<Item = &Arc<Api>> {
    engine.plan().connections.values().filter_map(Connection::api)
}

fn of_process(page: &mut Page, hub: &Hub) {
    page.put(&names::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0);
    page.put(&names::STARTED, &[], hub.tally.began.timestamp_millis() as f64 / 1e3);
    page.histogram(&names::RUN_DURATION, &[], &hub.tally.took);
    page.histogram(&names::SCHEDULE_LAG, &[], &hub.tally.lag);
    let [taken, refused] = hub.tally.reloads();
    page.put(&names::RELOADS, &["taken_over"], taken as f64);
    page.put(&names::RELOADS, &["refused"], refused as f64);
    if let Some(counts) = hub.telemetry.get() {
        for signal in [Signal::Traces, Signal::Logs] {
            page.put(&names::OTLP_SENT, &[signal.name()], counts.sent(signal) as f64);
            page.put(&names::OTLP_DROPPED, &[signal.name()], counts.dropped(signal) as f64);
        }
    }
    page.put(&names::EVENTS, &[], hub.events.count() as f64);
}

fn of_pipelines(page: &mut Page, hub: &Hub, view: &View, now: DateTime<Utc>) {
    for doing in Doing::ALL {
        let count = view.standings.iter().filter(|standing| standing.state == doing).count();
        page.put(&names::PIPELINES, &[doing.name()], count as f64);
    }
    for standing in &view.standings {
        let pipeline = &*standing.pipeline;
        let (progress, tally) = (view.engine.progress(pipeline), hub.tally.of(pipeline));
        // Of thousands of pipelines most do nothing most of the time, and have nothing to tell.
        if progress.records_read() + progress.records_settled() > 0 {
            page.put(&names::RECORDS_READ, &[pipeline], progress.records_read() as f64);
            for (verdict, count) in progress.settled() {
                page.put(&names::RECORDS, &[pipeline, verdict], count as f64);
            }
        }
        if tally.outcomes().iter().any(|(_, count)| *count > 0) {
            for (outcome, count) in tally.outcomes() {
                page.put(&names::RUNS, &[pipeline, outcome], count as f64);
            }
        }
        page.put(&names::FAILURES, &[pipeline], f64::from(standing.failures));
        if let Some(plan) = view.engine.plan().pipelines.get(pipeline)
            && let Some(slo) = &plan.slo
        {
            for (objective, _) in slo.objectives() {
                for (window, rate) in care::burn_rates(view, plan, objective, now) {
                    page.put(&names::SLO_BURN_RATE, &[pipeline, objective.name(), window], rate);
                }
            }
            for (act, is_in_force) in care::acts(view, slo, standing) {
                page.put(&names::SLO_IN_FORCE, &[pipeline, act], f64::from(u8::from(is_in_force)));
                page.put(&names::SLO_REACTIONS, &[pipeline, act], tally.reacted(act) as f64);
            }
        }
        if let Some(at) = tally.done_at {
            page.put(&names::FRESHNESS, &[pipeline], seconds(now, at));
        }
    }
}

fn of_store(page: &mut Page, stored: &Stored, engine: &Engine, now: DateTime<Utc>) {
    for pipeline in engine.plan().pipelines.keys() {
        let staged = stored.staged.get(pipeline).copied().unwrap_or_default();
        page.put(&names::OUTBOX_BATCHES, &[pipeline], staged.batches as f64);
        page.put(&names::OUTBOX_OLDEST, &[pipeline], staged.oldest.map_or(0.0, |oldest| seconds(now, oldest)));
        let letters = stored.letters.get(pipeline).copied().unwrap_or_default();
        page.put(&names::DEAD_LETTERS, &[pipeline], letters as f64);
        if let Some(at) = stored.delivered.get(pipeline) {
            page.put(&names::CURSOR_LAG, &[pipeline], seconds(now, *at));
        }
    }
    let time = |at: &DateTime<Utc>| at.timestamp_millis() as f64 / 1e3;
    for (connection, [token, certificate]) in &stored.ends {
        if let Some(ends) = token {
            page.put(&names::TOKEN_EXPIRY, &[connection], time(ends));
        }
        if let Some(ends) = certificate {
            page.put(&names::CERTIFICATE_EXPIRY, &[connection], time(ends));
        }
    }
    if let Some(bytes) = stored.bytes {
        page.put(&names::STORE_BYTES, &[], bytes as f64);
    }
    page.put(&names::STORE_BYTES_MAX, &[], engine.plan().store.disk_bytes_max as f64);
}

fn of_client(page: &mut Page, client: &Client) {
    let (connection, meter, usage) = (client.name(), client.meter(), client.usage());
    for ((method, route), attempts) in meter.routes() {
        let labels = [connection, method.as_str(), &route];
        for (class, count) in attempts.classes() {
            page.put(&names::REQUESTS, &[labels[0], labels[1], labels[2], class], count as f64);
        }
        page.histogram(&names::REQUEST_DURATION, &labels, &attempts.took);
    }
    for (cause, count) in meter.causes() {
        page.put(&names::RETRIES, &[connection, &cause.to_string()], count as f64);
    }
    page.put(&names::THROTTLED, &[connection], usage.throttled as f64);
    page.put(&names::QUOTA_WAIT, &[connection], usage.waited.as_secs_f64());
    for limit in client.limits() {
        if let Some(left) = limit.left {
            page.put(&names::QUOTA_REMAINING, &[connection, &limit.limit], left as f64);
        }
        if let Some(of) = limit.of {
            page.put(&names::QUOTA_LIMIT, &[connection, &limit.limit], of as f64);
        }
    }
    for (call, state) in client.breakers() {
        let state = match state {
            BreakerState::Closed => 0.0,
            BreakerState::HalfOpen => 1.0,
            BreakerState::Open => 2.0,
        };
        page.put(&names::BREAKER_STATE, &[connection, &call], state);
    }
    page.put(&names::BREAKER_OPENED, &[connection], client.trips() as f64);
}

/// From a time until now; a clock that was set back makes it none.
fn seconds(now: DateTime<Utc>, then: DateTime<Utc>) -> f64 {
    ((now - then).num_milliseconds() as f64 / 1e3).max(0.0)
}
