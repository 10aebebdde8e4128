//! The account's allowance: buckets, requests under way, and the pause. One queue, first come first served: whoever
//! waits at its head waits for all three, and nobody overtakes. Everything waits on tokio's timer, so a paused runtime
//! drives it.
//!
//! A bucket is paced slightly under what is declared, because a strict server refuses a call that comes a millisecond
//! early and the network does not keep our spacing.

use std::{
    num::NonZeroU32,
    sync::{
        Arc, Mutex as Guarded, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};

use super::pause::Pause;
use crate::config::plan;

/// Our pace as a share of the declared one.
const PACE: f64 = 0.98;

/// Waiting shorter than this is not worth telling.
const WAIT_MIN: Duration = Duration::from_millis(100);

pub struct Budget {
    buckets: Vec<Limiter>,
    under_way: Arc<Semaphore>,
    /// Held by the caller at the head of the queue. Tokio's mutex is fair.
    queue: Mutex<()>,
    pub pause: Pause,
    /// What the head of the queue waits for.
    waiting: Guarded<Option<Instant>>,
    /// How long heads of the queue have waited so far, in microseconds.
    waited_us: AtomicU64,
}

/// The right to have one request under way. Dropping it gives it back.
pub struct Slot(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Budget {
    pub fn new(plan: &plan::Budget) -> Self {
        Self {
            buckets: plan.buckets.iter().filter_map(limiter).collect(),
            under_way: Arc::new(Semaphore::new(plan.concurrency.max(1) as usize)),
            queue: Mutex::new(()),
            pause: Pause::default(),
            waited_us: AtomicU64::new(0),
            waiting: Guarded::new(None),
        }
    }

    /// Waits for a slot, however long that takes. Dropping the future leaves the queue; at most one call's share of a
    /// bucket is lost then, which errs on the server's side.
    pub async fn slot(&self) -> Slot {
        let _head = self.queue.lock().await;
        let _shown = Shown(&self.waiting);
        let permit = match self.under_way.clone().acquire_owned().await {
            Ok(permit) => permit,
            // The semaphore is never closed.
            Err(_) => std::future::pending().await,
        };
        for bucket in &self.buckets {
            while let Err(early) = bucket.check() {
                self.wait_until(Instant::now() + early.wait_time_from(bucket.clock().now())).await;
            }
        }
        // Last, because a pause may have begun while the buckets filled.
        while let Some(until) = self.pause.until() {
            self.wait_until(until).await;
        }
        Slot(permit)
    }

    /// Until when the connection waits for quota, if it does.
    pub fn waiting(&self) -> Option<Instant> {
        let head = *self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.pause.until().max(head).filter(|until| *until > Instant::now() + WAIT_MIN)
    }

    /// How long the quota has held the connection back so far. Those who wait behind the head of the queue wait in the
    /// same time, so it is never longer than the time that passed.
    pub fn waited(&self) -> Duration {
        Duration::from_micros(self.waited_us.load(Relaxed))
    }

    async fn wait_until(&self, until: Instant) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        let _counted = Counted { began: Instant::now(), sum: &self.waited_us };
        sleep_until(until).await;
    }
}

/// Takes the shown wait back, also when its future is dropped.
struct Shown<'b>(&'b Guarded<Option<Instant>>);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
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

type Limiter = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>;

/// A bucket of no requests or no time limits nothing; the configuration refuses both.
fn limiter(bucket: &plan::Bucket) -> Option<Limiter> {
    let requests = NonZeroU32::new(bucket.requests)?;
    let spacing = bucket.per.div_f64(f64::from(requests.get()) * PACE);
    let quota = Quota::with_period(spacing)?.allow_burst(NonZeroU32::new(bucket.burst.max(1))?);
    Some(RateLimiter::direct_with_clock(quota, TokioClock(Instant::now())))
}

