//! Histories in which windows are read beside the live run, both cut off at any moment and gone on with in any order. In the end
//! everything stands at the sink once and as it is now; in particular where a backfill is the last one to write.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{SecondsFormat, TimeDelta};
use fastrand::Rng;
use renkei::{
    config::Plan,
    engine::{Options, Stopper, plan_backfill, stream_id},
    model::{Counts, SystemEntropy},
    sandbox::{World, WorldConfig},
    store::{Memory, PowerLoss, Run, RunState, Seal, State},
};

use crate::{
    history::Broken,
    life,
    weather::{SimClock, SimTransport, Weather},
};

const HISTORIES: u64 = 3_000;
const HISTORIES_LONG: u64 = 30_000;

#[derive(Default, Debug)]
struct Totals {
    crashes: AtomicU64,
    stops: AtomicU64,
    backfills: AtomicU64,
    written_by_backfills: AtomicU64,
}

struct History<'a> {
    seed: u64,
    plan: &'a Arc<Plan>,
    pipeline: String,
    clock: Arc<SimClock>,
    network: Arc<SimTransport>,
    memory: Memory,
    rng: Rng,
    story: Vec<String>,
}

/// Which of the two is begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Live,
    Backfill,
}

impl<'a> History<'a> {
    fn new(seed: u64, plan: &'a Arc<Plan>) -> Self {
        let mut rng = Rng::with_seed(seed);
        let order = ["ascending", "unordered"][rng.usize(..2)];
        let operation = ["upsert", "create", "positional", "listed", "keyed"][rng.usize(..5)];
        let world = WorldConfig {
            seed: rng.u64(..),
            customers: rng.usize(4..24),
            page_size_max: 4,
            unordered: order == "unordered",
            page_token_ttl: rng.bool().then(|| Duration::from_secs(rng.u64(1..120))),
            drift: rng.f64() * 0.6,
            drift_changes_max: 30,
            ..WorldConfig::default()
        };
        let clock = Arc::new(SimClock::new(world.epoch + TimeDelta::days(2), TimeDelta::zero()));
        let network = Arc::new(SimTransport::new(World::new(world), clock.clone(), seed ^ 0x5eed));
        network.set_weather(Weather {
            lost_before: rng.f64() * 0.1,
            lost_after: rng.f64() * 0.2,
            cut: rng.f64() * 0.05,
            ..Weather::FAIR
        });
        let pipeline = format!("{order}-{operation}");
        Self { seed, plan, pipeline, clock, network, memory: Memory::new(), rng, story: Vec::new() }
    }

    fn state(&self) -> State {
        State::new(Arc::new(self.memory.clone()), Arc::new(Seal::plain()))
    }

    /// One run in a process of its own, asked to stop after a while by chance. Nothing: it was killed.
    async fn life(&mut self, what: What, may_stop: bool) -> Option<Run> {
        let memory = Arc::new(self.memory.clone());
        let engine = life::engine(self.plan, memory, &self.clock, self.network.clone(), self.rng.u64(..));
        let backfill = self.state().backfills().await.unwrap().into_iter().next();
        let (stopper, stop) = Stopper::within(Duration::from_secs(self.rng.u64(0..5)));
        let (patience, is_asked) = (Duration::from_millis(self.rng.u64(0..3_000)), may_stop && self.rng.u32(..3) == 0);
        let run = async {
            match (what, &backfill) {
                (What::Backfill, Some(backfill)) => engine.backfill(backfill, &stop).await,
                (What::Live, _) | (What::Backfill, None) => engine.run(&self.pipeline, Options::default(), &stop).await,
            }
        };
        let asked = async {
            if is_asked {
                tokio::time::sleep(patience).await;
                stopper.stop();
            }
            std::future::pending::<()>().await;
        };
        let both = async {
            tokio::select! {
                biased;
                // What stands in its way is a fault before the run begins: the power was lost, or the other one's batch met it.
                ended = run => ended.ok().map(|(run, _)| run),
                () = asked => None,
            }
        };
        life::unless_killed(&self.network, self.seed, both).await.flatten()
    }

    /// Asks for a window that reaches up to now, or to somewhere before.
    async fn ask(&mut self) {
        let now = self.clock.server_now();
        let back = TimeDelta::seconds(self.rng.i64(1..3_600));
        let to = (now - back).to_rfc3339_opts(SecondsFormat::Secs, true);
        let entropy = SystemEntropy::seeded(self.rng.u64(..));
        let backfill = plan_backfill(self.plan, &self.pipeline, "2000-01-01", &to, now, &entropy).unwrap();
        self.state().keep_backfill(&backfill).await.unwrap();
        self.story.push(format!("a backfill up to {to} is asked for"));
    }

    async fn cursor(&self) -> (usize, String) {
        let stream = stream_id(&self.plan.pipelines[&self.pipeline]);
        let checkpoint = self.state().checkpoint(&stream).await.unwrap();
        (self.state().outbox_depth(&stream).await.unwrap(), format!("{checkpoint:?}"))
    }

