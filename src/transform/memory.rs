//! What steps remember of the records before, while one listing is read. It is bounded, and gone when the listing is over: after a
//! crash the page that was not delivered is read again, and by whoever knows nothing of it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::model::{Drift, KeyHash};

/// Of one listing.
#[derive(Default, Debug)]
pub struct Memory {
    pub warned: Warned,
    /// In what records differed from their contracts.
    pub drift: Drift,
    /// For each step that tells duplicates within a run: values, and who came with them.
    pub(super) winners: BTreeMap<usize, HashMap<KeyHash, KeyHash>>,
}

/// How often rules were broken that only warn, by their words.
#[derive(Default, Debug)]
pub struct Warned(BTreeMap<Arc<str>, u64>);

impl Warned {
    pub(super) fn add(&mut self, words: &Arc<str>) {
        match self.0.get_mut(words) {
            Some(count) => *count += 1,
            None => drop(self.0.insert(words.clone(), 1)),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(words, count)| (&**words, *count))
    }
}
