//! One run over a scripted source and a scripted sink: what the engine itself promises, whatever the ends are.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::{DateTime, Utc};
use renkei::{
    engine::{Context, Options, Progress, Route, Stop, Stopper, Writes, sync},
    http::Usage,
    model::{
        Blame, BoxFuture, Checkpoint, Clock, Code, Disposition, Fault, Fields, Key, Mark, Overlap, Page, Position,
        Record, Scan, SystemEntropy, Verdict, Version,
    },
    sink::{Durability, Sink},
    source::Source,
    store::{Keeps, Memory, Run, RunState, Seal, Staged, State, StreamId},
    transform::{Mapping, Transform},
};

struct Noon;

impl Clock for Noon {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_225_600, 0).unwrap()
    }
}

/// Pages of `key=value` records.
struct Pages(Vec<Vec<(&'static str, u32)>>);

impl Source for Pages {
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
        let number = match at.scan.as_ref().and_then(|scan| scan.position.as_ref()) {
            Some(Position::Page(number)) => *number as usize,
            _ => 0,
        };
        let end = number + 1 == self.0.len();
        let scan = Scan { position: Some(Position::Page(number as u64 + 1)), ..Scan::default() };
        let here = Scan { position: Some(Position::Page(number as u64)), ..Scan::default() };
        let next = Checkpoint { scan: (!end).then_some(scan), ..at.clone() };
        let records = self.0[number].iter().map(|(key, value)| record(key, *value)).collect();
        let page = Page {
            records,
            rejects: Vec::new(),
            skipped: Vec::new(),
            next,
            scan: here,
            end,
            restarted: false,
            body_bytes: 100,
        };
        Box::pin(async move { Ok(page) })
    }
}

fn record(key: &str, value: u32) -> Record {
    Record {
        key: Key::new(key),
        version: Some(Version::new(value.to_string())),
        overlap: Overlap::default(),
        gone: false,
        fields: Fields::parse(format!(r#"{{"id":"{key}","value":{value}}}"#).as_bytes()).unwrap(),
        slip: None,
    }
}

/// A sink that remembers what it was sent, by key, and answers as told.
#[derive(Clone, Default)]
struct Shelf {
    sent: Arc<Mutex<Vec<(String, String, String)>>>,
    answers: Arc<Mutex<BTreeMap<u64, Answer>>>,
    delays: Arc<Mutex<BTreeMap<u64, Duration>>>,
}

#[derive(Clone)]
enum Answer {
    Fail(Fault),
    TooFew,
    Hang,
}

impl Shelf {
    fn answer(&self, seq: u64, answer: Answer) {
        self.answers.lock().unwrap().insert(seq, answer);
    }

    fn values(&self) -> Vec<String> {
        self.sent.lock().unwrap().iter().map(|(key, fields, _)| format!("{key} {fields}")).collect()
    }

    fn keys_used(&self) -> Vec<String> {
        self.sent.lock().unwrap().iter().map(|(_, _, key)| key.clone()).collect()
    }
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
            let delay = self.delays.lock().unwrap().get(&batch.seq()).copied().unwrap_or_default();
            tokio::time::sleep(delay).await;
            let answer = self.answers.lock().unwrap().remove(&batch.seq());
            for item in batch.items() {
                let fields = item.fields.as_str().to_owned();
                self.sent.lock().unwrap().push((item.key.to_string(), fields, item.idempotency_key.clone()));
            }
            match answer {
                Some(Answer::Fail(fault)) => Err(fault),
                Some(Answer::TooFew) => Ok(Vec::new()),
                Some(Answer::Hang) => std::future::pending().await,
                None => {
                    Ok(batch.items().iter().map(|item| Verdict::Created(Some(format!("at-{}", item.key)))).collect())
                }
            }
        })
    }

    fn seal(&self) -> BoxFuture<'_, Result<Option<Mark>, Fault>> {
        Box::pin(async { Ok(None) })
    }
}

