//! Histories of a pipeline with a canary whose records the sink refuses, through crashes at any step. However often it is tried, each
//! try sends no more than its canary; and once a person has mended it everything arrives, once.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use fastrand::Rng;
use renkei::{
    config::{self, MapEnvironment, Plan},
    engine::{Options, Stopper, stream_id},
    model::{Code, Counts},
    sandbox::{World, WorldConfig},
    store::{Memory, PowerLoss, Run, RunState, Seal, State},
};

use crate::{
    history::Broken,
    life,
    weather::{SimClock, SimTransport, Weather},
};

const HISTORIES: u64 = 500;
const HISTORIES_LONG: u64 = 5_000;
/// Records of the canary.
const SIZE: u64 = 4;

#[derive(Default, Debug)]
struct Totals {
    crashes: AtomicU64,
    held: AtomicU64,
}

/// The workspace with a pipeline for each way to write that sends this as an address.
fn plan(email: &str) -> Arc<Plan> {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim/workspace");
    let copy = |path: &str| {
        let target = folder.path().join(path);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(source.join(path), target).unwrap();
    };
    ["renkei.yaml", "connectors/crm/connector.yaml", "connectors/shop/connector.yaml"].into_iter().for_each(copy);
    std::fs::create_dir_all(folder.path().join("pipelines")).unwrap();
    for (operation, changed) in [("create", "\n  changed: { operation: update }"), ("upsert", ""), ("positional", "")] {
        for stream in ["ascending", "unordered"] {
            let text = format!(
                "version: 1\ndescription: Customers become leads, a few of them first\ncanary: {{ min: {SIZE}, success: 60% }}\nfrom: {{ \
                 connection: shop, stream: {stream} }}\nsteps:\n  - filter: record.consent\n  - filter: record.email is not none and '@' in record.email\nto:\n  \
                 connection: crm\n  operation: {operation}{changed}\n  fields: {{ external_id: record.id, email: \"{email}\", name: \
                 record.name, phone: record.phone, company: record.company }}\n"
            );
            std::fs::write(folder.path().join(format!("pipelines/{stream}-{operation}.yaml")), text).unwrap();
        }
    }
    let environment = MapEnvironment::new(&[("SECRET", "demo-secret")]);
    Arc::new(config::load(folder.path(), &environment).unwrap_or_else(|report| panic!("{}", report.render(false))))
}

struct History<'a> {
    seed: u64,
    pipeline: String,
    clock: Arc<SimClock>,
    network: Arc<SimTransport>,
    memory: Memory,
    rng: Rng,
    plans: &'a [Arc<Plan>; 2],
    story: Vec<String>,
}

impl<'a> History<'a> {
    fn new(seed: u64, plans: &'a [Arc<Plan>; 2]) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0xca9a);
        let pipeline = format!(
            "{}-{}",
            ["ascending", "unordered"][rng.usize(..2)],
            ["create", "upsert", "positional"][rng.usize(..3)]
        );
        let world = WorldConfig {
            seed: rng.u64(..),
            customers: rng.usize(40..90),
            page_size_max: rng.usize(2..50),
            unordered: pipeline.starts_with("unordered"),
            shop_quota: None,
            crm_quota: None,
            ..WorldConfig::default()
        };
        let clock = Arc::new(SimClock::new(world.epoch + TimeDelta::days(2), TimeDelta::zero()));
        let network = Arc::new(SimTransport::new(World::new(world), clock.clone(), seed ^ 0x5eed));
        Self { seed, pipeline, clock, network, memory: Memory::new(), rng, plans, story: Vec::new() }
    }

    fn state(&self) -> State {
        State::new(Arc::new(self.memory.clone()), Arc::new(Seal::plain()))
    }

    async fn life(&mut self, is_mended: bool) -> Option<Run> {
        let (plan, memory) = (&self.plans[usize::from(is_mended)], Arc::new(self.memory.clone()));
        let engine = life::engine(plan, memory, &self.clock, self.network.clone(), self.rng.u64(..));
        let (_stopper, stop) = Stopper::new();
        let run = engine.run(&self.pipeline, Options::default(), &stop);
        let ended = life::unless_killed(&self.network, self.seed, run).await.and_then(Result::ok).map(|(run, _)| run);
        self.story
            .push(format!("mended {is_mended}: {:?}", ended.as_ref().map(|run| (run.state, run.counts, &run.fault))));
        ended
    }

