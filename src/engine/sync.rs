//! One run of one pipeline. Read this to know where a record is at every moment:
//!
//! | a record is | and a power cut means |
//! |---|---|
//! | on a page, being mapped | it is read again: the checkpoint did not move |
//! | staged | it is in the outbox with its idempotency key; the next run sends it before reading anything |
//! | sent, unanswered | the same: the same bytes go again under the same key |
//! | answered, not committed | the same: the vendor answers the repeated key from its memory, or the upsert changes nothing |
//! | committed | it has its verdict; checkpoint, link, dead letter and counts moved in the same commit |
//!
//! For an atomic sink (a file, a database) there is no outbox: until the commit the checkpoint has not moved, and `resume`
//! makes the sink forget what the checkpoint does not know.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::{Mutex, mpsc};
use tracing::Instrument;

use super::{
    canary::Canary,
    canonical::{self, Before, DueAt, Job},
    contracts,
    deletes::{Brake, Deletes},
    deliver::Deliverer,
    escalate::ending,
    limit::RejectLimit,
    lookups::Lookups,
    plan_file::Planned,
    prepare::{Preparer, Reads, Replayed, UnderWay, Writes},
    progress::Progress,
    read_ahead::{Message, Reader},
    replay::Replay,
    spans,
    steps::tell,
    stop::Stop,
};
use crate::{
    http::Usage,
    model::{Checkpoint, Clock, Code, Entropy, Fault, Notice},
    sink::Sink,
    source::Source,
    store::{Run, RunFault, Staged, State, StreamId},
    transform::{Mapping, Transform},
};

/// Batches staged ahead of the deliverer.
const QUEUE: usize = 2;

/// One pipeline, ready to run.
pub struct Route {
    pub stream: StreamId,
    pub source: Box<dyn Source>,
    pub transform: Transform,
    /// Fetches what its steps look up, in the order of the steps.
    pub lookups: Vec<Lookups>,
    pub mapping: Mapping,
    pub writes: Writes,
    pub sink: Box<dyn Sink>,
    /// What becomes of records that are gone at the source; nothing: they stay.
    pub deletes: Option<Deletes>,
    /// The only writes that this run may make; nothing: all that are needed.
    pub only: Option<Arc<Planned>>,
    /// What the route's connections have used so far.
    pub usage: Box<dyn Fn() -> Usage + Send + Sync>,
    /// Why they had to try again so far, and how often.
    pub causes: Box<dyn Fn() -> BTreeMap<Code, u64> + Send + Sync>,
    /// What their answers have said so far about the end of calls.
    pub notices: Box<dyn Fn() -> Vec<Notice> + Send + Sync>,
}

impl Route {
    /// Every commit that writes the run's record goes along with this, so that also a killed run tells what it did.
    pub(super) fn add_usage(&self, run: &mut Run) {
        let usage = (self.usage)();
        run.requests = usage.requests;
        run.retries = usage.retries;
        run.throttled = usage.throttled;
        run.waited_ms = usage.waited.as_millis() as u64;
    }
}

/// What every run of a process shares.
#[derive(Clone)]
pub struct Context {
    pub state: State,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub progress: Arc<Progress>,
}

/// What this run was asked for.
#[derive(Clone, Copy, Default, Debug)]
pub struct Options {
    /// Read no more records than this.
    pub limit: Option<u64>,
    /// Forget the cursor first. Links stay, so what did not change is not written again.
    pub full_refresh: bool,
    /// How much may be refused.
    pub rejects: Option<RejectLimit>,
    /// How many records it may delete, whatever the brake says.
    pub allow_deletes: Option<u64>,
    /// What goes first, and alone.
    pub canary: Option<Canary>,
    /// A person lets it go without.
    pub skip_canary: bool,
    /// Why there is a run, for its canonical line.
    pub job: Job,
    /// The time that it stands for.
    pub due: Option<DueAt>,
}

/// Runs a pipeline once: delivers what an earlier run left in the outbox, then reads one pass and delivers it. The run's
/// record tells how it went; a fault is returned beside it, for whoever shows it.
pub async fn sync(context: &Context, route: &Route, options: Options, stop: &Stop) -> (Run, Option<Fault>) {
    execute(context, route, options, None, stop).await
}

/// As `sync`, with dead letters for a source: the checkpoint stays where it is.
pub async fn replay(context: &Context, route: &Route, replay: &Replay, stop: &Stop) -> (Run, Option<Fault>) {
    execute(context, route, Options { job: Job::Replay, ..Options::default() }, Some(replay), stop).await
}

async fn execute(
    context: &Context,
    route: &Route,
    options: Options,
    replay: Option<&Replay>,
    stop: &Stop,
) -> (Run, Option<Fault>) {
    let begun = begin(context, route);
    let span = spans::of_run(&begun, options.job.name());
    in_span(context, route, options, replay, stop, begun).instrument(span).await
}

async fn in_span(
    context: &Context,
    route: &Route,
    options: Options,
    replay: Option<&Replay>,
    stop: &Stop,
    begun: Run,
) -> (Run, Option<Fault>) {
    let before = Before::of(context, route).await;
    let run = Mutex::new(begun);
    let running = Running { context, route, options, stop, run: &run, under_way: UnderWay::default() };
    // A run is a large future, and whoever waits for several of them would hold all on one stack.
    let result = Box::pin(running.all(replay)).await;
    let mut run = run.into_inner();
    route.add_usage(&mut run);
    let result = result.and(contracts::settle(context, route, &mut run).await);
    let fault = end(context, &mut run, result, stop).await.err().map(|fault| placed(fault, &route.stream));
    canonical::tell(context, route, options, before, &run, fault.as_ref()).await;
    (run, fault)
}

