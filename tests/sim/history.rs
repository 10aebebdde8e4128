//! One seeded history: a world that drifts, a network with weather, several lives of the process that each end in a
//! crash, then quiet; and the invariants at the end.

use std::{fmt, sync::Arc, time::Duration};

use chrono::TimeDelta;
use fastrand::Rng;
use renkei::{
    config::Plan,
    engine::{Options, Stopper},
    model::{Code, Cursor},
    sandbox::{Fit, Quota, World, WorldConfig},
    store::{Memory, PowerLoss, Run, RunState, Snapshot, StreamId},
};

use crate::{
    life,
    weather::{SimClock, SimTransport, Weather},
};

/// The `settle` and the `overlap` of all streams, in seconds.
pub const SETTLE: u64 = 30;
pub const OVERLAP: u64 = 60;
/// A change that shows later than this is beyond what a stream with these lags promises.
pub const LATE_MAX: u64 = SETTLE + OVERLAP;

/// What a history found.
#[derive(Debug, Default)]
pub struct Finding {
    pub lives: u32,
    pub crashes: u32,
    pub went_back: u32,
    pub records: u64,
    pub deleted: u64,
}

/// A broken promise, with what is needed to see it again.
#[derive(Debug)]
pub struct Broken {
    pub seed: u64,
    pub what: String,
    /// What happened, life by life.
    pub story: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}", self.seed, self.what)?;
        self.story.iter().try_for_each(|event| write!(f, "\n  {event}"))
    }
}

/// Everything that a seed decides before the first life. What it decides later is drawn from `rng`, and always drawn, so that
/// a script with one thing less is otherwise the same history.
#[derive(Clone)]
pub struct Script {
    pub seed: u64,
    pipeline: String,
    stream: &'static str,
    /// Leads of customers that are gone are closed, and those of customers who come back are opened.
    archives: bool,
    pub world: WorldConfig,
    pub weather: Weather,
    pub skew: TimeDelta,
    pub lives: u32,
    pub may_go_back: bool,
    /// The process may be killed at a request.
    pub may_be_killed: bool,
    /// The store may lose power.
    pub may_lose_power: bool,
    /// Nothing changes in the shop.
    pub still: bool,
    rng: Rng,
}

impl Script {
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let order = ["ascending", "unordered"][rng.usize(..2)];
        let operation = ["upsert", "create", "positional", "listed", "keyed"][rng.usize(..5)];
        let may_go_back = rng.u32(..4) == 0;
        // A restored backup does not know what was created since. The key still finds it, unless the record has changed
        // in between: then only a look-up or an upsert can tell, which is what SHORTCOMINGS.md says.
        let still = operation == "create" && may_go_back;
        let shop_quota = quota(&mut rng);
        // A page's token must outlive the wait for a spent account, or no client could list this shop.
        let token_seconds = if shop_quota.is_some() { 10..120 } else { 1..120 };
        let world = WorldConfig {
            seed: rng.u64(..),
            customers: rng.usize(3..24),
            page_size_max: 4,
            unordered: order == "unordered",
            page_token_ttl: rng.bool().then(|| Duration::from_secs(rng.u64(token_seconds))),
            drift: if still { 0.0 } else { rng.f64() * 0.6 },
            drift_changes_max: 40,
            // Most of what shows late shows within `settle`, some only within `settle` and `overlap` together.
            late: Duration::from_secs(if rng.bool() { rng.u64(0..20) } else { rng.u64(20..LATE_MAX) }),
            shop_quota,
            crm_quota: quota(&mut rng),
            token_ttl: Duration::from_secs(rng.u64(20..600)),
            ..WorldConfig::default()
        };
        Self {
            seed,
            pipeline: format!("{order}-{operation}"),
            stream: order,
            archives: false,
            world,
            weather: Weather {
                lost_before: rng.f64() * 0.1,
                lost_after: rng.f64() * 0.15,
                cut: rng.f64() * 0.05,
                busy: 0.0,
                revoked: rng.f64() * 0.03,
            },
            skew: TimeDelta::seconds(rng.i64(-900..900)),
            lives: rng.u32(1..6),
            may_go_back,
            may_be_killed: true,
            may_lose_power: true,
            still,
            rng,
        }
    }

    /// A history in which customers are deleted and come back.
    pub fn deleting(seed: u64) -> Self {
        let mut script = Self::of(seed);
        let rng = &mut script.rng;
        let stream = ["flagged", "buried", "whole", "swept"][rng.usize(..4)];
        let kind = ["create", "upsert", "archive"][rng.usize(..3)];
        let deletions = 0.1 + rng.f64() * 0.4;
        let drift = rng.f64() * 0.6;
        Self {
            pipeline: format!("{stream}-{kind}"),
            stream,
            archives: kind == "archive",
            world: WorldConfig { deletions, drift, unordered: rng.bool() && stream != "flagged", ..script.world },
            // A restored backup knows an id that the sink no longer does: SHORTCOMINGS.md.
            may_go_back: false,
            still: false,
            ..script
        }
    }

    fn about(&self) -> String {
        let Self { pipeline, world, weather, skew, lives, may_go_back, .. } = self;
        let WorldConfig { customers, drift, late, page_token_ttl, shop_quota, crm_quota, .. } = world;
        format!(
            "{pipeline}, {customers} customers, {lives} lives, skew {skew}, may go back: {may_go_back}, drift {drift:.2}, late \
             {late:?}, page tokens {page_token_ttl:?}, quotas {shop_quota:?} and {crm_quota:?}, {weather:?}"
        )
    }
}

