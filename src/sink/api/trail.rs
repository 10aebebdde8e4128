//! What left for each item of the batches that are under way, for the history of their records. It decides nothing: the sink
//! writes it down as it goes, and whoever settles the batch takes it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::store::{Sending, Sendings};

/// Requests of one item that are kept. Of more, the first ones and the last.
const SENDINGS_MAX: usize = 12;

/// Batches that are kept for whoever takes them. No more are ever under way.
const BATCHES_MAX: usize = 64;

#[derive(Default)]
pub(super) struct Trail(Mutex<BTreeMap<u64, Sendings>>);

impl Trail {
    fn batches(&self) -> MutexGuard<'_, BTreeMap<u64, Sendings>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request that was about the items at these places.
    pub fn note(&self, batch: u64, places: &[usize], sending: &Sending) {
        let mut batches = self.batches();
        while batches.len() >= BATCHES_MAX && !batches.contains_key(&batch) {
            batches.pop_first();
        }
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

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::store::Asks;

    fn sending(attempts: u32) -> Sending {
        let (at, operation) = (DateTime::UNIX_EPOCH, "create".into());
        let (status, found, key) = (None, None, None);
        Sending { asks: Asks::Write, operation, at, took_ms: 1, status, found, attempts, records: 1, key }
    }

    #[test]
    fn a_trail_is_taken_once_and_holds_a_bounded_number_of_batches_and_requests() {
        let trail = Trail::default();
        (0..100).for_each(|number| trail.note(1, &[0, 3], &sending(number)));
        let mut taken = trail.take(1);
        assert_eq!(taken.keys().copied().collect::<Vec<_>>(), [0, 3]);
        let own: Vec<u32> = taken.remove(&3).unwrap().iter().map(|sending| sending.attempts).collect();
        assert_eq!((own.len(), own[0], own[10], own[11]), (SENDINGS_MAX, 0, 10, 99));
        assert!(trail.take(1).is_empty());
        (0..1_000).for_each(|batch| trail.note(batch, &[0], &sending(1)));
        // One after the other: the first look holds the lock that the second needs.
        let kept = trail.batches().len();
        assert_eq!((kept, trail.take(999).len()), (BATCHES_MAX, 1));
    }
}
