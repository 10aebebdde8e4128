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
use crate::model::{Fault, Key, KeyHash};

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

impl State {
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