struct Rig {
    state: State,
    shelf: Shelf,
    pages: Vec<Vec<(&'static str, u32)>>,
}

impl Rig {
    fn new(pages: &[&[(&'static str, u32)]]) -> Self {
        let state = State::new(Arc::new(Memory::new()), Arc::new(Seal::plain()));
        Self { state, shelf: Shelf::default(), pages: pages.iter().map(|page| page.to_vec()).collect() }
    }

    fn id() -> StreamId {
        StreamId::new("p", "s")
    }

    async fn run_with(&self, options: Options, stop: &Stop) -> (Run, Option<Fault>) {
        let context = Context {
            state: self.state.clone(),
            clock: Arc::new(Noon),
            entropy: Arc::new(SystemEntropy::seeded(1)),
            progress: Arc::new(Progress::default()),
        };
        let route = Route {
            stream: Self::id(),
            source: Box::new(Pages(self.pages.clone())),
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
                keeps: Keeps::default(),
            },
            sink: Box::new(self.shelf.clone()),
            deletes: None,
            only: None,
            usage: Box::new(Usage::default),
            causes: Box::new(BTreeMap::new),
            notices: Box::new(Vec::new),
        };
        sync(&context, &route, options, stop).await
    }

    async fn run(&self) -> (Run, Option<Fault>) {
        self.run_with(Options::default(), &Stopper::new().1).await
    }
}

fn remote_fault() -> Fault {
    Fault::halt(Code::ServerError, Blame::Remote, "503").with(Disposition::Retry { after: None })
}

#[tokio::test(start_paused = true)]
async fn a_second_run_over_the_same_records_writes_nothing() {
    let rig = Rig::new(&[&[("a", 1), ("b", 1)], &[("c", 1)]]);
    let (first, fault) = rig.run().await;
    assert_eq!((fault, first.state, first.counts.created), (None, RunState::Done, 3));
    let (second, _) = rig.run().await;
    assert_eq!((second.counts.read, second.counts.unchanged, second.counts.created), (3, 3, 0));
    assert_eq!(rig.shelf.values().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_batch_without_an_answer_is_sent_again_first_with_the_same_bytes_and_key() {
    let mut rig = Rig::new(&[&[("a", 1)], &[("b", 1)]]);
    rig.shelf.answer(0, Answer::Fail(remote_fault()));
    let (first, fault) = rig.run().await;
    assert_eq!((fault.unwrap().code, first.state), (Code::ServerError, RunState::Failed));
    // The source has moved on: the outbox still sends what it held.
    rig.pages = vec![vec![("a", 2)]];
    let (second, fault) = rig.run().await;
    assert_eq!(fault, None);
    let values = rig.shelf.values();
    let first_again = values.iter().rposition(|sent| sent == r#"a {"id":"a","value":1}"#).unwrap();
    let moved_on = values.iter().position(|sent| sent == r#"a {"id":"a","value":2}"#).unwrap();
    assert!(first_again > 0 && first_again < moved_on, "{values:?}");
    let keys = rig.shelf.keys_used();
    assert_eq!(keys[0], keys[first_again]);
    assert_eq!((second.counts.resumed, second.counts.balance()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn the_checkpoint_moves_over_the_contiguous_settled_prefix_only() {
    let rig = Rig::new(&[&[("a", 1)], &[("b", 1)], &[("c", 1)]]);
    rig.shelf.answer(1, Answer::Fail(remote_fault()));
    rig.shelf.delays.lock().unwrap().insert(1, Duration::from_secs(1));
    let (run, _) = rig.run().await;
    let checkpoint = rig.state.checkpoint(&Rig::id()).await.unwrap().unwrap();
    assert_eq!(checkpoint.scan.unwrap().position, Some(Position::Page(1)));
    assert_eq!((run.counts.created, run.counts.balance()), (1, 2));
    assert_eq!(rig.state.outbox_depth(&Rig::id()).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_record_keeps_its_batch_staged() {
    let rig = Rig::new(&[&[("a", 1)]]);
    rig.shelf.answer(0, Answer::TooFew);
    let (_, fault) = rig.run().await;
    assert_eq!(fault.unwrap().code, Code::Unanswered);
    let (again, fault) = rig.run().await;
    assert_eq!((fault, again.counts.resumed, again.counts.created), (None, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_stands_twice_is_never_under_way_twice_and_keeps_its_order() {
    let rig = Rig::new(&[&[("a", 1), ("b", 1), ("a", 2)], &[("a", 3), ("a", 1)]]);
    rig.shelf.delays.lock().unwrap().extend([(0, Duration::from_secs(9)), (1, Duration::from_secs(1))]);
    let (run, fault) = rig.run().await;
    assert_eq!((fault, run.counts.balance()), (None, 0));
    let of_a: Vec<_> = rig.shelf.values().into_iter().filter(|sent| sent.starts_with('a')).collect();
    let expected = [1, 2, 3, 1].map(|value| format!(r#"a {{"id":"a","value":{value}}}"#));
    assert_eq!(of_a, expected);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_a_page_names_twice_is_written_once() {
    let rig = Rig::new(&[&[("a", 1), ("b", 1), ("a", 1)]]);
    let (run, fault) = rig.run().await;
    assert_eq!((fault, run.counts.created, run.counts.unchanged, run.counts.balance()), (None, 2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_batch_staged_before_the_store_went_back_does_not_vouch_for_what_the_sink_holds() {
    let mut rig = Rig::new(&[&[("a", 1)]]);
    rig.shelf.answer(0, Answer::Fail(remote_fault()));
    rig.run().await;
    // By now the sink may have been sent a newer state, and answer the old batch from its memory of the old key.
    rig.state.doubt_links().await.unwrap();
    let (run, fault) = rig.run().await;
    assert_eq!((fault, run.counts.resumed, run.counts.unchanged, rig.shelf.values().len()), (None, 1, 0, 3));
    let (settled, _) = rig.run().await;
    assert_eq!((settled.counts.unchanged, rig.shelf.values().len()), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_within_its_grace_and_leaves_the_open_batch_in_the_outbox() {
    let rig = Rig::new(&[&[("a", 1)], &[("b", 1)]]);
    rig.shelf.answer(0, Answer::Hang);
    let (stopper, stop) = Stopper::new();
    let asked = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stopper.stop();
    };
    let (_, (run, fault)) = tokio::join!(asked, rig.run_with(Options::default(), &stop));
    assert_eq!((fault, run.state), (None, RunState::Stopped));
    assert!(rig.state.outbox_depth(&Rig::id()).await.unwrap() > 0);
    let (next, fault) = rig.run().await;
    assert_eq!((fault, next.state), (None, RunState::Done));
    assert!(next.counts.resumed > 0);
}

#[tokio::test(start_paused = true)]
async fn a_limit_cuts_the_page_and_the_next_run_goes_on_with_it() {
    let rig = Rig::new(&[&[("a", 1), ("b", 1), ("c", 1)], &[("d", 1)]]);
    let limited = Options { limit: Some(2), ..Options::default() };
    let (first, fault) = rig.run_with(limited, &Stopper::new().1).await;
    assert_eq!((fault, first.counts.read, first.counts.created), (None, 2, 2));
    let (second, _) = rig.run_with(Options { limit: Some(1), ..limited }, &Stopper::new().1).await;
    assert_eq!((second.counts.unchanged, second.counts.created), (2, 1));
    let (third, _) = rig.run().await;
    assert_eq!((third.counts.unchanged, third.counts.created), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_full_refresh_reads_everything_again_and_writes_what_changed() {
    let mut rig = Rig::new(&[&[("a", 1), ("b", 1)]]);
    rig.run().await;
    rig.pages = vec![vec![("a", 1), ("b", 2)]];
    let refreshed = Options { full_refresh: true, ..Options::default() };
    let (run, fault) = rig.run_with(refreshed, &Stopper::new().1).await;
    assert_eq!((fault, run.counts.unchanged, run.counts.created), (None, 1, 1));
}
