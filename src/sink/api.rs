//! Writes batches to an API. What is sent is decided in `request.rs` and `waves.rs`, what an answer means in `answer.rs`;
//! here requests leave, several at a time, and verdicts come together in the order of the items.
//!
//! The hard idea is the refused request that carries many records. The server does not say which one it dislikes, so the
//! request is cut in half, each half under its own derived key, until the poison stands alone: about 2 log2(n) requests
//! more, and the other records arrive.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chrono::TimeDelta;
use futures_util::{StreamExt, stream};
use http::StatusCode;

use super::{
    Durability, Sink, answer, redact,
    request::{self, Ready},
    waves::waves,
};
use crate::{
    config::plan::{Api, Changed, Makes, Operation, Repeat},
    http::{Answer, Client, Ruling},
    model::{Blame, BoxFuture, Checkpoint, Clock, Code, Disposition, Fault, Fields, Mark, Reason, Verdict},
    store::{Item, Staged},
};

/// One operation of one connection, with the one that is sent for records that changed after they were created.
pub struct ApiSink {
    api: Arc<Api>,
    operation: Arc<Operation>,
    changed: Changed,
    client: Client,
    clock: Arc<dyn Clock>,
}

/// A verdict with its item's place in the batch.
type Placed = (usize, Verdict);

impl Sink for ApiSink {
    fn durability(&self) -> Durability {
        Durability::Outbox
    }

    fn resume(&self, known: Option<Checkpoint>) -> BoxFuture<'_, Result<Option<Checkpoint>, Fault>> {
        Box::pin(async move { Ok(known) })
    }

    fn write<'a>(&'a self, batch: &'a Staged) -> BoxFuture<'a, Result<Vec<Verdict>, Fault>> {
        Box::pin(self.write_batch(batch))
    }

    fn seal(&self) -> BoxFuture<'_, Result<Option<Mark>, Fault>> {
        Box::pin(async { Ok(None) })
    }
}

impl ApiSink {
    pub fn new(
        api: Arc<Api>,
        operation: Arc<Operation>,
        changed: Changed,
        client: Client,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { api, operation, changed, client, clock }
    }

    async fn write_batch(&self, batch: &Staged) -> Result<Vec<Verdict>, Fault> {
        let items = batch.items();
        let mut verdicts: Vec<Option<Verdict>> = vec![None; items.len()];
        for wave in waves(items.iter().map(|item| (item.key.as_str(), item.sink_key.as_str()))) {
            for (at, verdict) in self.write_wave(batch, &wave).await? {
                verdicts[at] = Some(verdict);
            }
        }
        let all: Option<Vec<Verdict>> = verdicts.into_iter().collect();
        all.ok_or_else(|| {
            Fault::halt(Code::Bug, Blame::Bug, "an item of a batch was sent nowhere")
                .help("Nothing is lost: the batch stays staged. This is a mistake in renkei; please report it.")
        })
    }

    async fn write_wave(&self, batch: &Staged, wave: &[usize]) -> Result<Vec<Placed>, Fault> {
        let mut done = Vec::with_capacity(wave.len());
        let mut first: Vec<Ready<'_>> = Vec::new();
        let mut changed: Vec<Ready<'_>> = Vec::new();
        for &at in wave {
            let item = &batch.items()[at];
            let (operation, ready) = match (&self.changed, item.generation) {
                (Changed::Operation(operation), 1..) => (operation, &mut changed),
                _ => (&self.operation, &mut first),
            };
            match self.held_back(batch, operation, item) {
                Some(verdict) => done.push((at, verdict)),
                None => match Ready::new(&self.api, operation, at, item) {
                    Ok(item) => ready.push(item),
                    Err(reason) => done.push((at, Verdict::Rejected(reason))),
                },
            }
        }
        let mut parts = parts(&self.operation, first);
        if let Changed::Operation(operation) = &self.changed {
            parts.extend(self::parts(operation, changed));
        }
        // After a fault no further request leaves, but those under way are heard out: a request that is hung up on may
        // still be running at the server when it is sent again.
        let failed = AtomicBool::new(false);
        let mut sent: Vec<BoxFuture<'_, Result<Vec<Placed>, Fault>>> = Vec::with_capacity(parts.len());
        for (operation, part) in parts {
            sent.push(Box::pin(self.send_unless(&failed, operation, part)));
        }
        let places = self.api.budget.concurrency.max(1) as usize;
        let answered: Vec<Result<Vec<Placed>, Fault>> = stream::iter(sent).buffered(places).collect().await;
        for placed in answered {
            done.extend(placed?);
        }
        Ok(done)
    }

    /// The verdict of an item that must not be sent.
    fn held_back(&self, batch: &Staged, operation: &Operation, item: &Item) -> Option<Verdict> {
        if operation.makes == Makes::Create && item.generation > 0 && matches!(self.changed, Changed::Same) {
            let message = "it was created before and has changed since, and the operation only creates";
            return Some(Verdict::Rejected(Reason::new(Code::ChangedCreate, message)));
        }
        let Repeat::IdempotencyKey { retention, .. } = &operation.repeat else { return None };
        let age = self.clock.now() - batch.staged_at();
        let forgotten = TimeDelta::from_std(*retention).is_ok_and(|retention| age >= retention);
        (batch.resumed() && forgotten).then(|| {
            let message = "it may have been sent before, and the sink no longer remembers the key it was sent under";
            Verdict::Parked(Reason::new(Code::KeyExpired, message))
        })
    }