    async fn live_and_crash(&mut self, totals: &Totals) -> Result<(), Broken> {
        for life in 1..=self.rng.u32(3..9) {
            if self.rng.u32(..3) == 0 && self.state().backfills().await.unwrap().is_empty() {
                self.ask().await;
            }
            let (killed_at, power) = (self.rng.u64(0..50), self.rng.u32(..3) == 0);
            self.network.kill_in(if self.rng.bool() { killed_at } else { 0 });
            if power {
                let how = if self.rng.bool() { PowerLoss::Before } else { PowerLoss::After };
                self.memory.lose_power_at(self.memory.operations() + self.rng.u64(1..30), how);
            }
            let is_asked = !self.state().backfills().await.unwrap().is_empty();
            let what = if is_asked && self.rng.bool() { What::Backfill } else { What::Live };
            let before = self.cursor().await;
            let ended = self.life(what, true).await;
            self.story.push(format!("life {life}, {what:?}: {:?}", ended.as_ref().map(|run| (run.state, run.counts))));
            totals
                .crashes
                .fetch_add(ended.as_ref().is_none_or(|run| run.state == RunState::Failed).into(), Ordering::Relaxed);
            totals
                .stops
                .fetch_add(ended.as_ref().is_some_and(|run| run.state == RunState::Stopped).into(), Ordering::Relaxed);
            if let (What::Backfill, Some(run)) = (what, &ended) {
                let written = run.counts.created + run.counts.updated;
                totals.written_by_backfills.fetch_add(written, Ordering::Relaxed);
            }
            self.memory.disarm();
            self.memory = self.memory.reopen();
            // What the live run left staged may be delivered by the backfill, and moves its cursor then.
            if what == What::Backfill && before.0 == 0 && self.cursor().await != before {
                return Err(self.broken("a backfill moved the live cursor"));
            }
            self.clock.jump(Duration::from_secs(self.rng.u64(0..400)));
            if self.rng.bool() {
                let (now, count) = (self.clock.server_now(), self.rng.usize(1..5));
                self.network.world().change(now, count);
                self.story.push(format!("{count} customers change"));
            }
        }
        self.network.kill_in(0);
        self.network.set_weather(Weather::FAIR);
        Ok(())
    }

    /// The live run comes to rest, and then a backfill writes last.
    async fn settle_down(&mut self, totals: &Totals) -> Result<(), Broken> {
        self.network.world().quiet();
        if self.state().backfills().await.unwrap().is_empty() {
            self.ask().await;
        }
        for what in [What::Live, What::Live, What::Backfill, What::Backfill] {
            self.clock.jump(Duration::from_secs(1_000));
            if what == What::Backfill && self.state().backfills().await.unwrap().is_empty() {
                continue;
            }
            let run =
                self.life(what, false).await.unwrap_or_else(|| panic!("seed {}: killed in fair weather", self.seed));
            self.story.push(format!("in fair weather, {what:?}: {:?}", run.counts));
            if run.state != RunState::Done {
                return Err(self.broken(format!("{what:?} did not end well in fair weather: {run:?}")));
            }
            if what == What::Backfill {
                totals.backfills.fetch_add(1, Ordering::Relaxed);
            }
        }
        match self.state().backfills().await.unwrap().len() {
            0 => Ok(()),
            left => Err(self.broken(format!("{left} backfills never end"))),
        }
    }

    async fn check(&self) -> Result<(), Broken> {
        let report = self.network.world().report();
        if report.lost > 0 || report.doubled > 0 {
            let (lost, doubled) = (&report.lost_ids, &report.doubled_ids);
            let what = format!(
                "{} missing, {} stale, doubled {}: {lost:?} {doubled:?}",
                report.missing, report.stale, report.doubled
            );
            return Err(self.broken(what));
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

async fn live(seed: u64, plan: &Arc<Plan>, totals: &Totals) -> Result<(), Broken> {
    let mut history = History::new(seed, plan);
    history.live_and_crash(totals).await?;
    history.settle_down(totals).await?;
    history.check().await
}

#[test]
fn a_window_read_beside_the_live_run_loses_doubles_and_takes_back_nothing() {
    let plan = crate::plan();
    let live = |seed: u64, totals: &Totals| life::paused(live(seed, &plan, totals));
    let totals = Totals::default();
    if let Some(seed) = crate::number("RENKEI_SEED") {
        live(seed, &totals).unwrap_or_else(|broken| panic!("{broken}"));
        return;
    }
    let histories = life::count(HISTORIES, HISTORIES_LONG);
    let broken = life::through(histories, |seed| live(seed, &totals));
    println!("{histories} histories: {totals:?}");
    if let Some(first) = broken {
        panic!("{first}");
    }
    assert!(totals.crashes.load(Ordering::Relaxed) > histories / 2, "too few crashes: {totals:?}");
    assert!(totals.backfills.load(Ordering::Relaxed) > histories / 2, "too few backfills: {totals:?}");
    assert!(totals.written_by_backfills.load(Ordering::Relaxed) > histories, "they have little to do: {totals:?}");
}
