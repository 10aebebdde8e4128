//! Histories of a pipeline with three targets that read together: two accounts of a CRM, each for its part of the customers, and a
//! folder of files for all of them. Each target gets exactly what its `when` says, whatever becomes of the others: one of them may be
//! down for a whole life of the process, begin late, or have fallen behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{SecondsFormat, TimeDelta};
use fastrand::Rng;
use futures_util::future::join_all;
use renkei::{
    config::Plan,
    engine::{Options, Stopper},
    model::Cursor,
    sandbox::{Customer, Lead, World, WorldConfig},
    store::{Memory, PowerLoss, Run, RunState, StreamId},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    folder,
    history::{Broken, LATE_MAX, OVERLAP, SETTLE},
    life,
    weather::{SimClock, SimTransport, Weather},
};

const HISTORIES: u64 = 500;
const HISTORIES_LONG: u64 = 5_000;
const TARGETS: [&str; 3] = ["near", "far", "all"];
const FAR: u16 = 2;
/// A run that begins now sees what has settled, is up to 5 s behind another target, and knows the server's time to the second.
const BEHIND: i64 = SETTLE as i64 + 5 + 4;

fn files() -> Vec<(String, String)> {
    let auth = "auth: { oauth2: { client_id: demo, client_secret: \"${SECRET}\" } }";
    let shop = include_str!("workspace/connectors/shop/connector.yaml");
    let mut files = vec![
        (
            "renkei.yaml".to_owned(),
            format!(
                "version: 1\nconnections:\n  shop: {{ connector: shop, {auth} }}\n  near: {{ connector: near, {auth} }}\n  far: {{ connector: \
                 far, {auth} }}\n  files: {{ jsonl: {{ path: \"${{OUT}}\" }} }}\n"
            ),
        ),
        ("connectors/shop/connector.yaml".to_owned(), shop.to_owned()),
        ("connectors/near/connector.yaml".to_owned(), folder::crm(1)),
        ("connectors/far/connector.yaml".to_owned(), folder::crm(FAR)),
    ];
    for order in ["ascending", "unordered"] {
        for operation in ["upsert", "create"] {
            let changed = if operation == "create" { ", changed: { operation: update }" } else { "" };
            let fields = "{ external_id: record.id, email: record.email, name: record.name, phone: record.phone, company: record.company, value: \
                          record.lifetime_value }";
            let crm = |name: &str, when: &str| {
                format!(
                    "  - {{ name: {name}, when: record.lifetime_value % 2 {when} 1, connection: {name}, operation: {operation}{changed}, fields: \
                     {fields} }}\n"
                )
            };
            let to = format!(
                "{}{}  - {{ name: all, connection: files, file: {order}-{operation} }}\n",
                crm("near", "<"),
                crm("far", ">=")
            );
            let text = format!("version: 1\nfrom: {{ connection: shop, stream: {order} }}\nto:\n{to}");
            files.push((format!("pipelines/{order}-{operation}.yaml"), text));
        }
    }
    files
}

/// Whether a target takes a customer of this value.
fn takes(target: &str, cents: u64) -> bool {
    match target {
        "near" => cents % 200 < 100,
        "far" => cents % 200 >= 100,
        _ => true,
    }
}

#[derive(Default, Debug)]
struct Totals {
    crashes: AtomicU64,
    /// Runs that were to see all that had settled when they began.
    fresh: AtomicU64,
    /// Lives in which one target was down and the others went on.
    alone: AtomicU64,
    records: AtomicU64,
}

struct History {
    seed: u64,
    plan: Arc<Plan>,
    file: String,
    stream: &'static str,
    out: TempDir,
    clock: Arc<SimClock>,
    network: Arc<SimTransport>,
    far: Arc<Mutex<World>>,
    /// Page tokens live long enough for a slow network.
    may_be_slow: bool,
    memory: Memory,
    rng: Rng,
    story: Vec<String>,
}

/// One target's run.
struct Ended {
    target: &'static str,
    run: Run,
    /// The customers that it had to see.
    settled: Vec<Customer>,
}

