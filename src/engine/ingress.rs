//! Records that others push: accepted together, and delivered by ordinary runs that read what waits.
//!
//! Pushed records are a part of their pipeline's stream (`customers~in`), as a backfill is: with a cursor and an outbox of its own, and
//! with the stream's links. So what is polled and what is pushed meet in the links, by key and version, and nothing is doubled.
//!
//! Two hard ideas. **One sync for many callers:** records that came while the last commit was under way share the next one, and all
//! of their callers are answered by it; the clerk is a task of its own, so a caller that hangs up takes nothing back. **One at work:**
//! a gate lets a run, a backfill, a replay and a delivery of one pipeline go one after the other, for links tell what the sink holds
//! only once the write before is committed (decision 6).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedMutexGuard, mpsc, oneshot, watch},
    time::{Instant, timeout, timeout_at},
};
use tracing::Span;

use super::{
    Engine,
    build::bug,
    canonical::Job,
    deletes::Deletes,
    limit::RejectLimit,
    naming::{agree, naming},
    stop::Stop,
    stream_id,
    sync::{Options, sync},
    valve::Valves,
};
use crate::{
    config::plan::{Pipeline, Stream},
    http::Priority,
    model::{Blame, BoxFuture, Checkpoint, Code, Cursor, Fault, Fields, Page, Record, Reject},
    source::{Sifted, Source, read_one, sift},
    store::{Accepted, Accepting, AnswerName, Pushed, Remembered, Run, State, StreamId},
    telemetry::context_of,
    transform::Personal,
};

/// Requests that wait for the clerk. Whoever comes then waits too.
const ASKED_MAX: usize = 1_024;
/// Of one commit.
const REQUESTS_MAX: usize = 1_024;
const BYTES_MAX: usize = 8 << 20;
/// How long a commit waits for as many requests as the last one had: callers that were answered together come back together.
const COMPANY: Duration = Duration::from_millis(2);
/// How long a delivery waits for more before it ends: each is a run with a record of its own.
const LINGER: Duration = Duration::from_secs(60);
/// A delivery that never runs dry ends after this, and the next one begins.
const RUN_MAX: Duration = Duration::from_secs(600);
/// Who changes letters by hand waits so long for a delivery to end.
const REST_TIME_MAX: Duration = Duration::from_secs(1);
/// Records of one batch. Small, because the first of them is answered when the last one is.
const BATCH: usize = 25;

/// The stream of what is pushed to a pipeline.
pub fn pushed_stream(pipeline: &Pipeline) -> StreamId {
    match pipeline.from.is_only_pushed() {
        false => stream_id(pipeline).part("in"),
        true => stream_id(pipeline),
    }
}

struct Ask {
    request: Accepting,
    reply: oneshot::Sender<Result<Vec<Accepted>, Fault>>,
}

/// What pushing needs in one process, whatever the plan.
#[derive(Default)]
pub struct Desk {
    clerk: OnceLock<mpsc::Sender<Ask>>,
    gates: Mutex<BTreeMap<String, Gate>>,
    pub(super) valves: Valves,
}

/// Lets one at a time work on a pipeline, and tells whoever is at work that others wait.
#[derive(Clone, Default)]
struct Gate {
    turn: Arc<tokio::sync::Mutex<()>>,
    waiting: watch::Sender<usize>,
}

impl Gate {
    async fn pass(self) -> OwnedMutexGuard<()> {
        let _waits = Waits::begin(self.waiting);
        self.turn.lock_owned().await
    }
}

/// Somebody waits before a gate for as long as this lives.
struct Waits(watch::Sender<usize>);

