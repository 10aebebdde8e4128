//! Leaves a stream or operation alone while it keeps failing. Each call name of a connection has a breaker of its own, so
//! that a dead export does not stop writes.
//!
//! | state | a call | what comes of it |
//! |---|---|---|
//! | closed | goes | failures are counted; at the declared share of enough attempts it opens |
//! | open, resting | is refused at once, and nothing is sent | |
//! | open, rested | goes alone, as a probe | answered: closed; failed: rests again, twice as long up to ten times; given up: the next one is the probe |
//!
//! A failure is an attempt that got no usable answer: no connection, no answer in time, a broken one, a 5xx. A refusal is
//! an answer. Being asked to slow down is neither.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::log::Log;
use crate::config::plan;

/// Call names that are watched. A connector has a few dozen.
const CALLS_MAX: usize = 10_000;
/// A rest is at most this many times the declared one.
const REST_MAX: u32 = 10;
const PARTS: u32 = 30;

/// The breakers of one connection.
pub struct Breakers {
    plan: plan::Breaker,
    began: Instant,
    calls: Mutex<BTreeMap<Arc<str>, Breaker>>,
    trips: AtomicU64,
}

struct Breaker {
    state: State,
    answered: Log,
    failed: Log,
    /// Rests in a row, without an answer between them.
    rests: u32,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Closed,
    Open { until: Instant },
    Probing,
}

/// What came of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    Answered,
    Failed,
    /// It says nothing about the server.
    Unknown,
}

/// Why a breaker changed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Change {
    /// So many of so many attempts failed.
    Opened { failed: u64, of: u64, rest: Duration },
    /// The probe failed.
    Reopened { rest: Duration },
    /// The probe was answered.
    Closed,
}

impl Change {
    /// How the breaker stands now.
    pub fn state(self) -> BreakerState {
        match self {
            Change::Opened { .. } | Change::Reopened { .. } => BreakerState::Open,
            Change::Closed => BreakerState::Closed,
        }
    }
}

/// A call that is refused.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Resting {
    /// How long nothing is sent; nothing: until the probe that is under way is answered.
    pub left: Option<Duration>,
}

/// What a breaker lets through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// One, to see whether the server is well again.
    HalfOpen,
    /// Nothing.
    Open,
}

/// A breaker that is not closed, for people.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Open {
    pub call: String,
    /// Rests in a row.
    pub rests: u32,
    /// In milliseconds; nothing: a probe is under way.
    pub left_ms: Option<u64>,
}

impl Breakers {
    pub fn new(plan: &plan::Breaker) -> Self {
        Self { plan: plan.clone(), began: Instant::now(), calls: Mutex::default(), trips: AtomicU64::new(0) }
    }

    /// Whether a call would be let through. It takes nothing.
    pub fn look(&self, call: &str) -> Result<(), Resting> {
        match self.lock().get(call).map(|breaker| breaker.state) {
            Some(State::Open { until }) if until > Instant::now() => Err(resting(until)),
            Some(State::Probing) => Err(Resting { left: None }),
            _ => Ok(()),
        }
    }

