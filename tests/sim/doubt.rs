//! Histories of the sinks that make repeating hard: one that honours no key, one whose search lags behind, one that forgets keys,
//! one that says "already done", and one that somebody else writes to as well.
//!
//! Whatever happens nothing is doubled. What is lost, is lost to a letter that says that nobody knows; and where the connector
//! declares a way to find out, nothing is lost at all.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use fastrand::Rng;
use renkei::{
    config::Plan,
    engine::{Options, Stopper},
    model::Code,
    sandbox::{World, WorldConfig},
    store::{Memory, PowerLoss, Run, RunState, Seal, State, StateStore, Tree},
};

use crate::{
    history::Broken,
    life,
    weather::{SimClock, SimTransport, Weather},
};

const HISTORIES: u64 = 3_000;
const HISTORIES_LONG: u64 = 30_000;

/// A way of writing, and the reasons for which it may leave a record to a person.
struct Kind {
    operation: &'static str,
    leaves: &'static [Code],
}

const KINDS: [Kind; 6] = [
    Kind { operation: "never", leaves: &[Code::Uncertain] },
    Kind { operation: "never_then_look_up", leaves: &[] },
    Kind { operation: "look_up", leaves: &[] },
    Kind { operation: "expiring", leaves: &[Code::KeyExpired] },
    Kind { operation: "expiring_then_look_up", leaves: &[] },
    // A record may be read while others keep writing it; then it is parked, and written when it changes next.
    Kind { operation: "once", leaves: &[Code::RevisionMoved, Code::KeyExpired] },
];

#[derive(Default, Debug)]
struct Totals {
    crashes: AtomicU64,
    created: AtomicU64,
    left: [AtomicU64; KINDS.len()],
}

struct History<'a> {
    seed: u64,
    kind: &'a Kind,
    plan: &'a Arc<Plan>,
    rng: Rng,
    clock: Arc<SimClock>,
    network: Arc<SimTransport>,
    memory: Memory,
    crashes: u64,
}

#[test]
fn a_sink_without_a_safe_way_gets_nothing_twice_and_what_is_uncertain_is_said() {
    let plan = crate::plan();
    let totals = Totals::default();
    if let Some(seed) = crate::number("RENKEI_DOUBT_SEED") {
        live(&plan, seed, &totals).unwrap_or_else(|broken| panic!("{broken}"));
        println!("seed {seed}: {totals:?}");
        return;
    }
    // Those who ask for many ask for a third of them here, as it is when nobody asks.
    let histories = life::count(3 * HISTORIES, 3 * HISTORIES_LONG) / 3;
    let broken = life::through(histories, |seed| live(&plan, seed, &totals));
    println!("{histories} histories: {totals:?}");
    if let Some(first) = broken {
        panic!("{first}\nto see it again: RENKEI_DOUBT_SEED={} cargo nextest run --test sim doubt", first.seed);
    }
    // A simulation in which nothing is in doubt proves nothing.
    let left: Vec<u64> = totals.left.iter().map(|left| left.load(Ordering::Relaxed)).collect();
    assert!(totals.crashes.load(Ordering::Relaxed) > histories / 4, "too few crashes: {totals:?}");
    assert!(left[0] > histories / 20 && left[3] > histories / 200, "too little in doubt: {totals:?}");
    // And one that leaves everything to a person is of no use.
    assert!(totals.created.load(Ordering::Relaxed) > histories * 5, "too few records: {totals:?}");
}

fn live(plan: &Arc<Plan>, seed: u64, totals: &Totals) -> Result<(), Broken> {
    life::paused(async {
        let mut rng = Rng::with_seed(seed ^ 0xd0b7);
        let at = rng.usize(..KINDS.len());
        let world = WorldConfig {
            seed: rng.u64(..),
            customers: rng.usize(3..40),
            page_size_max: 50,
            drift: rng.f64() * 0.4,
            drift_changes_max: 30,
            late: Duration::from_secs(rng.u64(0..20)),
            shop_quota: None,
            crm_quota: None,
            index_lag: Duration::from_secs(10),
            key_retention: Duration::from_secs(3_600),
            meddle: if KINDS[at].operation == "once" { rng.f64() * 0.3 } else { 0.0 },
            ..WorldConfig::default()
        };
        let skew = TimeDelta::seconds(rng.i64(-900..900));
        let clock = Arc::new(SimClock::new(world.epoch + TimeDelta::days(2), skew));
        let network = Arc::new(SimTransport::new(World::new(world), clock.clone(), seed ^ 0xfa7e));
        let mut history =
            History { seed, kind: &KINDS[at], plan, rng, clock, network, memory: Memory::new(), crashes: 0 };
        history.live_and_crash().await;
        history.settle_down().await?;
        history.check(at, totals).await
    })
}

