//! Listings whose place is kept inside another stream's checkpoint, so that they move in the same commits and one outbox, one
//! ledger and one run serve them all.

use chrono::{DateTime, Utc};

use crate::{
    model::{BoxFuture, Checkpoint, DeletionState, Fault, Listing, Page, Sweeping},
    source::Source,
};

/// A listing of its own inside a route's checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inner {
    Tombstones,
    Existing,
}

/// A source whose place is kept beside that of the route's stream.
pub struct Nested<'a> {
    pub source: &'a dyn Source,
    pub inner: Inner,
    pub now: DateTime<Utc>,
}

impl Nested<'_> {
    fn inside(&self, at: &Checkpoint) -> Checkpoint {
        let deletions = at.deletions.as_deref();
        let listing = deletions.and_then(|deletions| match self.inner {
            Inner::Tombstones => deletions.tombstones.clone(),
            Inner::Existing => deletions.existing.clone(),
        });
        let Listing { cursor, scan } = listing.unwrap_or_default();
        Checkpoint { cursor, scan, ..Checkpoint::default() }
    }

    fn outside(&self, at: &Checkpoint, inside: Checkpoint, end: bool) -> Checkpoint {
        let mut deletions = at.deletions.as_deref().cloned().unwrap_or_default();
        let Checkpoint { cursor, scan, .. } = inside;
        match self.inner {
            Inner::Tombstones => deletions.tombstones = Some(Listing { cursor, scan }),
            Inner::Existing => {
                if deletions.existing.is_none() {
                    deletions.listed_at = Some(self.now);
                }
                deletions.existing = scan.is_some().then_some(Listing { cursor, scan });
                deletions.sweep = end.then_some(Sweeping { listed_at: self.now, after: None });
            }
        }
        with(at, deletions)
    }
}

impl Source for Nested<'_> {
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
        Box::pin(async move {
            let page = self.source.read(&self.inside(at)).await?;
            let next = self.outside(at, page.next, page.end);
            // A sink with a mark has no deletions, so nothing has to be taken back where a listing begins again.
            Ok(Page { next, restarted: false, ..page })
        })
    }
}

/// The route's own stream, each listing of which is a sweep.
pub struct Swept<'a> {
    pub source: &'a dyn Source,
    pub now: DateTime<Utc>,
}

impl Source for Swept<'_> {
    fn read<'a>(&'a self, at: &'a Checkpoint) -> BoxFuture<'a, Result<Page, Fault>> {
        Box::pin(async move {
            let mut page = self.source.read(at).await?;
            if page.end && page.next.scan.is_none() {
                let mut deletions = page.next.deletions.as_deref().cloned().unwrap_or_default();
                deletions.sweep = Some(Sweeping { listed_at: self.now, after: None });
                page.next = with(&page.next, deletions);
            }
            Ok(page)
        })
    }
}

/// The checkpoint with another state of its deletions.
pub fn with(at: &Checkpoint, deletions: DeletionState) -> Checkpoint {
    let deletions = (deletions != DeletionState::default()).then(|| Box::new(deletions));
    Checkpoint { deletions, ..at.clone() }
}
