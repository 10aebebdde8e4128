//! What left for each item of the batches that are under way, for the history of their records. It decides nothing: the sink
//! writes it down as it goes, and whoever settles the batch takes it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::store::{Sending, Sendings};

/// Requests of one item that are kept. Of more, the first ones and the last.
const SENDINGS_MAX: usize = 12;

#[derive(Default)]
pub(super) struct Trail(Mutex<BTreeMap<u64, Sendings>>);

impl Trail {
    fn batches(&self) -> MutexGuard<'_, BTreeMap<u64, Sendings>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request that was about the items at these places.
    pub fn note(&self, batch: u64, places: &[usize], sending: &Sending) {
        let mut batches = self.batches();
        let all = batches.entry(batch).or_default();
        for at in places {
            let own = all.entry(*at).or_default();
            own.truncate(SENDINGS_MAX - 1);
            own.push(sending.clone());
        }
    }

    /// What is known of a batch; from now on it is forgotten.
    pub fn take(&self, batch: u64) -> Sendings {
        self.batches().remove(&batch).unwrap_or_default()
    }
}