    /// Lets a call through, or refuses it. A rested breaker lets one through.
    pub fn admit(&self, call: &Arc<str>) -> Result<Admitted<'_>, Resting> {
        let mut calls = self.lock();
        let is_probe = match calls.get_mut(call) {
            None | Some(Breaker { state: State::Closed, .. }) => false,
            Some(Breaker { state: State::Open { until }, .. }) if *until > Instant::now() => {
                return Err(resting(*until));
            }
            Some(Breaker { state: State::Probing, .. }) => return Err(Resting { left: None }),
            Some(breaker) => {
                breaker.state = State::Probing;
                true
            }
        };
        Ok(Admitted { breakers: self, call: call.clone(), is_probe })
    }

    /// How often one of them opened.
    pub fn trips(&self) -> u64 {
        self.trips.load(Relaxed)
    }

    /// All of them.
    pub fn all(&self) -> Vec<(Arc<str>, BreakerState)> {
        let now = Instant::now();
        let shown = |(call, breaker): (&Arc<str>, &Breaker)| {
            let state = match breaker.state {
                State::Closed => BreakerState::Closed,
                State::Open { until } if until > now => BreakerState::Open,
                State::Open { .. } | State::Probing => BreakerState::HalfOpen,
            };
            (call.clone(), state)
        };
        self.lock().iter().map(shown).collect()
    }

    /// Those that are not closed.
    pub fn open(&self) -> Vec<Open> {
        let now = Instant::now();
        let shown = |(call, breaker): (&Arc<str>, &Breaker)| {
            let left_ms = match breaker.state {
                State::Closed => return None,
                State::Open { until } => Some(until.saturating_duration_since(now).as_millis() as u64),
                State::Probing => None,
            };
            Some(Open { call: call.to_string(), rests: breaker.rests, left_ms })
        };
        self.lock().iter().filter_map(shown).collect()
    }

    fn record(&self, call: &Arc<str>, is_probe: bool, health: Health) -> Option<Change> {
        let now = Instant::now();
        let now_ms = i64::try_from((now - self.began).as_millis()).unwrap_or(i64::MAX);
        let mut calls = self.lock();
        if calls.len() >= CALLS_MAX && !calls.contains_key(call) {
            return None;
        }
        let within = self.plan.within;
        let breaker = calls.entry(call.clone()).or_insert_with(|| Breaker::new(within));
        match (is_probe, health) {
            (true, Health::Answered) => {
                *breaker = Breaker::new(within);
                breaker.answered.add(now_ms, 1);
                Some(Change::Closed)
            }
            (true, Health::Failed) => {
                let rest = breaker.rest(&self.plan, now);
                Some(Change::Reopened { rest })
            }
            (true, Health::Unknown) => {
                breaker.state = State::Open { until: now };
                None
            }
            (false, Health::Answered) => {
                breaker.answered.add(now_ms, 1);
                None
            }
            // An answer to what was sent before the breaker opened changes nothing any more.
            (false, Health::Failed) if breaker.state == State::Closed => {
                breaker.failed.add(now_ms, 1);
                let failed = breaker.failed.count(now_ms);
                let of = failed + breaker.answered.count(now_ms);
                let opens = of >= u64::from(self.plan.of) && failed as f64 >= of as f64 * self.plan.failures;
                opens.then(|| {
                    self.trips.fetch_add(1, Relaxed);
                    Change::Opened { failed, of, rest: breaker.rest(&self.plan, now) }
                })
            }
            (false, Health::Failed | Health::Unknown) => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Breaker>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn resting(until: Instant) -> Resting {
    Resting { left: Some(until.saturating_duration_since(Instant::now())) }
}

impl Breaker {
    fn new(within: Duration) -> Self {
        let log = || Log::new(within, PARTS);
        Self { state: State::Closed, answered: log(), failed: log(), rests: 0 }
    }

    fn rest(&mut self, plan: &plan::Breaker, now: Instant) -> Duration {
        let rest = plan.pause.saturating_mul((1 << self.rests.min(8)).min(REST_MAX));
        self.rests += 1;
        self.state = State::Open { until: now + rest };
        rest
    }
}

/// The right to send one attempt. Dropping it says nothing about the server.
pub struct Admitted<'b> {
    breakers: &'b Breakers,
    call: Arc<str>,
    is_probe: bool,
}

impl Admitted<'_> {
    /// Tells what came of the attempt, and returns whether that changed anything.
    pub fn report(mut self, health: Health) -> Option<Change> {
        let is_probe = std::mem::take(&mut self.is_probe);
        self.breakers.record(&self.call, is_probe, health)
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            self.breakers.record(&self.call, true, Health::Unknown);
        }
    }
}
