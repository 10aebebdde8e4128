//! Dead letters of a commit: what was refused, under a name that the same refusal always has, and what is no longer open.
//!
//! A record that is read again unchanged and refused again is one letter that was met twice, not two letters. So the name
//! is made from the record and the code, and a commit brings the earlier letter up to date instead of adding another. A
//! letter that was replayed keeps its name, whatever it is refused for now.
//!
//! The hard idea is what ends a letter: any other verdict for its record, in the same commit. So an open letter means that
//! nothing later of its record was accepted.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use chrono::{DateTime, Utc};

use super::{
    batch::{Batch, Deed, Settled, raw},
    open::record_of,
    records::{DeadLetter, Run, StreamId},
};
use crate::model::{ContentHash, Fields, Key, KeyHash, Reason, Verdict, letter_name};

/// What one commit refuses, each refusal once, and what it ends.
pub(super) struct Letters<'a> {
    pub(super) stream: &'a StreamId,
    /// By the letter's id.
    pub(super) refused: BTreeMap<String, DeadLetter>,
    /// Records whose letters go.
    pub(super) answered: BTreeSet<KeyHash>,
    /// Replayed letters that go, whatever record they named.
    pub(super) ended: BTreeSet<String>,
}

/// One refused record.
struct Refused<'a> {
    key: Option<&'a Key>,
    source: &'a Fields,
    fields: Option<&'a Fields>,
    reason: &'a Reason,
    parked: bool,
    gone: bool,
}

impl<'a> Letters<'a> {
    pub(super) fn new(stream: &'a StreamId) -> Self {
        Self { stream, refused: BTreeMap::new(), answered: BTreeSet::new(), ended: BTreeSet::new() }
    }

    /// Takes the letters that a batch leaves and ends those of records that it did not refuse. A record that stands in a
    /// batch twice, refused and accepted, keeps its letter.
    pub(super) fn take(&mut self, batch: &Settled, run: &Run, now: DateTime<Utc>) -> Result<(), serde_json::Error> {
        let Batch { open, replayed, .. } = &batch.staged.batch;
        let again: BTreeSet<&Key> = refused(batch).filter_map(|refused| refused.key).collect();
        for key in open.iter().filter(|key| !again.contains(key)) {
            let record = KeyHash::of(key);
            self.refused.retain(|_, letter| record_of(letter.key.as_ref()) != record);
            self.answered.insert(record);
        }
        for refused in refused(batch) {
            let id = match refused.key.and_then(|key| replayed.get(key)) {
                Some(id) => id.clone(),
                None => refused.id(self.stream),
            };
            let letter = DeadLetter {
                id: id.clone(),
                pipeline: self.stream.pipeline.clone(),
                stream: self.stream.stream.clone(),
                run: run.id.clone(),
                at: now,
                first_at: None,
                times: 1,
                parked: refused.parked,
                gone: refused.gone,
                key: refused.key.cloned(),
                reason: refused.reason.clone(),
                source: raw(refused.source)?,
                fields: refused.fields.map(raw).transpose()?,
                edited: None,
                tracked: true,
            };
            match self.refused.entry(id) {
                Entry::Vacant(place) => drop(place.insert(letter)),
                Entry::Occupied(mut place) => place.get_mut().again(letter),
            }
        }
        let ended = replayed.iter().filter(|(key, _)| open.contains(key) && !again.contains(key));
        self.ended.extend(ended.map(|(_, id)| id.clone()));
        Ok(())
    }

    /// The keys of the refused ones in the store.
    pub(super) fn keys(&self) -> Vec<Vec<u8>> {
        self.refused.keys().map(|id| self.stream.key(id.as_bytes())).collect()
    }

    /// The refused ones as they are to be stored, after `earlier` ones: those of earlier commits, in the order of `keys`.
    pub(super) fn after(&mut self, earlier: Vec<Option<DeadLetter>>) -> Vec<DeadLetter> {
        let refused = std::mem::take(&mut self.refused).into_values().zip(earlier);
        refused
            .map(|(letter, earlier)| match earlier {
                None => letter,
                Some(mut known) => {
                    known.again(letter);
                    known
                }
            })
            .collect()
    }
}

fn refused(batch: &Settled) -> impl Iterator<Item = Refused<'_>> {
    let before = batch.staged.batch.rejects.iter().map(|reject| Refused {
        key: reject.key.as_ref(),
        source: &reject.fields,
        fields: None,
        reason: &reject.reason,
        parked: false,
        gone: reject.gone,
    });
    let answered = batch.outcomes().filter_map(|(item, verdict)| {
        let (reason, parked) = match verdict {
            Verdict::Rejected(reason) => (reason, false),
            Verdict::Parked(reason) => (reason, true),
            _ => return None,
        };
        let gone = item.deed == Deed::Delete;
        Some(Refused { key: Some(&item.key), source: &item.source, fields: Some(&item.fields), reason, parked, gone })
    });
    before.chain(answered)
}

impl Refused<'_> {
    fn id(&self, stream: &StreamId) -> String {
        letter_name(&stream.pipeline, &stream.stream, self.key, &ContentHash::of(self.source), self.reason.code)
    }
}

impl DeadLetter {
    /// Takes over a later letter of the same refusal. The record stays as it was read first, and as a person mended it.
    fn again(&mut self, later: Self) {
        let first_at = Some(self.first_at.unwrap_or(self.at));
        let times = self.times.saturating_add(later.times);
        let (source, edited) = (self.source.clone(), self.edited.take());
        *self = Self { first_at, times, source, edited, ..later };
    }
}
