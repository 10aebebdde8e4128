//! Deletions over scripted listings: what a brake, an empty or nameless listing and a cut-off sweep lead to, run after run.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use renkei::{
    config::plan::Brake,
    engine::{Context, Deletes, Options, Progress, Route, Stopper, Sweep, Writes, sync},
    http::Usage,
    model::{
        Blame, BoxFuture, Checkpoint, Clock, Code, Disposition, Fault, Fields, Key, Mark, Overlap, Page, Path,
        Position, Reason, Record, Reject, Scan, SystemEntropy, Verdict,
    },
    sink::{Durability, Sink},
    source::Source,
    store::{Deed, Keeps, Memory, Run, Seal, Staged, State, StreamId},
    transform::{Mapping, Transform},
};

#[derive(Default)]
struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_225_600, 0).unwrap() + TimeDelta::minutes(self.0.load(Relaxed))
    }
}

/// What exists at the source, listed whole, two records a page.
#[derive(Clone, Default)]
struct Existing {
    keys: Arc<Mutex<Vec<String>>>,
    /// The last page has a record without a key.
    nameless: Arc<Mutex<bool>>,
}

impl Source for Existing {
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
        let number = match at.scan.as_ref().and_then(|scan| scan.position.as_ref()) {
            Some(Position::Page(number)) => *number as usize,
            _ => 0,
        };
        let keys = self.keys.lock().unwrap();
        let records: Vec<Record> = keys.iter().skip(number * 2).take(2).map(|key| record(key)).collect();
        let end = keys.len() <= number * 2 + 2;
        let reason = Reason::new(Code::MissingRecordKey, "no key");
        let fields = Fields::from_object("{}".into());
        let rejects = (end && *self.nameless.lock().unwrap()).then_some(Reject {
            key: None,
            gone: false,
            fields,
            reason,
            slip: None,
        });
        let scan = |number| Scan { position: Some(Position::Page(number)), ..Scan::default() };
        let next = Checkpoint { scan: (!end).then(|| scan(number as u64 + 1)), ..at.clone() };
        let (rejects, scan) = (rejects.into_iter().collect(), scan(number as u64));
        Box::pin(async move {
            Ok(Page { records, rejects, skipped: Vec::new(), next, scan, end, restarted: false, body_bytes: 100 })
        })
    }
}

fn record(key: &str) -> Record {
    let fields = Fields::parse(format!(r#"{{"id":"{key}"}}"#).as_bytes()).unwrap();
    Record { key: Key::new(key), version: None, overlap: Overlap::default(), gone: false, fields, slip: None }
}

/// What exists at the sink.
#[derive(Clone, Default)]
struct Shelf {
    held: Arc<Mutex<BTreeSet<String>>>,
    /// Deletions that are answered before the sink fails; nothing: all.
    fails_after: Arc<Mutex<Option<usize>>>,
}

impl Sink for Shelf {
    fn durability(&self) -> Durability {
        Durability::Outbox
    }

    fn resume(&self, known: Option<Checkpoint>) -> BoxFuture<'_, Result<Option<Checkpoint>, Fault>> {
        Box::pin(async { Ok(known) })
    }

    fn write<'a>(&'a self, batch: &'a Staged) -> BoxFuture<'a, Result<Vec<Verdict>, Fault>> {
        Box::pin(async move {
            let mut held = self.held.lock().unwrap();
            let mut left = self.fails_after.lock().unwrap();
            let mut verdicts = Vec::new();
            for item in batch.items() {
                let key = item.key.to_string();
                if item.deed == Deed::Delete {
                    if let Some(left) = &mut *left {
                        *left = left.checked_sub(1).ok_or_else(|| {
                            Fault::halt(Code::ServerError, Blame::Remote, "503")
                                .with(Disposition::Retry { after: None })
                        })?;
                    }
                    held.remove(&key);
                    verdicts.push(Verdict::Deleted);
                } else {
                    held.insert(key.clone());
                    verdicts.push(Verdict::Created(Some(format!("at-{key}"))));
                }
            }
            Ok(verdicts)
        })
    }

    fn seal(&self) -> BoxFuture<'_, Result<Option<Mark>, Fault>> {
        Box::pin(async { Ok(None) })
    }
}

