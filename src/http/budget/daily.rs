//! At most so many calls in any 24 hours, with a part that is left to others. Our own count outlives the process; what an
//! answer tells corrects it: the difference is what others used, or how much smaller the quota is than declared. Calls
//! under way count as ours whether the answer knows of them or not, so where we are alone nothing is lost to others.

use std::time::Duration;

use http::HeaderMap;

use super::{left::left, moment::Moment};
use crate::{
    config::plan,
    http::{Priority, log::Log},
};

const DAY: Duration = Duration::from_secs(86_400);
/// Slots of a quarter of an hour.
const PARTS: u32 = 96;
/// What an answer told about others is believed for so long. After that one call asks anew.
const BELIEVED_MS: i64 = 15 * 60 * 1000;

pub struct Daily {
    plan: plan::Daily,
    pub log: Log,
    pub others: Others,
}

/// What others used, and until when we believe it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Others {
    pub calls: u64,
    pub until_ms: i64,
}

impl Others {
    pub fn now(&self, now_ms: i64) -> u64 {
        if now_ms < self.until_ms { self.calls } else { 0 }
    }
}

impl Daily {
    pub fn new(plan: &plan::Daily) -> Self {
        Self { plan: plan.clone(), log: Log::new(DAY, PARTS), others: Others::default() }
    }

    pub fn requests(&self) -> u64 {
        self.plan.requests
    }

    /// The calls that work which can wait leaves to others. What somebody waits for may use them.
    pub fn reserved(&self, priority: Priority) -> u64 {
        match priority {
            Priority::Interactive => 0,
            Priority::Incremental | Priority::Backfill => (self.plan.requests as f64 * self.plan.reserve) as u64,
        }
    }

    /// When one more call may leave. What others used is forgotten in one go, what we used call by call; whichever comes
    /// first is worth another look.
    pub fn opens_ms(&mut self, priority: Priority, now: Moment) -> i64 {
        let (own, used) = (self.log.count(now.unix_ms), self.others.now(now.unix_ms));
        let allowed = self.plan.requests.saturating_sub(self.reserved(priority)).saturating_sub(used);
        if own < allowed {
            return now.unix_ms;
        }
        let by_log = if allowed > 0 { self.log.falls_below(allowed) } else { i64::MAX };
        let by_others = if used > 0 { self.others.until_ms } else { i64::MAX };
        by_log.min(by_others).max(now.unix_ms + 1)
    }

    pub fn take(&mut self, now: Moment) {
        self.log.add(now.unix_ms, 1);
    }

    /// What is left to everybody, the reserve included.
    pub fn left(&mut self, now: Moment) -> u64 {
        let used = self.log.count(now.unix_ms).saturating_add(self.others.now(now.unix_ms));
        self.plan.requests.saturating_sub(used)
    }

    pub fn heard(&mut self, headers: &HeaderMap, now: Moment) {
        let requests = self.plan.requests;
        let told = self.plan.left.as_ref().and_then(|header| left(header, headers, requests));
        if let Some(left) = told {
            let calls = requests.saturating_sub(left).saturating_sub(self.log.count(now.unix_ms));
            self.others = Others { calls, until_ms: now.unix_ms.saturating_add(BELIEVED_MS) };
        }
    }
}
