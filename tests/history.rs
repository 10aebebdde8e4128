//! The history of records over whole runs: a hop is there exactly when its verdict is, whatever a power cut leaves, and it tells
//! what happened.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_methods, reason = "a test asks the environment how much to do")]
#![expect(clippy::disallowed_macros, reason = "a test prints its figures")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use renkei::{
    config::plan::StepPlan,
    engine::{Context, Options, Progress, Route, Stopper, Writes, sync},
    expr::Expression,
    http::Usage,
    model::{
        BoxFuture, Checkpoint, Clock, Code, Counts, Fault, Fields, Key, KeyHash, Mark, Overlap, Page, Position, Reason,
        Record, Reject, Scan, SystemEntropy, Verdict, Version,
    },
    sink::{Durability, Sink},
    source::Source,
    store::{
        Asks, Batch, HistoryRule, Hop, Item, Keeps, Memory, Passed, PowerLoss, RedbOptions, RedbStore, Run, Seal,
        SealKey, Sending, Sendings, Staged, State, StreamId, Trace, Why,
    },
    transform::{Mapping, Transform},
};

/// Each look at the clock is a second later.
#[derive(Default)]
struct Ticking(Mutex<i64>);

impl Clock for Ticking {
    fn now(&self) -> DateTime<Utc> {
        let mut second = self.0.lock().unwrap();
        *second += 1;
        DateTime::from_timestamp(1_767_225_600, 0).unwrap() + TimeDelta::seconds(*second)
    }
}

/// Pages of records `(key, version, fields)`; a record without a key is refused by the source.
#[derive(Clone)]
struct Pages(Vec<Vec<(&'static str, u32, &'static str)>>);

impl Source for Pages {
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
        let number = match at.scan.as_ref().and_then(|scan| scan.position.as_ref()) {
            Some(Position::Page(number)) => *number as usize,
            _ => 0,
        };
        let end = number + 1 == self.0.len();
        let scan = |number: usize| Scan { position: Some(Position::Page(number as u64)), ..Scan::default() };
        let next = Checkpoint { scan: (!end).then(|| scan(number + 1)), ..at.clone() };
        let (mut records, mut rejects) = (Vec::new(), Vec::new());
        for (key, version, fields) in &self.0[number] {
            let fields = Fields::parse(fields.as_bytes()).unwrap();
            match *key {
                "" => rejects.push(Reject {
                    key: None,
                    gone: false,
                    fields,
                    reason: Reason::new(Code::MissingRecordKey, "no key"),
                    slip: None,
                }),
                key => records.push(Record {
                    key: Key::new(key),
                    version: Some(Version::new(version.to_string())),
                    overlap: Overlap::default(),
                    gone: false,
                    fields,
                    slip: None,
                }),
            }
        }
        let page = Page {
            records,
            rejects,
            skipped: Vec::new(),
            next,
            scan: scan(number),
            end,
            restarted: false,
            body_bytes: 1,
        };
        Box::pin(async move { Ok(page) })
    }
}

/// Takes what has an email; says what it asked.
#[derive(Clone)]
struct Vendor(Durability);

impl Sink for Vendor {
    fn durability(&self) -> Durability {
        self.0
    }

    fn resume(&self, known: Option<Checkpoint>) -> BoxFuture<'_, Result<Option<Checkpoint>, Fault>> {
        Box::pin(async { Ok(known) })
    }

    fn write<'a>(&'a self, batch: &'a Staged) -> BoxFuture<'a, Result<Vec<Verdict>, Fault>> {
        let answer = |item: &renkei::store::Item| match item.fields.as_str().contains("email") {
            false => Verdict::Rejected(Reason::new(Code::RecordRefused, "no email")),
            true if item.generation > 0 => Verdict::Updated(None),
            true => Verdict::Created(Some(format!("at-{}", item.key))),
        };
        Box::pin(async move { Ok(batch.items().iter().map(answer).collect()) })
    }

    fn sent(&self, _: u64) -> Sendings {
        let sending = Sending {
            asks: Asks::Write,
            operation: "create".into(),
            at: DateTime::UNIX_EPOCH,
            took_ms: 12,
            status: Some(201),
            found: None,
            attempts: 2,
            records: 1,
            key: Some("key".into()),
        };
        (0..9).map(|at| (at, vec![sending.clone()])).collect()
    }

    fn seal(&self) -> BoxFuture<'_, Result<Option<Mark>, Fault>> {
        Box::pin(async { Ok(None) })
    }
}

