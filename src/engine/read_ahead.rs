//! The reader: reads pages while earlier ones are delivered, and puts them on the queue durably staged, in order.
//!
//! For an API a page is a batch as soon as it fills a request, and what is less waits for the next pages: of ten thousand
//! records of which a hundred changed, the hundred leave together. A file takes pages as they come, while they are still
//! warm in the processor's cache. For a database small pages are gathered into one batch, because each batch is a
//! transaction.

use chrono::{DateTime, Utc};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};
use tracing::{Instrument, Span};

use super::{
    canary::{Canary, Gate},
    gather::Gather,
    prepare::{Drafted, Preparer},
    spans,
    stop::Stop,
    sync::{Context, Route},
};
use crate::{
    model::{Checkpoint, Fault, Page, Scan},
    sink::Durability,
    source::Source,
    store::{Batch, Run, Staged},
};

/// What goes over the queue.
pub enum Message {
    Deliver(Box<Staged>),
    /// The reader waits for something that is delivered and not committed.
    Commit,
    /// The listing began again: take the sink back to this checkpoint, once everything before is committed, and say so.
    Rewind(Box<Checkpoint>, oneshot::Sender<()>),
    /// Say so once everything before is committed.
    Settled(oneshot::Sender<()>),
}

/// The reader's own state.
pub struct Reader<'a> {
    pub context: &'a Context,
    pub route: &'a Route,
    pub source: &'a dyn Source,
    pub preparer: Preparer<'a>,
    pub run: &'a tokio::sync::Mutex<Run>,
    pub stop: &'a Stop,
    /// Records to read at the most.
    pub limit: Option<u64>,
    /// What goes first, and alone.
    pub canary: Option<Canary>,
    pub queue: mpsc::Sender<Message>,
}

/// The deliverer hung up, because it met a fault. Its fault is the one that counts.
struct HungUp;

enum Halt {
    HungUp,
    Fault(Fault),
}

impl From<HungUp> for Halt {
    fn from(_: HungUp) -> Self {
        Self::HungUp
    }
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Reader<'_> {
    /// Reads one pass from `at` until the listing ends, a stop is asked for, or the limit is reached.
    pub async fn read_pass(self, at: Checkpoint) -> Result<(), Fault> {
        match self.read_pages(at).await {
            Ok(()) | Err(Halt::HungUp) => Ok(()),
            Err(Halt::Fault(fault)) => Err(fault),
        }
    }

    async fn read_pages(&self, mut at: Checkpoint) -> Result<(), Halt> {
        let mut gathered = Gathered::of(self.route.sink.durability());
        let mut left = self.limit;
        let mut gate = Gate::new(self.canary, self.run.lock().await.counts);
        let ended = loop {
            if left == Some(0) || self.stop.requested() {
                break Ok(());
            }
            let began = Instant::now();
            let page = match self.read_page(&at, &mut gathered).await? {
                Some(Ok(page)) => cut_to(page, &mut left, &at),
                Some(Err(fault)) => break Err(Halt::Fault(fault)),
                None => break Ok(()),
            };
            let read_at = self.context.clock.now();
            // What comes live is waited for, and that is no work.
            if !self.source.is_live() {
                self.context.progress.slow_down.after(began.elapsed(), self.stop).await;
            }
            self.context.progress.page((page.records.len() + page.rejects.len() + page.skipped.len()) as u64);
            self.run.lock().await.pages += 1;
            if page.restarted {
                self.flush(&mut gathered).await?;
                self.rewind(&at).await?;
            }
            let (next, end, bytes) = (page.next.clone(), page.end, page.body_bytes);
            let drafting = self.preparer.draft(page, &at);
            let Some(drafted) = self.unless_stopped(drafting, &mut gathered).await? else { break Ok(()) };
            for drafted in drafted? {
                let mut rest = Some(drafted);
                while let Some(drafted) = rest.take() {
                    let (drafted, after) = gate.cut(drafted, &at);
                    rest = after;
                    let records = self.take(drafted, bytes, read_at, &mut gathered).await?;
                    self.pass(&mut gate, records, &mut gathered).await?;
                }
            }
            at = next;
            if end {
                break Ok(());
            }
        };
        self.flush(&mut gathered).await?;
        ended
    }

    /// Reads a page; what is gathered waits no longer than it may meanwhile. Nothing: a stop was asked for.
    async fn read_page(&self, at: &Checkpoint, gathered: &mut Gathered) -> Result<Option<Result<Page, Fault>>, Halt> {
        // What is pushed waits for whoever pushes: a span of that would tell of nothing.
        let span = if self.source.is_live() { Span::none() } else { spans::of_page(&self.route.stream.stream) };
        let page = self.unless_stopped(self.source.read(at).instrument(span.clone()), gathered).await?;
        if let Some(page) = &page {
            spans::page_over(&span, page.as_ref());
        }
        Ok(page)
    }

