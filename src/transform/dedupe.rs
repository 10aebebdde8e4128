//! Of records that are alike one goes on.
//!
//! The hard idea is the record that comes twice: its second state is no duplicate of its first, and must go on, or a change would be
//! lost. So what is remembered of a value is who came with it, and only another record is skipped.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use super::{each::words, memory::Memory, steps::Outcome};
use crate::{
    config::plan::{self, Winner},
    expr::{Expression, Scope},
    model::{Blame, Code, Fault, Key, KeyHash, Reason, Record, Reject, Skip},
};

#[derive(Clone, Debug)]
pub struct Dedupe {
    number: usize,
    words: Arc<str>,
    by: Expression,
    winner: Winner,
    max: usize,
}

impl Dedupe {
    pub(super) fn new(number: usize, plan: &plan::Dedupe) -> Self {
        let words = words(number, "dedupe", plan.by.as_str());
        Self { number, words, by: plan.by.fresh(), winner: plan.winner, max: plan.max }
    }

    /// Takes the others out of a page. Fails when there are more values than may be remembered.
    pub fn apply<'o>(
        &self,
        page: impl DoubleEndedIterator<Item = &'o mut Outcome>,
        memory: &mut Memory,
    ) -> Result<(), Fault> {
        let mut of_page = HashMap::new();
        match self.winner {
            Winner::FirstOfRun => {
                let winners = memory.winners.entry(self.number).or_default();
                page.into_iter().try_for_each(|outcome| self.judge(outcome, winners))
            }
            Winner::FirstOfPage => page.into_iter().try_for_each(|outcome| self.judge(outcome, &mut of_page)),
            Winner::LastOfPage => page.rev().try_for_each(|outcome| self.judge(outcome, &mut of_page)),
        }
    }

    fn judge(&self, outcome: &mut Outcome, winners: &mut HashMap<KeyHash, KeyHash>) -> Result<(), Fault> {
        let Outcome::Kept(record) = outcome else { return Ok(()) };
        match self.value(record) {
            Ok(None) => {}
            Ok(Some(value)) => {
                let (own, has_room) = (KeyHash::of(&record.key), winners.len() < self.max);
                match winners.entry(value) {
                    Entry::Occupied(winner) if *winner.get() == own => {}
                    Entry::Occupied(_) => {
                        let skip = Skip { key: record.key.clone(), by: self.words.clone(), slip: record.slip };
                        *outcome = Outcome::Skipped(skip);
                    }
                    Entry::Vacant(_) if !has_room => return Err(self.full()),
                    Entry::Vacant(free) => drop(free.insert(own)),
                }
            }
            Err(reason) => {
                let Record { key, gone, fields, slip, .. } = record.clone();
                *outcome = Outcome::Rejected(Reject { key: Some(key), gone, fields, reason, slip });
            }
        }
        Ok(())
    }

    fn value(&self, record: &Record) -> Result<Option<KeyHash>, Reason> {
        let text = self.by.evaluate_text(&Scope::of(&record.fields));
        let text = text.map_err(|error| error.reason(&format!("step {} (dedupe)", self.number)))?;
        Ok(text.map(|text| KeyHash::of(&Key::new(text))))
    }

    fn full(&self) -> Fault {
        let message = format!("step {} (dedupe) would remember more than {} values", self.number, self.max);
        Fault::halt(Code::DedupeFull, Blame::Config, message).help(
            "What was read before is delivered, and the cursor did not move past what was not. Raise `max`, tell duplicates \
             `within: page`, or read the stream in smaller parts.",
        )
    }
}