    async fn send_unless(
        &self,
        failed: &AtomicBool,
        operation: &Operation,
        part: Vec<Ready<'_>>,
    ) -> Result<Vec<Placed>, Fault> {
        if failed.load(Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        let sent = self.send(operation, part).await;
        if sent.is_err() {
            failed.store(true, Ordering::Relaxed);
        }
        sent
    }

    /// Sends some items in one request, or in ever smaller ones where the server refuses it.
    async fn send(&self, operation: &Operation, part: Vec<Ready<'_>>) -> Result<Vec<Placed>, Fault> {
        let name: Arc<str> = operation.name.as_str().into();
        let mut done = Vec::with_capacity(part.len());
        let mut waiting: Vec<&[Ready<'_>]> = vec![&part];
        while let Some(part) = waiting.pop() {
            let call = match request::call(&self.api, operation, &name, part) {
                Ok(call) => call,
                // What one record made of the request is that record's fault; what all share is the operation's.
                Err(reason) if part.len() == 1 => {
                    done.extend(part.iter().map(|ready| (ready.at, Verdict::Rejected(reason.clone()))));
                    continue;
                }
                Err(reason) => return Err(unbuilt(operation, &reason)),
            };
            let answer = self.client.execute(&call).await?;
            let records: Vec<&Fields> = part.iter().map(|ready| &ready.item.fields).collect();
            match meaning(operation, &answer, &records)? {
                Meant::Verdicts(verdicts) => done.extend(part.iter().map(|ready| ready.at).zip(verdicts)),
                Meant::Divide => {
                    let (left, right) = part.split_at(part.len() / 2);
                    waiting.extend([right, left]);
                }
            }
        }
        Ok(done)
    }
}

/// Cuts the items of one operation into requests.
fn parts<'o, 'i>(operation: &'o Operation, ready: Vec<Ready<'i>>) -> Vec<(&'o Operation, Vec<Ready<'i>>)> {
    let size = operation.batch.as_ref().map_or(1, |batch| batch.size.max(1));
    let mut parts = Vec::with_capacity(ready.len().div_ceil(size));
    let mut ready = ready.into_iter().peekable();
    while ready.peek().is_some() {
        parts.push((operation, ready.by_ref().take(size).collect()));
    }
    parts
}

/// What an answer leads to.
#[derive(Debug, PartialEq)]
enum Meant {
    Verdicts(Vec<Verdict>),
    /// The request as a whole was refused: look for the record that is the reason.
    Divide,
}

fn meaning(operation: &Operation, answer: &Answer, records: &[&Fields]) -> Result<Meant, Fault> {
    let Ruling::Refused(fault) = &answer.ruling else {
        return answer::verdicts(operation, answer.status, &answer.body, records).map(Meant::Verdicts);
    };
    let all = |verdict: &dyn Fn(&Fields) -> Verdict| {
        Ok(Meant::Verdicts(records.iter().map(|fields| verdict(fields)).collect()))
    };
    let told = |fields: &Fields| redact::without_values(&fault.message, fields);
    let gone = matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::GONE);
    // Rejected instead of parked: a rule of the connector knows better what this status means here.
    if let Repeat::IdempotencyKey { mismatch, .. } = &operation.repeat
        && answer.status == *mismatch
        && fault.disposition == Disposition::Park
    {
        return all(&|fields| Verdict::Parked(Reason::new(Code::KeyMismatch, told(fields))));
    }
    if gone && operation.makes == Makes::Delete && records.len() == 1 {
        return all(&|_| Verdict::Deleted);
    }
    // The address is the same for every record, so this is not about any of them.
    let everywhere = operation.request.path.constant().is_some();
    if answer.status == StatusCode::METHOD_NOT_ALLOWED || (answer.status == StatusCode::NOT_FOUND && everywhere) {
        return Err(fault.clone().with(Disposition::Halt).help(
            "The batch stays staged and no record of it is rejected. Check the connection's base URL and the operation's \
             path and method, and run again.",
        ));
    }
    match fault.disposition {
        Disposition::Reject if records.len() > 1 => Ok(Meant::Divide),
        Disposition::Reject => all(&|fields| Verdict::Rejected(Reason::new(Code::RecordRefused, told(fields)))),
        Disposition::Park => all(&|fields| Verdict::Parked(Reason::new(Code::RecordRefused, told(fields)))),
        Disposition::Retry { .. } | Disposition::Halt => Err(fault.clone()),
    }
}

fn unbuilt(operation: &Operation, reason: &Reason) -> Fault {
    let message = format!("the request of operation {}: {}", operation.name, reason.message);
    Fault::halt(reason.code, Blame::Config, message)
        .help("Nothing of this request was sent, and the batch stays staged. Mend the operation, and run again.")
}