/// In one history of three an account is so small that it is spent all the time.
fn quota(rng: &mut Rng) -> Option<Quota> {
    let quota = Quota { per_second: rng.u32(1..6), burst: rng.u32(1..6) };
    (rng.u32(..3) == 0).then_some(quota)
}

/// One history under way.
struct History<'a> {
    plan: &'a Arc<Plan>,
    script: Script,
    clock: Arc<SimClock>,
    network: Arc<SimTransport>,
    memory: Memory,
    /// Durable states to go back to.
    backups: Vec<Snapshot>,
    finding: Finding,
    story: Vec<String>,
}

/// Lives through a history on a paused runtime.
pub async fn live(plan: &Arc<Plan>, script: Script) -> Result<Finding, Broken> {
    let clock = Arc::new(SimClock::new(script.world.epoch + TimeDelta::days(2), script.skew));
    let world = World::new(script.world.clone());
    let network = Arc::new(SimTransport::new(world, clock.clone(), script.seed ^ 0x5eed));
    let mut history = History {
        plan,
        script,
        clock,
        network,
        memory: Memory::new(),
        backups: Vec::new(),
        finding: Finding::default(),
        story: Vec::new(),
    };
    history.live_and_crash().await?;
    history.settle_down().await?;
    history.check().await?;
    Ok(history.finding)
}

