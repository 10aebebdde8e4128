//! The records that a source has, and the states that they went through. It tells each of them to the book as the pipeline's own
//! rules see it.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::super::{
    book::Book,
    forge::{Forge, Stamp, later},
    leaves,
    rules::Rules,
};

/// How far apart the records of the beginning changed.
const APART_SECONDS: i64 = 30;
/// One record in so many drifts; one in so many changes later.
const DRIFTED: usize = 4;
const CHANGED: usize = 4;

/// One record in its present state.
pub struct Made {
    pub value: Value,
    pub stamp: Stamp,
    pub key: Vec<Value>,
    states: usize,
    drifted: bool,
}

pub struct Shelf {
    pub records: Vec<Made>,
    forge: Forge,
    rules: Rules,
    drifts: bool,
    /// The newest change.
    newest: Stamp,
}

impl Shelf {
    pub fn new(forge: Forge, rules: Rules, drifts: bool) -> Self {
        let newest = Stamp { at: DateTime::<Utc>::UNIX_EPOCH, number: 0 };
        Self { records: Vec::new(), forge, rules, drifts, newest }
    }

    /// The first records, the last of which changed at `until`. `first` is the number of the first change.
    pub fn fill(&mut self, book: &mut Book, records: usize, until: DateTime<Utc>, first: i64) {
        let span = TimeDelta::seconds(APART_SECONDS * records as i64);
        self.newest = Stamp { at: until - span, number: first - 1 };
        for _ in 0..records {
            self.add(book, APART_SECONDS);
        }
    }

    /// A part of the records changes and a few come, one second after the other.
    pub fn change(&mut self, book: &mut Book, from: DateTime<Utc>) {
        self.newest.at = self.newest.at.max(from);
        let before = self.records.len();
        if self.forge.can_change() {
            (0..before).step_by(CHANGED).for_each(|record| self.again(book, record));
        }
        for _ in 0..before.div_ceil(10) {
            self.add(book, 1);
        }
    }

    /// The vendor repairs what drifted.
    pub fn repair(&mut self, book: &mut Book, from: DateTime<Utc>) {
        self.drifts = false;
        self.newest.at = self.newest.at.max(from);
        let drifted: Vec<usize> = (0..self.records.len()).filter(|at| self.records[*at].drifted).collect();
        drifted.into_iter().for_each(|record| self.again(book, record));
    }

    fn add(&mut self, book: &mut Book, seconds: i64) {
        let record = self.records.len();
        self.newest = later(self.newest, seconds);
        let key = (0..self.forge.key_parts()).map(|part| self.forge.key(part, record)).collect();
        self.records.push(Made { value: Value::Null, stamp: self.newest, key, states: 0, drifted: false });
        self.tell(book, record);
    }

    fn again(&mut self, book: &mut Book, record: usize) {
        self.newest = later(self.newest, 1);
        self.records[record].stamp = self.newest;
        self.tell(book, record);
    }

    fn tell(&mut self, book: &mut Book, record: usize) {
        let made = &mut self.records[record];
        made.value = self.forge.state(&self.rules, record, made.states, made.stamp);
        made.drifted = self.drifts && record % DRIFTED == 1;
        if made.drifted {
            self.forge.drift(&mut made.value, record / DRIFTED);
        }
        made.states += 1;
        let judged = self.rules.judge(&made.value);
        // A record without its key is found by what it should have been.
        let key = judged.key.unwrap_or_else(|| format!("{:?}", made.key));
        book.tell(record, &key, judged.expected, leaves::of(&made.value));
    }

    pub fn newest(&self) -> Stamp {
        self.newest
    }
}
