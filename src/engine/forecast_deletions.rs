//! What a run would delete, told before it does it: tombstones and whole listings are read as in a run, and what a sweep would miss
//! is compared in memory, because nothing of a forecast is remembered.

use super::{
    deletes::{Brake, Deletes, Sweep},
    forecast::Foretelling,
    missing::{self, tombstone},
    nested::{Inner, Nested},
    prepare::{Preparer, Reads},
    sync::Context,
};
use crate::{
    model::{Checkpoint, DeletionState, Fault, Page, Scan},
    store::{NAMELESS, Shown},
};

impl Foretelling<'_> {
    /// `at`: where the stream itself was read from.
    pub(super) async fn foretell_deletions(
        &mut self,
        context: &Context,
        preparer: Preparer<'_>,
        at: Checkpoint,
    ) -> Result<(), Fault> {
        let route = self.route;
        let Some(deletes) = &route.deletes else { return Ok(()) };
        let now = context.clock.now();
        let tombstones = Preparer { reads: Reads::Tombstones, ..preparer };
        if let Some(source) = &deletes.tombstones {
            let source = Nested { source: &**source, inner: Inner::Tombstones, now };
            self.read_pass(&source, &tombstones, at.clone()).await?;
        }
        let known = at.deletions.as_deref().cloned().unwrap_or_default();
        let mut shown = Shown::default();
        if let Some(sweep) = &deletes.sweep {
            let is_listed = match &sweep.listing {
                None => true,
                Some(_) if !super::sweep::is_due(&known, sweep.every, now) => false,
                Some(source) => {
                    let existing = Preparer { reads: Reads::Existing, ..tombstones };
                    let source = Nested { source: &**source, inner: Inner::Existing, now };
                    self.read_pass(&source, &existing, at.clone()).await?;
                    true
                }
            };
            if is_listed {
                let goes_on = known.existing.is_some() || (sweep.listing.is_none() && at.scan.is_some());
                shown = self.foretell_sweep(context, &tombstones, sweep, goes_on).await?;
            }
        }
        self.told.held_back = self.held_back(context, deletes, &known, shown).await?.err();
        Ok(())
    }

    /// Tells what the sweep misses. `goes_on`: an earlier run has read the listing's beginning.
    async fn foretell_sweep(
        &mut self,
        context: &Context,
        tombstones: &Preparer<'_>,
        sweep: &Sweep,
        goes_on: bool,
    ) -> Result<Shown, Fault> {
        let (state, stream) = (&context.state, &self.route.stream);
        let mut shown = if goes_on { state.shown(stream).await? } else { Shown::default() };
        shown.nameless += u64::from(self.seen.contains(&NAMELESS));
        shown.seen += self.seen.iter().filter(|hash| **hash != NAMELESS).count() as u64;
        (shown.live, shown.missing) = (0, 0);
        let mut links = if goes_on { state.unseen(stream, None) } else { state.unseen_in_nothing(stream) };
        while let Some(page) = links.next_page().await? {
            shown.live += page.live;
            let missing: Vec<_> = page.missing.into_iter().filter(|(hash, _)| !self.seen.contains(hash)).collect();
            shown.missing += missing.len() as u64;
            let records = missing.into_iter().filter_map(|(_, link)| tombstone(link.key?, &sweep.key)).collect();
            let page = Page {
                records,
                rejects: Vec::new(),
                skipped: Vec::new(),
                next: Checkpoint::default(),
                scan: Scan::default(),
                end: false,
                restarted: false,
                body_bytes: 0,
            };
            self.take_page(tombstones, page, &Checkpoint::default()).await?;
        }
        Ok(shown)
    }

    /// What the brake, or a listing that cannot be trusted, would say.
    async fn held_back(
        &self,
        context: &Context,
        deletes: &Deletes,
        known: &DeletionState,
        shown: Shown,
    ) -> Result<Result<(), Fault>, Fault> {
        let mut brake = Brake::new(&context.state, &self.route.stream, deletes.brake);
        brake.braked = known.braked;
        if let Err(fault) = missing::decide(&brake, shown).await {
            return Ok(Err(fault));
        }
        Ok(match self.told.tally.delete {
            0 => Ok(()),
            all => brake.check(all).await,
        })
    }
}
