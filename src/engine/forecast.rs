//! What a run would do, told before it does it: pages are read and compared as in a run, and nothing is staged, sent or
//! remembered. The checkpoint, links, runs and dead letters stay as they are; the sink is asked at the most.
//!
//! The hard idea is the record that comes twice: its second state would be compared with what the first one left, so the forecast
//! remembers what each write would leave, a few dozen bytes for each, and looks there before it believes the link. Batches that are
//! staged count as written for the same reason.

use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
};

use serde::Serialize;

use super::{
    difference::Difference,
    prepare::{Preparer, Reads, Replayed, UnderWay},
    stop::Stop,
    sync::{Context, Route},
};
use crate::{
    model::{Blame, Checkpoint, Code, ContentHash, Fault, KeyHash, Page, Reason, Reject},
    sink::{Ask, Foreseen},
    source::Source,
    store::Item,
    transform::{masked, masked_text},
};

/// How much a forecast remembers and asks.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Writes that are remembered. Beyond, a record that comes twice is counted as two new ones, and there is no plan file.
    pub writes: usize,
    /// Records that the sink is asked about. Beyond, what only it can know is counted as "create or update".
    pub asked: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { writes: 2_000_000, asked: 200 }
    }
}

/// What is wanted of a forecast.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// As if the stream were read again from its beginning.
    pub full_refresh: bool,
    /// Records that are told in full.
    pub samples: usize,
    /// Updates are compared with what the sink holds.
    pub differences: bool,
    pub bounds: Bounds,
}

/// One write, as a plan names it: the record, what of it, and after how many states.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Write {
    pub key: KeyHash,
    pub content: ContentHash,
    pub generation: u32,
}

impl Write {
    /// Nothing for an item of a sink whose writes have no names.
    pub fn of(item: &Item) -> Option<Self> {
        Some(Self { key: KeyHash::of(&item.key), content: item.content?, generation: item.generation })
    }
}

/// How many records a run would give which verdict, as far as that is known before the sink answers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Tally {
    pub read: u64,
    pub create: u64,
    pub update: u64,
    /// Only the sink knows whether it has the record.
    pub create_or_update: u64,
    pub delete: u64,
    pub unchanged: u64,
    pub skip: u64,
    pub reject: u64,
}

/// One record that would be written or refused. What it holds is masked.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    pub does: &'static str,
    pub key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sink_id: Option<String>,
    pub generation: u32,
    /// What the sink would be sent, or for a refused record what was read.
    pub fields: serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What the sink holds of it, where it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

/// What was foretold.
#[derive(Default, Debug)]
pub struct Forecast {
    pub tally: Tally,
    /// The first records, in the order in which they were read.
    pub samples: Vec<Sample>,
    /// Records of an earlier run that are staged. A run delivers them first.
    pub staged: u64,
    pub pages: u64,
    pub requests: u64,
    /// Why a run would not delete, or not all that it should.
    pub held_back: Option<Fault>,
    /// Updates whose fields were compared with what the sink holds, and those of them that change nothing.
    pub compared: u64,
    pub equal: u64,
    /// Every write by its name; nothing when there were too many, or the sink's writes have no names.
    pub writes: Option<HashSet<Write>>,
}

/// Reads one pass as a run would, and tells what the run would do.
pub async fn forecast(context: &Context, route: &Route, wanted: Wanted, stop: &Stop) -> Result<Forecast, Fault> {
    let (left, seen, told) = (HashMap::new(), HashSet::new(), Forecast::default());
    let mut foretold = Foretelling { route, left, seen, asked: 0, wanted, told, stop };
    foretold.told.writes = Some(HashSet::new());
    for staged in context.state.outbox(&route.stream).await? {
        foretold.told.staged += staged.items().len() as u64;
        staged.items().iter().filter_map(Write::of).for_each(|write| foretold.leave(&write));
    }
    let known = context.state.checkpoint(&route.stream).await?.unwrap_or_default();
    let start = if wanted.full_refresh { known.from_the_start() } else { known };
    let (under_way, replayed, memory) = (UnderWay::default(), Replayed::default(), Mutex::default());
    let preparer = Preparer {
        stream: &route.stream,
        transform: &route.transform,
        mapping: &route.mapping,
        writes: &route.writes,
        state: &context.state,
        under_way: &under_way,
        replayed: &replayed,
        deletes: route.deletes.as_ref(),
        // What it would hold back is told, and not held back.
        brake: None,
        reads: Reads::Records,
        lookups: &route.lookups,
        memory: &memory,
    };
    foretold.read_pass(&*route.source, &preparer, start.clone()).await?;
    foretold.foretell_deletions(context, preparer, start).await?;
    let mut told = foretold.told;
    told.requests = (route.usage)().requests;
    Ok(told)
}

pub(super) struct Foretelling<'a> {
    pub route: &'a Route,
    pub stop: &'a Stop,
    /// Records that the listings have shown, for a sweep.
    pub seen: HashSet<KeyHash>,
    /// What each write would leave at the sink, and its generation.
    left: HashMap<KeyHash, (ContentHash, u32)>,
    asked: u64,
    wanted: Wanted,
    pub told: Forecast,
}

