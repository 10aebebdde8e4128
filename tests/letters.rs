//! Dead letters as a work list: what ends one, what a replay sends, and what a power cut in the middle of it leaves.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use renkei::{
    config::plan::{Limits, RequestPlan, Stream},
    engine::{Context, Options, Progress, RejectLimit, Replay, Route, Stopper, Writes, replay, sync},
    expr::Template,
    http::Usage,
    model::{
        BoxFuture, Checkpoint, Clock, Code, Counts, Fault, Fields, Mark, Page, Path, Position, Reason, Scan,
        SystemEntropy, Verdict,
    },
    sink::{Durability, Sink},
    source::{Source, read_one},
    store::{DeadLetter, Keeps, Memory, PowerLoss, Retention, Run, Seal, Staged, State, StateStore, StreamId, Tree},
    transform::{Mapping, Transform},
};
use serde_json::value::RawValue;

/// Each look at the clock is a second later, so that what was met later is known to be.
#[derive(Default)]
struct Ticking(Mutex<i64>);

impl Clock for Ticking {
    fn now(&self) -> DateTime<Utc> {
        let mut second = self.0.lock().unwrap();
        *second += 1;
        DateTime::from_timestamp(1_767_225_600, 0).unwrap() + TimeDelta::seconds(*second)
    }
}

fn stream() -> Arc<Stream> {
    Arc::new(Stream {
        records: Path::parse("data").unwrap(),
        key: vec![Path::parse("id").unwrap()],
        version: Some(Path::parse("v").unwrap()),
        pages_max: 10,
        empty_pages_max: 1,
        ..Stream::new("s", RequestPlan::new(http::Method::GET, "/s", Template::compile("/s").unwrap()))
    })
}

/// Pages of records as JSON texts.
struct Pages(Vec<Vec<String>>);

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
        for text in &self.0[number] {
            match read_one(&stream(), Fields::parse(text.as_bytes()).unwrap()) {
                Ok(record) => records.push(record),
                Err(reject) => rejects.push(reject),
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

/// A vendor that wants an email, and remembers every key: what it made, and how often it was asked. Where the flag is set,
/// one answer is lost before the write took effect.
#[derive(Clone, Default)]
struct Vendor(Arc<Mutex<BTreeMap<String, (String, u32)>>>, Arc<AtomicBool>);

impl Vendor {
    fn made(&self) -> Vec<String> {
        self.0.lock().unwrap().values().map(|(fields, _)| fields.clone()).collect()
    }
}

impl Sink for Vendor {
    fn durability(&self) -> Durability {
        Durability::Outbox
    }

    fn resume(&self, known: Option<Checkpoint>) -> BoxFuture<'_, Result<Option<Checkpoint>, Fault>> {
        Box::pin(async { Ok(known) })
    }

    fn write<'a>(&'a self, batch: &'a Staged) -> BoxFuture<'a, Result<Vec<Verdict>, Fault>> {
        Box::pin(async move {
            let answer = |item: &renkei::store::Item| match item.fields.as_str().contains("email") {
                true if item.doubt.is_some() || self.1.swap(false, Ordering::Relaxed) => {
                    Verdict::Parked(Reason::new(Code::Uncertain, "no answer came"))
                }
                false => Verdict::Rejected(Reason::new(Code::RecordRefused, "no email")),
                true => {
                    let made = (item.fields.as_str().to_owned(), 0);
                    self.0.lock().unwrap().entry(item.idempotency_key.clone()).or_insert(made).1 += 1;
                    Verdict::Created(Some(format!("at-{}", item.key)))
                }
            };
            Ok(batch.items().iter().map(answer).collect())
        })
    }

    fn seal(&self) -> BoxFuture<'_, Result<Option<Mark>, Fault>> {
        Box::pin(async { Ok(None) })
    }
}

struct Rig {
    memory: Memory,
    state: State,
    vendor: Vendor,
    clock: Arc<Ticking>,
}

