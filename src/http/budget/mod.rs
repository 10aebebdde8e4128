//! The account's allowance. Everybody who uses the account comes here for a slot, and gets one when all its limits let a
//! call through and it is their turn. Everything waits on tokio's timer, so a paused runtime drives it.
//!
//! ```text
//!   queue.rs    whose turn it is
//!   gates.rs    whether the limits let a call through: bucket, window, daily, points, under way, what answers told
//!   pause.rs    the server asked everybody to wait
//!   strays.rs   which refusals are nobody's business but the refused call's
//!   saved.rs    what of all this outlives the process
//! ```
//!
//! The hard idea is who keeps time. Nobody is woken but to go: one of those who wait, whoever came first, sleeps until the
//! next call may go and gives out slots, to themselves or to others; when they have got theirs, the next one keeps time.
//! So there is no task in the background, and dropping a future that waits is all there is to giving up.

mod bucket;
mod caution;
mod ceiling;
mod daily;
mod gates;
mod left;
mod moment;
mod pause;
mod points;
mod queue;
mod saved;
mod strays;
#[cfg(test)]
mod tests;
mod view;
mod window;

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex as Guarded, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::{
    sync::{Mutex, Notify, oneshot},
    time::{Instant, sleep, sleep_until},
};

pub use self::{gates::Heard, pause::Paused, queue::Ask, saved::Saved, view::LimitView};
use self::{
    gates::{Gates, Opening, Taken},
    moment::{Clocks, Moment},
    pause::Pause,
    queue::{Queue, Turn},
};
use crate::config::plan;

/// Our pace as a share of the declared one.
const PACE: f64 = 0.98;

/// Waiting shorter than this is not worth telling.
const WAIT_MIN: Duration = Duration::from_millis(100);

/// A pause longer than this speaks of a longer quota than the pace.
const PACE_PAUSE_MAX: Duration = Duration::from_secs(60);

/// No pause that an earlier process saved is longer, whatever its clock said.
const RESTORED_MAX: Duration = Duration::from_secs(3600);

pub struct Budget {
    clocks: Clocks,
    state: Guarded<State>,
    pause: Pause,
    /// Held by whoever keeps time. Tokio's mutex is fair.
    timekeeper: Mutex<()>,
    /// Wakes the timekeeper, because something may go sooner than it knows.
    changed: Notify,
    /// How long the limits have held everybody back so far, in microseconds.
    waited_us: AtomicU64,
}

struct State {
    queue: Queue,
    gates: Gates,
    /// When the next call may go, while somebody waits.
    next: Option<Instant>,
    /// Something changed that outlives the process.
    unsaved: bool,
}

/// Why a call got no slot within its patience.
#[derive(Clone, Debug)]
pub struct Blocked {
    /// How long it would have to wait, where that is known.
    pub needed: Option<Duration>,
    /// The limit that lets nothing through.
    pub why: Arc<str>,
}

impl Budget {
    pub fn new(plan: &plan::Budget, now: DateTime<Utc>) -> Arc<Self> {
        let clocks = Clocks::new(now);
        let gates = Gates::new(plan, clocks.now());
        let state = State { queue: Queue::default(), gates, next: None, unsaved: false };
        Arc::new(Self {
            clocks,
            state: Guarded::new(state),
            pause: Pause::default(),
            timekeeper: Mutex::new(()),
            changed: Notify::new(),
            waited_us: AtomicU64::new(0),
        })
    }

    /// Waits for a slot, no longer than `patience`; not at all where it is known to take longer. Dropping the future leaves
    /// the queue.
    pub async fn slot(self: &Arc<Self>, ask: Ask, patience: Duration) -> Result<Slot, Blocked> {
        let mut place = self.queue_up(ask, patience)?;
        tokio::select! {
            biased;
            slot = place.turn() => Ok(slot),
            never = self.keep_time() => match never {},
            () = sleep(patience) => Err(Blocked { needed: None, why: place.why() }),
        }
    }

    fn queue_up(self: &Arc<Self>, ask: Ask, patience: Duration) -> Result<Place, Blocked> {
        let mut state = self.lock();
        let now = self.clocks.now();
        let opening = opening(&mut state.gates, &ask, self.pause.until(), now);
        if let Some(needed) = opening.at.map(|at| at.saturating_duration_since(now.at)).filter(|it| *it > patience) {
            return Err(Blocked { needed: Some(needed), why: opening.why });
        }
        let (grant, granted) = oneshot::channel();
        let id = state.queue.push(ask.clone(), grant);
        self.let_through(&mut state, now);
        drop(state);
        let held_up_by = Some(opening.why).filter(|why| !why.is_empty());
        Ok(Place { budget: self.clone(), ask, id, granted: Some(granted), held_up_by })
    }

    async fn keep_time(&self) -> Infallible {
        let _keeping = self.timekeeper.lock().await;
        loop {
            let next = self.let_through(&mut self.lock(), self.clocks.now());
            match next {
                Some(next) => {
                    let _counted = Counted { began: Instant::now(), sum: &self.waited_us };
                    tokio::select! {
                        () = sleep_until(next) => {}
                        () = self.changed.notified() => {}
                    }
                }
                None => self.changed.notified().await,
            }
        }
    }

    /// Gives slots to everybody who may go now, and returns when somebody may go next, if that is known. The timekeeper is
    /// woken when that is sooner than it knows.
    fn let_through(&self, state: &mut State, now: Moment) -> Option<Instant> {
        let paused = self.pause.until();
        let State { queue, gates, next, unsaved } = state;
        let known = *next;
        *next = loop {
            match queue.turn(now.at, |ask| opening(gates, ask, paused, now)) {
                Turn::Goes(waiter) => {
                    let taken = gates.take(&waiter.ask, now);
                    *unsaved |= gates.outlive(&waiter.ask);
                    // Whoever gave up has left the queue, under the same lock.
                    drop(waiter.granted.send(taken));
                }
                Turn::Nobody(opening) => break opening.and_then(|opening| opening.at),
            }
        };
        if next.is_some_and(|next| known.is_none_or(|known| next < known)) {
            self.changed.notify_one();
        }
        *next
    }

