//! The sink under the engine.

use std::sync::Arc;

use renkei::{
    engine::{Context, Options, Progress, Route, Stopper, Writes, sync},
    http::Usage,
    model::{
        BoxFuture, Checkpoint, Fault, Fields, Key, Overlap, Page, Position, Record, Scan, SystemClock, SystemEntropy,
    },
    sink::{Durability, Sink},
    source::Source,
    store::{Keeps, Memory, Run, Seal, State, StreamId},
    transform::{Mapping, Transform},
};

use crate::database::Database;

/// A first page with one record, and a last one with none.
struct TwoPages;

impl Source for TwoPages {
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
        let end = at.scan.is_some();
        let scan = Scan { position: Some(Position::Page(1)), ..Scan::default() };
        let record = Record {
            key: Key::new("1"),
            version: None,
            overlap: Overlap::default(),
            gone: false,
            fields: Fields::parse(br#"{"id":1}"#).unwrap(),
            slip: None,
        };
        let page = Page {
            scan: Scan::default(),
            records: if end { Vec::new() } else { vec![record] },
            rejects: Vec::new(),
            skipped: Vec::new(),
            next: Checkpoint { scan: (!end).then_some(scan), ..at.clone() },
            end,
            restarted: false,
            body_bytes: 1,
        };
        Box::pin(async { Ok(page) })
    }
}

async fn run(db: &Database, state: &State) -> Run {
    let context = Context {
        state: state.clone(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::seeded(1)),
        progress: Arc::new(Progress::default()),
    };
    let route = Route {
        stream: StreamId::new("pipe", "leads"),
        source: Box::new(TwoPages),
        transform: Transform::new(&[]),
        lookups: Vec::new(),
        mapping: Mapping::new(None),
        writes: Writes {
            connection: "db".into(),
            operation: "leads".into(),
            durability: Durability::Transaction,
            key: None,
            skip_changed: false,
            newest_only: false,
            keeps: Keeps::default(),
        },
        sink: Box::new(renkei::sink::PostgresSink::new(db.config())),
        deletes: None,
        only: None,
        usage: Box::new(Usage::default),
        causes: Box::new(std::collections::BTreeMap::new),
        notices: Box::new(Vec::new),
    };
    let (run, fault) = sync(&context, &route, Options::default(), &Stopper::new().1).await;
    assert_eq!(fault, None);
    run
}

fn state() -> State {
    State::new(Arc::new(Memory::new()), Arc::new(Seal::plain()))
}

#[tokio::test]
async fn a_last_page_without_records_moves_the_databases_checkpoint_too() {
    let Some(db) = Database::new("emptypage").await else { return };
    assert_eq!(run(&db, &state()).await.counts.created, 1);
    // Else every later run would only ever read that last page again.
    assert_eq!(db.sink().await.resume(None).await.unwrap(), Some(Checkpoint::default()));
    let again = run(&db, &state()).await;
    assert_eq!((again.counts.read, again.counts.unchanged), (1, 1));
}