impl Waits {
    fn begin(waiting: watch::Sender<usize>) -> Self {
        waiting.send_modify(|count| *count += 1);
        Self(waiting)
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Accepts what came, one commit after the other, until nobody can ask any more.
async fn clerk(state: State, mut asked: mpsc::Receiver<Ask>) {
    let mut last = 0;
    while let Some(first) = asked.recv().await {
        let limit = Instant::now() + COMPANY;
        let (mut requests, mut replies, mut bytes, mut next) = (Vec::new(), Vec::new(), 0, Some(first));
        while let Some(Ask { request, reply }) = next {
            bytes += request.records.iter().map(|record| record.fields.len()).sum::<usize>();
            requests.push(request);
            replies.push(reply);
            next = match requests.len() {
                _ if bytes >= BYTES_MAX => None,
                REQUESTS_MAX.. => None,
                few if few < last => timeout_at(limit, asked.recv()).await.ok().flatten(),
                _ => asked.try_recv().ok(),
            };
        }
        last = requests.len();
        match state.accept(requests).await {
            Ok(all) => {
                for (accepted, reply) in all.into_iter().zip(replies) {
                    // Whoever hung up finds the record under its key, or not at all.
                    reply.send(Ok(accepted)).ok();
                }
            }
            Err(fault) => replies.into_iter().for_each(|reply| drop(reply.send(Err(fault.clone())))),
        }
    }
}

impl Engine {
    /// Learns what waits to be delivered. Records may be accepted from here on.
    pub async fn open_intake(&self) -> Result<(), Fault> {
        for pipeline in self.plan().pipelines.values().filter(|pipeline| pipeline.from.ingress.is_some()) {
            self.state().open_intake(&pushed_stream(pipeline)).await?;
        }
        Ok(())
    }

    /// Records as they are accepted: named, and their personal fields protected.
    pub fn pushed(&self, pipeline: &Pipeline, records: Vec<Fields>) -> Result<Vec<Pushed>, Reject> {
        let personal = Personal::new(&pipeline.personal);
        let one = |fields| {
            let Record { key, version, gone, fields, .. } = read_one(&pipeline.from.stream, fields)?;
            Ok(Pushed { key: personal.key(key), version, gone, fields: personal.read(fields, true) })
        };
        records.into_iter().map(one).collect()
    }

    /// Accepts the records of one request: durable, in the order of their coming, when it resolves.
    pub async fn accept(
        &self,
        pipeline: &Pipeline,
        records: Vec<Pushed>,
        remember: Option<(AnswerName, Remembered)>,
    ) -> Result<Vec<Accepted>, Fault> {
        let stream = pushed_stream(pipeline);
        let max = pipeline.from.ingress.as_ref().map_or(0, |ingress| ingress.waiting_max);
        if self.state().waiting(&stream) + records.len() > max {
            let message = format!("{max} records of {} wait to be delivered already", pipeline.name);
            return Err(Fault::halt(Code::IntakeFull, Blame::Remote, message)
                .help("nothing of this request was accepted; send it again later"));
        }
        let tag = (self.context(&pipeline.name).entropy.bits() >> 32) as u32;
        let origin = context_of(&Span::current()).map(|context| context.parent());
        let request = Accepting { stream, records, tag, remember, origin };
        let clerk = self.desk.clerk.get_or_init(|| {
            let (ask, asked) = mpsc::channel(ASKED_MAX);
            tokio::spawn(clerk(self.state().clone(), asked));
            ask
        });
        let (reply, accepted) = oneshot::channel();
        let gone = || bug("the clerk is gone");
        clerk.send(Ask { request, reply }).await.map_err(|_| gone())?;
        accepted.await.map_err(|_| gone())?
    }

    /// Delivers what was pushed to a pipeline, and what more is pushed meanwhile, until nothing comes for a while.
    pub async fn deliver_pushed(&self, pipeline: &str, stop: &Stop) -> Result<(Run, Option<Fault>), Fault> {
        let plan = self.pipeline(pipeline)?;
        let _gate = self.gate(plan).await;
        let stream = pushed_stream(plan);
        let mut route = self.route_of(plan, stream.clone(), Priority::Interactive)?;
        agree(self.state(), &stream, &naming(plan, route.mapping.personal())).await?;
        self.deliver_others(plan, &stream, stop).await?;
        // What is pushed does not tell what is gone from the whole, only records that say so of themselves.
        route.deletes = route.deletes.map(|deletes| Deletes { tombstones: None, sweep: None, ..deletes });
        let batch = BATCH.max(route.sink.records_per_write());
        let others = self.gate_of(plan).waiting.subscribe();
        route.source = Box::new(Intake {
            batch,
            others: Some(others),
            ..Intake::new(self.state(), &stream, &plan.from.stream, LINGER)
        });
        let rejects = plan.limits.map(RejectLimit);
        let options = Options { rejects, job: Job::Pushed, ..Options::default() };
        let ended = sync(&self.context(pipeline), &route, options, stop).await;
        self.trim(&stream).await?;
        Ok(ended)
    }

    /// Whether anything that was pushed to a pipeline has no verdict.
    pub async fn has_pushed(&self, pipeline: &Pipeline) -> Result<bool, Fault> {
        let (state, stream) = (self.state(), pushed_stream(pipeline));
        if state.outbox_depth(&stream).await? > 0 {
            return Ok(true);
        }
        let after = delivered(state.checkpoint(&stream).await?.as_ref());
        if !state.read_waiting(&stream, after, BATCH).await?.records.is_empty() {
            return Ok(true);
        }
        // What was counted and dropped with a delivery that was cut off is set right.
        state.none_waits(&stream);
        Ok(false)
    }

    /// Holds whatever is pushed to a pipeline off its letters while somebody changes them. A delivery that waits for more gives way.
    /// Nothing: one is at work.
    pub async fn at_rest(&self, pipeline: &str) -> Option<Rest> {
        let Some(plan) = self.plan().pipelines.get(pipeline).filter(|plan| plan.from.ingress.is_some()) else {
            return Some(Rest(None));
        };
        timeout(REST_TIME_MAX, self.gate_of(plan).pass()).await.ok().map(|held| Rest(Some(held)))
    }

    /// Waits until nothing else of the pipeline is at work, where that could be.
    pub(super) async fn gate(&self, pipeline: &Pipeline) -> Option<OwnedMutexGuard<()>> {
        pipeline.from.ingress.as_ref()?;
        Some(self.gate_of(pipeline).pass().await)
    }

    fn gate_of(&self, pipeline: &Pipeline) -> Gate {
        let mut gates = self.desk.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.entry(pipeline.name.clone()).or_default().clone()
    }
}

/// While it is held, nothing that was pushed to the pipeline is delivered.
pub struct Rest(#[expect(dead_code, reason = "it is held and not looked at")] Option<OwnedMutexGuard<()>>);

/// The number of the last record that a checkpoint has passed.
fn delivered(at: Option<&Checkpoint>) -> u64 {
    match at.and_then(|at| at.cursor.as_ref()) {
        Some(Cursor::Integer(number)) => u64::try_from(*number).unwrap_or_default(),
        _ => 0,
    }
}

/// What waits, as a stream whose cursor is the number of the last record that was read.
pub struct Intake {
    state: State,
    stream: StreamId,
    /// What its records are records of.
    of: Arc<Stream>,
    came: Arc<Notify>,
    linger: Duration,
    batch: usize,
    /// How many others wait for their turn with the pipeline.
    others: Option<watch::Receiver<usize>>,
    /// When it ends, whatever waits.
    until: Instant,
}

impl Intake {
    pub fn new(state: &State, stream: &StreamId, of: &Arc<Stream>, linger: Duration) -> Self {
        let (state, stream, came, of) = (state.clone(), stream.clone(), state.came(stream), of.clone());
        Self { state, stream, of, came, linger, batch: BATCH, others: None, until: Instant::now() + RUN_MAX }
    }

    /// Resolves when others wait for their turn; never where there are none.
    async fn wanted(&self) {
        match self.others.clone() {
            // The sender lives as long as the engine.
            Some(mut others) => drop(others.wait_for(|count| *count > 0).await),
            None => std::future::pending().await,
        }
    }

    fn is_wanted(&self) -> bool {
        self.others.as_ref().is_some_and(|others| *others.borrow() > 0)
    }

    async fn read_page(&self, at: &Checkpoint) -> Result<Page, Fault> {
        let after = delivered(Some(at));
        loop {
            let came = self.came.notified();
            tokio::pin!(came);
            came.as_mut().enable();
            let waiting = self.state.read_waiting(&self.stream, after, self.batch).await?;
            let is_dry = waiting.records.is_empty();
            if is_dry && !self.linger.is_zero() {
                let more = tokio::select! {
                    biased;
                    () = self.wanted() => false,
                    more = timeout(self.linger, came) => more.is_ok(),
                };
                if more {
                    continue;
                }
            }
            let cursor = i64::try_from(waiting.up_to).ok().filter(|number| *number > 0).map(Cursor::Integer);
            let body_bytes = waiting.records.iter().map(|record| record.fields.len()).sum();
            let Sifted { records, rejects, skipped } = sift(waiting.records, &self.of);
            return Ok(Page {
                body_bytes,
                records,
                rejects,
                skipped,
                next: Checkpoint { cursor, scan: None, ..at.clone() },
                scan: at.scan.clone().unwrap_or_default(),
                end: is_dry || self.is_wanted() || Instant::now() >= self.until,
                restarted: false,
            });
        }
    }
}

impl Source for Intake {
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
        Box::pin(self.read_page(at))
    }

    fn is_live(&self) -> bool {
        true
    }
}
