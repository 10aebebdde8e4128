//! The service on a paused clock: what one pipeline does to the others, what a clock that is set does to a schedule, and what a
//! restart remembers.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use renkei::{
    config::{self, MapEnvironment, Plan},
    http::{Request, Response, SendError, Transport},
    model::{BoxFuture, Code, Fault},
    sandbox::{World, WorldConfig},
    server::{Asked, Notify, Service},
    store::{Entries, Error, Memory, Op, PowerLoss, Run, RunState, Scheduled, Seal, State, StateStore, Tree},
};
use tokio::{sync::mpsc, task::JoinHandle, time::sleep};

use crate::{
    life,
    weather::{SimClock, SimTransport},
};

/// A network on which one host makes us panic and one never answers.
struct Odd {
    inner: Arc<SimTransport>,
    panics: AtomicU64,
    hangs: AtomicU64,
}

impl Transport for Odd {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, SendError>> {
        Box::pin(async move {
            match request.url.port() {
                Some(2) => {
                    self.panics.fetch_add(1, Ordering::Relaxed);
                    panic!("a mistake of ours");
                }
                Some(3) => {
                    self.hangs.fetch_add(1, Ordering::Relaxed);
                    std::future::pending().await
                }
                _ => self.inner.send(request).await,
            }
        })
    }
}

/// Pipelines by name, each with its shop and its schedule.
fn plan(pipelines: &[(&str, &str, &str)]) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        std::fs::create_dir_all(folder.path().join(path).parent().unwrap()).unwrap();
        std::fs::write(folder.path().join(path), text).unwrap();
    };
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim/workspace");
    for connector in ["shop", "crm"] {
        let path = format!("connectors/{connector}/connector.yaml");
        write(&path, &std::fs::read_to_string(own.join(&path)).unwrap());
    }
    let auth = "auth: { oauth2: { client_id: demo, client_secret: \"${SECRET}\" } }";
    let shop = |port: u32| format!("{{ connector: shop, base_url: \"http://127.0.0.1:{port}\", {auth} }}");
    write(
        "renkei.yaml",
        &format!(
            "version: 1\nserve: {{ stop_within: 20s }}\nconnections:\n  shop: {}\n  panics: {}\n  hangs: {}\n  crm: {{ connector: crm, {auth} }}\n",
            shop(1),
            shop(2),
            shop(3)
        ),
    );
    for (name, connection, schedule) in pipelines {
        let fields = "{ external_id: record.id, email: record.email, name: record.name, phone: record.phone, company: record.company }";
        let to = format!("{{ connection: crm, operation: upsert, fields: {fields} }}");
        let from = format!("{{ connection: {connection}, stream: ascending }}");
        let text =
            format!("version: 1\nschedule: {schedule}\nfrom: {from}\nsteps:\n  - filter: record.consent\nto: {to}\n");
        write(&format!("pipelines/{name}.yaml"), &text);
    }
    let environment = MapEnvironment::new(&[("SECRET", "demo-secret")]);
    config::load(folder.path(), &environment).unwrap_or_else(|report| panic!("{}", report.render(false)))
}

struct Rig {
    clock: Arc<SimClock>,
    network: Arc<Odd>,
    memory: Memory,
}

/// A service that runs, and the way to ask it for something.
struct Serving {
    ask: mpsc::Sender<Asked>,
    ended: JoinHandle<Result<(), Fault>>,
}

impl Rig {
    fn new() -> Self {
        let world = WorldConfig { customers: 9, ..WorldConfig::default() };
        let clock = Arc::new(SimClock::new(world.epoch + TimeDelta::days(2), TimeDelta::zero()));
        let inner = Arc::new(SimTransport::new(World::new(world), clock.clone(), 7));
        let network = Arc::new(Odd { inner, panics: AtomicU64::new(0), hangs: AtomicU64::new(0) });
        Self { clock, network, memory: Memory::new() }
    }

    async fn serve(&self, plan: Plan) -> Serving {
        self.serve_over(plan, Arc::new(self.memory.clone())).await
    }

    async fn serve_over(&self, plan: Plan, store: Arc<dyn StateStore>) -> Serving {
        let engine = Arc::new(life::engine(&Arc::new(plan), store, &self.clock, self.network.clone(), 7));
        let (ask, asked) = mpsc::channel(8);
        let service = Service::new(engine, Arc::new(Notify::default()), asked).await.unwrap();
        Serving { ask, ended: tokio::spawn(service.run()) }
    }

    fn state(&self) -> State {
        State::new(Arc::new(self.memory.clone()), Arc::new(Seal::plain()))
    }

    async fn runs(&self, pipeline: &str) -> Vec<Run> {
        let mut runs = self.state().runs().await.unwrap();
        runs.retain(|run| run.pipeline == pipeline);
        runs
    }

    async fn kept(&self, pipeline: &str) -> Scheduled {
        self.state().schedules().await.unwrap().remove(pipeline).unwrap()
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.server_now()
    }
}

