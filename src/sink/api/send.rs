//! One part of a batch sent in one request, or in ever smaller ones where the server refuses it.
//!
//! The hard idea is the refused request that carries many records. Where the server says which one it dislikes, that one
//! is sent alone and the others together: two requests more. Where it does not, the request is cut in half until the
//! poison stands alone: about 2 log2(n) requests more. What the server says is never a verdict by itself: a record is
//! rejected only when it was refused alone. Each part goes under its own derived key, and that a request was cut is durable
//! before a part of it leaves: the vendor may have forgotten its refusal when a crash of ours is over, and the whole request
//! sent again would be written on top of the parts.

use std::{collections::BTreeMap, sync::Arc};

use secrecy::SecretString;

use super::{
    ApiSink, Trip,
    exchange::{Asked, Outcome, done_before},
    meaning::{Meant, meaning},
};
use crate::{
    config::plan::{AnswerShape, Operation},
    http::Answer,
    model::{Blame, Code, Fault, Reason, Verdict},
    sink::{
        answer,
        job::Job,
        matching::Sent,
        request::{self, Ready},
    },
    store::{Asks, Staged},
};

/// Items that leave in one request.
struct Part<'a> {
    items: Vec<Ready<'a>>,
    /// It is one record, and the server named it as the reason of a refusal.
    blamed: bool,
}

impl ApiSink {
    /// Sends some items in one request, or in ever smaller ones where the server refuses it.
    pub(super) async fn send(
        &self,
        trip: &Trip<'_>,
        operation: &Operation,
        part: Vec<Ready<'_>>,
    ) -> Result<Vec<(usize, Outcome)>, Fault> {
        let batch = trip.batch;
        let name: Arc<str> = operation.name.as_str().into();
        let mut done = Vec::with_capacity(part.len());
        let mut waiting = vec![Part { items: part, blamed: false }];
        // Set when the server blamed a record that it then accepted: from there on its word is not worth a request.
        let mut misled = false;
        while let Some(Part { items, blamed }) = waiting.pop() {
            let mut call = match request::call(&self.api, operation, &name, &items) {
                Ok(call) => call,
                // What one record made of the request is that record's fault; what all share is the operation's.
                Err(reason) if items.len() == 1 => {
                    let rejected = Outcome::Verdict(Verdict::Rejected(reason));
                    done.extend(items.iter().map(|ready| (ready.at, rejected.clone())));
                    continue;
                }
                Err(reason) => return Err(unbuilt(operation, &reason)),
            };
            call.hides = self.clear.hides(items.iter().map(|ready| ready.item));
            let places: Vec<usize> = items.iter().map(|ready| ready.at).collect();
            let key = operation.key().map(|_| request::key(operation, &items));
            let answer = match self.exchange(batch, operation, &call, &places, key).await?.answer() {
                Ok(answer) => answer,
                Err(outcome) => {
                    done.extend(places.into_iter().map(|at| (at, outcome.clone())));
                    continue;
                }
            };
            let sent: Vec<Sent<'_>> = items.iter().map(|ready| Sent::of(ready.item, &answer.secrets)).collect();
            let meant = match done_before(operation, &answer, sent.len()) {
                Some(verdicts) => Meant::Verdicts(verdicts),
                None => meaning(operation, &answer, &sent)?,
            };
            let verdicts = match meant {
                Meant::Verdicts(verdicts) => verdicts,
                Meant::Job(id) => {
                    let at = self.clock.now();
                    let verdicts = self.verdicts_of_job(operation, &answer, &id, &sent, call.hides).await?;
                    let found = Some(format!("job {id} ended"));
                    let asked = Asked { asks: Asks::Job, at, attempts: 1, status: None, key: None, found };
                    self.trace(batch, operation, &places, asked);
                    verdicts
                }
                Meant::Isolate(places) if !misled => {
                    waiting.extend(self.cut(batch, operation, isolated(items, &places)).await?);
                    continue;
                }
                Meant::Isolate(_) | Meant::Divide => {
                    waiting.extend(self.cut(batch, operation, halves(items)).await?);
                    continue;
                }
            };
            misled |= blamed && !matches!(verdicts[..], [Verdict::Rejected(_) | Verdict::Parked(_)]);
            for (at, verdict) in places.into_iter().zip(verdicts) {
                let verdict = self.clear.hushed(verdict, &trip.opened.items()[at]);
                self.note(batch, operation, at, &verdict)?;
                done.push((at, Outcome::Verdict(verdict)));
            }
        }
        Ok(done)
    }

