//! The world's own book of what reached it. Entries are bounded and the oldest are forgotten; the counters never are,
//! so a sum in a report is right however long the world has run.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    call::{Answer, Call, Refusal},
    config::App,
    faults::FaultKind,
    route::Route,
};

/// What a request did, to one lead or as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    Read,
    Created,
    Updated,
    Unchanged,
    Deleted,
    /// Answered from the memory of an idempotency key: nothing happened again.
    Replayed,
    Refused,
    Throttled,
    Unauthorized,
}

/// One line of the account. A batch has one line per item.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Entry {
    pub seq: u64,
    /// The number of the request, the same for all items of one batch.
    pub request: u64,
    pub at: DateTime<Utc>,
    pub app: App,
    pub method: String,
    pub route: &'static str,
    pub effect: Effect,
    pub external_id: Option<String>,
    pub lead_id: Option<String>,
    pub idempotency_key: Option<String>,
}

/// Sums over everything that ever arrived.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counters {
    /// Requests that reached the world, control routes left out.
    pub requests: u64,
    pub tokens: u64,
    pub reads: u64,
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub deleted: u64,
    pub replayed: u64,
    pub refused: u64,
    pub throttled: u64,
    pub unauthorized: u64,
    /// Faults that struck, by kind.
    pub faults: BTreeMap<FaultKind, u64>,
}

/// What happened to one item, before it is entered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Deed {
    pub effect: Effect,
    pub external_id: Option<String>,
    pub lead_id: Option<String>,
}

impl Deed {
    pub fn plain(effect: Effect) -> Self {
        Self { effect, external_id: None, lead_id: None }
    }
}

/// An answer and what was done to earn it.
pub(super) struct Outcome {
    pub answer: Answer,
    pub deeds: Vec<Deed>,
}

impl Outcome {
    pub fn plain(effect: Effect, answer: Answer) -> Self {
        Self { answer, deeds: vec![Deed::plain(effect)] }
    }

    #[expect(clippy::boxed_local, reason = "a refusal is boxed wherever it is made")]
    pub fn refused(answer: Refusal) -> Self {
        Self::plain(Effect::Refused, *answer)
    }

    /// A read that went well, or a request that was refused.
    pub fn read(answer: Result<Answer, Refusal>) -> Self {
        match answer {
            Ok(answer) => Self::plain(Effect::Read, answer),
            Err(answer) => Self::refused(answer),
        }
    }
}

#[derive(Debug)]
pub(super) struct Account {
    pub counters: Counters,
    entries: VecDeque<Entry>,
    entries_max: usize,
    seq: u64,
}

impl Account {
    pub fn new(entries_max: usize) -> Self {
        Self { counters: Counters::default(), entries: VecDeque::new(), entries_max, seq: 0 }
    }

    /// Enters the deeds of one request.
    pub fn enter(&mut self, call: &Call, route: &Route, deeds: Vec<Deed>) {
        self.counters.requests += 1;
        for deed in deeds {
            self.count(route.app(), deed.effect);
            self.seq += 1;
            if self.entries_max == 0 {
                continue;
            }
            if self.entries.len() >= self.entries_max {
                self.entries.pop_front();
            }
            self.entries.push_back(Entry {
                seq: self.seq,
                request: self.counters.requests,
                at: call.now,
                app: route.app(),
                method: call.method.to_string(),
                route: route.template(),
                effect: deed.effect,
                external_id: deed.external_id,
                lead_id: deed.lead_id,
                idempotency_key: call.header("idempotency-key").map(String::from),
            });
        }
    }

    pub fn note_fault(&mut self, kind: FaultKind) {
        *self.counters.faults.entry(kind).or_insert(0) += 1;
    }

    /// The kept entries after `seq`, oldest first.
    pub fn after(&self, seq: u64) -> impl Iterator<Item = &Entry> {
        let skip = self.entries.partition_point(|entry| entry.seq <= seq);
        self.entries.range(skip..)
    }

    fn count(&mut self, app: App, effect: Effect) {
        let counters = &mut self.counters;
        let counter = match effect {
            Effect::Read if app == App::Oauth => &mut counters.tokens,
            Effect::Read => &mut counters.reads,
            Effect::Created => &mut counters.created,
            Effect::Updated => &mut counters.updated,
            Effect::Unchanged => &mut counters.unchanged,
            Effect::Deleted => &mut counters.deleted,
            Effect::Replayed => &mut counters.replayed,
            Effect::Refused => &mut counters.refused,
            Effect::Throttled => &mut counters.throttled,
            Effect::Unauthorized => &mut counters.unauthorized,
        };
        *counter += 1;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::sandbox::{
        WorldConfig,
        probe::{Probe, calm},
    };

    #[test]
    fn old_entries_are_forgotten_and_the_counters_are_not() {
        let mut probe = Probe::new(WorldConfig { entries_max: 3, ..calm() });
        let batch = json!({ "inputs": [{ "email": "a@b", "external_id": "a" }, {}] });
        (0..5).for_each(|_| drop(probe.write("POST", "/crm/leads/batch", &batch)));
        let counters = probe.world.counters();
        assert_eq!((counters.requests, counters.created, counters.unchanged, counters.refused), (6, 1, 4, 5));
        let kept: Vec<_> = probe.world.entries(0).map(|entry| (entry.seq, entry.request)).collect();
        assert_eq!(kept, [(9, 5), (10, 6), (11, 6)]);
        assert_eq!(probe.world.entries(10).count(), 1);
    }
}
