//! One run into a file when the server forgets where the listing stood: every line is there exactly once.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use renkei::{
    engine::{Context, Options, Progress, Route, Stopper, Writes, sync},
    http::Usage,
    model::{
        BoxFuture, Checkpoint, Clock, Code, Cursor, Fault, Fields, Key, Overlap, Page, Position, Record, Scan,
        SystemEntropy, Version,
    },
    sink::{Durability, FileSink},
    source::Source,
    store::{Keeps, Memory, Run, RunState, Seal, State, StateStore, StreamId},
    transform::{Mapping, Transform},
};

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap()
}

struct Noon;

impl Clock for Noon {
    fn now(&self) -> DateTime<Utc> {
        noon()
    }
}

/// An ascending listing of ten pages with two records each, whose fifth page refuses its position once. The cursor moves
/// page by page, and every record lies in the overlap that a later pass reads again.
struct Forgetful {
    forgets: AtomicBool,
    /// Dies right after it began again, as a crash at the worst moment would.
    dies: bool,
    /// No record lies in an overlap.
    fresh: bool,
    /// Nothing comes after the page with this number.
    silent_after: Option<u64>,
}

const PAGES: u64 = 10;

impl Source for Forgetful {
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
        Box::pin(async move {
            let scan = at.scan.clone().unwrap_or(Scan { start_mark: at.mark, ..Scan::default() });
            let mut number = match scan.position {
                Some(Position::Page(number)) => number,
                _ => 0,
            };
            let restarted = number == 4 && self.forgets.swap(false, Ordering::Relaxed);
            if self.dies && !self.forgets.load(Ordering::Relaxed) && !restarted {
                std::future::pending::<()>().await;
            }
            if restarted {
                // Long enough for what was delivered to be committed, so that links vouch for it.
                tokio::time::sleep(Duration::from_secs(1)).await;
                number = 0;
            }
            if self.silent_after.is_some_and(|last| number > last) {
                std::future::pending::<()>().await;
            }
            let end = number + 1 == PAGES;
            let cursor = Some(Cursor::Instant(noon() + TimeDelta::seconds(number as i64)));
            let before = Overlap { before: scan.partial > 0 || !self.fresh, after: !self.fresh };
            let here = Scan { position: Some(Position::Page(number)), partial: 0, ..scan.clone() };
            let scan = Scan { position: Some(Position::Page(number + 1)), pages: number + 1, partial: 0, ..scan };
            let next = Checkpoint { cursor, scan: (!end).then_some(scan), ..at.clone() };
            let records = (0..2).map(|n| record(number * 2 + n, before)).collect();
            Ok(Page {
                records,
                rejects: Vec::new(),
                skipped: Vec::new(),
                next,
                scan: here,
                end,
                restarted,
                body_bytes: 5 << 20,
            })
        })
    }
}