/// Governor's time, as tokio's time since the bucket was made.
#[derive(Clone)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use tokio::time::{advance, timeout};

    fn budget(buckets: &[(u32, u64, u32)], concurrency: u32) -> Arc<Budget> {
        let bucket =
            |&(requests, ms, burst): &(u32, u64, u32)| plan::Bucket { requests, per: Duration::from_millis(ms), burst };
        Arc::new(Budget::new(&plan::Budget {
            buckets: buckets.iter().map(bucket).collect(),
            concurrency,
            wait_max: Duration::from_secs(900),
        }))
    }

    async fn times(budget: &Budget, calls: usize) -> Vec<Duration> {
        let start = Instant::now();
        let mut times = Vec::new();
        for _ in 0..calls {
            drop(budget.slot().await);
            times.push(start.elapsed());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn calls_are_paced_evenly_and_never_faster_than_declared() {
        let times = times(&budget(&[(10, 1000, 1)], 8), 101).await;
        for pair in times.windows(2) {
            let spacing = pair[1] - pair[0];
            assert!(spacing >= Duration::from_millis(101), "{spacing:?}");
            assert!(spacing <= Duration::from_millis(105), "{spacing:?}");
        }
        for (index, start) in times.iter().enumerate() {
            let in_window = times[index..].iter().filter(|time| **time < *start + Duration::from_secs(1)).count();
            assert!(in_window <= 10, "{in_window} calls in a second");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_through_at_once_after_a_rest() {
        let budget = budget(&[(10, 1000, 5)], 8);
        let times = times(&budget, 6).await;
        assert_eq!(times[4], Duration::ZERO);
        assert!(times[5] > Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn the_tightest_of_several_buckets_rules() {
        let times = times(&budget(&[(100, 1000, 1), (1, 1000, 1), (50, 1000, 1)], 8), 4).await;
        assert!(times[3] > Duration::from_millis(3050), "{times:?}");
        assert!(times[3] < Duration::from_millis(3200), "{times:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_requests_are_under_way_than_allowed() {
        let budget = budget(&[], 2);
        let (first, _second) = (budget.slot().await, budget.slot().await);
        let third = timeout(Duration::from_secs(5), budget.slot()).await;
        assert!(third.is_err());
        drop(first);
        assert!(timeout(Duration::from_secs(5), budget.slot()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_overtakes() {
        let budget = budget(&[(10, 1000, 1)], 3);
        let order = Arc::new(Guarded::new(Vec::new()));
        let tasks: Vec<_> = (0..50)
            .map(|number| {
                let (budget, order) = (budget.clone(), order.clone());
                tokio::spawn(async move {
                    let slot = budget.slot().await;
                    order.lock().unwrap().push(number);
                    tokio::time::sleep(Duration::from_millis(250)).await;
                    drop(slot);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_waits_for_the_pause_and_it_is_shown() {
        let budget = budget(&[], 8);
        assert_eq!(budget.waiting(), None);
        let until = budget.pause.begin(Instant::now(), Some(Duration::from_secs(30)), 0.0).until;
        assert_eq!(budget.waiting(), Some(until));
        let through = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                let (budget, through) = (budget.clone(), through.clone());
                tokio::spawn(async move {
                    drop(budget.slot().await);
                    through.fetch_add(1, Relaxed);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        advance(Duration::from_secs(29)).await;
        assert_eq!(through.load(Relaxed), 0);
        for task in tasks {
            task.await.unwrap();
        }
        assert!(Instant::now() >= until);
        let waited = budget.waited();
        assert!(waited >= Duration::from_secs(30) && waited < Duration::from_secs(31), "five at a time: {waited:?}");
        assert_eq!(budget.waiting(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_gives_up_leaves_the_queue_and_what_is_shown() {
        let budget = budget(&[(1, 60_000, 1)], 8);
        drop(budget.slot().await);
        let waiting = budget.clone();
        let task = tokio::spawn(async move { timeout(Duration::from_secs(1), waiting.slot()).await.is_err() });
        tokio::task::yield_now().await;
        assert!(budget.waiting().is_some());
        assert!(task.await.unwrap());
        assert_eq!(budget.waiting(), None);
    }
}