impl Rig {
    fn new() -> Self {
        let memory = Memory::new();
        let state = State::new(Arc::new(memory.clone()), Arc::new(Seal::plain()));
        Self { memory, state, vendor: Vendor::default(), clock: Arc::default() }
    }

    /// A new process over what is durable.
    fn restarted(self) -> Self {
        let memory = self.memory.reopen();
        memory.disarm();
        let state = State::new(Arc::new(memory.clone()), Arc::new(Seal::plain()));
        Self { memory, state, ..self }
    }

    fn id() -> StreamId {
        StreamId::new("p", "s")
    }

    fn context(&self) -> Context {
        Context {
            state: self.state.clone(),
            clock: self.clock.clone(),
            entropy: Arc::new(SystemEntropy::new()),
            progress: Arc::new(Progress::default()),
        }
    }

    fn route(&self, pages: &[&[&str]]) -> Route {
        let pages = pages.iter().map(|page| page.iter().map(|text| (*text).to_owned()).collect()).collect();
        Route {
            stream: Self::id(),
            source: Box::new(Pages(pages)),
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
            sink: Box::new(self.vendor.clone()),
            deletes: None,
            only: None,
            usage: Box::new(Usage::default),
            causes: Box::new(std::collections::BTreeMap::new),
            notices: Box::new(Vec::new),
        }
    }

    async fn run_with(&self, options: Options, pages: &[&[&str]]) -> (Run, Option<Fault>) {
        sync(&self.context(), &self.route(pages), options, &Stopper::new().1).await
    }

    async fn run(&self, pages: &[&[&str]]) -> Counts {
        let (run, fault) = self.run_with(Options::default(), pages).await;
        assert_eq!(fault, None);
        run.counts
    }

    async fn letters(&self) -> Vec<DeadLetter> {
        self.state.dead_letters(None).await.unwrap()
    }

    /// Replays all letters.
    async fn replay(&self) -> (Run, Option<Fault>) {
        self.replay_with(false).await
    }

    async fn replay_with(&self, accept_doubt: bool) -> (Run, Option<Fault>) {
        let replay_of = Replay { letters: self.letters().await, stream: stream(), accept_doubt };
        replay(&self.context(), &self.route(&[]), &replay_of, &Stopper::new().1).await
    }

    /// As a person mends a letter.
    async fn edit(&self, letter: DeadLetter, text: &str) {
        let edited = Some(RawValue::from_string(text.to_owned()).unwrap());
        self.state.keep_letter(&DeadLetter { edited, ..letter }).await.unwrap();
    }

    async fn rows(&self) -> (usize, usize) {
        let rows = async |tree| self.memory.scan(tree, b"", None, 100).await.unwrap().len();
        let letters = rows(Tree::DeadLetters).await;
        (letters, rows(Tree::OpenLetters).await)
    }
}

const BAD: &str = r#"{"id":1,"v":1}"#;
const MENDED: &str = r#"{"id":1,"v":1,"email":"a@b"}"#;
const GOOD: &str = r#"{"id":2,"v":1,"email":"b@b"}"#;

