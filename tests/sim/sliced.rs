//! Histories of a stream that is read in slices, one for each parent, each with a cursor of its own: parents come, go and come back
//! while it is read, and so do their children. In the end every child of every parent that is there stands at the sink once and as
//! it is now; and after each life every slice's cursor keeps its word.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use fastrand::Rng;
use renkei::{
    config::Plan,
    engine::{Options, Stopper},
    model::Cursor,
    sandbox::{World, WorldConfig},
    store::{Memory, PowerLoss, Run, RunState, SliceCursors, StreamId},
};

use crate::{
    family::{Child, Family, Nature, Parent},
    folder,
    history::{Broken, LATE_MAX, OVERLAP},
    life,
    weather::{SimClock, SimTransport, Weather},
};

const HISTORIES: u64 = 1_000;
const HISTORIES_LONG: u64 = 10_000;
/// Ways in which the children of a parent are read, and what a slice knows of its parent.
const STREAMS: [(&str, &str); 4] =
    [("children", "[id]"), ("touched", "[id]"), ("named", "[id, name]"), ("windowed", "[id]")];
const OPERATIONS: [&str; 4] = ["upsert", "create", "listed", "keyed"];

fn connector() -> String {
    let list = "records: data\n    paginate: { cursor: { next: next, query: token } }";
    let lags = "format: rfc3339, overlap: 60s, settle: 30s, since: since, until: until";
    let mut streams = format!(
        "  parents:\n    get: /parents\n    key: id\n    {list}\n  changed:\n    get: /parents\n    query: {{ order: changed }}\n    \
         key: id\n    {list}\n    incremental: {{ field: updated_at, {lags} }}\n"
    );
    for (name, fields) in STREAMS {
        let (parent, more) = if name == "touched" { ("changed", ", changed_only: true") } else { ("parents", "") };
        let windows = if name == "windowed" { "\n      windows: { step: day }" } else { "" };
        let start = if name == "windowed" { ", start: \"2025-12-28T00:00:00Z\"" } else { "" };
        streams += &format!(
            "  {name}:\n    get: /parents/{{{{ slice.parent.id }}}}/children\n    key: [parent, number]\n    {list}\n    \
             incremental: {{ field: updated_at, {lags}{start} }}\n    slices:\n      \
             by: {{ parent: {{ parent: {{ stream: {parent}, fields: {fields}{more} }} }} }}\n      \
             add: {{ parent: slice.parent.id }}\n      concurrency: 2{windows}\n"
        );
    }
    format!(
        "version: 1\ndescription: Children by their parents\nbase_url: http://127.0.0.1:2\nbudget: [{{ concurrency: 4 }}]\nstreams:\n{streams}"
    )
}

fn plan() -> Arc<Plan> {
    let crm = "{ connector: crm, auth: { oauth2: { client_id: demo, client_secret: \"${SECRET}\" } } }";
    let mut files = vec![
        (
            "renkei.yaml".to_owned(),
            format!("version: 1\nconnections:\n  home: {{ connector: family }}\n  crm: {crm}\n"),
        ),
        ("connectors/crm/connector.yaml".to_owned(), folder::crm(1)),
        ("connectors/family/connector.yaml".to_owned(), connector()),
    ];
    for (stream, _) in STREAMS {
        for operation in OPERATIONS {
            let changed = if operation == "create" { ", changed: { operation: update }" } else { "" };
            let text = format!(
                "version: 1\nfrom: {{ connection: home, stream: {stream} }}\nto: {{ connection: crm, operation: {operation}{changed}, fields: \
                 {{ external_id: \"record.parent ~ '-' ~ record.number\", email: record.email, name: record.text }} }}\n"
            );
            files.push((format!("pipelines/{stream}-{operation}.yaml"), text));
        }
    }
    let files: Vec<(&str, String)> = files.iter().map(|(path, text)| (path.as_str(), text.clone())).collect();
    let folder = folder::write(&files);
    folder::plan(folder.path(), folder.path())
}

#[derive(Default, Debug)]
struct Totals {
    crashes: AtomicU64,
    records: AtomicU64,
    /// Slices whose cursor was held to its word.
    held: AtomicU64,
    /// Parents that were gone in the end.
    gone: AtomicU64,
}

struct History<'a> {
    seed: u64,
    plan: &'a Arc<Plan>,
    stream: StreamId,
    fields: &'static str,
    clock: Arc<SimClock>,
    network: Arc<SimTransport>,
    family: Arc<Mutex<Family>>,
    memory: Memory,
    rng: Rng,
    story: Vec<String>,
}