/// A fault of the store or of a sink does not know whose it was.
fn placed(fault: Fault, stream: &StreamId) -> Fault {
    if fault.place.is_empty() { fault.at(format!("pipeline {}", stream.pipeline)) } else { fault }
}

/// A run under way.
pub(super) struct Running<'a> {
    pub context: &'a Context,
    pub route: &'a Route,
    pub options: Options,
    pub stop: &'a Stop,
    run: &'a Mutex<Run>,
    under_way: UnderWay,
}

/// One listing to be read and delivered.
pub(super) struct Pass<'a> {
    pub source: &'a dyn Source,
    pub replayed: &'a Replayed,
    pub reads: Reads,
    pub brake: Option<&'a Brake<'a>>,
}

impl Running<'_> {
    async fn all(&self, replay: Option<&Replay>) -> Result<(), Fault> {
        let Self { context, route, .. } = self;
        let left = context.state.outbox(&route.stream).await?;
        context.state.save_run(&*self.run.lock().await).await?;
        let at = resume(context, route).await?;
        self.deliver_left(left).await?;
        if self.stop.requested() {
            return Ok(());
        }
        let at = match self.options.full_refresh {
            true => forget_cursor(context, route).await?,
            // The outbox may have moved it.
            false => context.state.checkpoint(&route.stream).await?.or(at).unwrap_or_default(),
        };
        match replay {
            None => self.with_deletions(at).await,
            Some(replay) => {
                replay.check(&at)?;
                let (source, replayed) = replay.read(&context.state, &route.stream, route.mapping.personal()).await?;
                self.deliver_pass(Pass { source: &source, replayed: &replayed, reads: Reads::Records, brake: None }, at)
                    .await
            }
        }
    }

    fn deliverer(&self) -> Deliverer<'_> {
        let Self { context, route, run, stop, under_way, .. } = self;
        Deliverer { context, route, under_way, run, stop, rejects: self.options.rejects }
    }

    /// Delivers what an earlier run staged, before anything is read: only then do links tell what the sink holds.
    async fn deliver_left(&self, left: Vec<Staged>) -> Result<(), Fault> {
        let (sender, queue) = mpsc::channel(left.len().max(1));
        for staged in left {
            self.under_way.begin(staged.items());
            if sender.try_send(Message::Deliver(Box::new(staged))).is_err() {
                break;
            }
        }
        drop(sender);
        self.deliverer().deliver(queue).await
    }

    /// Reads one pass and delivers it, the one running ahead of the other.
    pub(super) async fn deliver_pass(&self, pass: Pass<'_>, at: Checkpoint) -> Result<(), Fault> {
        let Self { context, route, run, stop, under_way, .. } = self;
        let Pass { source, replayed, reads, brake } = pass;
        under_way.open();
        let memory = std::sync::Mutex::default();
        let (sender, queue) = mpsc::channel(QUEUE);
        let preparer = Preparer {
            stream: &route.stream,
            transform: &route.transform,
            mapping: &route.mapping,
            writes: &route.writes,
            state: &context.state,
            under_way,
            replayed,
            deletes: route.deletes.as_ref(),
            brake,
            reads,
            lookups: &route.lookups,
            memory: &memory,
        };
        let limit = self.options.limit.filter(|_| reads == Reads::Records);
        let canary = self.options.canary.filter(|_| reads == Reads::Records);
        let reader = Reader { context, route, source, preparer, run, stop, limit, canary, queue: sender };
        let deliverer = self.deliverer();
        let deliver_then_release_reader = async {
            let delivered = deliverer.deliver(queue).await;
            under_way.close();
            delivered
        };
        let (read, delivered) = tokio::join!(reader.read_pass(at), deliver_then_release_reader);
        tell(&memory, &route.stream);
        contracts::add(&memory, run).await;
        delivered.and(read)
    }
}

/// Makes sink and store agree on where they stand.
async fn resume(context: &Context, route: &Route) -> Result<Option<Checkpoint>, Fault> {
    let known = context.state.checkpoint(&route.stream).await?;
    let agreed = route.sink.resume(known.clone()).await?;
    if agreed != known {
        context.state.adopt(&route.stream, &agreed).await?;
    }
    Ok(agreed)
}

/// Starts the stream over. The mark stays: what a file holds it keeps.
async fn forget_cursor(context: &Context, route: &Route) -> Result<Checkpoint, Fault> {
    let known = context.state.checkpoint(&route.stream).await?.unwrap_or_default();
    let start = known.from_the_start();
    context.state.forget_slices(&route.stream).await?;
    context.state.adopt(&route.stream, &Some(start.clone())).await?;
    Ok(start)
}

fn begin(context: &Context, route: &Route) -> Run {
    let now = context.clock.now();
    let id = uuid::Builder::from_unix_timestamp_millis(
        now.timestamp_millis().unsigned_abs(),
        &[context.entropy.bits().to_be_bytes(), context.entropy.bits().to_be_bytes()].concat()[..10]
            .try_into()
            .unwrap_or_default(),
    );
    Run::begin(id.into_uuid().to_string(), &route.stream, now)
}

async fn end(context: &Context, run: &mut Run, result: Result<(), Fault>, stop: &Stop) -> Result<(), Fault> {
    let fault = result.as_ref().err();
    run.ended_at = Some(context.clock.now());
    run.state = ending(fault, stop.requested(), run.counts.dead_letters()).state;
    run.fault = fault.map(|fault| RunFault { code: fault.code, message: fault.message.clone() });
    let saved = context.state.save_run(run).await;
    result.and(saved)
}
