//! How much one call has been tried. Every bound of a call is kept here: attempts, waits, its deadline, and how often the
//! server may ask us to slow down.

use std::time::Duration;

use tokio::time::Instant;

use super::{Call, backoff::Backoff, budget::Blocked, policy::Policy, trouble};
use crate::model::{Disposition, Entropy, Fault};

/// How often one call lets itself be asked to slow down.
const THROTTLED_MAX: u32 = 20;

pub struct Effort<'p> {
    policy: &'p Policy,
    repeatable: bool,
    deadline: Option<Instant>,
    delays: Backoff,
    /// Attempts sent.
    pub attempts: u32,
    /// Attempts that failed. Being asked to slow down is no failure.
    failures: u32,
    throttled: u32,
    refreshed: bool,
    waited: Duration,
    /// What the server said when it last asked us to slow down.
    asked: Option<Fault>,
}

impl<'p> Effort<'p> {
    pub fn new(policy: &'p Policy, call: &Call) -> Self {
        Self {
            policy,
            repeatable: call.repeatable,
            deadline: call.deadline,
            delays: Backoff::new(&policy.retry),
            attempts: 0,
            failures: 0,
            throttled: 0,
            refreshed: false,
            waited: Duration::ZERO,
            asked: None,
        }
    }

    /// How long this call may still wait for quota.
    pub fn patience(&self) -> Duration {
        self.wait_left().min(self.time_left())
    }

    fn wait_left(&self) -> Duration {
        self.policy.budget.wait_max.saturating_sub(self.waited)
    }

    /// How long the caller still waits for the call.
    pub fn time_left(&self) -> Duration {
        self.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The fault of a call whose caller has no more time, if so.
    pub fn check_time(&self, why: &str) -> Result<(), Fault> {
        if self.time_left().is_zero() { Err(trouble::deadline(why)) } else { Ok(()) }
    }

    /// Counts one more attempt and returns its number.
    pub fn attempt(&mut self) -> u32 {
        self.attempts += 1;
        self.attempts
    }

    pub fn waited(&mut self, time: Duration) {
        self.waited += time;
    }

    /// The fault of a wait that would last longer than the call's patience.
    pub fn out_of_patience(&mut self, blocked: &Blocked) -> Fault {
        let Blocked { needed, why } = blocked;
        if self.time_left() < self.wait_left() {
            let fault = trouble::deadline(&format!("waiting for quota ({why}) would take longer"));
            return fault.with(Disposition::Retry { after: *needed });
        }
        let fault = self.asked.take().unwrap_or_else(|| trouble::quota_wait(why));
        fault.with(Disposition::Retry { after: *needed })
    }

    /// The server asked us to slow down. `sent` says whether the attempt may have taken effect; then only a repeatable call
    /// goes on.
    pub fn throttled(&mut self, sent: bool, fault: Fault) -> Result<(), Fault> {
        if sent && !self.repeatable {
            return Err(trouble::outcome_unknown(fault));
        }
        self.throttled += 1;
        if self.throttled > THROTTLED_MAX {
            return Err(fault);
        }
        self.asked = Some(fault);
        Ok(())
    }

    /// Attempts that failed so far, and how many may.
    pub fn failed(&self) -> (u32, u32) {
        (self.failures, self.policy.retry.attempts)
    }

    /// Whether new credentials may be tried. Once per call.
    pub fn may_refresh(&mut self) -> bool {
        !std::mem::replace(&mut self.refreshed, true)
    }

    /// The delay before the next attempt, or the fault that ends the call. `sent` says whether the attempt may have
    /// taken effect; then only a repeatable call goes on. A delay that ends after the caller's deadline is not waited for.
    pub fn again(
        &mut self,
        sent: bool,
        after: Option<Duration>,
        fault: &Fault,
        entropy: &dyn Entropy,
    ) -> Result<Duration, Fault> {
        if sent && !self.repeatable {
            return Err(trouble::outcome_unknown(fault.clone()));
        }
        self.failures += 1;
        if self.failures >= self.policy.retry.attempts {
            return Err(self.spent(after, fault));
        }
        let jitter = self.delays.next(entropy);
        // What the server asks for is a wait like any other; our own jitter is short and not counted.
        let asked = after.unwrap_or_default();
        if asked > self.patience() || asked + jitter >= self.time_left() {
            return Err(self.spent(after, fault));
        }
        self.waited(asked);
        Ok(asked + jitter)
    }

    fn spent(&self, after: Option<Duration>, fault: &Fault) -> Fault {
        let message = match self.failures {
            1 => fault.message.clone(),
            failures => format!("{} (after {failures} attempts)", fault.message),
        };
        Fault { message, ..fault.clone() }.with(Disposition::Retry { after })
    }
}
