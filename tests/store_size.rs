//! The store stays bounded: what settled records leave on disk, how much of it is links, and that the same records changed
//! again and again leave no more.
//!
//! `RENKEI_LONG=1` settles a million records, and each of them five times more. The figures go to standard error.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::{io::Write, os::unix::fs::MetadataExt, path::Path, sync::Arc};

use chrono::{DateTime, Utc};
use renkei::{
    model::{ContentHash, Fields, Key, Verdict},
    store::{Batch, Item, RedbOptions, RedbStore, Run, Seal, SealKey, State, StateStore, StreamId, Tree},
};
use tokio::time::Instant;

/// A record's key and its link: what the store is asked to keep.
const LINK_BYTES_MAX: u64 = 100;
/// What the store adds to a link: 13 bytes of envelope, 8 of its page's table, and pages that are two thirds full.
const OVERHEAD_BYTES_MAX: u64 = 110;
/// A commit writes a page anew for each link that it changes, and the page before is free only once the commit is durable.
const ROOM_BYTES_PER_CHANGE: u64 = 2 * 4096;
/// All that is not links, whatever the volume: cursor, runs, and the room that batches came and went in.
const REST_BYTES_MAX: u64 = 4 << 20;

/// How many records there are, and how many of them are in a batch.
fn volume() -> (usize, usize) {
    #[expect(clippy::disallowed_methods, reason = "a test is told about its length by its caller")]
    let is_long = std::env::var("RENKEI_LONG").is_ok();
    if is_long { (1_000_000, 500) } else { (10_000, 100) }
}

fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

fn stream() -> StreamId {
    StreamId::new("demo-leads", "customers")
}

/// A record in its state of some pass. One without a hash of its content leaves no link.
fn item(at: usize, pass: u32, linked: bool) -> Item {
    let text = format!(
        "{{\"id\":\"cus_{at:08}\",\"email\":\"customer{at}@example.com\",\"name\":\"Customer {at}\",\"company\":\"Example \
         Trading Company Ltd\",\"phone\":\"+81 3 1234 {at:08}\",\"state\":{pass}}}"
    );
    let fields = Fields::parse(text.as_bytes()).unwrap();
    Item {
        content: linked.then(|| ContentHash::of(&fields)),
        generation: pass,
        idempotency_key: format!("{at:032x}"),
        ..Item::new(Key::new(format!("cus_{at:08}")), fields)
    }
}

/// A state directory that is opened for each pass, as it is for each run.
struct Site {
    root: tempfile::TempDir,
    linked: bool,
}

impl Site {
    fn new(linked: bool) -> Self {
        let root = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        Self { root, linked }
    }

    fn open(&self) -> Arc<RedbStore> {
        Arc::new(RedbStore::open(RedbOptions::new(self.root.path().join("state"))).unwrap())
    }

    /// Settles every record once, staged first, as all are that go to an API. Returns what is on disk after it.
    async fn pass(&self, pass: u32) -> u64 {
        let (store, stream) = (self.open(), stream());
        let seal = Seal::new(&SealKey::of_dir(self.root.path()).unwrap());
        let state = State::new(store.clone(), Arc::new(seal));
        let mut run = Run::begin(format!("run-{pass}"), &stream, now());
        state.outbox(&stream).await.unwrap();
        let (volume, size) = volume();
        for from in (0..volume).step_by(size) {
            let items: Vec<Item> = (from..from + size).map(|at| item(at, pass, self.linked)).collect();
            let verdicts = (from..from + size).map(|at| Verdict::Created(Some(format!("lead_{at:08}")))).collect();
            let batch = Batch { items, ..Batch::default() };
            let staged = state.stage(&stream, batch, now(), &mut run).await.unwrap();
            let settled = staged.settle(verdicts).unwrap();
            state.commit(&stream, vec![settled], None, now(), &mut run).await.unwrap();
        }
        assert_eq!(run.counts.created, volume as u64);
        store.close().await;
        on_disk(self.root.path())
    }
}

fn on_disk(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let size = |path: std::path::PathBuf| match path.is_dir() {
        true => on_disk(&path),
        false => path.metadata().unwrap().blocks() * 512,
    };
    entries.map(size).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_settled_leaves_its_links_and_nothing_that_grows() {
    let (linked, bare) = (Site::new(true), Site::new(false));
    let (first, rest) = (linked.pass(0).await, bare.pass(0).await);
    let store = linked.open();
    let links = store.scan(Tree::Links, b"", None, usize::MAX).await.unwrap();
    store.close().await;
    let (volume, size) = (volume().0 as u64, volume().1 as u64);
    assert_eq!(links.len() as u64, volume);
    let content = links.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() as u64 / volume;
    let overhead = (first - rest) / volume - content;
    tell(&format!(
        "{volume} records settled: {first} bytes on disk, of them {rest} not for links; a link is {content} bytes and takes \
         {overhead} more"
    ));
    assert!(content <= LINK_BYTES_MAX, "{content} bytes a link");
    let overhead_max = OVERHEAD_BYTES_MAX + size * ROOM_BYTES_PER_CHANGE / volume;
    assert!(
        overhead <= overhead_max,
        "{overhead} bytes a link beside its {content}, expected {overhead_max} at the most"
    );
    assert!(rest <= REST_BYTES_MAX, "{rest} bytes without links");

    for pass in 1..=5 {
        let (grown, rest) = (linked.pass(pass).await, bare.pass(pass).await);
        tell(&format!("settled {} times: {grown} bytes on disk, without links {rest}", pass + 1));
        assert!(grown <= first + first / 10, "{grown} bytes after {} passes, {first} after one", pass + 1);
        assert!(rest <= REST_BYTES_MAX, "{rest} bytes without links after {} passes", pass + 1);
    }
    let began = Instant::now();
    linked.open().close().await;
    tell(&format!("opening and closing took {:?}", began.elapsed()));
}