impl History<'_> {
    /// Lives that end by power loss, by a kill at a request, or by themselves.
    async fn live_and_crash(&mut self) -> Result<(), Broken> {
        self.network.set_weather(self.script.weather);
        for life in 1..=self.script.lives {
            let rng = &mut self.script.rng;
            let killed_at = if rng.bool() { rng.u64(1..40) } else { 0 };
            let power = if rng.bool() { Some((rng.bool(), rng.u64(1..30))) } else { None };
            let killed_at = if self.script.may_be_killed { killed_at } else { 0 };
            self.network.kill_in(killed_at);
            let power = power.filter(|_| self.script.may_lose_power);
            if let Some((before, operations)) = power {
                let how = if before { PowerLoss::Before } else { PowerLoss::After };
                self.memory.lose_power_at(self.memory.operations() + operations, how);
            }
            let ended = self.run_once().await;
            self.tell(life, killed_at, power, ended.as_ref());
            self.finding.crashes += u32::from(ended.is_none_or(|run| run.state == RunState::Failed));
            self.memory.disarm();
            self.memory = self.memory.reopen();
            self.check_cursor().await?;
            self.between_lives().await;
        }
        self.network.kill_in(0);
        self.network.set_weather(Weather::FAIR);
        self.memory.disarm();
        Ok(())
    }

    fn tell(&mut self, life: u32, killed_at: u64, power: Option<(bool, u64)>, ended: Option<&Run>) {
        let armed = match (killed_at, power) {
            (0, None) => String::new(),
            (kill, None) => format!(", to be killed at request {kill}"),
            (0, Some((before, at))) => format!(", power to be lost {} operation {at}", when(before)),
            (kill, Some((before, at))) => {
                format!(", to be killed at request {kill} or lose power {} operation {at}", when(before))
            }
        };
        let how = match ended {
            None => "was killed".to_owned(),
            Some(Run { fault: Some(fault), .. }) => format!("failed: {} {}", fault.code, fault.message),
            Some(run) => format!("ended well: {:?}", run.counts),
        };
        self.story.push(format!("life {life}{armed}: {how}"));
    }

    async fn between_lives(&mut self) {
        let rng = &mut self.script.rng;
        let (pause, goes_back, which) = (rng.u64(0..400), rng.u32(..3) == 0, rng.f64());
        self.clock.jump(Duration::from_secs(pause));
        self.story.push(format!("{pause} s pass"));
        if self.script.may_go_back && !self.backups.is_empty() && goes_back {
            let which = (which * self.backups.len() as f64) as usize;
            self.memory = self.memory.restore(&self.backups[which]);
            // What came after it is another history, whose cursor knows nothing of what this one writes again: SHORTCOMINGS.md.
            self.backups.truncate(which + 1);
            self.finding.went_back += 1;
            self.story.push(format!("backup {} is restored", which + 1));
            // What a person agrees to before the engine goes on with an older store.
            life::state(&self.memory).doubt_links().await.unwrap();
        } else {
            self.backups.push(self.memory.snapshot());
            self.story.push(format!("backup {} is made", self.backups.len()));
        }
        // Short enough that the next life may begin before they show.
        let (changed, changes, pause) = (rng.bool(), rng.usize(1..4), rng.u64(0..2 * LATE_MAX));
        if changed && !self.script.still {
            let now = self.clock.server_now();
            self.network.world().change(now, changes);
            self.clock.jump(Duration::from_secs(pause));
            self.story.push(format!("{changes} customers change, {pause} s pass"));
        }
    }

    /// One life of the process: nothing if it was killed.
    async fn run_once(&mut self) -> Option<Run> {
        self.finding.lives += 1;
        let memory = Arc::new(self.memory.clone());
        let engine = life::engine(self.plan, memory, &self.clock, self.network.clone(), self.script.rng.u64(..));
        let (_stopper, stop) = Stopper::new();
        let run = engine.run(&self.script.pipeline, Options::default(), &stop);
        life::unless_killed(&self.network, self.script.seed, run).await.map(|ended| ended.unwrap().0)
    }

    /// Quiet weather until a run has nothing left to do.
    async fn settle_down(&mut self) -> Result<(), Broken> {
        self.network.world().quiet();
        for _ in 0..4 {
            // Longer than skew and settle: a clock that is behind delays records, and must not lose them.
            self.clock.jump(Duration::from_secs(1_000));
            match self.run_once().await {
                Some(run) if run.state == RunState::Done || self.is_untold(&run) => self.check_run(&run)?,
                Some(run) => return Err(self.broken(format!("a run in fair weather failed: {:?}", run.fault))),
                None => return Err(self.broken("a run in fair weather was killed")),
            }
        }
        Ok(())
    }

    /// A sweep of a shop in which nobody is left.
    fn is_untold(&self, run: &Run) -> bool {
        let untold = run.fault.as_ref().is_some_and(|fault| fault.code == Code::SweepUntold);
        untold && self.network.world().customers().next().is_none()
    }

    fn check_run(&self, run: &Run) -> Result<(), Broken> {
        match run.counts.balance() {
            0 => Ok(()),
            left => Err(self.broken(format!("a finished run left {left} records without a verdict: {:?}", run.counts))),
        }
    }

    /// A cursor says that all before it, less the overlap, is delivered. It must keep its word even while a listing is
    /// unfinished and goes on by itself: people read it, and take it along to begin elsewhere.
    async fn check_cursor(&mut self) -> Result<(), Broken> {
        let checkpoint = life::state(&self.memory)
            .checkpoint(&self.stream())
            .await
            .map_err(|fault| self.broken(fault.to_string()))?;
        let Some(Cursor::Instant(at)) = checkpoint.and_then(|checkpoint| checkpoint.cursor) else {
            return Ok(());
        };
        let end = at - TimeDelta::seconds(OVERLAP as i64);
        let report = self.network.world().report_by(&|customer, lead| match customer.updated_at < end {
            true => Fit::of(customer, lead),
            false => Fit::NotEligible,
        });
        match report.lost {
            0 => Ok(()),
            lost => Err(self.broken(format!("the cursor {at} has left {lost} behind: {:?}", report.lost_ids))),
        }
    }

    fn stream(&self) -> StreamId {
        StreamId::new(self.script.pipeline.clone(), self.script.stream)
    }

    async fn check(&mut self) -> Result<(), Broken> {
        let archives = self.script.archives;
        let report = self.network.world().report_by(&|customer, lead| match lead {
            Some(lead) if archives && lead.text("status") == Some("closed") => Fit::Stale,
            lead => Fit::of(customer, lead),
        });
        // Nobody is left, and an empty listing never deletes.
        let is_empty = report.customers == 0;
        if report.lingering > 0 && !is_empty {
            return Err(self.broken(format!("{} leads linger: {:?}", report.lingering, report.lingering_ids)));
        }
        self.finding.deleted = report.counters.deleted;
        if report.lost > 0 {
            return Err(self.broken(format!(
                "lost {} ({} missing, {} stale): {:?}",
                report.lost, report.missing, report.stale, report.lost_ids
            )));
        }
        if report.doubled > 0 {
            return Err(self.broken(format!("doubled {}: {:?}", report.doubled, report.doubled_ids)));
        }
        self.check_verdicts().await
    }

    async fn check_verdicts(&mut self) -> Result<(), Broken> {
        let total = life::verdicts(&self.memory, &self.stream()).await.map_err(|what| self.broken(what))?;
        self.finding.records += total.read;
        Ok(())
    }

    fn broken(&self, what: impl Into<String>) -> Broken {
        let what = format!("{} [{}]", what.into(), self.script.about());
        Broken { seed: self.script.seed, what, story: self.story.clone() }
    }
}

fn when(before: bool) -> &'static str {
    if before { "before" } else { "after" }
}
