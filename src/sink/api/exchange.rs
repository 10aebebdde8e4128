//! One request and what is known after it. A write that must not be sent twice is noted in the journal the moment before its
//! bytes leave, and again as soon as it is known what became of it; so a crash leaves in doubt only what was in flight.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use super::ApiSink;
use crate::{
    config::plan::{Makes, Operation},
    http::{Answer, Call, Departure, Ruling},
    model::{BoxFuture, Clock, Disposition, Fault, Verdict},
    sink::matching::text,
    store::{Asks, Journal, Sending, Staged},
};

/// What came of a request.
pub(super) enum Heard {
    Answer(Box<Answer>),
    /// Nobody knows whether it took effect.
    Lost {
        /// It left no earlier than this.
        first: DateTime<Utc>,
        /// It was answered from the vendor's memory, so its key is of no more use.
        spent: bool,
    },
    /// It was refused because the record has another revision by now.
    Moved,
}

/// What became of one item of a request.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Verdict(Verdict),
    Lost { first: DateTime<Utc>, spent: bool },
    Moved,
}

impl Heard {
    /// The answer, or what is known of each item without one.
    pub(super) fn answer(self) -> Result<Box<Answer>, Outcome> {
        match self {
            Self::Answer(answer) => Ok(answer),
            Self::Lost { first, spent } => Err(Outcome::Lost { first, spent }),
            Self::Moved => Err(Outcome::Moved),
        }
    }
}

impl ApiSink {
    /// Sends a call that carries the items at these places of a batch. `key` is the idempotency key that it carries.
    pub(super) async fn exchange(
        &self,
        batch: &Staged,
        operation: &Operation,
        call: &Call,
        places: &[usize],
        key: Option<String>,
    ) -> Result<Heard, Fault> {
        let first = self.clock.now();
        let journal = operation.is_journalled().then_some(&self.journal);
        let noting = Noting { journal, clock: &self.clock, batch: batch.seq(), places, left: Mutex::default() };
        let answered = self.client.execute_watched(call, &noting).await;
        if let Some((at, attempts)) = noting.left() {
            let status = answered.as_ref().ok().map(|answer| answer.status.as_u16());
            let asked = Asked { asks: Asks::Write, at, attempts, status, key, found: None };
            self.trace(batch, operation, places, asked);
        }
        match answered {
            answered if operation.resends() => answered.map(|answer| heard(operation, answer, first)),
            Ok(answer) => {
                if matches!(answer.ruling, Ruling::Refused(_)) {
                    noting.stayed();
                }
                Ok(heard(operation, answer, first))
            }
            // The client's word for a call that may have taken effect and was not sent again.
            Err(fault) if fault.disposition == Disposition::Park => Ok(Heard::Lost { first, spent: false }),
            Err(fault) => Err(fault),
        }
    }

    /// Tells the history of a request that is over.
    pub(super) fn trace(&self, batch: &Staged, operation: &Operation, places: &[usize], asked: Asked) {
        let Asked { asks, at, attempts, status, key, found } = asked;
        let took = self.clock.now().signed_duration_since(at);
        let sending = Sending {
            asks,
            operation: operation.name.as_str().into(),
            at,
            took_ms: u64::try_from(took.num_milliseconds()).unwrap_or_default(),
            status,
            found,
            attempts,
            records: places.len(),
            key,
        };
        self.trail.note(batch.seq(), places, &sending);
    }

    /// Remembers the verdict of a write that must not be sent twice.
    pub(super) fn note(
        &self,
        batch: &Staged,
        operation: &Operation,
        at: usize,
        verdict: &Verdict,
    ) -> Result<(), Fault> {
        match operation.is_journalled() {
            true => self.journal.answered(batch.seq(), at, verdict),
            false => Ok(()),
        }
    }
}

/// The verdicts of an answer that says that the write was done before, if it says so.
pub(super) fn done_before(operation: &Operation, answer: &Answer, records: usize) -> Option<Vec<Verdict>> {
    operation.key()?.done.as_ref().filter(|done| answer.meets(done))?;
    let body = std::str::from_utf8(&answer.body).unwrap_or_default();
    // An answer about several records names no single one's id.
    let id = || operation.sink_id.as_ref().filter(|_| records == 1).and_then(|path| text(path.find(body)?.get()));
    let verdict = match operation.makes {
        Makes::Create => Verdict::Created(id()),
        Makes::Upsert | Makes::Update => Verdict::Updated(id()),
        Makes::Delete => Verdict::Deleted,
    };
    Some(vec![verdict; records])
}

fn heard(operation: &Operation, answer: Answer, first: DateTime<Utc>) -> Heard {
    let refused = matches!(answer.ruling, Ruling::Refused(_));
    let moved = operation.revision().is_some_and(|revision| revision.conflict.contains(&answer.status));
    let replayed = operation.key().and_then(|key| key.replayed.as_ref());
    match () {
        () if refused && moved => Heard::Moved,
        () if answer.status.is_server_error() && replayed.is_some_and(|when| answer.meets(when)) => {
            Heard::Lost { first, spent: true }
        }
        () => Heard::Answer(Box::new(answer)),
    }
}

/// A request that is over.
pub(super) struct Asked {
    pub asks: Asks,
    pub at: DateTime<Utc>,
    pub attempts: u32,
    pub status: Option<u16>,
    pub key: Option<String>,
    pub found: Option<String>,
}

/// Notes when the items of one request leave.
struct Noting<'a> {
    journal: Option<&'a Journal>,
    clock: &'a Arc<dyn Clock>,
    batch: u64,
    places: &'a [usize],
    /// When it left first, and how often.
    left: Mutex<Option<(DateTime<Utc>, u32)>>,
}

impl Noting<'_> {
    fn left(&self) -> Option<(DateTime<Utc>, u32)> {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Departure for Noting<'_> {
    fn leaving(&self) -> BoxFuture<'_, Result<(), Fault>> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.get_or_insert_with(|| (self.clock.now(), 0)).1 += 1;
        drop(left);
        match self.journal {
            Some(journal) => Box::pin(journal.intend(self.batch, self.places, self.clock.now())),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }

    fn stayed(&self) {
        if let Some(journal) = self.journal {
            journal.stayed(self.batch, self.places);
        }
    }
}