    fn give_back(&self, ask: &Ask, taken: &Taken, left: bool) {
        let mut state = self.lock();
        state.gates.give_back(ask, taken, left);
        self.let_through(&mut state, self.clocks.now());
    }

    /// An answer came that did not ask us to slow down, to a request sent at `sent`.
    pub fn accepted(&self, sent: Instant) {
        self.pause.over(sent);
    }

    /// Until when everybody waits for the limits, if somebody does.
    pub fn waiting(&self) -> Option<Instant> {
        let next = self.lock().next;
        self.pause.until().max(next).filter(|until| *until > Instant::now() + WAIT_MIN)
    }

    /// How long the limits have held everybody back so far. Those who wait side by side count once, so it is never longer
    /// than the time that passed.
    pub fn waited(&self) -> Duration {
        Duration::from_micros(self.waited_us.load(Relaxed))
    }

    /// What is to be kept over a restart, if anything changed since this was last asked for.
    pub fn unsaved(&self) -> Option<Saved> {
        let mut state = self.lock();
        let now = self.clocks.now();
        let blocked_until = self.pause.until().map(|until| now.unix_ms_of(until));
        std::mem::take(&mut state.unsaved).then(|| saved::save(&state.gates, blocked_until, now))
    }

    /// Takes over what an earlier process saved.
    pub fn restore(&self, saved: &Saved) {
        let mut state = self.lock();
        let now = self.clocks.now();
        saved::restore(&mut state.gates, saved, now);
        if let Some(until) = saved.blocked_until.map(|until| now.instant(until)).filter(|until| *until > now.at) {
            self.pause.resume(until.min(now.at + RESTORED_MAX));
        }
    }

    /// Every limit as it stands.
    pub fn view(&self) -> Vec<LimitView> {
        view::of(&mut self.lock().gates, self.clocks.now())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a call may go: not before the pause is over, and not before all limits let it.
fn opening(gates: &mut Gates, ask: &Ask, paused: Option<Instant>, now: Moment) -> Opening {
    match paused {
        Some(until) => Opening { at: Some(until), is_shared: true, why: "the pause that the server asked for".into() },
        None => gates.opens(ask, now),
    }
}

/// A place in the queue.
struct Place {
    budget: Arc<Budget>,
    ask: Ask,
    id: u64,
    /// Nothing after it was received.
    granted: Option<oneshot::Receiver<Taken>>,
    held_up_by: Option<Arc<str>>,
}

impl Place {
    /// Resolves when it is this place's turn.
    async fn turn(&mut self) -> Slot {
        let taken = match self.granted.as_mut() {
            Some(granted) => granted.await,
            None => std::future::pending().await,
        };
        // The queue drops no waiter but those who leave it themselves.
        let Ok(taken) = taken else { std::future::pending().await };
        self.granted = None;
        Slot {
            budget: self.budget.clone(),
            ask: self.ask.clone(),
            taken,
            held_up_by: self.held_up_by.take(),
            left: false,
        }
    }

    fn why(&self) -> Arc<str> {
        let (paused, now) = (self.budget.pause.until(), self.budget.clocks.now());
        opening(&mut self.budget.lock().gates, &self.ask, paused, now).why
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(mut granted) = self.granted.take() else { return };
        let mut state = self.budget.lock();
        if state.queue.remove(self.ask.priority, self.id) {
            self.budget.let_through(&mut state, self.budget.clocks.now());
        } else if let Ok(taken) = granted.try_recv() {
            // It came in the moment of giving up.
            drop(state);
            self.budget.give_back(&self.ask, &taken, false);
        }
    }
}

/// The right to have one request under way. Dropping it gives it back, and what it cost too when no request left.
pub struct Slot {
    budget: Arc<Budget>,
    ask: Ask,
    taken: Taken,
    held_up_by: Option<Arc<str>>,
    left: bool,
}

impl Slot {
    /// The request leaves now.
    pub fn leaves(&mut self) {
        self.left = true;
    }

    /// Learns from the answer that came.
    pub fn heard(&self, heard: &Heard<'_>) {
        let budget = &self.budget;
        let mut state = budget.lock();
        let now = budget.clocks.now();
        state.gates.heard(&self.ask, &self.taken, heard, now);
        budget.let_through(&mut state, now);
    }

    /// Makes everybody wait, because the answer to the request sent at `sent` asked for it. `is_pace`: it may have been for
    /// our pace.
    pub fn refused(&self, sent: Instant, after: Option<Duration>, share: f64, is_pace: bool) -> Paused {
        let budget = &self.budget;
        let paused = budget.pause.begin(sent, after, share);
        if paused.is_new {
            let mut state = budget.lock();
            let is_pace = is_pace && after.is_none_or(|after| after <= PACE_PAUSE_MAX);
            state.gates.refused(&self.ask, is_pace, budget.clocks.now());
            state.unsaved = true;
        }
        paused
    }

    /// The limit that it was waited for, when it was asked for.
    pub fn held_up_by(&self) -> Option<&str> {
        self.held_up_by.as_deref()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.budget.give_back(&self.ask, &self.taken, self.left);
    }
}

/// Adds the time until it is dropped, also when its future is.
struct Counted<'b> {
    began: Instant,
    sum: &'b AtomicU64,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.sum.fetch_add(u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX), Relaxed);
    }
}