struct Rig {
    state: State,
    clock: Arc<Hands>,
    source: Existing,
    shelf: Shelf,
}

impl Rig {
    /// A source and a sink that agree on so many records.
    async fn with(records: usize) -> Self {
        let state = State::new(Arc::new(Memory::new()), Arc::new(Seal::plain()));
        let rig = Self { state, clock: Arc::default(), source: Existing::default(), shelf: Shelf::default() };
        rig.exist(0..records);
        let (run, fault) = rig.run(None).await;
        assert_eq!((fault, run.counts.created), (None, records as u64));
        rig
    }

    fn exist(&self, numbers: impl Iterator<Item = usize>) {
        *self.source.keys.lock().unwrap() = numbers.map(|number| format!("{number:03}")).collect();
    }

    fn held(&self) -> usize {
        self.shelf.held.lock().unwrap().len()
    }

    async fn run(&self, allow_deletes: Option<u64>) -> (Run, Option<Fault>) {
        self.run_with(None, allow_deletes).await
    }

    async fn run_with(&self, tombstones: Option<Existing>, allow_deletes: Option<u64>) -> (Run, Option<Fault>) {
        let context = Context {
            state: self.state.clone(),
            clock: self.clock.clone(),
            entropy: Arc::new(SystemEntropy::seeded(self.clock.0.fetch_add(1, Relaxed) as u64)),
            progress: Arc::new(Progress::default()),
        };
        let route = Route {
            stream: StreamId::new("p", "s"),
            source: Box::new(self.source.clone()),
            transform: Transform::new(&[]),
            lookups: Vec::new(),
            mapping: Mapping::new(None),
            writes: Writes {
                connection: "crm".into(),
                operation: "create".into(),
                durability: Durability::Outbox,
                key: None,
                skip_changed: false,
                newest_only: false,
                keeps: Keeps { key: true, version: false },
            },
            sink: Box::new(self.shelf.clone()),
            deletes: Some(Deletes {
                operation: "remove".into(),
                mapping: Mapping::new(None),
                brake: Brake { share: 0.1, max: 1_000 },
                tombstones: tombstones.map(|listed| -> Box<dyn Source> { Box::new(listed) }),
                sweep: Some(Sweep { listing: None, every: TimeDelta::zero(), key: vec![Path::parse("id").unwrap()] }),
            }),
            only: None,
            usage: Box::new(Usage::default),
            causes: Box::new(std::collections::BTreeMap::new),
            notices: Box::new(Vec::new),
        };
        sync(&context, &route, Options { allow_deletes, ..Options::default() }, &Stopper::new().1).await
    }
}

fn code(fault: Option<Fault>) -> Option<Code> {
    fault.map(|fault| fault.code)
}

#[tokio::test(start_paused = true)]
async fn what_a_whole_listing_does_not_show_is_deleted_once() {
    let rig = Rig::with(30).await;
    rig.exist(4..30);
    let (run, fault) = rig.run(None).await;
    assert_eq!((fault, run.counts.deleted, run.counts.unchanged, rig.held()), (None, 4, 26, 26));
    assert_eq!(run.counts.balance(), 0);
    let (run, fault) = rig.run(None).await;
    assert_eq!((fault, run.counts.deleted, run.counts.unchanged), (None, 0, 26));
    rig.exist(2..30);
    let (run, fault) = rig.run(None).await;
    assert_eq!((fault, run.counts.created, run.counts.unchanged, rig.held()), (None, 2, 26, 28), "two are back");
}