    /// A person sends again what was refused.
    async fn replay(&mut self) -> Result<(), Broken> {
        let memory = Arc::new(self.memory.clone());
        let engine = life::engine(&self.plans[1], memory, &self.clock, self.network.clone(), self.rng.u64(..));
        let letters = self.state().dead_letters(Some(&self.pipeline)).await.unwrap();
        match engine.replay(&self.pipeline, letters, false, &Stopper::new().1).await {
            Ok((run, None)) if run.state == RunState::Done => Ok(()),
            other => Err(self.broken(format!("a replay in fair weather: {other:?}"))),
        }
    }

    /// What was sent or is about to be.
    async fn sent(&self) -> u64 {
        let stream = stream_id(&self.plans[0].pipelines[&self.pipeline]);
        let staged = self.state().outbox(&stream).await.unwrap();
        let staged: usize = staged.iter().map(|staged| staged.items().len()).sum();
        (staged + self.state().dead_letters(None).await.unwrap().len()) as u64
    }

    async fn refused_and_crashed(&mut self, totals: &Totals) -> Result<(), Broken> {
        let weather = Weather { lost_before: 0.05, lost_after: 0.1, cut: 0.02, ..Weather::FAIR };
        self.network.set_weather(weather);
        for life in 1..=self.rng.u64(1..6) {
            self.network.kill_in(if self.rng.bool() { self.rng.u64(1..30) } else { 0 });
            if self.rng.bool() {
                let how = if self.rng.bool() { PowerLoss::Before } else { PowerLoss::After };
                self.memory.lose_power_at(self.memory.operations() + self.rng.u64(1..30), how);
            }
            let ended = self.life(false).await;
            let fault = ended.as_ref().and_then(|run| run.fault.as_ref()).map(|fault| fault.code);
            let is_held = fault == Some(Code::CanaryHeld);
            totals.held.fetch_add(is_held.into(), Ordering::Relaxed);
            totals.crashes.fetch_add((!is_held).into(), Ordering::Relaxed);
            self.memory.disarm();
            self.memory = self.memory.reopen();
            let sent = self.sent().await;
            if sent > SIZE * life {
                let what = format!("{sent} records were sent in {life} lives, and the canary has {SIZE}");
                return Err(self.broken(what));
            }
            if ended.is_some_and(|run| run.state == RunState::Done) {
                return Err(self.broken("a run was done whose canary cannot go well"));
            }
            self.clock.jump(Duration::from_secs(self.rng.u64(0..400)));
        }
        self.network.kill_in(0);
        self.network.set_weather(Weather::FAIR);
        Ok(())
    }

    async fn mended(&mut self) -> Result<(), Broken> {
        self.network.world().quiet();
        for _ in 0..3 {
            self.clock.jump(Duration::from_secs(1_000));
            match self.life(true).await {
                Some(run) if run.state == RunState::Done && run.counts.balance() == 0 => {}
                other => return Err(self.broken(format!("a run in fair weather: {other:?}"))),
            }
        }
        self.replay().await?;
        let report = self.network.world().report();
        if report.lost > 0 || report.doubled > 0 {
            return Err(self.broken(format!("lost {:?}, doubled {:?}", report.lost_ids, report.doubled_ids)));
        }
        let mut total = Counts::default();
        self.state().runs().await.unwrap().iter().for_each(|run| total.merge(&run.counts));
        if total.read != total.verdicts() {
            return Err(self.broken(format!("{} read, {} verdicts", total.read, total.verdicts())));
        }
        Ok(())
    }

    fn broken(&self, what: impl Into<String>) -> Broken {
        Broken { seed: self.seed, what: format!("{}: {}", self.pipeline, what.into()), story: self.story.clone() }
    }
}

#[test]
fn of_records_that_the_sink_refuses_each_try_sends_no_more_than_its_canary_and_nothing_is_lost() {
    let plans = [plan("'nobody'"), plan("record.email")];
    let totals = Totals::default();
    let live = |seed: u64| {
        life::paused(async {
            let mut history = History::new(seed, &plans);
            history.refused_and_crashed(&totals).await?;
            history.mended().await
        })
    };
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
    assert!(totals.held.load(Ordering::Relaxed) > histories / 2, "it was hardly ever held: {totals:?}");
}