impl<'a> History<'a> {
    fn new(seed: u64, plan: &'a Arc<Plan>) -> Self {
        let mut rng = Rng::with_seed(seed);
        let (stream, fields) = STREAMS[rng.usize(..STREAMS.len())];
        let pipeline = format!("{stream}-{}", OPERATIONS[rng.usize(..OPERATIONS.len())]);
        let nature = Nature {
            parents: rng.usize(1..10),
            drift: rng.f64() * 0.5,
            changes: 60,
            late: Duration::from_secs(if rng.bool() { rng.u64(0..20) } else { rng.u64(20..LATE_MAX) }),
            unordered: rng.bool(),
            token_ttl: rng.bool().then(|| Duration::from_secs(rng.u64(1..120))),
        };
        let world = WorldConfig { seed: rng.u64(..), customers: 0, ..WorldConfig::default() };
        let epoch = world.epoch;
        let skew = TimeDelta::seconds(rng.i64(-900..900));
        let clock = Arc::new(SimClock::new(epoch + TimeDelta::days(2), skew));
        let network = Arc::new(SimTransport::new(World::new(world), clock.clone(), seed ^ 0x5eed));
        network.set_weather(Weather {
            lost_before: rng.f64() * 0.1,
            lost_after: rng.f64() * 0.15,
            cut: rng.f64() * 0.05,
            busy: 0.0,
            revoked: rng.f64() * 0.03,
        });
        let story = vec![format!("{pipeline}, skew {skew}, {nature:?}")];
        let family = Arc::new(Mutex::new(Family::new(rng.u64(..), nature, epoch)));
        let asked = family.clone();
        network.beside(2, Box::new(move |now, request| asked.lock().unwrap().answer(now, &request)));
        let stream = StreamId::new(pipeline, stream);
        Self { seed, plan, stream, fields, clock, network, family, memory: Memory::new(), rng, story }
    }