impl History {
    fn new(seed: u64, workspace: &TempDir) -> Self {
        let mut rng = Rng::with_seed(seed);
        let stream = ["ascending", "unordered"][rng.usize(..2)];
        let file = format!("{stream}-{}", ["upsert", "create"][rng.usize(..2)]);
        let world = WorldConfig {
            seed: rng.u64(..),
            customers: rng.usize(3..24),
            page_size_max: 4,
            unordered: stream == "unordered",
            page_token_ttl: rng.bool().then(|| Duration::from_secs(rng.u64(1..120))),
            drift: rng.f64() * 0.6,
            drift_changes_max: 40,
            bad_email: 0.0,
            late: Duration::from_secs(if rng.bool() { rng.u64(0..20) } else { rng.u64(20..LATE_MAX) }),
            ..WorldConfig::default()
        };
        let may_be_slow = world.page_token_ttl.is_none_or(|ttl| ttl > Duration::from_secs(60));
        let far = Arc::new(Mutex::new(World::new(WorldConfig { customers: 0, ..world.clone() })));
        // Our clock is the servers': what a clock that is behind delays is no matter of targets.
        let clock = Arc::new(SimClock::new(world.epoch + TimeDelta::days(2), TimeDelta::zero()));
        let story =
            vec![format!("{file}, {} customers, drift {:.2}, late {:?}", world.customers, world.drift, world.late)];
        let network = Arc::new(SimTransport::new(World::new(world), clock.clone(), seed ^ 0x5eed));
        let other = far.clone();
        network.beside(FAR, Box::new(move |now, request| other.lock().unwrap().handle(now, request)));
        let out = folder::scratch();
        let plan = folder::plan(workspace.path(), out.path());
        Self { seed, plan, file, stream, out, clock, network, far, may_be_slow, memory: Memory::new(), rng, story }
    }

    fn id(&self, target: &str) -> StreamId {
        StreamId::new(format!("{}.{target}", self.file), self.stream)
    }

    /// One life of the process, in which each target runs once and begins after a while. Nothing: it was killed.
    async fn run_once(&mut self, patience: u64) -> Option<Vec<Ended>> {
        let memory = Arc::new(self.memory.clone());
        let engine = life::engine(&self.plan, memory, &self.clock, self.network.clone(), self.rng.u64(..));
        let (_stopper, stop) = Stopper::new();
        let begins = TARGETS.map(|target| (target, Duration::from_secs(self.rng.u64(0..=patience))));
        let (this, engine, stop) = (&*self, &engine, &stop);
        let runs = join_all(begins.map(|(target, after)| async move {
            tokio::time::sleep(after).await;
            let settled = this.settled(target).await;
            // The power may have been lost before it began.
            let ran = engine.run(&format!("{}.{target}", this.file), Options::default(), stop).await;
            ran.ok().map(|(run, _)| Ended { target, run, settled })
        }));
        let ended = life::unless_killed(&self.network, self.seed, runs).await;
        // What a dead process had begun to write into a file is written before the next one looks.
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        ended.map(|ended| ended.into_iter().flatten().collect())
    }

    /// The customers that a run which begins now has to see, unless it goes on with a listing that began earlier.
    async fn settled(&self, target: &str) -> Vec<Customer> {
        let (state, id) = (life::state(&self.memory), self.id(target));
        let Ok(known) = state.checkpoint(&id).await else { return Vec::new() };
        if known.is_some_and(|known| known.scan.is_some()) || state.outbox_depth(&id).await.unwrap_or(1) > 0 {
            return Vec::new();
        }
        let end = self.clock.server_now() - TimeDelta::seconds(BEHIND);
        self.network.world().customers().filter(|customer| customer.updated_at < end).cloned().collect()
    }

