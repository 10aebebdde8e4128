//! Everything that the store remembers of one record, for `renkei trace`: its hops and passes in the history, its open dead
//! letters, and its link. What is staged is in the outbox.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{
    State, Tree,
    history::{About, Hop, Why},
    history_rows::{HopRowRead, Kind, PassRow},
    records::{DeadLetter, StreamId},
    state::damaged,
};
use crate::model::{Fault, Key, KeyHash, Reason, Verdict};

/// One record's way, and how much of the past was looked at.
#[derive(Default, Debug)]
pub struct Trace {
    /// In the order in which they were committed.
    pub hops: Vec<(About, Hop)>,
    pub passes: Vec<Pass>,
    /// Verdicts that the history of the stream holds, of whatever records.
    pub hops_kept: u64,
    pub passes_kept: u64,
    /// Since when the hops of the stream are there; nothing where there are none.
    pub hops_since: Option<DateTime<Utc>>,
    /// The same of passes, whose space is their own.
    pub passes_since: Option<DateTime<Utc>>,
}

/// A record that was decided without a write, or taken by a file or a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pass {
    pub why: Why,
    pub run: String,
    pub settled_at: DateTime<Utc>,
}

/// Why some records of a run were not written, or not accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cause {
    /// Decided without a write.
    Passed(Why),
    Rejected(Reason),
    Parked(Reason),
}

/// Different causes that are told apart. The messages of a vendor may be as many as the records.
const CAUSES_MAX: usize = 1_000;

impl State {
    /// What the history holds of the causes of one run, with the number of their records, the most frequent first.
    pub async fn causes(&self, stream: &StreamId, run: &str) -> Result<Vec<(Cause, u64)>, Fault> {
        let mut causes: Vec<(Cause, u64)> = Vec::new();
        let mut add = |cause: Cause, records: u64| match causes.iter().position(|(known, _)| *known == cause) {
            Some(at) => causes[at].1 += records,
            None if causes.len() < CAUSES_MAX => causes.push((cause, records)),
            None => {}
        };
        for kind in Kind::ALL {
            let mut after: Option<Vec<u8>> = None;
            loop {
                let rows = self.history_rows(stream, kind, after.as_deref()).await?;
                let Some((last, _)) = rows.last() else { break };
                after = Some(last.clone());
                for (_, row) in &rows {
                    match kind {
                        Kind::Hops => causes_of_hops(row.read()?, run, &mut add),
                        Kind::Passes => causes_of_passes(row.read()?, run, &mut add),
                    }
                }
            }
        }
        causes.sort_by_key(|(_, records)| std::cmp::Reverse(*records));
        Ok(causes)
    }

    /// Follows the record of this key through the history of a stream. It reads all of that history.
    pub async fn trace(&self, stream: &StreamId, key: &Key) -> Result<Trace, Fault> {
        let wanted = KeyHash::of(key);
        let mut trace = Trace::default();
        for kind in Kind::ALL {
            let mut after: Option<Vec<u8>> = None;
            loop {
                let rows = self.history_rows(stream, kind, after.as_deref()).await?;
                let Some((last, _)) = rows.last() else { break };
                after = Some(last.clone());
                for (_, row) in &rows {
                    let kept = match kind {
                        Kind::Hops => &mut trace.hops_kept,
                        Kind::Passes => &mut trace.passes_kept,
                    };
                    *kept += row.hashes.len() as u64;
                    match kind {
                        _ if !row.hashes.contains(&wanted) => {}
                        Kind::Hops => trace.take_hops(row.read()?, &row.hashes, wanted)?,
                        Kind::Passes => trace.take_passes(&row.read()?, &row.hashes, wanted),
                    }
                }
            }
        }
        let heads = self.histories().await?.into_iter().find(|(of, _)| of == stream);
        if let Some((_, mut heads)) = heads {
            trace.hops_since = heads.of(Kind::Hops).since();
            trace.passes_since = heads.of(Kind::Passes).since();
        }
        Ok(trace)
    }

    /// The streams that the history knows, those of pipelines that are gone included.
    pub async fn traced_streams(&self) -> Result<BTreeSet<StreamId>, Fault> {
        Ok(self.histories().await?.into_iter().map(|(stream, _)| stream).collect())
    }

    /// The open dead letters of one record.
    pub async fn letters_of(&self, stream: &StreamId, key: &Key) -> Result<Vec<DeadLetter>, Fault> {
        let record = stream.link_key(key);
        let rows = self.scan(Tree::OpenLetters, &record, None).await?;
        let ids = rows.iter().map(|(name, _)| std::str::from_utf8(&name[record.len()..]));
        let ids: Vec<&str> = ids.collect::<Result<_, _>>().map_err(|_| damaged(Tree::OpenLetters))?;
        self.dead_letters_named(stream, &ids).await
    }
}

fn causes_of_hops(row: HopRowRead, run: &str, add: &mut impl FnMut(Cause, u64)) {
    let own = row.hops.into_iter().filter(|_| row.about.run == run);
    own.for_each(|hop| match hop.verdict {
        Verdict::Rejected(reason) => add(Cause::Rejected(reason), 1),
        Verdict::Parked(reason) => add(Cause::Parked(reason), 1),
        _ => {}
    });
}

fn causes_of_passes(row: PassRow, run: &str, add: &mut impl FnMut(Cause, u64)) {
    let own = row.groups.into_iter().filter(|_| row.run == run);
    let without_a_write = own.filter(|(why, _)| !matches!(why, Why::Created | Why::Updated));
    without_a_write.for_each(|(why, records)| add(Cause::Passed(why), records as u64));
}

impl Trace {
    fn take_hops(&mut self, row: HopRowRead, hashes: &[KeyHash], wanted: KeyHash) -> Result<(), Fault> {
        if row.hops.len() != hashes.len() {
            return Err(damaged(Tree::History));
        }
        let own = hashes.iter().zip(row.hops).filter(|(hash, _)| **hash == wanted);
        self.hops.extend(own.map(|(_, hop)| (row.about.clone(), hop)));
        Ok(())
    }

    fn take_passes(&mut self, row: &PassRow, hashes: &[KeyHash], wanted: KeyHash) {
        let mut rest = hashes;
        for (why, records) in &row.groups {
            let (group, after) = rest.split_at(rest.len().min(*records));
            rest = after;
            let own = group.iter().filter(|hash| **hash == wanted);
            self.passes.extend(own.map(|_| Pass {
                why: why.clone(),
                run: row.run.clone(),
                settled_at: row.settled_at,
            }));
        }
    }
}
