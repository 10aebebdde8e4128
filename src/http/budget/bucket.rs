//! An evenly paced limit. The only file that knows governor: it does the arithmetic, on tokio's clock, over a state of
//! ours, for two things that it does not offer. Whether a call may go is asked without spending it, because a call goes
//! when all limits let it. And a call that leaves a little late does not move those after it: timers wake up to a
//! millisecond late, which at 100 calls per second would cost a tenth of the allowance.
//!
//! The pace is slightly under what is declared, because a strict server refuses a call that comes a millisecond early and
//! the network does not keep our spacing.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{NotKeyed, StateStore},
};
use tokio::time::Instant;

use super::{PACE, caution::Caution, moment::Moment};
use crate::config::plan;

/// The pace is changed when it would become this much faster.
const STEP: f64 = 1.1;

pub struct Bucket {
    plan: plan::Bucket,
    limiter: Limiter,
    due: Due,
    /// The share of the declared pace that the limiter has.
    share: f64,
    pub caution: Caution,
}

impl Bucket {
    /// A bucket of no requests or no time limits nothing; the configuration refuses both.
    pub fn new(plan: &plan::Bucket, now: Moment) -> Option<Self> {
        let (limiter, due) = limiter(plan, 1.0, now.at)?;
        Some(Self { plan: plan.clone(), limiter, due, share: 1.0, caution: Caution::none() })
    }

    pub fn requests(&self) -> u64 {
        self.plan.requests.into()
    }

    pub fn opens(&mut self, now: Moment) -> Instant {
        let share = self.caution.share(now.unix_ms);
        if share > self.share * STEP || (share >= 1.0 && self.share < 1.0) {
            self.set_pace(now);
        }
        self.due.taking.store(false, Relaxed);
        match self.limiter.check() {
            Ok(()) => now.at,
            Err(early) => self.limiter.clock().0 + early.earliest_possible(),
        }
    }

    pub fn take(&mut self, now: Moment) {
        self.due.taking.store(true, Relaxed);
        // The caller asked whether it is open, at this same moment.
        drop(self.limiter.check());
        self.caution.call(now.unix_ms);
    }

    /// The server refused a call. Calls that leave evenly tell of no smaller number that it certainly takes.
    pub fn refused(&mut self, now: Moment) {
        self.caution.refused(now.unix_ms, self.plan.per, 0.0);
        if self.caution.share(now.unix_ms) < self.share {
            self.set_pace(now);
        }
    }

    /// Starts over with the pace that caution allows. One call is spent, so that the next one keeps its distance.
    pub fn set_pace(&mut self, now: Moment) {
        let share = self.caution.share(now.unix_ms);
        if let Some((limiter, due)) = limiter(&self.plan, share, now.at) {
            (self.limiter, self.due, self.share) = (limiter, due, share);
            drop(self.limiter.check());
        }
    }
}

type Limiter = RateLimiter<NotKeyed, Due, TokioClock, NoOpMiddleware<Duration>>;

fn limiter(plan: &plan::Bucket, share: f64, now: Instant) -> Option<(Limiter, Due)> {
    let requests = f64::from(NonZeroU32::new(plan.requests)?.get());
    let spacing = plan.per.div_f64(requests * PACE * share);
    let quota = Quota::with_period(spacing)?.allow_burst(NonZeroU32::new(plan.burst.max(1))?);
    let due = Due::new(spacing, tolerance(plan.per, spacing));
    Some((RateLimiter::new(quota, due.clone(), TokioClock(now)), due))
}

/// How late a call may leave without moving the next one. Calls that are far apart stay as far apart as declared; where
/// our margin is shorter than a timer can be late, any `per` holds no more than declared instead.
fn tolerance(per: Duration, spacing: Duration) -> Duration {
    const TIMER: Duration = Duration::from_millis(2);
    let margin = spacing.mul_f64(1.0 - PACE);
    if margin >= TIMER { margin } else { (per / 200).clamp(margin, Duration::from_millis(5)) }
}

/// When the next call is due, shared with the limiter that decides by it. Relaxed, because a budget's lock is around it.
#[derive(Clone)]
struct Due {
    /// In governor's time; 0 before the first call.
    at: Arc<AtomicU64>,
    /// Whether a decision spends a call.
    taking: Arc<AtomicBool>,
    spacing: u64,
    tolerance: u64,
}

impl Due {
    fn new(spacing: Duration, tolerance: Duration) -> Self {
        let (at, taking) = (Arc::default(), Arc::new(AtomicBool::new(true)));
        Self { at, taking, spacing: Nanos::from(spacing).as_u64(), tolerance: Nanos::from(tolerance).as_u64() }
    }
}

impl StateStore for Due {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let before = self.at.load(Relaxed);
        let (allowed, next) = decide((before > 0).then(|| Nanos::from(before)))?;
        if self.taking.load(Relaxed) {
            let next = next.as_u64();
            let late = if before > 0 { next.saturating_sub(before.saturating_add(self.spacing)) } else { 0 };
            self.at.store(next - late.min(self.tolerance), Relaxed);
        }
        Ok(allowed)
    }
}

/// Governor's time, as tokio's time since the limiter was made.
#[derive(Clone)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}