#[tokio::test(start_paused = true)]
async fn too_many_are_held_back_in_every_run_until_a_person_allows_them() {
    let rig = Rig::with(200).await;
    rig.exist(30..200);
    for _ in 0..3 {
        let (run, fault) = rig.run(None).await;
        let fault = fault.unwrap();
        assert_eq!((fault.code, fault.exit_code(), run.counts.deleted, rig.held()), (Code::DeletesBraked, 5, 0, 200));
        assert!(fault.message.starts_with("30 of 200 records"), "{fault}");
    }
    // Also fewer wait now, because one deletion too many may be the first of many.
    rig.exist(5..200);
    assert_eq!((code(rig.run(None).await.1), rig.held()), (Some(Code::DeletesBraked), 200));
    let (run, fault) = rig.run(Some(5)).await;
    assert_eq!((fault, run.counts.deleted, rig.held()), (None, 5, 195));
    rig.exist(8..200);
    assert_eq!((code(rig.run(None).await.1), rig.held()), (None, 192));
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_is_empty_or_holds_a_nameless_record_deletes_nothing_whatever_is_allowed() {
    let rig = Rig::with(20).await;
    rig.exist(0..0);
    let (_, fault) = rig.run(Some(1_000)).await;
    let fault = fault.unwrap();
    assert_eq!((fault.code, rig.held()), (Code::SweepUntold, 20));
    assert!(fault.message.contains("the sink holds 20 records"), "{fault}");
    rig.exist(1..20);
    *rig.source.nameless.lock().unwrap() = true;
    assert_eq!((code(rig.run(Some(1_000)).await.1), rig.held()), (Some(Code::SweepUntold), 20));
    *rig.source.nameless.lock().unwrap() = false;
    assert_eq!((code(rig.run(None).await.1), rig.held()), (None, 19));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_that_was_cut_off_goes_on_and_after_an_hour_lists_anew() {
    let rig = Rig::with(20).await;
    rig.exist(5..20);
    *rig.shelf.fails_after.lock().unwrap() = Some(2);
    assert_eq!((code(rig.run(None).await.1), rig.held()), (Some(Code::ServerError), 18));
    *rig.shelf.fails_after.lock().unwrap() = None;
    let (run, fault) = rig.run(None).await;
    assert_eq!((fault, run.counts.balance(), rig.held()), (None, 0, 15));

    // Cut off before anything was staged: the power fails between the listing and the sweep.
    rig.exist(8..20);
    let at = rig.state.checkpoint(&StreamId::new("p", "s")).await.unwrap().unwrap();
    rig.run(None).await;
    assert_eq!(rig.held(), 12);
    let listed_at = rig.clock.now();
    let sweep = renkei::model::Sweeping { listed_at, after: None };
    let deletions = renkei::model::DeletionState { sweep: Some(sweep), ..Default::default() };
    let cut = Checkpoint { deletions: Some(Box::new(deletions)), ..at };
    // What was seen then is gone from the store's rows by now for all but these; an old decision would delete the others.
    rig.state.forget_seen(&StreamId::new("p", "s")).await.unwrap();
    rig.state.adopt(&StreamId::new("p", "s"), &Some(cut)).await.unwrap();
    rig.clock.0.fetch_add(61, Relaxed);
    let (run, fault) = rig.run(None).await;
    assert_eq!((fault, run.counts.deleted, rig.held()), (None, 0, 12));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_the_tombstones_name_twice_is_deleted_once_and_the_listing_goes_on() {
    let rig = Rig::with(20).await;
    let tombstones = Existing::default();
    *tombstones.keys.lock().unwrap() = ["003", "004", "003", "005", "003"].map(str::to_owned).to_vec();
    rig.exist((0..20).filter(|number| ![3, 4, 5].contains(number)));
    let (run, fault) = rig.run_with(Some(tombstones), None).await;
    assert_eq!((fault, run.counts.deleted, rig.held()), (None, 3, 17));
    let at = rig.state.checkpoint(&StreamId::new("p", "s")).await.unwrap().unwrap();
    let listing = at.deletions.and_then(|deletions| deletions.tombstones);
    assert_eq!(listing.map(|listing| listing.scan), Some(None), "the listing has ended");
}
