//! One signal on its way to the collector: gathered into batches, sent one after the other, and given up in the end. Whatever the
//! collector does, nobody but this task waits for it.
//!
//! | the collector | what happens |
//! |---|---|
//! | takes it | the next batch; if it says that it did not take all, those are counted |
//! | answers 429, 502, 503 or 504, or not at all | the same batch again, after its Retry-After or an ever longer wait, a few times |
//! | answers anything else | the batch is counted and gone: it would be refused again |
//!
//! A line is logged when that changes, not each time.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{Counts, Post, Reply, Signal, line::Resource, proto};
use crate::model::{Code, Entropy};

/// Items of one request.
const BATCH: usize = 512;
/// An attempt takes no longer.
const ATTEMPT: Duration = Duration::from_secs(10);
/// How often one batch is sent.
const ATTEMPTS_MAX: u32 = 6;
/// The wait before the second attempt; each further one is twice as long.
const WAIT: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(30);
/// A collector that asks for more is asked after this.
const AFTER_MAX: Duration = Duration::from_secs(300);
/// Letters of what a collector says.
const WORDS_MAX: usize = 200;

/// What both signals share.
#[derive(Clone)]
pub struct Pace {
    pub post: Arc<dyn Post>,
    pub counts: Arc<Counts>,
    pub entropy: Arc<dyn Entropy>,
    /// When everything has to be over, once that is known.
    pub ends: watch::Receiver<Option<Instant>>,
}

type Encode<T> = fn(&Resource, &[T]) -> Vec<u8>;

pub struct Lane<T> {
    signal: Signal,
    queue: mpsc::Receiver<T>,
    resource: Arc<Resource>,
    encode: Encode<T>,
    pace: Pace,
    /// What was said last about the collector.
    told: Told,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    Well,
    Partly,
    Failing,
}

/// What an attempt came to.
#[derive(PartialEq, Eq, Debug)]
enum Outcome {
    Taken { rejected: u64, why: String },
    Again { after: Option<Duration>, why: String },
    Refused(String),
}

impl<T: Send + 'static> Lane<T> {
    pub fn new(
        signal: Signal,
        queue: mpsc::Receiver<T>,
        resource: Arc<Resource>,
        encode: Encode<T>,
        pace: Pace,
    ) -> Self {
        Self { signal, queue, resource, encode, pace, told: Told::Well }
    }

    /// Sends until it is told that everything ends, and then what still waits.
    pub async fn run(mut self) {
        loop {
            let batch = self.gather().await;
            if batch.is_empty() {
                return;
            }
            let count = batch.len() as u64;
            let body = Bytes::from((self.encode)(&self.resource, &batch));
            drop(batch);
            match self.send(body).await {
                Some(rejected) => {
                    let rejected = rejected.min(count);
                    self.pace.counts.add_sent(self.signal, count - rejected);
                    self.pace.counts.add_dropped(self.signal, rejected);
                }
                None => self.pace.counts.add_dropped(self.signal, count),
            }
        }
    }

    /// As many as fit one request, or fewer after a while. None: everything is sent.
    async fn gather(&mut self) -> Vec<T> {
        let mut batch = Vec::new();
        let mut due = None;
        loop {
            let is_ending = self.pace.ends.borrow().is_some();
            if is_ending {
                self.queue.close();
            }
            let room = BATCH - batch.len();
            tokio::select! {
                biased;
                count = self.queue.recv_many(&mut batch, room) => {
                    if count == 0 || batch.len() == BATCH {
                        return batch;
                    }
                    due.get_or_insert_with(|| Instant::now() + self.patience());
                }
                // The sender lives as long as this.
                _ = self.pace.ends.changed(), if !is_ending => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => return batch,
            }
        }
    }

    /// How long the first of a batch waits for others.
    fn patience(&self) -> Duration {
        match self.signal {
            Signal::Traces => Duration::from_secs(5),
            Signal::Logs => Duration::from_secs(1),
        }
    }

    /// Sends a batch until the collector takes it, and returns how much of it it did not take. None: it is given up.
    async fn send(&mut self, body: Bytes) -> Option<u64> {
        let mut wait = WAIT;
        for attempt in 1..=ATTEMPTS_MAX {
            match outcome(self.attempt(body.clone()).await) {
                Outcome::Taken { rejected, why } => {
                    self.tell(if rejected > 0 { Told::Partly } else { Told::Well }, &why);
                    return Some(rejected);
                }
                Outcome::Refused(why) => {
                    self.tell(Told::Failing, &why);
                    return None;
                }
                Outcome::Again { after, why } => {
                    self.tell(Told::Failing, &why);
                    let jitter = wait.mul_f64(self.pace.entropy.share() / 2.0);
                    let delay = after.map_or(wait + jitter, |after| after.min(AFTER_MAX));
                    wait = (wait * 2).min(WAIT_MAX);
                    if attempt == ATTEMPTS_MAX || !self.wait_until(Instant::now() + delay).await {
                        return None;
                    }
                }
            }
        }
        None
    }

    /// Sends a batch once, no longer than an attempt takes and everything lasts.
    async fn attempt(&mut self, body: Bytes) -> Result<Reply, String> {
        let (post, limit) = (self.pace.post.clone(), Instant::now() + ATTEMPT);
        let mut posting = post.post(self.signal, body);
        loop {
            let end = *self.pace.ends.borrow();
            tokio::select! {
                biased;
                reply = &mut posting => return reply,
                _ = self.pace.ends.changed(), if end.is_none() => {}
                () = sleep_until(end.unwrap_or(limit).min(limit)) => return Err("it does not answer in time".to_owned()),
            }
        }
    }

    /// Waits, and returns whether that was before the end of everything.
    async fn wait_until(&mut self, at: Instant) -> bool {
        loop {
            let end = *self.pace.ends.borrow();
            if end.is_some_and(|end| end <= at) {
                return false;
            }
            tokio::select! {
                biased;
                _ = self.pace.ends.changed(), if end.is_none() => {}
                () = sleep_until(at) => return true,
            }
        }
    }

    fn tell(&mut self, now: Told, why: &str) {
        if std::mem::replace(&mut self.told, now) == now {
            return;
        }
        let (signal, code) = (self.signal.name(), Code::TelemetryUnsent);
        let dropped = self.pace.counts.dropped(self.signal);
        match now {
            Told::Well => tracing::info!(signal, dropped, "the collector takes {signal} again"),
            Told::Partly => tracing::warn!(%code, signal, why, "the collector takes only a part of the {signal}"),
            Told::Failing => {
                tracing::warn!(%code, signal, why, "the collector does not take {signal}; runs go on, and what waits too long is dropped")
            }
        }
    }
}

fn outcome(reply: Result<Reply, String>) -> Outcome {
    match reply {
        Err(why) => Outcome::Again { after: None, why },
        Ok(Reply { status: 200..=299, body, .. }) => {
            let (rejected, why) = proto::partial(&body);
            Outcome::Taken { rejected, why: words(&why) }
        }
        Ok(Reply { status: status @ (429 | 502 | 503 | 504), after, .. }) => {
            Outcome::Again { after, why: format!("it answers {status}") }
        }
        Ok(Reply { status, .. }) => Outcome::Refused(format!("it answers {status}")),
    }
}

/// What a collector says, short and without what does not print.
fn words(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(WORDS_MAX).collect()
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