    /// Waits for something that nothing is lost by dropping; what is gathered waits no longer than it may meanwhile. Nothing: a stop
    /// was asked for.
    async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = T>,
        gathered: &mut Gathered,
    ) -> Result<Option<T>, Halt> {
        tokio::pin!(work);
        loop {
            let due = gathered.sum.due();
            tokio::select! {
                biased;
                () = self.stop.wait() => return Ok(None),
                // Some sources wait for what only a deliverer brings about.
                () = self.queue.closed() => return Err(Halt::HungUp),
                done = &mut work => return Ok(Some(done)),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.flush(gathered).await?,
            }
        }
    }

    /// Lets a part of the canary go at once. When all of it is out, waits for its verdicts, and goes on only if they are good.
    async fn pass(&self, gate: &mut Gate, records: u64, gathered: &mut Gathered) -> Result<(), Halt> {
        if gate.is_open() || records == 0 {
            return Ok(());
        }
        self.flush(gathered).await?;
        if gate.goes(records) {
            let (settled, wait) = oneshot::channel();
            self.queue.send(Message::Settled(settled)).await.map_err(|_| HungUp)?;
            wait.await.map_err(|_| HungUp)?;
            let counts = self.run.lock().await.counts;
            gate.judge(&counts, &self.route.stream)?;
        }
        Ok(())
    }

    /// Adds a part of a page to what is gathered, and stages it when that is enough. Returns how many of its records are sent or
    /// refused.
    async fn take(
        &self,
        drafted: Drafted,
        bytes: usize,
        read_at: DateTime<Utc>,
        gathered: &mut Gathered,
    ) -> Result<u64, Halt> {
        if self.preparer.under_way.meets(&drafted) {
            self.flush(gathered).await?;
            self.queue.send(Message::Commit).await.map_err(|_| HungUp)?;
        }
        let batch = self.preparer.compare(drafted).await?.ok_or(HungUp)?;
        if let Some(only) = &self.route.only {
            only.allows(&batch.items)?;
        }
        self.preparer.under_way.begin(&batch.items);
        let records = (batch.items.len() + batch.rejects.len()) as u64;
        gathered.add(Batch { read_at: Some(read_at), ..batch }, bytes);
        if self.is_enough(gathered) {
            self.flush(gathered).await?;
        }
        Ok(records)
    }

    fn is_enough(&self, gathered: &Gathered) -> bool {
        match self.route.sink.durability() {
            _ if self.source.is_live() => true,
            Durability::Outbox => {
                gathered.undecided() >= self.route.sink.records_per_write() || gathered.sum.is_enough()
            }
            Durability::Transaction => gathered.sum.is_enough(),
            Durability::Mark => true,
        }
    }

    async fn flush(&self, gathered: &mut Gathered) -> Result<(), Halt> {
        let durability = self.route.sink.durability();
        let Some(batch) = std::mem::replace(gathered, Gathered::of(durability)).batch else {
            return Ok(());
        };
        let now = self.context.clock.now();
        let staged = match durability {
            Durability::Outbox => {
                let mut run = self.run.lock().await;
                self.route.add_usage(&mut run);
                self.context.state.stage(&self.route.stream, batch, now, &mut run).await?
            }
            Durability::Transaction | Durability::Mark => self.context.state.guard(&self.route.stream, batch, now),
        };
        self.queue.send(Message::Deliver(Box::new(staged))).await.map_err(|_| HungUp)?;
        Ok(())
    }

    /// What this pass delivered is read again, so a sink with a mark goes back to where the pass began. The scan goes back
    /// with it: the cursor of an ascending listing may already be beyond what the sink then holds.
    async fn rewind(&self, at: &Checkpoint) -> Result<(), Halt> {
        let Some((scan, mark)) = at.scan.as_ref().and_then(|scan| Some((scan, scan.start_mark?))) else {
            return Ok(());
        };
        let scan = Scan { position: None, pages: 0, ..scan.clone() };
        let start = Checkpoint { scan: Some(scan), mark: Some(mark), ..at.clone() };
        let (gone_back, wait) = oneshot::channel();
        self.queue.send(Message::Rewind(Box::new(start), gone_back)).await.map_err(|_| HungUp)?;
        // Until then links vouch for what the sink is about to forget.
        Ok(wait.await.map_err(|_| HungUp)?)
    }
}

/// Pages on their way to one batch.
struct Gathered {
    batch: Option<Batch>,
    sum: Gather,
}

impl Gathered {
    fn of(durability: Durability) -> Self {
        let sum = match durability {
            Durability::Outbox => Gather::for_a_request(),
            Durability::Transaction | Durability::Mark => Gather::for_a_sync(),
        };
        Self { batch: None, sum }
    }

    /// Records for which there is more to do than to count them.
    fn undecided(&self) -> usize {
        self.batch.as_ref().map_or(0, |batch| batch.items.len() + batch.rejects.len())
    }

    fn add(&mut self, more: Batch, bytes: usize) {
        self.sum.add(more.read(), bytes);
        match &mut self.batch {
            None => self.batch = Some(more),
            Some(batch) => {
                batch.items.extend(more.items);
                batch.decided.merge(&more.decided);
                batch.rejects.extend(more.rejects);
                batch.open.extend(more.open);
                batch.replayed.extend(more.replayed);
                batch.touched.extend(more.touched);
                batch.seen.extend(more.seen);
                batch.passed.merge(more.passed);
                batch.told.extend(more.told);
                batch.next.followed_by(more.next);
            }
        }
    }
}

/// Takes no more of a page than the limit leaves. A page that is cut is read again by the next run: what was taken of it is
/// marked, so that it is recognised then, and does not count against that run's limit.
fn cut_to(mut page: Page, left: &mut Option<u64>, at: &Checkpoint) -> Page {
    let Some(left) = left else {
        return page;
    };
    let known = at.scan.as_ref().map_or(0, |scan| scan.partial);
    let records = page.records.len() as u64;
    let takes = known + *left;
    *left = left.saturating_sub(records.saturating_sub(known));
    if records > takes {
        page.records.truncate(takes as usize);
        page.records.iter_mut().for_each(|record| record.overlap.after = true);
        page.rejects.clear();
        page.skipped.clear();
        page.next = Checkpoint { scan: Some(Scan { partial: takes, ..page.scan.clone() }), ..at.clone() };
        page.end = true;
    }
    page
}