    async fn live_and_crash(&mut self, totals: &Totals) -> Result<(), Broken> {
        let storm = Weather {
            lost_before: self.rng.f64() * 0.1,
            lost_after: self.rng.f64() * 0.2,
            cut: self.rng.f64() * 0.05,
            ..Weather::FAIR
        };
        for life in 1..=self.rng.u32(1..6) {
            // In one life of four nothing goes wrong but that one target is not there.
            let alone = self.rng.u32(..4) == 0;
            self.network.set_weather(if alone { Weather::FAIR } else { storm });
            self.network.set_down(if alone { FAR } else { 0 });
            let killed_at = self.rng.u64(1..80);
            self.network.kill_in(if self.rng.bool() && !alone { killed_at } else { 0 });
            if self.rng.bool() && !alone {
                let how = if self.rng.bool() { PowerLoss::Before } else { PowerLoss::After };
                self.memory.lose_power_at(self.memory.operations() + self.rng.u64(1..40), how);
            }
            // Half of the time the targets begin one after the other, while those that began before are under way.
            let (patience, slow) = if self.rng.bool() && self.may_be_slow { (30, 80) } else { (0, 1) };
            self.network.set_slow(slow);
            let ended = self.run_once(patience).await;
            self.network.set_slow(1);
            self.tell(life, alone, ended.as_deref());
            self.memory.disarm();
            self.memory = self.memory.reopen();
            let is_whole = ended.as_ref().is_some_and(|ended| ended.iter().all(|it| it.run.state == RunState::Done));
            totals.crashes.fetch_add((!is_whole && !alone).into(), Ordering::Relaxed);
            self.check_runs(ended.as_deref().unwrap_or_default(), alone, totals)?;
            self.check_cursors().await?;
            let (pause, changes) = (self.rng.u64(0..400), self.rng.usize(0..4));
            self.clock.jump(Duration::from_secs(pause));
            let now = self.clock.server_now();
            self.network.world().change(now, changes);
            // Often just so long that a run which begins a little later has to see them, and one that began before need not.
            let after =
                if self.rng.bool() { self.rng.u64(SETTLE / 2..2 * SETTLE) } else { self.rng.u64(0..2 * LATE_MAX) };
            self.clock.jump(Duration::from_secs(after));
            self.story.push(format!("{pause} s pass, {changes} customers change, {after} s pass"));
        }
        self.network.kill_in(0);
        self.network.set_down(0);
        self.network.set_weather(Weather::FAIR);
        Ok(())
    }

    fn tell(&mut self, life: u32, alone: bool, ended: Option<&[Ended]>) {
        let down = if alone { ", far is down" } else { "" };
        self.story.push(format!("life {life}{down}: {}", if ended.is_none() { "was killed" } else { "ended" }));
        for Ended { target, run, settled } in ended.into_iter().flatten() {
            let fault = run.fault.as_ref().map(|fault| &fault.message);
            self.story.push(format!(
                "  {target} had to see {}: {:?} {:?} {fault:?}",
                settled.len(),
                run.state,
                run.counts
            ));
        }
    }

    /// A target that is down holds up no other, and whoever ended well has seen what had settled when it began.
    fn check_runs(&self, ended: &[Ended], alone: bool, totals: &Totals) -> Result<(), Broken> {
        for Ended { target, run, settled } in ended {
            if alone && *target != "far" && run.state != RunState::Done {
                return Err(self.broken(format!("{target} was held up: {:?}", run.fault)));
            }
            if run.state == RunState::Done {
                totals.fresh.fetch_add(u64::from(!settled.is_empty()), Ordering::Relaxed);
                let now: BTreeMap<String, Customer> =
                    self.network.world().customers().map(|customer| (customer.id.clone(), customer.clone())).collect();
                let unchanged = settled.iter().filter(|customer| now[&customer.id] == **customer);
                if let Some(lost) = self.lost(target, unchanged) {
                    return Err(self.broken(format!("{target} ended well and has not seen {lost}")));
                }
            }
        }
        totals.alone.fetch_add(alone.into(), Ordering::Relaxed);
        Ok(())
    }

    /// Each target's cursor says that all before it, less the overlap, is delivered there. Only a file that was cut back, because its
    /// listing began again, has less until that listing ends.
    async fn check_cursors(&self) -> Result<(), Broken> {
        for target in TARGETS {
            let checkpoint = life::state(&self.memory).checkpoint(&self.id(target)).await.unwrap();
            let checkpoint = checkpoint.filter(|checkpoint| target != "all" || checkpoint.scan.is_none());
            let Some(Cursor::Instant(at)) = checkpoint.and_then(|checkpoint| checkpoint.cursor) else { continue };
            let end = at - TimeDelta::seconds(OVERLAP as i64);
            let all: Vec<Customer> = self.network.world().customers().cloned().collect();
            if let Some(lost) = self.lost(target, all.iter().filter(|customer| customer.updated_at < end)) {
                return Err(self.broken(format!("the cursor {at} of {target} has left behind {lost}")));
            }
        }
        Ok(())
    }

    async fn settle_down(&mut self) -> Result<(), Broken> {
        self.network.world().quiet();
        for _ in 0..3 {
            self.clock.jump(Duration::from_secs(1_000));
            let ended = self.run_once(0).await.unwrap_or_default();
            match ended.iter().find(|ended| ended.run.state != RunState::Done) {
                None if ended.len() == TARGETS.len() => {}
                bad => return Err(self.broken(format!("in fair weather: {:?}", bad.map(|bad| &bad.run)))),
            }
        }
        Ok(())
    }