    /// Lets the parts of a request leave in its place. Where no key is sent nothing is noted: an upsert may be
    /// written twice, and a write that must not be has notes of its own.
    async fn cut<'a>(
        &self,
        batch: &Staged,
        operation: &Operation,
        parts: Vec<Part<'a>>,
    ) -> Result<Vec<Part<'a>>, Fault> {
        if operation.key().is_some() {
            let places = |part: &Part<'_>| part.items.iter().map(|ready| ready.at).collect();
            self.journal.cut(batch.seq(), &parts.iter().map(places).collect::<Vec<_>>()).await?;
        }
        Ok(parts)
    }

    async fn verdicts_of_job(
        &self,
        operation: &Operation,
        answer: &Answer,
        id: &str,
        sent: &[Sent<'_>],
        hides: Vec<SecretString>,
    ) -> Result<Vec<Verdict>, Fault> {
        let AnswerShape::Job(plan) = &operation.answer else {
            return Err(Fault::halt(Code::Bug, Blame::Bug, "a job that was not declared"));
        };
        let job = Job { client: &self.client, api: &self.api, operation, plan, id, hides };
        let (rows, secrets) = job.results().await?;
        let sent: Vec<Sent<'_>> = sent.iter().map(|sent| Sent { secrets: &secrets, ..*sent }).collect();
        answer::of_job(operation, plan, answer.status, &rows, &sent)
    }
}

/// Two halves, the first on top.
fn halves(mut items: Vec<Ready<'_>>) -> Vec<Part<'_>> {
    let right = items.split_off(items.len() / 2);
    vec![Part { items: right, blamed: false }, Part { items, blamed: false }]
}

/// Each blamed record alone, on top, and the others together.
fn isolated<'a>(items: Vec<Ready<'a>>, places: &[usize]) -> Vec<Part<'a>> {
    let (mut parts, mut others) = (Vec::with_capacity(places.len() + 1), Vec::with_capacity(items.len()));
    for (at, ready) in items.into_iter().enumerate() {
        match places.contains(&at) {
            true => parts.push(Part { items: vec![ready], blamed: true }),
            false => others.push(ready),
        }
    }
    parts.reverse();
    if !others.is_empty() {
        parts.insert(0, Part { items: others, blamed: false });
    }
    parts
}

/// Cuts the items of one operation into requests: as many as fit into each, and where an earlier run cut one, its parts.
pub(super) fn parts<'o, 'i>(
    batch: &Staged,
    operation: &'o Operation,
    ready: Vec<Ready<'i>>,
) -> Vec<(&'o Operation, Vec<Ready<'i>>)> {
    let size = operation.batch.as_ref().map_or(1, |batch| batch.size.max(1));
    let mut parts = Vec::with_capacity(ready.len().div_ceil(size));
    let mut ready = ready.into_iter().peekable();
    while ready.peek().is_some() {
        let mut request: BTreeMap<Option<usize>, Vec<Ready<'i>>> = BTreeMap::new();
        for item in ready.by_ref().take(size) {
            request.entry(batch.part(item.at)).or_default().push(item);
        }
        parts.extend(request.into_values().map(|items| (operation, items)));
    }
    parts
}

fn unbuilt(operation: &Operation, reason: &Reason) -> Fault {
    let message = format!("the request of operation {}: {}", operation.name, reason.message);
    Fault::halt(reason.code, Blame::Config, message)
        .help("Nothing of this request was sent, and the batch stays staged. Mend the operation, and run again.")
}
