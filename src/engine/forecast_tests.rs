//! The bounds of a forecast, over a scripted source and a sink that counts what it is asked.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use chrono::DateTime;

use super::*;
use crate::{
    engine::{Progress, Stopper, Writes},
    http::Usage,
    model::{BoxFuture, Clock, Fields, Key, Mark, Overlap, Page, Record, Scan, SystemEntropy, Verdict, Version},
    sink::{Durability, Foresight, Held, Sink},
    source::Source,
    store::{Keeps, Memory, Seal, Staged, State, StreamId},
    transform::{Mapping, Transform},
};

struct Noon;

impl Clock for Noon {
    fn now(&self) -> DateTime<chrono::Utc> {
        DateTime::from_timestamp(1_767_225_600, 0).unwrap()
    }
}

/// One page of records of these numbers.
struct Numbers(Vec<u64>);

impl Source for Numbers {
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
        let record = |(place, number): (usize, &u64)| Record {
            key: Key::new(number.to_string()),
            version: Some(Version::new(place.to_string())),
            overlap: Overlap::default(),
            gone: false,
            fields: Fields::parse(format!(r#"{{"id":{number},"at":{place}}}"#).as_bytes()).unwrap(),
            slip: None,
        };
        let records = self.0.iter().enumerate().map(record).collect();
        let (next, scan) = (at.clone(), Scan::default());
        let page = Page {
            records,
            rejects: Vec::new(),
            skipped: Vec::new(),
            next,
            scan,
            end: true,
            restarted: false,
            body_bytes: 1,
        };
        Box::pin(async move { Ok(page) })
    }
}

/// Holds what it would be sent, where it is asked what it holds; knows that records are new, where it is asked whether.
#[derive(Clone, Default)]
struct Shelf {
    whether: Arc<AtomicU64>,
    what: Arc<AtomicU64>,
}

impl Sink for Shelf {
    fn durability(&self) -> Durability {
        Durability::Outbox
    }

    fn resume(&self, known: Option<Checkpoint>) -> BoxFuture<'_, Result<Option<Checkpoint>, Fault>> {
        Box::pin(async { Ok(known) })
    }

    fn write<'a>(&'a self, _: &'a Staged) -> BoxFuture<'a, Result<Vec<Verdict>, Fault>> {
        unreachable!("a forecast writes nothing")
    }

    fn seal(&self) -> BoxFuture<'_, Result<Option<Mark>, Fault>> {
        Box::pin(async { Ok(None) })
    }

    fn foresee<'a>(&'a self, item: &'a Item, ask: Ask) -> BoxFuture<'a, Result<Foresight, Fault>> {
        let fields: serde_json::Value = serde_json::from_str(item.fields.as_str()).unwrap();
        let told = match ask {
            Ask::Nothing => Foreseen::CreateOrUpdate.into(),
            Ask::WhetherItIsThere => {
                self.whether.fetch_add(1, Ordering::Relaxed);
                Foresight { does: Foreseen::Create, held: Held::Unasked, asked: true }
            }
            Ask::WhatItHolds => {
                self.what.fetch_add(1, Ordering::Relaxed);
                let held = Held::Fields { sent: fields.clone(), protected: fields.clone(), there: fields };
                Foresight { does: Foreseen::Update, held, asked: true }
            }
        };
        Box::pin(async move { Ok(told) })
    }
}

async fn told(numbers: Vec<u64>, shelf: &Shelf, wanted: Wanted) -> Forecast {
    let context = Context {
        state: State::new(Arc::new(Memory::new()), Arc::new(Seal::plain())),
        clock: Arc::new(Noon),
        entropy: Arc::new(SystemEntropy::seeded(1)),
        progress: Arc::new(Progress::default()),
    };
    let route = Route {
        stream: StreamId::new("p", "s"),
        source: Box::new(Numbers(numbers)),
        transform: Transform::new(&[]),
        lookups: Vec::new(),
        mapping: Mapping::new(None),
        writes: Writes {
            connection: "crm".into(),
            operation: "put".into(),
            durability: Durability::Outbox,
            key: None,
            skip_changed: false,
            newest_only: false,
            keeps: Keeps::default(),
        },
        deletes: None,
        sink: Box::new(shelf.clone()),
        only: None,
        usage: Box::new(Usage::default),
        causes: Box::new(std::collections::BTreeMap::new),
        notices: Box::new(Vec::new),
    };
    forecast(&context, &route, wanted, &Stopper::new().1).await.unwrap()
}

fn wanted(writes: usize, asked: u64, differences: bool) -> Wanted {
    Wanted { full_refresh: false, samples: 3, differences, bounds: Bounds { writes, asked } }
}

#[tokio::test]
async fn a_forecast_of_more_writes_than_it_remembers_counts_them_all_and_makes_no_plan() {
    let fits = told((0..5).collect(), &Shelf::default(), wanted(5, 0, true)).await;
    assert_eq!((fits.tally.create_or_update, fits.writes.unwrap().len()), (5, 5));
    let over = told((0..6).collect(), &Shelf::default(), wanted(5, 0, true)).await;
    assert_eq!((over.tally.create_or_update, over.writes.is_none(), over.samples.len()), (6, true, 3));
}

#[tokio::test]
async fn a_record_that_comes_twice_is_an_update_while_it_is_remembered_and_two_new_ones_beyond() {
    let numbers = vec![1, 2, 3, 1];
    let remembered = told(numbers.clone(), &Shelf::default(), wanted(3, 0, true)).await.tally;
    assert_eq!((remembered.create_or_update, remembered.update), (3, 1));
    let beyond = told(vec![2, 3, 4, 1, 1], &Shelf::default(), wanted(3, 0, true)).await.tally;
    assert_eq!((beyond.create_or_update, beyond.update), (5, 0));
}

#[tokio::test]
async fn no_more_records_are_asked_about_than_the_bound_and_only_what_was_wanted() {
    let shelf = Shelf::default();
    let compared = told((0..10).collect(), &shelf, wanted(100, 4, true)).await;
    assert_eq!((shelf.what.load(Ordering::Relaxed), shelf.whether.load(Ordering::Relaxed)), (4, 0));
    assert_eq!((compared.tally.update, compared.tally.create_or_update), (4, 6));
    assert_eq!((compared.compared, compared.equal), (4, 4));
    assert!(matches!(compared.samples[0].difference, Some(Difference::None { equal: 2 })));

    let shelf = Shelf::default();
    let applied = told((0..10).collect(), &shelf, wanted(100, 4, false)).await;
    assert_eq!((shelf.what.load(Ordering::Relaxed), shelf.whether.load(Ordering::Relaxed)), (0, 4));
    assert_eq!((applied.tally.create, applied.compared), (4, 0));
}