    fn family(&self) -> MutexGuard<'_, Family> {
        self.family.lock().unwrap()
    }

    /// One life of the process: nothing if it was killed.
    async fn run_once(&mut self) -> Option<Run> {
        let memory = Arc::new(self.memory.clone());
        let engine = life::engine(self.plan, memory, &self.clock, self.network.clone(), self.rng.u64(..));
        let (_stopper, stop) = Stopper::new();
        let run = engine.run(&self.stream.pipeline, Options::default(), &stop);
        life::unless_killed(&self.network, self.seed, run).await.map(|ended| ended.unwrap().0)
    }

    async fn live_and_crash(&mut self, totals: &Totals) -> Result<(), Broken> {
        for life in 1..=self.rng.u32(1..6) {
            let killed_at = if self.rng.bool() { self.rng.u64(1..60) } else { 0 };
            self.network.kill_in(killed_at);
            if self.rng.bool() {
                let how = if self.rng.bool() { PowerLoss::Before } else { PowerLoss::After };
                self.memory.lose_power_at(self.memory.operations() + self.rng.u64(1..30), how);
            }
            let ended = self.run_once().await;
            let told = ended.as_ref().map(|run| (run.state, run.counts, &run.fault));
            self.story.push(format!("life {life}, to be killed at {killed_at}: {told:?}"));
            totals.crashes.fetch_add(ended.is_none_or(|run| run.state == RunState::Failed).into(), Ordering::Relaxed);
            self.memory.disarm();
            self.memory = self.memory.reopen();
            self.check_cursors(totals).await?;
            let (pause, changes) = (self.rng.u64(0..400), self.rng.usize(0..5));
            self.clock.jump(Duration::from_secs(pause));
            let now = self.clock.server_now();
            (0..changes).for_each(|_| self.family().change(now));
            // Short enough that the next life may begin before they show.
            let after = self.rng.u64(0..2 * LATE_MAX);
            self.clock.jump(Duration::from_secs(after));
            self.story.push(format!("{pause} s pass, {changes} changes, {after} s pass"));
        }
        self.network.kill_in(0);
        self.network.set_weather(Weather::FAIR);
        Ok(())
    }

    async fn settle_down(&mut self) -> Result<(), Broken> {
        self.family().quiet();
        for _ in 0..3 {
            self.clock.jump(Duration::from_secs(1_000));
            match self.run_once().await {
                Some(run) if run.state == RunState::Done => {
                    self.story.push(format!("in fair weather: {:?}", run.counts))
                }
                other => return Err(self.broken(format!("a run in fair weather did not end well: {other:?}"))),
            }
        }
        Ok(())
    }

    /// What a slice of a parent is known by.
    fn values(&self, parent: &Parent) -> String {
        let name = if self.fields == "[id]" { String::new() } else { format!(",\"name\":{}", parent.name()) };
        format!("{{\"parent\":{{\"id\":\"{}\"{name}}}}}", parent.id)
    }

    async fn cursor_of(&self, values: &str) -> Option<DateTime<Utc>> {
        let cursors = SliceCursors::new(life::state(&self.memory), self.stream.clone());
        match cursors.of(values).await.unwrap() {
            Some(Cursor::Instant(at)) => Some(at),
            _ => None,
        }
    }

    /// A slice's cursor says that all before it, less the overlap, is delivered, whatever became of its parent since.
    async fn check_cursors(&mut self, totals: &Totals) -> Result<(), Broken> {
        let names: Vec<String> = self.family().parents.iter().map(|parent| self.values(parent)).collect();
        for (index, values) in names.iter().enumerate() {
            let Some(at) = self.cursor_of(values).await else { continue };
            totals.held.fetch_add(1, Ordering::Relaxed);
            let end = at - TimeDelta::seconds(OVERLAP as i64);
            if let Some(lost) = self.lost(&self.family().parents[index], end) {
                return Err(self.broken(format!("the cursor {at} of {values} has left behind: {lost}")));
            }
        }
        Ok(())
    }

    /// The first child whose last state before a moment is not at the sink, and why.
    fn lost(&self, parent: &Parent, end: DateTime<Utc>) -> Option<String> {
        parent.children.iter().find_map(|child| self.misses(parent, child, end))
    }

    fn misses(&self, parent: &Parent, child: &Child, end: DateTime<Utc>) -> Option<String> {
        let version = child.shown(self.clock.server_now()).filter(|version| version.updated_at < end)?;
        let (id, world) = (format!("{}-{}", parent.id, child.number), self.network.world());
        let leads: Vec<_> = world.leads_of(&id).map(|lead| lead.text("name").unwrap_or_default().to_owned()).collect();
        (leads != [version.text.as_str()]).then(|| format!("{id} is {leads:?} instead of {version:?}"))
    }

    async fn check(&mut self, totals: &Totals) -> Result<(), Broken> {
        let (there, gone): (Vec<usize>, Vec<usize>) = {
            let family = self.family();
            (0..family.parents.len()).partition(|index| family.parents[*index].is_there)
        };
        totals.gone.fetch_add(gone.len() as u64, Ordering::Relaxed);
        let mut earliest: Option<DateTime<Utc>> = None;
        for index in there {
            let (lost, values) = {
                let family = self.family();
                let parent = &family.parents[index];
                (self.lost(parent, DateTime::<Utc>::MAX_UTC), self.values(parent))
            };
            if let Some(lost) = lost {
                return Err(self.broken(lost));
            }
            let own = self.cursor_of(&values).await;
            earliest = earliest.into_iter().chain(own).min();
        }
        let doubled = {
            let world = self.network.world();
            let mut ids: Vec<String> =
                world.leads().iter().map(|lead| lead.text("external_id").unwrap().to_owned()).collect();
            ids.sort();
            ids.windows(2).find(|two| two[0] == two[1]).map(|two| two[0].clone())
        };
        if let Some(id) = doubled {
            return Err(self.broken(format!("{id} is there twice")));
        }
        // What is folded into one cursor is the earliest of those that were read. Of those that were not it knows nothing.
        let folded = life::state(&self.memory).checkpoint(&self.stream).await.unwrap().and_then(|at| at.cursor);
        if let (Some(Cursor::Instant(folded)), Some(earliest), true) =
            (folded, earliest, self.stream.stream != "touched")
            && folded > earliest
        {
            return Err(self.broken(format!("all are read up to {folded}, and one only up to {earliest}")));
        }
        let total = life::verdicts(&self.memory, &self.stream).await.map_err(|what| self.broken(what))?;
        totals.records.fetch_add(total.read, Ordering::Relaxed);
        Ok(())
    }

    fn broken(&self, what: impl Into<String>) -> Broken {
        Broken {
            seed: self.seed,
            what: format!("{}: {}", self.stream.pipeline, what.into()),
            story: self.story.clone(),
        }
    }
}

async fn live(seed: u64, plan: &Arc<Plan>, totals: &Totals) -> Result<(), Broken> {
    let mut history = History::new(seed, plan);
    history.live_and_crash(totals).await?;
    history.settle_down().await?;
    history.check(totals).await
}

#[test]
fn children_are_delivered_once_and_as_they_are_whatever_becomes_of_their_parents() {
    let (plan, totals) = (plan(), Totals::default());
    let live = |seed: u64| life::paused(live(seed, &plan, &totals));
    if let Some(seed) = crate::number("RENKEI_SEED") {
        live(seed).unwrap_or_else(|broken| panic!("{broken}"));
        return;
    }
    let histories = life::count(HISTORIES, HISTORIES_LONG);
    let broken = life::through(histories, live);
    println!("{histories} histories: {totals:?}");
    if let Some(first) = broken {
        panic!("{first}");
    }
    assert!(totals.crashes.load(Ordering::Relaxed) > histories / 2, "too few crashes: {totals:?}");
    assert!(totals.records.load(Ordering::Relaxed) > histories * 5, "too few records: {totals:?}");
    assert!(totals.held.load(Ordering::Relaxed) > histories, "too few cursors: {totals:?}");
    assert!(totals.gone.load(Ordering::Relaxed) > histories / 4, "too few parents that are gone: {totals:?}");
}