impl History<'_> {
    async fn live_and_crash(&mut self) {
        let rng = &mut self.rng;
        let weather = Weather {
            lost_before: rng.f64() * 0.08,
            lost_after: rng.f64() * 0.1,
            cut: rng.f64() * 0.05,
            busy: rng.f64() * 0.05,
            revoked: 0.0,
        };
        let lives = rng.u32(1..6);
        self.network.set_weather(weather);
        for _ in 0..lives {
            let rng = &mut self.rng;
            let killed_at = if rng.bool() { rng.u64(1..60) } else { 0 };
            self.network.kill_in(killed_at);
            if rng.bool() {
                let how = if rng.bool() { PowerLoss::Before } else { PowerLoss::After };
                self.memory.lose_power_at(self.memory.operations() + rng.u64(1..60), how);
            }
            let ended = self.run_once().await;
            self.crashes += u64::from(ended.is_none_or(|run| run.state == RunState::Failed));
            self.memory.disarm();
            self.memory = self.memory.reopen();
            let rng = &mut self.rng;
            // Sometimes longer than the vendor remembers a key.
            let pause = if rng.u32(..3) == 0 { rng.u64(0..9_000) } else { rng.u64(0..400) };
            self.clock.jump(Duration::from_secs(pause));
            if rng.bool() {
                let changes = rng.usize(1..4);
                let now = self.clock.server_now();
                self.network.world().change(now, changes);
            }
        }
        self.network.kill_in(0);
        self.network.set_weather(Weather::FAIR);
    }

    async fn run_once(&mut self) -> Option<Run> {
        let memory = Arc::new(self.memory.clone());
        let engine = life::engine(self.plan, memory, &self.clock, self.network.clone(), self.rng.u64(..));
        let pipeline = format!("wide-{}", self.kind.operation);
        let (_stopper, stop) = Stopper::new();
        let run = engine.run(&pipeline, Options::default(), &stop);
        life::unless_killed(&self.network, self.seed, run).await.map(|ended| ended.unwrap().0)
    }

    async fn settle_down(&mut self) -> Result<(), Broken> {
        self.network.world().quiet();
        for _ in 0..4 {
            self.clock.jump(Duration::from_secs(1_000));
            match self.run_once().await {
                Some(run) if run.state == RunState::Done && run.counts.balance() == 0 => {}
                other => return Err(self.broken(format!("a run in fair weather: {other:?}"))),
            }
        }
        Ok(())
    }

    async fn check(&mut self, at: usize, totals: &Totals) -> Result<(), Broken> {
        let report = self.network.world().report();
        if report.doubled > 0 {
            return Err(self.broken(format!("doubled {}: {:?}", report.doubled, report.doubled_ids)));
        }
        let state = State::new(Arc::new(self.memory.clone()), Arc::new(Seal::plain()));
        let letters = state.dead_letters(None).await.map_err(|fault| self.broken(fault.to_string()))?;
        let left =
            |letter: &&renkei::store::DeadLetter| letter.parked && self.kind.leaves.contains(&letter.reason.code);
        let explained: BTreeSet<String> = letters
            .iter()
            .filter(left)
            .filter_map(|letter| letter.key.as_ref().map(|key| key.as_str().to_owned()))
            .collect();
        if let Some(lost) = report.lost_ids.iter().find(|id| !explained.contains(*id)) {
            return Err(self.broken(format!("{lost} is lost and no letter says why; letters for {explained:?}")));
        }
        self.check_doubt(&explained)?;
        let rows =
            self.memory.scan(Tree::Journal, b"", None, 10).await.map_err(|error| self.broken(error.to_string()))?;
        if !rows.is_empty() {
            return Err(self.broken(format!("{} rows are left in the journal", rows.len())));
        }
        totals.crashes.fetch_add(self.crashes, Ordering::Relaxed);
        totals.created.fetch_add(report.counters.created, Ordering::Relaxed);
        totals.left[at].fetch_add(explained.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Only what was in flight when its answer or the process was lost is in doubt: at each crash at most the four that the
    /// budget lets go at once, and one whose verdict was just being noted.
    fn check_doubt(&self, uncertain: &BTreeSet<String>) -> Result<(), Broken> {
        let unanswered = self.network.unanswered.load(Ordering::Relaxed);
        if self.kind.operation == "never" && uncertain.len() as u64 > unanswered + 5 * self.crashes {
            let count = uncertain.len();
            return Err(self.broken(format!("{count} records are in doubt, and {unanswered} answers were lost")));
        }
        Ok(())
    }

    fn broken(&self, what: impl Into<String>) -> Broken {
        let what = format!("{} [{}, {} crashes]", what.into(), self.kind.operation, self.crashes);
        Broken { seed: self.seed, what, story: Vec::new() }
    }
}
