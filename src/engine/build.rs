//! From a plan to something that runs: opens the store, makes one client per connection, and builds routes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::TimeDelta;
use secrecy::ExposeSecret;

use super::{
    deletes::{Deletes, Sweep},
    forecast::{Bounds, Forecast, Wanted, forecast},
    ingress::{Desk, Intake},
    limit::RejectLimit,
    lookups::Lookups,
    naming::{agree, check, naming},
    plan_file::{Planned, unusable},
    prepare::Writes,
    progress::Progress,
    replay::Replay,
    rows::table,
    slo::Standard,
    stop::Stop,
    sync::{Context, Options, Route, replay, sync},
    used::{apis, causes, difference, heard, notices, total},
};
use crate::{
    auth::{self, Ground, Vault},
    config::plan::{Api, Changed, From, Mode, Pipeline, Plan, Stream, To},
    http::{Accounts, Client, Meters, Priority, Transport},
    model::{Blame, Clock, Code, Entropy, Fault, SystemClock, SystemEntropy},
    sink::{ApiSink, Clear, Durability, Sink},
    source::{self, Readings, Source},
    store::{
        DeadLetter, HistoryRule, Keeps, RedbOptions, RedbStore, Retention, Run, Seal, SealKey, SliceCursors, State,
        StateStore, StreamId, audit::Audit,
    },
    transform::{Contract, Mapping, Personal, Transform},
};

/// The longest wait for token refreshes when an engine closes.
const SETTLE_MAX: Duration = Duration::from_secs(30);

/// The seams an engine stands on.
#[derive(Clone)]
pub struct Parts {
    pub store: Arc<dyn StateStore>,
    pub seal: Arc<Seal>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// Carries every connection's requests; nothing: each connection has its own way out to the network.
    pub transport: Option<Arc<dyn Transport>>,
}

/// A workspace with its store open.
pub struct Engine {
    plan: Arc<Plan>,
    pub(super) parts: Parts,
    state: State,
    /// What all connections sign in on: one vault, so that closing can wait for their renewals.
    pub(super) ground: Ground,
    /// The store on disk, to be closed in order.
    pub(super) disk: Option<Arc<RedbStore>>,
    /// What people do, where the store is on a disk.
    pub(super) audit: Option<Arc<Audit>>,
    accounts: Accounts,
    pub(super) meters: Meters,
    pub(super) clients: Mutex<BTreeMap<String, Client>>,
    progress: BTreeMap<String, Arc<Progress>>,
    /// What pipelines of one file read together.
    readings: Arc<Readings>,
    /// Takes in what others push.
    pub(super) desk: Arc<Desk>,
}