struct Rig {
    memory: Memory,
    state: State,
    clock: Arc<Ticking>,
    durability: Durability,
}

const RULE: HistoryRule = HistoryRule { keep: Duration::from_secs(86_400), bytes_max: 1_000_000 };

impl Rig {
    fn new(durability: Durability) -> Self {
        Self::over(Memory::new(), Arc::default(), durability)
    }

    fn over(memory: Memory, clock: Arc<Ticking>, durability: Durability) -> Self {
        let state = State::new(Arc::new(memory.clone()), Arc::new(Seal::plain())).with_history(RULE);
        Self { memory, state, clock, durability }
    }

    /// A new process over what is durable.
    fn restarted(self) -> Self {
        let memory = self.memory.reopen();
        memory.disarm();
        Self::over(memory, self.clock, self.durability)
    }

    fn id() -> StreamId {
        StreamId::new("p", "s")
    }

    async fn run(&self, pages: &Pages) -> (Run, Option<Fault>) {
        let context = Context {
            state: self.state.clone(),
            clock: self.clock.clone(),
            entropy: Arc::new(SystemEntropy::new()),
            progress: Arc::new(Progress::default()),
        };
        let filter = StepPlan::Filter(Expression::compile("record.skip is undefined").unwrap());
        let route = Route {
            stream: Self::id(),
            source: Box::new(pages.clone()),
            transform: Transform::new(&[filter]),
            lookups: Vec::new(),
            mapping: Mapping::new(None),
            writes: Writes {
                connection: "crm".into(),
                operation: "create".into(),
                durability: self.durability,
                key: None,
                skip_changed: false,
                newest_only: false,
                keeps: Keeps::default(),
            },
            deletes: None,
            sink: Box::new(Vendor(self.durability)),
            only: None,
            usage: Box::new(Usage::default),
            causes: Box::new(BTreeMap::new),
            notices: Box::new(Vec::new),
        };
        sync(&context, &route, Options::default(), &Stopper::new().1).await
    }

    async fn trace(&self, key: &str) -> Trace {
        self.state.trace(&Self::id(), &Key::new(key)).await.unwrap()
    }

    /// The verdicts of all runs as they are counted.
    async fn verdicts(&self) -> u64 {
        let mut total = Counts::default();
        self.state.runs().await.unwrap().iter().for_each(|run| total.merge(&run.counts));
        total.verdicts()
    }
}

const GOOD: &str = r#"{"email":"a@b.example","tier":"gold"}"#;