#[tokio::test(start_paused = true)]
async fn a_letter_goes_when_a_later_run_delivers_its_record_and_only_that_one() {
    let rig = Rig::new();
    let other = r#"{"id":3,"v":1}"#;
    assert_eq!(rig.run(&[&[BAD, GOOD, other]]).await.rejected, 2);
    let rig = rig.restarted();
    rig.run(&[&[r#"{"id":1,"v":2,"email":"a@b"}"#]]).await;
    let left = rig.letters().await;
    assert_eq!((left.len(), left[0].source.get()), (1, other));
    assert_eq!(rig.rows().await, (1, 1), "the index tells of the letters that there are");
}

#[tokio::test(start_paused = true)]
async fn a_letter_goes_when_its_record_is_again_what_the_sink_holds() {
    let rig = Rig::new();
    rig.run(&[&[GOOD]]).await;
    rig.run(&[&[r#"{"id":2,"v":2}"#]]).await;
    assert_eq!(rig.letters().await.len(), 1);
    assert_eq!(rig.run(&[&[GOOD]]).await.unchanged, 1);
    assert_eq!(rig.rows().await, (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_is_not_committed_yet_is_ended_by_the_next_page_too() {
    let rig = Rig::new();
    // The first is refused by the source, so nothing of it is under way.
    let counts = rig.run(&[&[r#"{"id":null,"v":1}"#], &[BAD], &[MENDED], &[GOOD]]).await;
    assert_eq!((counts.rejected, counts.created), (2, 2));
    let left = rig.letters().await;
    assert_eq!((left.len(), left[0].key.is_none()), (1, true));
}

#[tokio::test(start_paused = true)]
async fn a_replay_counts_what_it_read_and_leaves_the_checkpoint_where_it_is() {
    let rig = Rig::new();
    rig.run(&[&[BAD, GOOD]]).await;
    let checkpoint = rig.state.checkpoint(&Rig::id()).await.unwrap();
    let letter = rig.letters().await.remove(0);

    let (again, fault) = rig.replay().await;
    assert_eq!((fault, again.counts.read, again.counts.rejected), (None, 1, 1));
    let known = rig.letters().await.remove(0);
    assert_eq!((&known.id, known.times, known.at > letter.at), (&letter.id, 2, true));

    rig.edit(known, MENDED).await;
    let (mended, fault) = rig.replay().await;
    assert_eq!((fault, mended.counts.read, mended.counts.created), (None, 1, 1));
    assert_eq!((rig.rows().await, rig.vendor.made().len()), ((0, 0), 2));
    assert_eq!(rig.state.checkpoint(&Rig::id()).await.unwrap(), checkpoint);
}

#[tokio::test(start_paused = true)]
async fn a_mended_letter_that_is_refused_again_keeps_its_name_its_original_and_its_edit() {
    let rig = Rig::new();
    rig.run(&[&[BAD, r#"{"v":7,"email":"x"}"#]]).await;
    let letters = rig.letters().await;
    let (named, nameless) = letters.into_iter().partition::<Vec<_>, _>(|letter| letter.key.is_some());
    rig.edit(named[0].clone(), r#"{"id":1,"v":1,"name":"still none"}"#).await;
    rig.edit(nameless[0].clone(), r#"{"id":9,"v":7}"#).await;
    let (run, _) = rig.replay().await;
    assert_eq!((run.counts.read, run.counts.rejected), (2, 2));
    let ids = |letters: &[DeadLetter]| letters.iter().map(|letter| letter.id.clone()).collect::<Vec<_>>();
    let mut before = ids(&[named[0].clone(), nameless[0].clone()]);
    before.sort();
    let after = rig.letters().await;
    assert_eq!(ids(&after), before);
    for letter in &after {
        let original = if letter.id == named[0].id { &named[0] } else { &nameless[0] };
        assert_eq!((letter.source.get(), letter.times, letter.edited.is_some()), (original.source.get(), 2, true));
    }
    assert_eq!(rig.rows().await, (2, 2), "one that had no key is found by its new one");
}

/// The rule: at every moment the letter is there, or its record has another verdict; and the vendor makes it once.
#[tokio::test(start_paused = true)]
async fn after_power_is_lost_anywhere_in_a_replay_the_letter_is_there_or_its_record_was_accepted_and_never_twice() {
    let mut struck = 0;
    for operation in 1..40 {
        for how in [PowerLoss::Before, PowerLoss::After] {
            let rig = Rig::new();
            rig.run(&[&[BAD, GOOD]]).await;
            let letter = rig.letters().await.remove(0);
            rig.edit(letter, MENDED).await;
            rig.memory.lose_power_at(rig.memory.operations() + operation, how);
            let (_, fault) = rig.replay().await;
            struck += u32::from(fault.is_some());

            let rig = rig.restarted();
            let about = format!("power lost at {operation}, {how:?}");
            let made = rig.vendor.made().iter().any(|fields| fields == MENDED);
            assert!(made || !rig.letters().await.is_empty(), "neither letter nor record: {about}");
            let (_, fault) = rig.replay().await;
            assert_eq!(fault, None, "{about}");
            assert_eq!(rig.rows().await, (0, 0), "{about}");
            assert_eq!(rig.vendor.made().iter().filter(|fields| *fields == MENDED).count(), 1, "{about}");
            let mut total = Counts::default();
            rig.state.runs().await.unwrap().iter().for_each(|run| total.merge(&run.counts));
            assert_eq!(total.read, total.verdicts(), "{about}");
        }
    }
    assert!(struck >= 6, "only {struck} power cuts struck");
}

#[tokio::test(start_paused = true)]
async fn a_run_stops_when_too_much_is_refused_and_goes_on_behind_what_it_committed() {
    let rig = Rig::new();
    let limit = Limits { share: Some(0.4), count: None, sample: 2 };
    let options = Options { rejects: Some(RejectLimit(limit)), ..Options::default() };
    let pages: &[&[&str]] = &[
        &[BAD, GOOD],
        &[r#"{"id":3,"email":"c"}"#],
        &[r#"{"id":4,"email":"d"}"#],
        &[r#"{"id":5,"email":"e"}"#],
        &[r#"{"id":6,"email":"f"}"#],
        &[r#"{"id":7,"email":"g"}"#],
    ];
    let (run, fault) = rig.run_with(options, pages).await;
    assert_eq!(fault.unwrap().code, Code::RejectLimit);
    assert!(run.counts.verdicts() < 7 && run.counts.rejected == 1, "{:?}", run.counts);
    assert!(rig.state.checkpoint(&Rig::id()).await.unwrap().unwrap().scan.is_some());
    let (rest, fault) = rig.run_with(options, pages).await;
    assert_eq!(fault, None);
    assert_eq!(run.counts.verdicts() + rest.counts.verdicts(), 7);
}

#[tokio::test(start_paused = true)]
async fn letters_are_kept_by_age_and_by_number_and_the_oldest_go_first() {
    let rig = Rig::new();
    for id in 0..5 {
        rig.run(&[&[&format!(r#"{{"id":"k{id}"}}"#)]]).await;
    }
    let mut all = rig.letters().await;
    all.sort_by_key(|letter| letter.at);
    let now = all[4].at;
    let three = Retention { keep: None, max: Some(3) };
    assert_eq!(rig.state.trim_letters(&Rig::id(), three, now).await.unwrap(), 2);
    let keep = (now - all[3].at).to_std().unwrap();
    let young = Retention { keep: Some(keep), max: None };
    assert_eq!(rig.state.trim_letters(&Rig::id(), young, now).await.unwrap(), 1);
    let mut left = rig.letters().await;
    left.sort_by_key(|letter| letter.at);
    assert_eq!(left.iter().map(|letter| &letter.id).collect::<Vec<_>>(), [&all[3].id, &all[4].id]);
    assert_eq!(rig.rows().await, (2, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_in_doubt_is_sent_again_only_where_the_doubt_is_accepted() {
    let rig = Rig::new();
    rig.vendor.1.store(true, Ordering::Relaxed);
    assert_eq!(rig.run(&[&[MENDED]]).await.parked, 1);
    let rig = rig.restarted();
    let (still, _) = rig.replay().await;
    assert_eq!((still.counts.parked, rig.vendor.made().len(), rig.letters().await[0].times), (1, 0, 2));
    let (sent, fault) = rig.replay_with(true).await;
    assert_eq!((fault, sent.counts.created, rig.vendor.made().len()), (None, 1, 1));
    assert_eq!(rig.rows().await, (0, 0));
}