fn record(n: u64, overlap: Overlap) -> Record {
    Record {
        key: Key::new(n.to_string()),
        version: Some(Version::new("1")),
        overlap,
        gone: false,
        fields: Fields::parse(format!(r#"{{"id":{n}}}"#).as_bytes()).unwrap(),
        slip: None,
    }
}

async fn run(state: &State, folder: &Path, source: Forgetful) -> (Run, Option<Fault>) {
    run_with(state, folder, source, Options::default()).await
}

async fn run_with(state: &State, folder: &Path, source: Forgetful, options: Options) -> (Run, Option<Fault>) {
    let context = Context {
        state: state.clone(),
        clock: Arc::new(Noon),
        entropy: Arc::new(SystemEntropy::seeded(1)),
        progress: Arc::new(Progress::default()),
    };
    let route = Route {
        stream: StreamId::new("p", "s"),
        source: Box::new(source),
        transform: Transform::new(&[]),
        lookups: Vec::new(),
        mapping: Mapping::new(None),
        writes: Writes {
            connection: "files".into(),
            operation: "out".into(),
            durability: Durability::Mark,
            key: None,
            skip_changed: false,
            newest_only: false,
            keeps: Keeps::default(),
        },
        sink: Box::new(FileSink::new(folder.to_owned(), "out".into(), 20)),
        deletes: None,
        only: None,
        usage: Box::new(Usage::default),
        causes: Box::new(std::collections::BTreeMap::new),
        notices: Box::new(Vec::new),
    };
    sync(&context, &route, options, &Stopper::new().1).await
}

/// The numbers in all segments, in the order of the lines.
fn lines(folder: &Path) -> Vec<u64> {
    let mut segments: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    segments.sort();
    let text: String = segments.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    text.lines().map(|line| line.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_begins_again_leaves_every_line_once() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::new(Arc::new(Memory::new()), Arc::new(Seal::plain()));
    let source = Forgetful { forgets: AtomicBool::new(true), dies: false, fresh: false, silent_after: None };
    let (first, fault) = run(&state, folder.path(), source).await;
    assert_eq!((fault, first.state), (None, RunState::Done));
    assert_eq!(lines(folder.path()), (0..2 * PAGES).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_crash_right_after_beginning_again_loses_no_line() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::new(Arc::new(Memory::new()), Arc::new(Seal::plain()));
    let source = Forgetful { forgets: AtomicBool::new(true), dies: true, fresh: false, silent_after: None };
    tokio::select! {
        _ = run(&state, folder.path(), source) => panic!("it should have died"),
        () = gone_back(&state) => {}
    }
    let again = || Forgetful { forgets: AtomicBool::new(false), dies: false, fresh: false, silent_after: None };
    let (mut second, mut fault) = run(&state, folder.path(), again()).await;
    // A write of the dead run may still be under way on its thread and hold the file's lock.
    while fault.as_ref().is_some_and(|fault| fault.code == Code::FileSink) {
        (second, fault) = run(&state, folder.path(), again()).await;
    }
    assert_eq!((fault, second.state), (None, RunState::Done));
    assert_eq!(lines(folder.path()), (0..2 * PAGES).collect::<Vec<_>>());
}

#[tokio::test]
async fn limited_runs_go_on_where_the_last_one_stopped_and_leave_every_line_once() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::new(Arc::new(Memory::new()), Arc::new(Seal::plain()));
    let source = || Forgetful { forgets: AtomicBool::new(false), dies: false, fresh: true, silent_after: None };
    for limit in [1, 2, 3, 1, 5, 100] {
        let options = Options { limit: Some(limit), ..Options::default() };
        let (_, fault) = run_with(&state, folder.path(), source(), options).await;
        assert_eq!(fault, None);
    }
    assert_eq!(lines(folder.path()), (0..2 * PAGES).collect::<Vec<_>>());
}

#[tokio::test]
async fn many_pages_share_one_sync_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Memory::new());
    let state = State::new(store.clone(), Arc::new(Seal::plain()));
    let source = Forgetful { forgets: AtomicBool::new(false), dies: false, fresh: true, silent_after: None };
    let (ended, fault) = run(&state, folder.path(), source).await;
    assert_eq!((fault, ended.counts.created), (None, 2 * PAGES));
    let commits = store.commit(Vec::new()).await.unwrap();
    // The run's beginning and end, the file's first mark, all pages, and this one.
    assert!(commits <= 5, "{commits} commits for {PAGES} pages");
}

#[tokio::test(start_paused = true)]
async fn a_page_does_not_wait_for_company_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let state = State::new(Arc::new(Memory::new()), Arc::new(Seal::plain()));
    let source = Forgetful { forgets: AtomicBool::new(false), dies: false, fresh: true, silent_after: Some(0) };
    let began = tokio::time::Instant::now();
    tokio::select! {
        _ = run(&state, folder.path(), source) => panic!("the source never ends"),
        () = committed(&state) => {}
    }
    assert!(began.elapsed() <= Duration::from_millis(600), "{:?}", began.elapsed());
    assert_eq!(lines(folder.path()), [0, 1]);
}

/// Resolves when something of the file belongs to a checkpoint.
async fn committed(state: &State) {
    while state
        .checkpoint(&StreamId::new("p", "s"))
        .await
        .unwrap()
        .and_then(|at| at.mark)
        .is_none_or(|mark| mark.bytes == 0)
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Resolves when the checkpoint went back to where the listing began: only then does its scan stand at no page.
async fn gone_back(state: &State) {
    let stream = StreamId::new("p", "s");
    while state.checkpoint(&stream).await.unwrap().and_then(|at| at.scan).is_none_or(|scan| scan.position.is_some()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