impl Serving {
    async fn stop(self) -> Result<(), Fault> {
        self.ask.send(Asked::Stop).await.unwrap_or_else(|_| panic!("the service has ended"));
        self.ended.await.unwrap()
    }
}

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_that_panics_and_one_that_hangs_leave_the_others_running_and_are_not_tried_in_a_hot_loop() {
    let rig = Rig::new();
    let each = "{ cron: \"* * * * *\" }";
    let serving = rig.serve(plan(&[("good", "shop", each), ("bad", "panics", each), ("slow", "hangs", each)])).await;
    sleep(minutes(90)).await;
    let good = rig.runs("good").await;
    assert!((89..=91).contains(&good.len()), "{}", good.len());
    assert!(good.iter().all(|run| run.state == RunState::Done));
    let begun: Vec<i64> = good.iter().map(|run| run.started_at.timestamp().rem_euclid(60)).collect();
    assert!(begun.iter().all(|second| *second == 0), "each on time: {begun:?}");

    let bad = rig.kept("bad").await.wait.unwrap();
    assert_eq!((bad.code, bad.person), (Code::Bug, true));
    assert_eq!(rig.network.panics.load(Ordering::Relaxed), 2, "once, and again after an hour");
    let slow = rig.kept("slow").await;
    assert_eq!(slow.wait.unwrap().code, Code::Timeout);
    assert!((4..12).contains(&slow.failures), "less and less often: {}", slow.failures);
    assert_eq!(serving.stop().await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_makes_up_for_what_it_missed_as_soon_as_it_notices() {
    let rig = Rig::new();
    let serving = rig
        .serve(plan(&[
            ("last", "shop", "{ cron: \"*/10 * * * *\" }"),
            ("none", "shop", "{ cron: \"*/10 * * * *\", missed: none }"),
            ("all", "shop", "{ cron: \"*/10 * * * *\", missed: all }"),
        ]))
        .await;
    sleep(minutes(25)).await;
    let count = async |name: &str| rig.runs(name).await.len();
    assert_eq!((count("last").await, count("none").await, count("all").await), (2, 2, 2));
    // Eight hours pass on the wall, and no timer has heard of them.
    rig.clock.jump(minutes(8 * 60));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(count("last").await, 2, "it sleeps until something is due by the other clock");
    serving.ask.send(Asked::Clock).await.unwrap_or_else(|_| panic!("the service has ended"));
    sleep(minutes(1)).await;
    assert_eq!((count("last").await, count("none").await, count("all").await), (3, 2, 2 + 48));
    assert_eq!(serving.stop().await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_where_the_service_was() {
    let rig = Rig::new();
    let all = [("a", "shop", "{ cron: \"*/10 * * * *\" }"), ("b", "shop", "{ after: a }")];
    let serving = rig.serve(plan(&all)).await;
    sleep(minutes(25)).await;
    assert_eq!(serving.stop().await, Ok(()));
    let (a, b) = (rig.runs("a").await.len(), rig.runs("b").await.len());
    assert_eq!((a, b), (2, 2));
    assert_eq!(rig.kept("a").await.begun, None);

    sleep(minutes(3)).await;
    let serving = rig.serve(plan(&all)).await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(rig.runs("a").await.len(), 2, "nothing was missed: {}", rig.now());
    sleep(minutes(3)).await;
    assert_eq!((rig.runs("a").await.len(), rig.runs("b").await.len()), (3, 3));
    assert_eq!(serving.stop().await, Ok(()));

    sleep(minutes(45)).await;
    let serving = rig.serve(plan(&all)).await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!((rig.runs("a").await.len(), rig.runs("b").await.len()), (4, 4), "one run for all that was missed");
    assert_eq!(serving.stop().await, Ok(()));
}

/// A store that never finishes to write down what a schedule decided.
struct Stuck(Memory);

impl StateStore for Stuck {
    fn commit(&self, ops: Vec<Op>) -> BoxFuture<'_, Result<u64, Error>> {
        match ops.iter().any(|op| matches!(op, Op::Put { tree: Tree::Schedules, .. })) {
            true => Box::pin(std::future::pending()),
            false => self.0.commit(ops),
        }
    }

    fn commit_soon(&self, ops: Vec<Op>) -> Result<(), Error> {
        self.0.commit_soon(ops)
    }

    fn get<'a>(&'a self, tree: Tree, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>> {
        self.0.get(tree, key)
    }

    fn get_many(&self, tree: Tree, keys: Vec<Vec<u8>>) -> BoxFuture<'_, Result<Vec<Option<Vec<u8>>>, Error>> {
        self.0.get_many(tree, keys)
    }

    fn scan<'a>(
        &'a self,
        tree: Tree,
        prefix: &'a [u8],
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Entries, Error>> {
        self.0.scan(tree, prefix, after, limit)
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_before_the_store_has_heard_of_it() {
    let rig = Rig::new();
    let plan = || plan(&[("a", "shop", "{ cron: \"* * * * *\" }")]);
    let stuck = rig.serve_over(plan(), Arc::new(Stuck(rig.memory.clone()))).await;
    sleep(minutes(5)).await;
    assert_eq!(rig.network.inner.world().counters().requests, 0);
    stuck.ended.abort();
    let serving = rig.serve(plan()).await;
    sleep(minutes(2)).await;
    assert!(rig.network.inner.world().counters().requests > 0);
    assert_eq!(serving.stop().await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_service_whose_store_fails_ends_with_the_stores_fault_and_the_next_one_goes_on() {
    let mut rig = Rig::new();
    let all = [("a", "shop", "{ cron: \"* * * * *\" }")];
    let serving = rig.serve(plan(&all)).await;
    sleep(minutes(5)).await;
    rig.memory.lose_power_at(rig.memory.operations() + 4, PowerLoss::After);
    sleep(minutes(5)).await;
    let ended = serving.ended.await.unwrap();
    assert_eq!(ended.unwrap_err().code, Code::StoreClosed);
    rig.memory = rig.memory.reopen();
    let serving = rig.serve(plan(&all)).await;
    sleep(minutes(5)).await;
    assert!(rig.runs("a").await.last().is_some_and(|run| run.state == RunState::Done));
    assert_eq!(serving.stop().await, Ok(()));
    let report = rig.network.inner.world().report();
    assert_eq!((report.lost, report.doubled), (0, 0));
}