impl Engine {
    /// Opens a workspace's store on disk and builds on the real clock and network.
    pub async fn open(plan: Plan) -> Result<Self, Fault> {
        let options = RedbOptions { disk_bytes_max: plan.store.disk_bytes_max, ..RedbOptions::new(&plan.store.path) };
        let key = plan.store.key.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let disk = RedbStore::open(options.clone())?;
            let key = match &key {
                Some(key) => SealKey::parse(key.expose_secret())?,
                None => SealKey::of_dir(&options.path)?,
            };
            let audit = Audit::take_up(&options.path, &key.audit_key());
            Ok::<_, Fault>((disk, Seal::new(&key), audit))
        });
        let (disk, seal, audit) = opened.await.map_err(|_| bug("opening the store panicked"))??;
        let disk = Arc::new(disk);
        let parts = Parts {
            store: disk.clone(),
            seal: Arc::new(seal),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::new()),
            transport: None,
        };
        Ok(Self { disk: Some(disk), audit: Some(Arc::new(audit)), ..Self::over(Arc::new(plan), parts) })
    }

    /// Builds on given seams.
    pub fn over(plan: Arc<Plan>, parts: Parts) -> Self {
        let history = HistoryRule { keep: plan.history.keep, bytes_max: plan.history.bytes_max };
        let state = State::new(parts.store.clone(), parts.seal.clone()).with_history(history);
        let ground = Ground {
            vault: Vault::new(parts.store.clone(), parts.seal.clone()),
            clock: parts.clock.clone(),
            entropy: parts.entropy.clone(),
        };
        let progress: BTreeMap<_, _> = plan.pipelines.keys().map(|name| (name.clone(), Arc::default())).collect();
        hold_to(&plan, &progress);
        let accounts = Accounts::new(parts.store.clone(), parts.clock.clone());
        let (meters, clients) = (Meters::default(), Mutex::default());
        let (readings, desk) = (Arc::default(), Arc::default());
        Self {
            plan,
            parts,
            state,
            ground,
            disk: None,
            audit: None,
            accounts,
            meters,
            clients,
            progress,
            readings,
            desk,
        }
    }

    /// The same with one way out for all connections. Nothing may have been sent yet.
    pub fn by(mut self, transport: Arc<dyn Transport>) -> Self {
        self.parts.transport = Some(transport);
        self
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// The numbers of a pipeline's present run.
    pub fn progress(&self, pipeline: &str) -> Arc<Progress> {
        self.progress.get(pipeline).cloned().unwrap_or_default()
    }

    /// The time as the engine sees it.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    /// Until when the pipeline's connections wait for quota, if any does.
    pub fn waiting(&self, pipeline: &str) -> Option<tokio::time::Instant> {
        let pipeline = self.plan.pipelines.get(pipeline)?;
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        apis(pipeline).filter_map(|api| clients.get(&api.name)?.waiting()).max()
    }

    /// Runs a pipeline once. The fault, if there is one, is also in the run's record.
    pub async fn run(&self, pipeline: &str, options: Options, stop: &Stop) -> Result<(Run, Option<Fault>), Fault> {
        let plan = self.pipeline(pipeline)?;
        let _gate = self.gate(plan).await;
        let route = self.route(plan, None, self.urgency(plan, options.full_refresh).await?)?;
        agree(&self.state, &route.stream, &naming(plan, route.mapping.personal())).await?;
        self.deliver_others(plan, &route.stream, stop).await?;
        let canary = if options.skip_canary { None } else { self.canary(plan).await? };
        let options = Options { rejects: plan.limits.map(RejectLimit), canary, ..options };
        let ended = sync(&self.context(pipeline), &route, options, stop).await;
        self.trim(&route.stream).await?;
        Ok(ended)
    }

    /// Sends the records of dead letters through their pipeline again.
    pub async fn replay(
        &self,
        pipeline: &str,
        letters: Vec<DeadLetter>,
        accept_doubt: bool,
        stop: &Stop,
    ) -> Result<(Run, Option<Fault>), Fault> {
        let plan = self.pipeline(pipeline)?;
        let _gate = self.gate(plan).await;
        let route = self.route(plan, None, Priority::Incremental)?;
        agree(&self.state, &route.stream, &naming(plan, route.mapping.personal())).await?;
        self.deliver_others(plan, &route.stream, stop).await?;
        let what = Replay { letters, stream: plan.from.stream.clone(), accept_doubt };
        Ok(replay(&self.context(pipeline), &route, &what, stop).await)
    }

    pub(super) fn pipeline(&self, name: &str) -> Result<&Arc<Pipeline>, Fault> {
        self.plan.pipelines.get(name).ok_or_else(|| bug("a pipeline that is not in the plan"))
    }

    pub(super) fn context(&self, pipeline: &str) -> Context {
        Context {
            state: self.state.clone(),
            clock: self.parts.clock.clone(),
            entropy: self.parts.entropy.clone(),
            progress: self.progress(pipeline),
        }
    }

    /// Takes away dead letters and history that the workspace does not keep. A store that failed says so by the run's own
    /// fault.
    pub(super) async fn trim(&self, stream: &StreamId) -> Result<(), Fault> {
        let rule = self.plan.dead_letters;
        let (rule, now) = (Retention { keep: rule.keep, max: rule.max }, self.parts.clock.now());
        let live = self.plan.pipelines.values().map(|pipeline| stream_id(pipeline)).collect();
        let trimmed = async {
            self.state.trim_letters(stream, rule, now).await?;
            self.state.trim_history(stream, &live, now).await
        };
        match trimmed.await {
            Ok(_) => Ok(()),
            Err(fault) if fault.code == Code::StoreClosed => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// What a run of the pipeline would do now, with `samples` records in full, and the plan of it where its writes have names.
    pub async fn forecast(
        &self,
        pipeline: &str,
        full_refresh: bool,
        samples: usize,
        stop: &Stop,
    ) -> Result<(Forecast, Option<Planned>), Fault> {
        let plan = self.pipeline(pipeline)?;
        let context = self.context(pipeline);
        let route = self.route(plan, None, self.urgency(plan, full_refresh).await?)?;
        let route = self.peeking(plan, route, true);
        check(&self.state, &route.stream, &naming(plan, route.mapping.personal())).await?;
        let wanted = Wanted { full_refresh, samples, differences: true, bounds: Bounds::default() };
        let mut told = forecast(&context, &route, wanted, stop).await?;
        let (stream, at) = (&route.stream, context.clock.now());
        let target = route.writes.target();
        let planned =
            told.writes.take().map(|all| Planned::new(pipeline, &stream.stream, target, full_refresh, at, all));
        Ok((told, planned.filter(|_| route.writes.durability == Durability::Outbox)))
    }

    /// Runs the pipeline of a plan, if what it would do now is still exactly the plan.
    pub async fn run_planned(&self, planned: Arc<Planned>, stop: &Stop) -> Result<(Run, Option<Fault>), Fault> {
        let head = &planned.head;
        let pipeline = self.plan.pipelines.get(&head.pipeline).ok_or_else(|| unusable("its pipeline is not there"))?;
        let context = self.context(&head.pipeline);
        let urgency = self.urgency(pipeline, head.full_refresh).await?;
        let route = self.route(pipeline, Some(planned.clone()), urgency)?;
        if (head.stream.as_str(), head.target.as_str())
            != (route.stream.stream.as_str(), route.writes.target().as_str())
        {
            return Err(unusable("its pipeline read another stream or wrote to another target"));
        }
        agree(&self.state, &route.stream, &naming(pipeline, route.mapping.personal())).await?;
        self.deliver_others(pipeline, &route.stream, stop).await?;
        let full_refresh = head.full_refresh;
        let wanted = Wanted { full_refresh, samples: 0, differences: false, bounds: Bounds::default() };
        let route = self.peeking(pipeline, route, true);
        planned.is_still(&forecast(&context, &route, wanted, stop).await?)?;
        let route = self.peeking(pipeline, route, false);
        let rejects = pipeline.limits.map(RejectLimit);
        let options = Options { full_refresh: head.full_refresh, rejects, ..Options::default() };
        let ended = sync(&context, &route, options, stop).await;
        self.trim(&route.stream).await?;
        Ok(ended)
    }

    /// The same store by another plan. Connections are kept with their budgets where nothing of theirs changed; others
    /// begin with what the store knows of them. Nothing that uses them may be under way then.
    pub async fn reloaded(&self, plan: Plan) -> Self {
        let mut clients = BTreeMap::new();
        let (parts, state, disk) = (self.parts.clone(), self.state.clone(), self.disk.clone());
        let audit = self.audit.clone();
        let ground = self.ground.clone();
        let accounts = match plan.made_of == self.plan.made_of {
            true => {
                clients.clone_from(&self.clients.lock().unwrap_or_else(PoisonError::into_inner));
                self.accounts.clone()
            }
            false => {
                self.accounts.keep().await;
                Accounts::new(parts.store.clone(), parts.clock.clone())
            }
        };
        let progress: BTreeMap<_, _> = plan.pipelines.keys().map(|name| (name.clone(), self.progress(name))).collect();
        hold_to(&plan, &progress);
        let (plan, meters, clients) = (Arc::new(plan), self.meters.clone(), Mutex::new(clients));
        let (readings, desk) = (Arc::default(), self.desk.clone());
        Self { plan, parts, state, ground, disk, audit, accounts, meters, clients, progress, readings, desk }
    }

    /// Ends in order: every commit under way is durable and the state directory is free for the next process. A refresh
    /// under way is waited for, because its answer may hold the only token that is still good.
    pub async fn close(&self) {
        self.accounts.keep().await;
        // One that takes longer is cut off, and the next process tries the old token again.
        let _ = tokio::time::timeout(SETTLE_MAX, self.ground.vault.settled()).await;
        if let Some(disk) = &self.disk {
            disk.close().await;
        }
    }

    /// A stream that is read from its beginning, and can tell what changed later, gives way to those that do.
    async fn urgency(&self, pipeline: &Pipeline, full_refresh: bool) -> Result<Priority, Fault> {
        if full_refresh {
            return Ok(Priority::Backfill);
        }
        let known = self.state.checkpoint(&stream_id(pipeline)).await?.and_then(|checkpoint| checkpoint.cursor);
        let is_first = pipeline.from.stream.incremental.is_some() && known.is_none();
        Ok(if is_first { Priority::Backfill } else { Priority::Incremental })
    }

    fn route(&self, pipeline: &Arc<Pipeline>, only: Option<Arc<Planned>>, priority: Priority) -> Result<Route, Fault> {
        Ok(Route { only, ..self.route_of(pipeline, stream_id(pipeline), priority)? })
    }

    /// The pipeline's route for its own stream or for a part of it.
    pub(super) fn route_of(
        &self,
        pipeline: &Arc<Pipeline>,
        stream: StreamId,
        priority: Priority,
    ) -> Result<Route, Fault> {
        let clients = apis(pipeline).map(|api| self.client(api)).collect::<Result<Vec<_>, _>>()?;
        let (before, causes_before, counted) = (total(&clients), causes(&clients), clients.clone());
        let (heard_before, listened) = (heard(&clients), clients.clone());
        let personal = Arc::new(Personal::new(&pipeline.personal));
        let source: Box<dyn Source> = match (&pipeline.from.api, &pipeline.from.rows) {
            (_, Some(rows)) => self.rows(pipeline, rows, &stream, personal.clone(), false),
            (Some(api), None) => {
                let cursors = SliceCursors::new(self.state.clone(), stream.clone());
                let client = self.client(api)?.at(priority);
                source::of_stream(api, &pipeline.from.stream, &client, personal.clone(), Some(cursors))
            }
            (None, None) => Box::new(Intake::new(&self.state, &stream, &pipeline.from.stream, Duration::ZERO)),
        };
        // Slices have cursors of their own for each target.
        let source = match pipeline.is_one_of_several() && pipeline.from.stream.slices.is_none() {
            true => self.readings.share(&pipeline.file, source),
            false => source,
        };
        Ok(Route {
            source,
            transform: Transform::new(&pipeline.steps).under(Contract::read(&pipeline.contracts, &personal)),
            lookups: pipeline
                .lookups()
                .map(|lookup| Ok(Lookups::new(lookup, self.client(&lookup.api)?.at(priority))))
                .collect::<Result<_, Fault>>()?,
            mapping: Mapping::new(pipeline.fields.as_deref())
                .protected(personal.clone())
                .under(Contract::sent(&pipeline.contracts, &personal)),
            writes: writes(pipeline),
            sink: self.sink(pipeline, &stream, Clear::new(personal.clone()), priority)?,
            stream,
            deletes: self.deletes(pipeline, personal, priority)?,
            only: None,
            usage: Box::new(move || difference(total(&clients), before)),
            notices: Box::new(move || notices(&listened, &heard_before)),
            causes: Box::new(move || {
                let before = |cause: &Code| causes_before.get(cause).copied().unwrap_or_default();
                causes(&counted).into_iter().map(|(cause, count)| (cause, count - before(&cause))).collect()
            }),
        })
    }

    fn sink(
        &self,
        pipeline: &Pipeline,
        stream: &StreamId,
        clear: Clear,
        priority: Priority,
    ) -> Result<Box<dyn Sink>, Fault> {
        Ok(match &pipeline.to {
            To::Operation { api, operation, changed, deletes, .. } => {
                let (clock, journal) = (self.parts.clock.clone(), self.state.journal(stream));
                let (client, changed) = (self.client(api)?.at(priority), changed.clone());
                let sink = ApiSink::new(api.clone(), operation.clone(), changed, client, clock, journal);
                Box::new(sink.with_deletes(deletes.clone()).clear(clear))
            }
            To::File { folder, name, columns } => self.file(folder, (name, columns), priority, clear)?,
            To::Table { database, table: name, key, columns } => table(database, (name, key, columns), stream, clear),
        })
    }

    /// What becomes of records that are gone, with the listings that tell of them.
    fn deletes(
        &self,
        pipeline: &Pipeline,
        personal: Arc<Personal>,
        priority: Priority,
    ) -> Result<Option<Deletes>, Fault> {
        let To::Operation { deletes: Some(plan), .. } = &pipeline.to else { return Ok(None) };
        let From { api: Some(api), stream, .. } = &pipeline.from else { return Ok(None) };
        let client = self.client(api)?.at(priority);
        let listing = |stream: &Arc<Stream>, personal: Personal| -> Box<dyn Source> {
            source::of_stream(api, stream, &client, Arc::new(personal), None)
        };
        let existing = |stream| listing(stream, Personal::of_existing(&pipeline.personal));
        let tombstones = |stream| listing(stream, Personal::of_tombstones(&pipeline.personal));
        let sweep = plan.sweep.as_ref().map(|sweep| Sweep {
            listing: sweep.stream.as_ref().map(existing),
            every: TimeDelta::from_std(sweep.every).unwrap_or(TimeDelta::MAX),
            key: stream.key.clone(),
        });
        Ok(Some(Deletes {
            operation: plan.operation.name.clone(),
            mapping: Mapping::new(plan.fields.as_deref()).protected(personal),
            brake: plan.brake,
            tombstones: plan.tombstones.as_ref().map(tombstones),
            sweep,
        }))
    }

    /// The client of a connection, shared by every route that uses it: one account, one budget.
    pub(super) fn client(&self, api: &Arc<Api>) -> Result<Client, Fault> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&api.name) {
            return Ok(client.clone());
        }
        let client = match &self.parts.transport {
            Some(transport) => auth::client_over(api, transport.clone(), &self.ground)?,
            None => auth::client(api, &self.ground)?,
        };
        let client = client.sharing(self.accounts.of(api), self.meters.of(&api.name));
        clients.insert(api.name.clone(), client.clone());
        Ok(client)
    }
}

