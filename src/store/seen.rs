//! Which records a whole listing has shown so far, for a sweep: what it did not show is gone.
//!
//! One row per committed batch, in the commit that settles it, so that a listing which a crash cut off goes on with what it has
//! shown before. The hard idea is memory: links are compared in the order of their hashes, a bounded range of hashes at a time, so
//! a million records cost as many bytes as the range holds and a few readings of the rows.

use std::collections::BTreeSet;

use super::{
    Op, State, Tree,
    link::Link,
    records::{Run, StreamId},
};
use crate::model::{Fault, KeyHash};

/// Hashes that are compared at a time.
const RANGE: usize = 500_000;

/// A record that could not be named: anything may be missing because of it.
pub const NAMELESS: KeyHash = KeyHash([0; 16]);

/// What a whole listing shows of what is linked.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Shown {
    /// Records in the listing.
    pub seen: u64,
    /// Records in it that could not be named.
    pub nameless: u64,
    /// Links of records that the sink holds.
    pub live: u64,
    /// Those of them that the listing did not show.
    pub missing: u64,
}

pub(super) fn seen_op(stream: &StreamId, run: &Run, batch: u64, seen: &[KeyHash]) -> Option<Op> {
    if seen.is_empty() {
        return None;
    }
    // Whatever delivers a record while a whole listing is under way shows that it exists.
    let key = stream.ledger().key(&[run.id.as_bytes(), &batch.to_be_bytes()].concat());
    Some(Op::Put { tree: Tree::Seen, key, value: seen.iter().flat_map(|hash| hash.0).collect() })
}

impl State {
    /// A new listing begins: what an earlier one has shown counts no more.
    pub async fn forget_seen(&self, stream: &StreamId) -> Result<(), Fault> {
        self.forget_all(Tree::Seen, stream).await
    }

    /// How the listing that ended compares with the links.
    pub async fn shown(&self, stream: &StreamId) -> Result<Shown, Fault> {
        let mut shown = Shown::default();
        self.each_seen(stream, |hash| match hash {
            NAMELESS => shown.nameless += 1,
            _ => shown.seen += 1,
        })
        .await?;
        let mut links = Unseen::new(self, stream, None);
        while let Some(page) = links.next_page().await? {
            shown.live += page.live;
            shown.missing += page.missing.len() as u64;
        }
        Ok(shown)
    }

    /// Links that are live and were not shown, in the order of their hashes, from after `after` on.
    pub fn unseen<'a>(&'a self, stream: &'a StreamId, after: Option<KeyHash>) -> Unseen<'a> {
        Unseen::new(self, stream, after)
    }

    /// All links that are live, as for a listing that has shown nothing.
    pub fn unseen_in_nothing<'a>(&'a self, stream: &'a StreamId) -> Unseen<'a> {
        Unseen { until: Some(KeyHash([0xff; 16])), ..Unseen::new(self, stream, None) }
    }

    /// How many links are of records that the sink holds.
    pub async fn live_links(&self, stream: &StreamId) -> Result<u64, Fault> {
        let (mut live, mut after) = (0, None);
        loop {
            let page = self.links_after(stream, after, super::state::SCAN_LIMIT).await?;
            let Some((last, _)) = page.last() else { return Ok(live) };
            after = Some(*last);
            live += page.iter().filter(|(_, link)| link.is_live()).count() as u64;
        }
    }

    async fn each_seen(&self, stream: &StreamId, mut take: impl FnMut(KeyHash)) -> Result<(), Fault> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.scan(Tree::Seen, &stream.prefix(), after.as_deref()).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            let (hashes, _): (Vec<_>, Vec<_>) = page.iter().map(|(_, row)| row.as_chunks::<16>()).unzip();
            hashes.into_iter().flatten().for_each(|hash| take(KeyHash(*hash)));
        }
    }
}

/// A walk over the links of a stream.
pub struct Unseen<'a> {
    state: &'a State,
    stream: &'a StreamId,
    after: Option<KeyHash>,
    /// The hashes that were shown, of those up to `until`.
    range: BTreeSet<KeyHash>,
    until: Option<KeyHash>,
}

/// Some links.
#[derive(Debug, Default)]
pub struct UnseenPage {
    pub live: u64,
    /// Those that were not shown.
    pub missing: Vec<(KeyHash, Link)>,
    /// The last link that was looked at.
    pub last: Option<KeyHash>,
}

impl<'a> Unseen<'a> {
    fn new(state: &'a State, stream: &'a StreamId, after: Option<KeyHash>) -> Self {
        Self { state, stream, after, range: BTreeSet::new(), until: None }
    }

    /// The next links; nothing at their end.
    pub async fn next_page(&mut self) -> Result<Option<UnseenPage>, Fault> {
        let links = self.state.links_after(self.stream, self.after, super::state::SCAN_LIMIT).await?;
        let Some((last, _)) = links.last() else { return Ok(None) };
        let mut page = UnseenPage { last: Some(*last), ..UnseenPage::default() };
        self.after = page.last;
        for (hash, link) in links.into_iter().filter(|(_, link)| link.is_live()) {
            page.live += 1;
            if self.until.is_none_or(|until| hash > until) {
                self.load(hash).await?;
            }
            if !self.range.contains(&hash) {
                page.missing.push((hash, link));
            }
        }
        Ok(Some(page))
    }

    /// Loads what was shown from a hash on, as much as may be held.
    async fn load(&mut self, from: KeyHash) -> Result<(), Fault> {
        let mut range = BTreeSet::new();
        let mut cut = false;
        self.state
            .each_seen(self.stream, |hash| {
                if hash >= from {
                    range.insert(hash);
                }
                if range.len() > RANGE {
                    range.pop_last();
                    cut = true;
                }
            })
            .await?;
        let highest = KeyHash([0xff; 16]);
        self.until = Some(range.last().copied().filter(|_| cut).unwrap_or(highest));
        self.range = range;
        Ok(())
    }
}
