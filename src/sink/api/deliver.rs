//! One item's way to its verdict: what is known of it leads to a step, and the step to more knowledge, until a step is the last.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    ApiSink, Placed, Trip,
    exchange::{self, Outcome},
};
use crate::{
    config::plan::{Changed, Operation, Repeat},
    model::{Blame, BoxFuture, Code, Disposition, Fault, Reason, Verdict},
    sink::{
        lookup::{Asked, Asking},
        repeat::{Known, Left, Next, next},
        request::{self, Ready},
    },
    store::{Asks, Doubt, Item, Noted, Staged},
};

/// An item, the operation it takes, and what is known of it.
pub(super) struct Way<'a> {
    operation: &'a Operation,
    at: usize,
    item: &'a Item,
    /// Its id at the sink.
    id: Option<String>,
    known: Known,
}

impl<'a> Way<'a> {
    pub(super) fn new(operation: &'a Operation, at: usize, item: &'a Item, known: Known) -> Self {
        Self { operation, at, item, id: item.sink_id.clone(), known }
    }

    fn ready(&self, sink: &ApiSink) -> Result<Ready<'a>, Reason> {
        Ready::to(&sink.api, self.operation, self.at, self.item, self.id.as_deref(), self.known.revision())
    }
}

impl ApiSink {
    /// Takes a single item to its verdict. No verdict: somebody else met a fault.
    pub(super) fn deliver<'a>(
        &'a self,
        trip: &'a Trip<'_>,
        mut way: Way<'a>,
    ) -> BoxFuture<'a, Result<Vec<Placed>, Fault>> {
        Box::pin(async move {
            loop {
                if trip.failed() {
                    return Ok(Vec::new());
                }
                let now = self.clock.now();
                let asked = match next(
                    way.operation,
                    &way.known,
                    now,
                    self.patience(way.operation),
                    self.update(way.operation).is_some(),
                ) {
                    Next::Done(verdict) => return Ok(vec![(way.at, verdict)]),
                    Next::Send => match self.attempt(trip, &mut way).await? {
                        Some(verdict) => return Ok(vec![(way.at, verdict)]),
                        None => continue,
                    },
                    Next::Later => return Err(no_answers(way.operation)),
                    Next::Update(id) => return self.deliver_update(trip, &way, id).await,
                    Next::LookUp { at } => {
                        tokio::time::sleep((at - now).to_std().unwrap_or(Duration::ZERO)).await;
                        self.asked(trip, &way, Asks::LookUp, self.look_up(&way)).await?
                    }
                    Next::ReadAgain => self.asked(trip, &way, Asks::Read, self.read(&way)).await?,
                };
                match asked {
                    Ok(found) => way.known.found = Some(found),
                    Err(reason) => return Ok(vec![(way.at, Verdict::Rejected(reason))]),
                }
            }
        })
    }

    /// Sends an item once. No verdict: what was learned stands in what is known of it.
    async fn attempt(&self, trip: &Trip<'_>, way: &mut Way<'_>) -> Result<Option<Verdict>, Fault> {
        let ready = match way.ready(self) {
            Ok(ready) => ready,
            Err(reason) => return Ok(Some(Verdict::Rejected(reason))),
        };
        match self.send(trip, way.operation, vec![ready]).await?.pop() {
            Some((_, Outcome::Verdict(verdict))) => return Ok(Some(verdict)),
            Some((_, Outcome::Lost { spent: true, .. })) => way.known.key_is_spent(self.clock.now()),
            Some((_, Outcome::Lost { first, .. })) => way.known.lost(first, self.clock.now()),
            Some((_, Outcome::Moved)) => way.known.again(),
            None => return Err(bug("a request that nothing came of")),
        }
        Ok(None)
    }

    /// Updates the record that a look-up found. What comes of it is the item's verdict, with the id that was found.
    async fn deliver_update(&self, trip: &Trip<'_>, way: &Way<'_>, id: String) -> Result<Vec<Placed>, Fault> {
        let Some(operation) = self.update(way.operation) else {
            return Err(bug("a record that was found and cannot be updated"));
        };
        let found = Way { operation, at: way.at, item: way.item, id: Some(id.clone()), known: Known::new(Left::No) };
        let placed = self.deliver(trip, found).await?;
        Ok(placed
            .into_iter()
            .map(|(at, verdict)| match verdict {
                Verdict::Updated(None) => (at, Verdict::Updated(Some(id.clone()))),
                Verdict::Created(None) => (at, Verdict::Created(Some(id.clone()))),
                other => (at, other),
            })
            .collect())
    }

    /// Sends items in one request, or in ever smaller ones. Those that come to nothing are decided here: a look-up and a
    /// revision are about single records, so there is no way on but to wait for a person.
    pub(super) async fn deliver_part(
        &self,
        trip: &Trip<'_>,
        operation: &Operation,
        part: Vec<Ready<'_>>,
    ) -> Result<Vec<Placed>, Fault> {
        let items = trip.opened.items();
        let sent = self.send(trip, operation, part).await?;
        let placed = sent.into_iter().map(|(at, sent)| match sent {
            Outcome::Verdict(verdict) => Ok((at, verdict)),
            Outcome::Moved => Err(bug("a revision in a batch")),
            Outcome::Lost { first, spent } => {
                let mut known = self.known(trip.batch, operation, at, &items[at]);
                match spent {
                    true => known.key_is_spent(self.clock.now()),
                    false => known.lost(first, self.clock.now()),
                }
                self.held_back(operation, &known)
                    .map(|verdict| (at, verdict))
                    .ok_or_else(|| bug("a batch that was lost"))
            }
        });
        placed.collect()
    }

    /// The verdict of an item that nothing makes safe to send.
    pub(super) fn held_back(&self, operation: &Operation, known: &Known) -> Option<Verdict> {
        match next(operation, known, self.clock.now(), self.patience(operation), false) {
            Next::Done(verdict) => Some(verdict),
            _ => None,
        }
    }

    /// What an earlier run and the journal leave known of an item.
    pub(super) fn known(&self, batch: &Staged, operation: &Operation, at: usize, item: &Item) -> Known {
        let maybe = |first, same| Left::Maybe { first, last: self.since.max(batch.staged_at()), same };
        let long_ago = DateTime::<Utc>::MIN_UTC;
        Known::new(match (item.doubt, batch.noted(at)) {
            (Some(Doubt::OtherContent), _) => maybe(long_ago, false),
            (Some(Doubt::SameContent), _) => maybe(long_ago, true),
            (None, Some(Noted::Intent(first))) if operation.is_journalled() => maybe(*first, true),
            // It left as an operation of another kind, before the connector was changed.
            (None, Some(Noted::Intent(_) | Noted::Answered(_))) => maybe(long_ago, true),
            (None, Some(Noted::Part(_))) if operation.is_journalled() => maybe(long_ago, true),
            (None, Some(Noted::Part(_)) | None) if batch.resumed() && !operation.is_journalled() => {
                maybe(batch.staged_at(), true)
            }
            (None, Some(Noted::Part(_)) | None) => Left::No,
        })
    }

    /// Waits for what the sink says about an item, and tells the history of it.
    async fn asked(&self, trip: &Trip<'_>, way: &Way<'_>, asks: Asks, asking: impl Future<Output = Asked>) -> Asked {
        let at = self.clock.now();
        let asked = asking.await;
        let found = match &asked {
            Ok(Ok(found)) => Some(found.to_string()),
            Ok(Err(reason)) => Some(reason.message.clone()),
            Err(_) => None,
        };
        let over = exchange::Asked { asks, at, attempts: 1, status: None, key: None, found };
        self.trace(trip.batch, way.operation, &[way.at], over);
        asked
    }

    async fn look_up(&self, way: &Way<'_>) -> Asked {
        let Some(look_up) = way.operation.look_up() else { return Err(bug("a look-up that was not declared")) };
        self.asking(way).look_up(look_up, way.item, self.clock.now()).await
    }

    async fn read(&self, way: &Way<'_>) -> Asked {
        let Some(revision) = way.operation.revision() else { return Err(bug("a revision that was not declared")) };
        let name = way.operation.name.as_str().into();
        let body = |revision: &str| {
            let ready =
                Ready::to(&self.api, way.operation, way.at, way.item, way.id.as_deref(), Some(revision)).ok()?;
            let call = request::call(&self.api, way.operation, &name, &[ready]).ok()?;
            String::from_utf8(call.body.to_vec()).ok()
        };
        self.asking(way).read(revision, way.item, way.id.as_deref(), body).await
    }

    fn asking<'a>(&'a self, way: &Way<'a>) -> Asking<'a> {
        Asking { client: &self.client, api: &self.api, operation: way.operation, clear: &self.clear }
    }

    /// The operation for a record that a look-up of this one finds.
    pub(super) fn update(&self, operation: &Operation) -> Option<&Operation> {
        let named = operation.look_up()?.update.as_ref();
        let changes = match &self.changed {
            Changed::Operation(operation) => Some(&**operation),
            Changed::Same | Changed::Skip => None,
        };
        let updates = named.map_or(changes, |name| self.api.operations.get(name).map(|operation| &**operation))?;
        let is_safe = matches!(updates.repeat.first(), Some(Repeat::Upsert { .. } | Repeat::Revision(_)));
        (is_safe && updates.batch.is_none()).then_some(updates)
    }

    /// The longest time from a decision to the last byte of the last attempt that it leads to.
    fn patience(&self, operation: &Operation) -> TimeDelta {
        let (retry, budget) = (&self.api.retry, &self.api.budget);
        let attempt = operation.request.timeout.unwrap_or(self.api.timeouts.attempt);
        let all = budget.wait_max + (attempt + retry.cap) * retry.attempts;
        TimeDelta::from_std(all).unwrap_or(TimeDelta::MAX)
    }
}

fn no_answers(operation: &Operation) -> Fault {
    let message = format!("operation {} was sent several times for one record, and no answer came", operation.name);
    Fault::halt(Code::Uncertain, Blame::Remote, message)
        .with(Disposition::Retry { after: None })
        .help("Nothing is lost or doubled: the batch stays staged, and the next run looks the record up before it sends it again.")
}

fn bug(message: &str) -> Fault {
    Fault::halt(Code::Bug, Blame::Bug, message)
        .help("Nothing is lost: the batch stays staged. This is a mistake in renkei; please report it.")
}
