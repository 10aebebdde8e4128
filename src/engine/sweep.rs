//! One pass over a stream together with what tells of its deletions: first the records, then the tombstones, then, where the time
//! has come, everything that exists, and at last what that listing did not show.
//!
//! The order matters in one place. The listing of what exists comes after the records: a record that is delivered after it would
//! be missed by it. Where a crash comes between, the next run reads its records first, so records count as shown wherever they are
//! met (`Preparer::seen`).

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    deletes::{Brake, Deletes, Sweep},
    missing::{self, Missing},
    nested::{Inner, Nested, Swept, with},
    prepare::{Reads, Replayed},
    sync::{Pass, Running},
};
use crate::{
    model::{Checkpoint, Code, DeletionState, Fault},
    source::Source,
};

impl Running<'_> {
    /// Reads the stream and what tells of its deletions, and delivers both.
    pub(super) async fn with_deletions(&self, at: Checkpoint) -> Result<(), Fault> {
        let (route, state) = (self.route, &self.context.state);
        let Some(deletes) = &route.deletes else {
            return self.pass(&*route.source, Reads::Records, None, at).await;
        };
        let mut brake = Brake::new(state, &route.stream, deletes.brake);
        brake.allowed = self.options.allow_deletes.or_else(|| route.only.as_ref().map(|_| u64::MAX));
        brake.braked = at.deletions.as_ref().is_some_and(|deletions| deletions.braked);
        let told = self.all_listings(deletes, &brake, at).await;
        // What the brake held back stays held back until a person decides.
        let is_braked = matches!(&told, Err(fault) if fault.code == Code::DeletesBraked);
        if is_braked || (told.is_ok() && brake.allowed.is_some()) {
            self.change(|deletions| deletions.braked = is_braked).await?;
        }
        told
    }

    async fn all_listings(&self, deletes: &Deletes, brake: &Brake<'_>, at: Checkpoint) -> Result<(), Fault> {
        let (route, now) = (self.route, self.context.clock.now());
        let at = self.drop_stale_sweep(at, now).await?;
        let is_own = deletes.sweep.as_ref().is_some_and(|sweep| sweep.listing.is_none());
        // A sweep that was cut off comes first: a new listing would make it begin anew.
        self.sweep(deletes, brake).await?;
        if is_own && at.scan.is_none() {
            self.context.state.forget_seen(&route.stream).await?;
        }
        let swept = Swept { source: &*route.source, now };
        let source: &dyn Source = if is_own { &swept } else { &*route.source };
        self.pass(source, Reads::Records, Some(brake), self.checkpoint().await?).await?;
        // Somebody tries a few records: what is gone is told by whole runs.
        if self.options.limit.is_some() {
            return Ok(());
        }
        if let Some(tombstones) = self.unless_stopped(&deletes.tombstones) {
            let source = Nested { source: &**tombstones, inner: Inner::Tombstones, now };
            self.pass(&source, Reads::Tombstones, Some(brake), self.checkpoint().await?).await?;
        }
        if let Some(sweep) = self.unless_stopped(&deletes.sweep) {
            self.list_existing(sweep, now).await?;
        }
        self.sweep(deletes, brake).await
    }

    /// Lists everything that exists, where that is another stream and the time has come.
    async fn list_existing(&self, sweep: &Sweep, now: DateTime<Utc>) -> Result<(), Fault> {
        let Some(listing) = &sweep.listing else { return Ok(()) };
        let at = self.checkpoint().await?;
        let known = at.deletions.as_deref().cloned().unwrap_or_default();
        if !is_due(&known, sweep.every, now) {
            return Ok(());
        }
        if known.existing.is_none() {
            self.context.state.forget_seen(&self.route.stream).await?;
        }
        let source = Nested { source: &**listing, inner: Inner::Existing, now };
        self.pass(&source, Reads::Existing, None, at).await
    }

    /// Deletes what the last whole listing did not show, if there is one that was not acted upon.
    async fn sweep(&self, deletes: &Deletes, brake: &Brake<'_>) -> Result<(), Fault> {
        let (state, stream) = (&self.context.state, &self.route.stream);
        let at = self.checkpoint().await?;
        let is_due = at.deletions.as_ref().is_some_and(|deletions| deletions.sweep.is_some());
        let Some(sweep) = self.unless_stopped(&deletes.sweep).filter(|_| is_due) else { return Ok(()) };
        if let Err(fault) = missing::decide(brake, state.shown(stream).await?).await {
            self.change(|deletions| deletions.sweep = None).await?;
            return Err(fault);
        }
        let source = Missing { state, stream, key: &sweep.key };
        self.pass(&source, Reads::Tombstones, Some(brake), at).await
    }

    async fn pass(
        &self,
        source: &dyn Source,
        reads: Reads,
        brake: Option<&Brake<'_>>,
        at: Checkpoint,
    ) -> Result<(), Fault> {
        self.deliver_pass(Pass { source, replayed: &Replayed::default(), reads, brake }, at).await
    }

    async fn drop_stale_sweep(&self, at: Checkpoint, now: DateTime<Utc>) -> Result<Checkpoint, Fault> {
        let sweep = at.deletions.as_ref().and_then(|deletions| deletions.sweep.as_ref());
        match sweep {
            Some(sweep) if !missing::is_fresh(sweep, now) => {
                self.change(|deletions| deletions.sweep = None).await?;
                self.checkpoint().await
            }
            _ => Ok(at),
        }
    }

    /// Changes what the checkpoint says of deletions, while nothing is staged.
    async fn change(&self, change: impl FnOnce(&mut DeletionState)) -> Result<(), Fault> {
        let at = self.checkpoint().await?;
        let mut deletions = at.deletions.as_deref().cloned().unwrap_or_default();
        change(&mut deletions);
        self.context.state.adopt(&self.route.stream, &Some(with(&at, deletions))).await
    }

    async fn checkpoint(&self) -> Result<Checkpoint, Fault> {
        Ok(self.context.state.checkpoint(&self.route.stream).await?.unwrap_or_default())
    }

    fn unless_stopped<'o, T>(&self, part: &'o Option<T>) -> Option<&'o T> {
        part.as_ref().filter(|_| !self.stop.requested())
    }
}

/// Whether everything that exists is to be listed: a listing is under way, or the last one began long enough ago.
pub(super) fn is_due(known: &DeletionState, every: TimeDelta, now: DateTime<Utc>) -> bool {
    known.existing.is_some() || known.listed_at.is_none_or(|at| now.signed_duration_since(at) >= every)
}