    /// The first of these customers that its target should have and does not.
    fn lost<'c>(&self, target: &str, mut customers: impl Iterator<Item = &'c Customer>) -> Option<String> {
        let lines = if target == "all" { self.lines() } else { Vec::new() };
        let written: BTreeSet<(&str, &str)> =
            lines.iter().map(|line| (text(line, "id"), text(line, "updated_at"))).collect();
        let is_there = |customer: &Customer| match target {
            "near" => fits(customer, self.network.world().leads_of(&customer.id).next()),
            "far" => fits(customer, self.far.lock().unwrap().leads_of(&customer.id).next()),
            _ => written.contains(&(
                customer.id.as_str(),
                customer.updated_at.to_rfc3339_opts(SecondsFormat::Millis, true).as_str(),
            )),
        };
        customers
            .find(|customer| takes(target, customer.lifetime_cents) && !is_there(customer))
            .map(|it| format!("{it:?}"))
    }

    /// What stands in the files, line by line.
    fn lines(&self) -> Vec<Value> {
        let mut segments: Vec<_> = fs::read_dir(self.out.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        segments.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
        segments.sort();
        let whole: String = segments.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn check(&self, totals: &Totals) -> Result<(), Broken> {
        for target in TARGETS {
            let all: Vec<Customer> = self.network.world().customers().cloned().collect();
            if let Some(lost) = self.lost(target, all.iter()) {
                return Err(self.broken(format!("{target} lacks {lost}")));
            }
            let total = life::verdicts(&self.memory, &self.id(target)).await.map_err(|what| self.broken(what))?;
            totals.records.fetch_add(total.read, Ordering::Relaxed);
        }
        let (world, far) = (self.network.world(), self.far.lock().unwrap());
        for (target, leads) in [("near", world.leads()), ("far", far.leads())] {
            let mut ids = BTreeSet::new();
            if let Some(other) = leads.iter().find(|lead| !takes(target, cents(lead))) {
                return Err(self.broken(format!("{target} has {other:?}, which its `when` does not take")));
            }
            if let Some(double) = leads.iter().find(|lead| !ids.insert(lead.text("external_id"))) {
                return Err(self.broken(format!("{target} has two of {double:?}")));
            }
        }
        let mut lines = BTreeSet::new();
        match self.lines().into_iter().map(|line| line.to_string()).find(|line| !lines.insert(line.clone())) {
            None => Ok(()),
            Some(double) => Err(self.broken(format!("a state is in the file twice: {double}"))),
        }
    }

    fn broken(&self, what: impl Into<String>) -> Broken {
        Broken { seed: self.seed, what: format!("{}: {}", self.file, what.into()), story: self.story.clone() }
    }
}

fn text<'v>(line: &'v Value, field: &str) -> &'v str {
    line[field].as_str().unwrap()
}

fn cents(lead: &Lead) -> u64 {
    (lead.fields["value"].as_f64().unwrap() * 100.0).round() as u64
}

fn fits(customer: &Customer, lead: Option<&Lead>) -> bool {
    let Customer { name, phone, company, .. } = customer;
    let same = |lead: &Lead, (field, ours): (&str, &String)| lead.text(field) == Some(ours);
    lead.is_some_and(|lead| {
        cents(lead) == customer.lifetime_cents
            && [("name", name), ("phone", phone), ("company", company)].into_iter().all(|field| same(lead, field))
    })
}

async fn live(seed: u64, workspace: &TempDir, totals: &Totals) -> Result<(), Broken> {
    let mut history = History::new(seed, workspace);
    history.live_and_crash(totals).await?;
    history.settle_down().await?;
    history.check(totals).await
}

#[test]
fn each_target_gets_exactly_what_it_takes_whatever_becomes_of_the_others() {
    let (files, totals) = (files(), Totals::default());
    let files: Vec<(&str, String)> = files.iter().map(|(path, text)| (path.as_str(), text.clone())).collect();
    let workspace = folder::write(&files);
    let live = |seed: u64| life::paused(live(seed, &workspace, &totals));
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
    assert!(totals.fresh.load(Ordering::Relaxed) > histories, "too few whole runs: {totals:?}");
    assert!(totals.alone.load(Ordering::Relaxed) > histories / 4, "too few lives without one target: {totals:?}");
    assert!(totals.records.load(Ordering::Relaxed) > histories * 20, "too few records: {totals:?}");
}