fn pages() -> Pages {
    Pages(vec![
        vec![("a", 1, GOOD), ("b", 1, r#"{"tier":"gold"}"#), ("c", 1, r#"{"skip":true}"#), ("", 1, "{}")],
        vec![("d", 1, GOOD), ("a", 1, GOOD), ("c", 2, r#"{"skip":true}"#)],
        vec![("e", 1, GOOD), ("a", 2, r#"{"email":"a@b.example","tier":"silver"}"#)],
    ])
}

#[tokio::test(start_paused = true)]
async fn a_record_is_followed_through_runs_with_times_names_answers_and_masked_fields() {
    let rig = Rig::new(Durability::Outbox);
    let (run, fault) = rig.run(&pages()).await;
    assert_eq!(fault, None);
    let a = rig.trace("a").await;
    let verdicts: Vec<&Verdict> = a.hops.iter().map(|(_, hop)| &hop.verdict).collect();
    assert_eq!(verdicts, [&Verdict::Created(Some("at-a".into())), &Verdict::Updated(None)]);
    assert_eq!((a.passes.len(), &a.passes[0].why), (1, &Why::Unchanged));
    let (about, hop) = &a.hops[0];
    let order = [about.read_at.unwrap(), about.staged_at.unwrap(), about.settled_at];
    assert!(order.is_sorted() && about.run == run.id && about.read_by.is_none(), "{about:?}");
    assert_eq!((hop.sent[0].status, hop.sent[0].attempts, hop.sent[0].key.as_deref()), (Some(201), 2, Some("key")));
    assert_eq!(hop.fields.as_ref().unwrap().get(), r#"{"email":"***","tier":"gold"}"#);
    assert_eq!((hop.name.len(), hop.version.as_ref().unwrap().as_str(), hop.generation), (32, "1", 0));
    assert_eq!((a.hops[1].1.generation, a.hops[1].1.sink_id.as_deref()), (1, Some("at-a")));

    let b = rig.trace("b").await;
    assert!(matches!(&b.hops[0].1.verdict, Verdict::Rejected(reason) if reason.message == "no email"));
    let c: Vec<Why> = rig.trace("c").await.passes.into_iter().map(|pass| pass.why).collect();
    let filtered = Why::Filtered("step 1 (filter): record.skip is undefined".into());
    assert_eq!(c, [filtered.clone(), filtered]);
    assert_eq!(a.hops_kept + a.passes_kept, rig.verdicts().await);
}

#[tokio::test(start_paused = true)]
async fn a_table_keeps_its_records_itself_and_the_history_their_names_and_what_it_refused() {
    for durability in [Durability::Transaction, Durability::Mark] {
        let rig = Rig::new(durability);
        let (_, fault) = rig.run(&pages()).await;
        assert_eq!(fault, None);
        let (a, b) = (rig.trace("a").await, rig.trace("b").await);
        assert_eq!((a.hops.len(), a.passes[0].why.clone(), b.passes.len()), (0, Why::Created, 0));
        let (about, hop) = &b.hops[0];
        assert!(matches!(hop.verdict, Verdict::Rejected(_)) && hop.fields.is_some() && about.staged_at.is_none());
        assert_eq!(a.hops_kept + a.passes_kept, rig.verdicts().await);
    }
}

/// The rule: at every moment the history holds as many verdicts as the runs have counted, and of each record what its link says.
#[tokio::test(start_paused = true)]
async fn after_power_is_lost_anywhere_a_hop_is_there_exactly_when_its_verdict_is() {
    let mut struck = BTreeMap::new();
    for durability in [Durability::Outbox, Durability::Transaction] {
        for operation in 1..30 {
            for how in [PowerLoss::Before, PowerLoss::After] {
                let about = format!("{durability:?}, power lost at {operation}, {how:?}");
                let rig = Rig::new(durability);
                rig.memory.lose_power_at(operation, how);
                let (_, fault) = rig.run(&pages()).await;
                *struck.entry(format!("{durability:?}")).or_insert(0) += u32::from(fault.is_some());
                let mut rig = rig.restarted();
                for moment in ["after the cut", "after the next run"] {
                    for key in ["a", "d", "e"] {
                        let trace = rig.trace(key).await;
                        let kept = trace.hops_kept + trace.passes_kept;
                        assert_eq!(kept, rig.verdicts().await, "{moment}, {about}");
                        let link = rig.state.links(&Rig::id(), &[Key::new(key)]).await.unwrap().remove(0);
                        let accepted = trace.hops.len() as u32;
                        assert_eq!(link.map_or(0, |link| link.generation), accepted, "{key} {moment}, {about}");
                    }
                    let (_, fault) = rig.run(&pages()).await;
                    assert_eq!(fault, None, "{about}");
                    rig = rig.restarted();
                }
            }
        }
    }
    assert!(struck.len() == 2 && struck.values().all(|struck| *struck >= 6), "{struck:?}");
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_staged_is_told_with_both_runs() {
    let rig = Rig::new(Durability::Outbox);
    // The second commit settles what the first one staged.
    rig.memory.lose_power_at(3, PowerLoss::Before);
    let (first, fault) = rig.run(&Pages(vec![vec![("a", 1, GOOD)]])).await;
    assert!(fault.is_some());
    let rig = rig.restarted();
    let (second, fault) = rig.run(&Pages(vec![vec![]])).await;
    assert_eq!((fault, second.counts.resumed), (None, 1));
    let about = rig.trace("a").await.hops[0].0.clone();
    assert_eq!((about.read_by, about.run), (Some(first.id), second.id));
}

/// Settles batches of two hundred records, half of them written and half unchanged, over a store on disk.
async fn settle_on_disk(state: &State, batches: std::ops::Range<u64>) {
    let (stream, mut run) = (Rig::id(), Run::begin("run", &Rig::id(), Ticking::default().now()));
    for batch in batches {
        let item = |place: u64| {
            let number = batch * 100 + place;
            let fields = format!(
                r#"{{"external_id":"cus_{number:07}","email":"***","name":"***","phone":"***","company":"***","country":"DE","tier":"gold","lifetime_value":{},"at":"2026-01-{:02}T{:02}:{:02}:00Z"}}"#,
                number * 7_919 % 100_000,
                1 + number % 28,
                number % 24,
                number % 60
            );
            let fields = Fields::parse(fields.as_bytes()).unwrap();
            Item {
                version: Some(Version::new(format!("2026-01-02T03:04:05.{number:09}Z"))),
                idempotency_key: format!(
                    "{:032x}",
                    u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
                ),
                ..Item::new(Key::new(format!("cus_{number:07}")), fields)
            }
        };
        let items: Vec<Item> = (0..100).map(item).collect();
        let mut passed = Passed::default();
        (0..100).for_each(|place| passed.add(&Why::Unchanged, &Key::new(format!("same_{}", batch * 100 + place))));
        let hops = items.iter().map(|item| {
            let sending = Sending {
                asks: Asks::Write,
                operation: "create_lead".into(),
                at: DateTime::from_timestamp_millis(1_767_225_600_000 + batch as i64 * 977).unwrap(),
                took_ms: 20 + batch % 7,
                status: Some(201),
                found: None,
                attempts: 1,
                records: 1,
                key: Some(item.idempotency_key.clone()),
            };
            let hop = Hop {
                version: item.version.clone(),
                name: item.idempotency_key.clone(),
                fields: Some(serde_json::from_str(item.fields.as_str()).unwrap()),
                sent: vec![sending],
                ..Hop::of(Verdict::Created(Some(format!("lead_{}", item.key))))
            };
            (KeyHash::of(&item.key), hop)
        });
        let hops = hops.collect();
        let now = DateTime::from_timestamp(1_767_225_600 + batch as i64, 0).unwrap();
        let decided = Counts { unchanged: 100, ..Counts::default() };
        let verdicts = vec![Verdict::Created(None); items.len()];
        let batch = Batch { items, decided, passed, read_at: Some(now), ..Batch::default() };
        let staged = state.stage(&stream, batch, now, &mut run).await.unwrap();
        let settled = staged.settle(verdicts).unwrap().with_history(hops, Passed::default());
        state.commit(&stream, vec![settled], None, now, &mut run).await.unwrap();
    }
}

/// With `RENKEI_LONG` a million records and five million, and the usual bound of the history.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_records_are_settled_the_store_takes_no_more_than_its_plateau() {
    let long = std::env::var("RENKEI_LONG").is_ok();
    let (bytes_max, batches, disk_max) =
        if long { (32_000_000, 5_000, 64_000_000) } else { (1_000_000, 100, 4_000_000) };
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(RedbStore::open(RedbOptions::new(folder.path().join("state"))).unwrap());
    let key = SealKey::of_dir(folder.path()).unwrap();
    let state = State::new(store.clone(), Arc::new(Seal::new(&key))).with_history(HistoryRule { bytes_max, ..RULE });
    let disk = || std::fs::metadata(folder.path().join("state/redb/db")).unwrap().len();
    settle_on_disk(&state, 0..batches).await;
    let (first, begun) = (disk(), std::time::SystemTime::now());
    let trace = state.trace(&Rig::id(), &Key::new("cus_0000001")).await.unwrap();
    println!(
        "{} records: {first} bytes on disk; {} hops, {} passes; traced in {:?}",
        batches * 200,
        trace.hops_kept,
        trace.passes_kept,
        begun.elapsed().unwrap()
    );
    settle_on_disk(&state, batches..5 * batches).await;
    println!("{} records: {} bytes on disk", batches * 1_000, disk());
    assert!(first <= disk_max && disk() <= disk_max, "{first} and then {}", disk());
    store.close().await;
}
