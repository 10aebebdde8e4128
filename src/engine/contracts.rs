//! Where records meet their contracts: as they are read, before all steps, and as they are to be sent, before they are staged. A
//! record that does not fit never leaves; what a run met is told in its record.

use std::sync::{Mutex, PoisonError};

use super::{
    prepare::{Preparer, Reads},
    sync::{Context, Route},
};
use crate::{
    config::plan::Terms,
    model::{Blame, Code, Drift, End, Fault, Record, Reject},
    store::{Deed, Item, Run},
    transform::{Memory, Unfit},
};

impl Preparer<'_> {
    /// Holds the records of a page to the stream's contract. A page with a record that a frozen contract does not know is an error,
    /// and nothing of it is taken over.
    pub(super) fn hold_read(&self, records: Vec<Record>, rejects: &mut Vec<Reject>) -> Result<Vec<Record>, Fault> {
        let contract = self.transform.contract();
        if contract.is_idle() || self.reads != Reads::Records {
            return Ok(records);
        }
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = Vec::with_capacity(records.len());
        for record in records {
            let held = if record.gone { Ok(()) } else { contract.hold(&record.fields, &mut memory.drift) };
            match held {
                Ok(()) => kept.push(record),
                Err(Unfit::Reject(reason)) => {
                    let Record { key, gone, fields, slip, .. } = record;
                    rejects.push(Reject { key: Some(key), gone, fields, reason, slip });
                }
                Err(Unfit::Freeze(words)) => return Err(frozen("stream", &words)),
            }
        }
        Ok(kept)
    }

    /// Holds a mapped record to the operation's contract. The inner error is a dead letter.
    pub(super) fn hold_sent(&self, item: Item) -> Result<Result<Item, Reject>, Fault> {
        let contract = self.mapping.contract();
        if contract.is_idle() || item.deed == Deed::Delete {
            return Ok(Ok(item));
        }
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        match contract.hold(&item.fields, &mut memory.drift) {
            Ok(()) => Ok(Ok(item)),
            Err(Unfit::Reject(reason)) => {
                // A dead letter holds the record as it was read, because a replay begins there.
                let Item { key, source, slip, .. } = item;
                Ok(Err(Reject { key: Some(key), gone: false, fields: source, reason, slip }))
            }
            Err(Unfit::Freeze(words)) => Err(frozen("operation", &words)),
        }
    }
}

fn frozen(end: &str, words: &str) -> Fault {
    Fault::halt(Code::ContractFrozen, Blame::Config, format!("by the {end}'s frozen schema {words}")).help(
        "Nothing of this page was staged or sent, and the cursor did not move; what came before is delivered. Mend the schema, or \
         write `contract: reject` or `warn` in the pipeline.",
    )
}

/// Adds what a listing met to the run's record.
pub(super) async fn add(memory: &Mutex<Memory>, run: &tokio::sync::Mutex<Run>) {
    let drift = std::mem::take(&mut memory.lock().unwrap_or_else(PoisonError::into_inner).drift);
    if !drift.is_empty() {
        run.lock().await.drift.merge(drift);
    }
}

/// Ends a run's account: of a contract that evolves only what no run has told before is told, and remembered; of calls that will end,
/// what their answers said.
pub(super) async fn settle(context: &Context, route: &Route, run: &mut Run) -> Result<(), Fault> {
    run.notices = (route.notices)();
    for notice in &run.notices {
        tracing::warn!(pipeline = run.pipeline, "{notice}");
    }
    let evolves = |end: End| {
        let contract = if end == End::Read { route.transform.contract() } else { route.mapping.contract() };
        contract.terms() == Some(Terms::Evolve)
    };
    let Drift { rows, left_out } = std::mem::take(&mut run.drift);
    let (new, mut told): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| evolves(row.end));
    if !told.is_empty() {
        let (places, first) = (told.len(), told.first().map(|row| format!("{} {}", row.kind.name(), row.path)));
        tracing::warn!(pipeline = run.pipeline, run = run.id, places, first, "records differ from their contract");
    }
    told.extend(context.state.expect_drift(&route.stream, new).await?);
    run.drift = Drift { rows: told, left_out };
    Ok(())
}
