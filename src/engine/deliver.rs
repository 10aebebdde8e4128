//! The deliverer: writes staged batches and commits the contiguous settled prefix.
//!
//! Batches may be answered in any order; the checkpoint only ever moves over batches of which none before is open.
//! No key is in two staged batches (see `prepare.rs`), so several may be under way at once without overtaking.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};
use tracing::Instrument;

use super::{
    gather::Gather,
    hops,
    limit::RejectLimit,
    prepare::UnderWay,
    read_ahead::Message,
    spans,
    stop::Stop,
    sync::{Context, Route},
};
use crate::{
    model::{Counts, Fault, Verdict},
    sink::Durability,
    store::{Run, Settled, Staged},
};

/// Batches written at once to a sink with an outbox.
const UNDER_WAY_MAX: usize = 4;

pub struct Deliverer<'a> {
    pub context: &'a Context,
    pub route: &'a Route,
    pub under_way: &'a UnderWay,
    pub run: &'a tokio::sync::Mutex<Run>,
    pub stop: &'a Stop,
    pub rejects: Option<RejectLimit>,
}

impl Deliverer<'_> {
    /// Delivers what comes over the queue until it ends, a batch meets a fault, or the grace after a stop is over.
    pub async fn deliver(&self, mut queue: mpsc::Receiver<Message>) -> Result<(), Fault> {
        tokio::select! {
            biased;
            delivered = async {
                match self.route.sink.durability() {
                    Durability::Outbox => self.deliver_concurrently(&mut queue).await,
                    Durability::Transaction | Durability::Mark => self.deliver_in_turn(&mut queue).await,
                }
            } => delivered,
            () = self.stop.grace_over() => Ok(()),
        }
    }

    async fn deliver_concurrently(&self, queue: &mut mpsc::Receiver<Message>) -> Result<(), Fault> {
        let mut writes = FuturesUnordered::new();
        let mut settled = Prefix::default();
        let mut open = true;
        let mut fault = None;
        let mut asked: Option<oneshot::Sender<()>> = None;
        while open || !writes.is_empty() {
            if writes.is_empty()
                && let Some(settled) = asked.take()
            {
                // Nobody waits when the reader is gone.
                settled.send(()).ok();
            }
            tokio::select! {
                biased;
                Some(result) = writes.next(), if !writes.is_empty() => match result {
                    Ok(batch) => {
                        self.commit(settled.push(batch)).await?;
                        if let Err(over) = self.check_limit().await { fault.get_or_insert(over); open = false; }
                    }
                    // The others under way may still be answered; nothing new is begun.
                    Err(first) => { fault.get_or_insert(first); open = false; }
                },
                message = queue.recv(), if open && writes.len() < UNDER_WAY_MAX => match message {
                    Some(Message::Deliver(staged)) => {
                        settled.expect(staged.seq());
                        writes.push(self.write(*staged));
                    }
                    // Each batch is committed as soon as those before it are.
                    Some(Message::Commit) => {}
                    Some(Message::Settled(settled)) => asked = Some(settled),
                    // An outbox sink has no mark to go back to; links tell what it holds.
                    Some(Message::Rewind(..)) => {}
                    None => open = false,
                },
            }
        }
        fault.map_or(Ok(()), Err)
    }

    /// A database commits with each batch. A file is written as pages come, and one sync covers many of them.
    async fn deliver_in_turn(&self, queue: &mut mpsc::Receiver<Message>) -> Result<(), Fault> {
        let mut settled = Vec::new();
        let mut sum = self.gather();
        loop {
            let message = match sum.due() {
                Some(due) => timeout_at(due, queue.recv()).await.unwrap_or(Some(Message::Commit)),
                None => queue.recv().await,
            };
            if let Some(Message::Deliver(staged)) = message {
                let batch = self.write(*staged).await?;
                sum.add(batch.counts().verdicts(), batch.bytes());
                settled.push(batch);
                let is_enough = sum.is_enough() || self.route.sink.is_full();
                if self.route.sink.durability() == Durability::Mark && !is_enough {
                    continue;
                }
            } else if let Some(Message::Rewind(start, gone_back)) = message {
                self.commit(std::mem::take(&mut settled)).await?;
                // The checkpoint goes back first: a file longer than its checkpoint is cut, a shorter one is an error.
                self.context.state.rewind(&self.route.stream, &start).await?;
                self.route.sink.resume(Some(*start)).await?;
                // Nobody waits when the reader is gone.
                gone_back.send(()).ok();
            } else if let Some(Message::Settled(done)) = message {
                self.commit(std::mem::take(&mut settled)).await?;
                done.send(()).ok();
            } else if message.is_none() {
                self.commit(settled).await?;
                return self.check_limit().await;
            }
            self.commit(std::mem::take(&mut settled)).await?;
            self.check_limit().await?;
            sum = self.gather();
        }
    }

    /// What is worth a commit. Whoever pushes or waits for marks is not kept waiting for more.
    fn gather(&self) -> Gather {
        let worth = self.route.sink.worth().filter(|_| !self.route.source.is_live());
        worth.map_or_else(Gather::for_a_sync, Gather::of)
    }

    async fn write(&self, staged: Staged) -> Result<Settled, Fault> {
        let span = spans::of_batch(self.route, &self.context.state, &staged).await;
        let written = self.write_batch(staged).instrument(span.clone()).await;
        spans::batch_over(&span, written.as_ref().map(Settled::counts));
        written
    }

    async fn write_batch(&self, staged: Staged) -> Result<Settled, Fault> {
        // An atomic sink gets empty batches too, because its own checkpoint has to move along with ours.
        let is_needless = staged.items().is_empty() && self.route.sink.durability() == Durability::Outbox;
        let verdicts = match is_needless {
            true => Vec::new(),
            false => self.timed(&staged).await?,
        };
        let sent = self.route.sink.sent(staged.seq());
        if !self.context.state.keeps_history() {
            return staged.settle(verdicts);
        }
        let (hops, passed) = hops::of(&staged, &verdicts, sent, self.route.sink.durability());
        Ok(staged.settle(verdicts)?.with_history(hops, passed))
    }

    /// Rests where the pipeline is slowed down, writes a batch, and tells how long that took.
    async fn timed(&self, staged: &Staged) -> Result<Vec<Verdict>, Fault> {
        let Context { progress, clock, .. } = self.context;
        progress.slow_down.before_a_write(self.stop).await;
        let began = Instant::now();
        let written = self.route.sink.write(staged).await;
        let took = began.elapsed();
        if !staged.items().is_empty() {
            progress.vitals.wrote(took, clock.now());
        }
        progress.slow_down.wrote(took);
        written
    }

    /// What is committed tells whether too much of it was refused.
    async fn check_limit(&self) -> Result<(), Fault> {
        let counts = self.run.lock().await.counts;
        self.rejects.map_or(Ok(()), |limit| limit.check(&counts))
    }

    async fn commit(&self, settled: Vec<Settled>) -> Result<(), Fault> {
        if settled.is_empty() {
            return Ok(());
        }
        let mark = self.route.sink.seal().await?;
        let mut verdicts = Counts::default();
        settled.iter().for_each(|batch| verdicts.merge(&batch.counts()));
        let ended: Vec<_> = settled.iter().map(UnderWay::names_of).collect();
        let now = self.context.clock.now();
        {
            let mut run = self.run.lock().await;
            self.route.add_usage(&mut run);
            self.context.state.commit(&self.route.stream, settled, mark, now, &mut run).await?;
        }
        ended.into_iter().for_each(|names| self.under_way.end(names));
        self.route.source.settled().await?;
        self.context.progress.settle(&verdicts);
        self.context.progress.vitals.settled(&verdicts, now);
        Ok(())
    }
}

/// Settled batches that wait for an earlier one.
#[derive(Default)]
struct Prefix {
    next: Option<u64>,
    waiting: BTreeMap<u64, Settled>,
}

impl Prefix {
    /// The first batch of a run tells where its order begins.
    fn expect(&mut self, seq: u64) {
        self.next.get_or_insert(seq);
    }

    /// Takes a settled batch and gives back those that are now free to be committed, in order.
    fn push(&mut self, settled: Settled) -> Vec<Settled> {
        self.waiting.insert(settled.seq(), settled);
        let mut free = Vec::new();
        while let Some(next) = self.next
            && let Some(batch) = self.waiting.remove(&next)
        {
            free.push(batch);
            self.next = Some(next + 1);
        }
        free
    }
}