impl Foretelling<'_> {
    pub(super) async fn read_pass(
        &mut self,
        source: &dyn Source,
        preparer: &Preparer<'_>,
        mut at: Checkpoint,
    ) -> Result<(), Fault> {
        loop {
            let page = tokio::select! {
                biased;
                () = self.stop.wait() => return Err(interrupted()),
                page = source.read(&at) => page?,
            };
            if page.restarted {
                return Err(restarted());
            }
            self.told.pages += 1;
            let (next, end) = (page.next.clone(), page.end);
            self.take_page(preparer, page, &at).await?;
            at = next;
            if end {
                return Ok(());
            }
        }
    }

    pub(super) async fn take_page(
        &mut self,
        preparer: &Preparer<'_>,
        page: Page,
        at: &Checkpoint,
    ) -> Result<(), Fault> {
        for drafted in preparer.draft(page, at).await? {
            let Some(batch) = preparer.compare(drafted).await? else { continue };
            self.told.tally.read += batch.read();
            self.told.tally.unchanged += batch.decided.unchanged;
            self.told.tally.skip += batch.decided.skipped;
            self.seen.extend(&batch.seen);
            batch.rejects.iter().for_each(|reject| self.refuse(reject));
            for item in batch.items {
                self.take(item).await?;
            }
        }
        Ok(())
    }

    fn refuse(&mut self, reject: &Reject) {
        self.told.tally.reject += 1;
        self.sample(|| Sample {
            does: "reject",
            key: reject.key.as_ref().map(|key| masked_text(key.as_str())),
            sink_id: None,
            generation: 0,
            fields: masked(&reject.fields),
            reason: Some(reject.reason.clone()),
            difference: None,
        });
    }

    async fn take(&mut self, mut item: Item) -> Result<(), Fault> {
        let before = self.left.get(&KeyHash::of(&item.key)).copied();
        if let Some((content, generation)) = before {
            if item.content == Some(content) {
                self.told.tally.unchanged += 1;
                return Ok(());
            }
            item.generation = generation;
        }
        let ask = match before {
            // What the sink holds by then is what this run wrote.
            Some(_) => Ask::Nothing,
            None if self.asked >= self.wanted.bounds.asked => Ask::Nothing,
            None if self.wanted.differences => Ask::WhatItHolds,
            None => Ask::WhetherItIsThere,
        };
        let foreseen = self.route.sink.foresee(&item, ask).await?;
        self.asked += u64::from(foreseen.asked);
        let difference = Difference::of(&foreseen.held);
        self.compare(difference.as_ref());
        let tally = &mut self.told.tally;
        let (does, count, reason) = match foreseen.does {
            // What comes after the first state finds a record there.
            Foreseen::Create | Foreseen::CreateOrUpdate if before.is_some() => ("update", &mut tally.update, None),
            Foreseen::Create => ("create", &mut tally.create, None),
            Foreseen::Update => ("update", &mut tally.update, None),
            Foreseen::CreateOrUpdate => ("create or update", &mut tally.create_or_update, None),
            Foreseen::Delete => ("delete", &mut tally.delete, None),
            Foreseen::Reject(reason) => ("reject", &mut tally.reject, Some(reason)),
        };
        *count += 1;
        self.remember(&item, reason.is_none());
        self.sample(|| Sample {
            does,
            key: Some(masked_text(item.key.as_str())),
            sink_id: item.sink_id.clone(),
            generation: item.generation,
            fields: masked(&item.fields),
            reason,
            difference,
        });
        Ok(())
    }

    fn compare(&mut self, difference: Option<&Difference>) {
        let is_equal = matches!(difference, Some(Difference::None { .. }));
        self.told.compared += u64::from(is_equal || matches!(difference, Some(Difference::Fields { .. })));
        self.told.equal += u64::from(is_equal);
    }

    /// Also a write that is foreseen to be refused belongs to the plan: the run hands it to the sink, which says so.
    fn remember(&mut self, item: &Item, is_left: bool) {
        let remembered = self.left.len().max(self.told.writes.as_ref().map_or(0, HashSet::len));
        let write = Write::of(item).filter(|_| remembered < self.wanted.bounds.writes);
        let Some(write) = write else {
            self.told.writes = None;
            return;
        };
        if is_left {
            self.leave(&write);
        }
        if let Some(writes) = &mut self.told.writes {
            writes.insert(write);
        }
    }

    fn leave(&mut self, write: &Write) {
        self.left.insert(write.key, (write.content, write.generation + 1));
    }

    fn sample(&mut self, sample: impl FnOnce() -> Sample) {
        if self.told.samples.len() < self.wanted.samples {
            self.told.samples.push(sample());
        }
    }
}

fn interrupted() -> Fault {
    Fault::halt(Code::Interrupted, Blame::Host, "the plan was stopped before it was whole")
        .help("nothing was written anywhere; plan again")
}

fn restarted() -> Fault {
    Fault::halt(Code::MovingListing, Blame::Remote, "the listing began again from its start while it was read")
        .help("nothing was written anywhere; plan again")
}

#[cfg(test)]
#[path = "forecast_tests.rs"]
mod tests;
