//! Steps applied to a page, stage by stage. Between pure stages stands the one thing that is done and not decided: to fetch what the
//! page's records look up. Runs, forecasts, replays and what is pushed all come this way.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::prepare::{Preparer, Reads};
use crate::{
    model::{Fault, Fields, Record},
    store::StreamId,
    transform::{Memory, Outcome, Stage, Table},
};

/// A record behind the steps.
pub(super) enum Stepped {
    /// It exists no more, so no step looked at it.
    Gone(Record),
    /// With what was read of it.
    Live { source: Fields, outcome: Outcome },
}

impl Stepped {
    fn live(&self) -> Option<&Outcome> {
        match self {
            Self::Live { outcome, .. } => Some(outcome),
            Self::Gone(_) => None,
        }
    }

    fn live_mut(&mut self) -> Option<&mut Outcome> {
        match self {
            Self::Live { outcome, .. } => Some(outcome),
            Self::Gone(_) => None,
        }
    }
}

impl Preparer<'_> {
    /// Applies the steps to the records of a page. Dropping the future is safe: nothing moved.
    pub(super) async fn steps(&self, records: Vec<Record>) -> Result<Vec<Stepped>, Fault> {
        let begin = |record: Record| match record.gone || self.reads == Reads::Tombstones {
            true => Stepped::Gone(record),
            false => Stepped::Live { source: record.fields.clone(), outcome: Outcome::Kept(record) },
        };
        let mut page: Vec<Stepped> = records.into_iter().map(begin).collect();
        for stage in self.transform.stages() {
            match stage {
                Stage::Each(each) => {
                    let mut memory = locked(self.memory);
                    page.iter_mut().filter_map(Stepped::live_mut).for_each(|it| each.change(it, &mut memory.warned));
                }
                Stage::Dedupe(dedupe) => {
                    dedupe.apply(page.iter_mut().filter_map(Stepped::live_mut), &mut locked(self.memory))?;
                }
                Stage::Lookup(lookup, at) => {
                    let values = lookup.values(page.iter().filter_map(Stepped::live));
                    let table = match self.lookups.get(*at) {
                        Some(lookups) => lookups.table(&values).await.map_err(|fault| fault.at(lookup.place()))?,
                        None => Table::new(),
                    };
                    page.iter_mut().filter_map(Stepped::live_mut).for_each(|it| lookup.fill(it, &table));
                }
            }
        }
        Ok(page)
    }
}

fn locked(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says which rules were broken by records that went on all the same.
pub(super) fn tell(memory: &Mutex<Memory>, stream: &StreamId) {
    for (rule, records) in locked(memory).warned.iter() {
        tracing::warn!(pipeline = %stream.pipeline, rule, records, "records break a rule that only warns");
    }
}