/// Tells each pipeline what it is to keep by this plan.
fn hold_to(plan: &Plan, progress: &BTreeMap<String, Arc<Progress>>) {
    for (pipeline, progress) in plan.pipelines.values().filter_map(|it| Some((it, progress.get(&it.name)?))) {
        let answers = pipeline.from.ingress.as_ref().is_some_and(|ingress| ingress.mode == Mode::Sync);
        progress.vitals.hold_to(pipeline.slo.clone().map(|slo| Standard { slo, answers }));
    }
}

/// The name of a pipeline's state.
pub fn stream_id(pipeline: &Pipeline) -> StreamId {
    StreamId::new(pipeline.name.clone(), pipeline.from.stream.name.clone())
}

fn writes(pipeline: &Pipeline) -> Writes {
    let newest_only = pipeline.from.ingress.is_some();
    match &pipeline.to {
        To::Operation { api, operation, key, changed, deletes } => Writes {
            connection: api.name.clone(),
            operation: operation.name.clone(),
            durability: Durability::Outbox,
            key: key.clone(),
            skip_changed: matches!(changed, Changed::Skip),
            newest_only,
            keeps: Keeps {
                key: deletes.as_ref().is_some_and(|deletes| deletes.sweep.is_some()),
                version: newest_only || deletes.as_ref().is_some_and(|deletes| deletes.tombstones.is_some()),
            },
        },
        To::File { folder, name, .. } => Writes {
            connection: folder.name.clone(),
            operation: name.clone(),
            durability: Durability::Mark,
            key: None,
            skip_changed: false,
            newest_only: false,
            keeps: Keeps::default(),
        },
        To::Table { database, table, .. } => Writes {
            connection: database.name().to_owned(),
            operation: table.clone(),
            durability: Durability::Transaction,
            key: None,
            skip_changed: false,
            newest_only: false,
            keeps: Keeps::default(),
        },
    }
}

pub(super) fn bug(message: &str) -> Fault {
    Fault::halt(Code::Bug, Blame::Bug, message).help("nothing was changed; please report it with the lines above")
}
