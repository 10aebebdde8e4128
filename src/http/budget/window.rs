//! At most so many calls in any window, wherever the server lets its windows begin. Ours slides, and is a little longer
//! than declared, so it fits servers whose windows are fixed, begin with a call, or slide.
//!
//! Answers may tell what is left of the server's own count, in which others have their part. Within a window that number
//! only falls, so the smallest one heard is the newest, in whatever order answers come. It knows of every call that was
//! answered, and maybe of those under way; so near the end of a window calls wait for the answers before them.

use std::time::Duration;

use http::HeaderMap;

use super::{PACE, caution::Caution, left::left, moment::Moment};
use crate::{
    config::plan,
    http::{log::Log, told},
};

/// Slots of a window: its end is found to a thousandth of its length.
const PARTS: u32 = 1000;

pub struct Window {
    plan: plan::Window,
    pub log: Log,
    pub caution: Caution,
    told: Option<Told>,
    under_way: u64,
    /// Calls that left so far.
    departed: u64,
}

/// What an answer told.
struct Told {
    left: u64,
    ends_ms: i64,
    /// Calls that had left by then. What is told of a later one is news, also when it is more.
    departed: u64,
}

impl Window {
    pub fn new(plan: &plan::Window) -> Self {
        let log = Log::new(plan.per.div_f64(PACE), PARTS);
        Self { plan: plan.clone(), log, caution: Caution::none(), told: None, under_way: 0, departed: 0 }
    }

    pub fn requests(&self) -> u64 {
        self.plan.requests.into()
    }

    pub fn opens_ms(&mut self, now: Moment) -> i64 {
        let mine = self.mine(now.unix_ms);
        let by_log = match self.log.count(now.unix_ms) < mine {
            true => now.unix_ms,
            false => self.log.falls_below(mine).max(now.unix_ms + 1),
        };
        match self.told_now(now).filter(|told| told.left <= self.under_way) {
            // Sooner, if an answer to those under way tells that there is more.
            Some(told) => by_log.max(told.ends_ms),
            None => by_log,
        }
    }

    /// Takes a call, and returns its number.
    pub fn take(&mut self, now: Moment) -> u64 {
        self.log.add(now.unix_ms, 1);
        self.caution.call(now.unix_ms);
        self.under_way += 1;
        self.departed += 1;
        self.departed
    }

    /// The call is not under way any more, or never was.
    pub fn back(&mut self, left: bool) {
        self.under_way = self.under_way.saturating_sub(1);
        if !left {
            self.log.take_back();
        }
    }

    pub fn left(&mut self, now: Moment) -> u64 {
        let own = self.mine(now.unix_ms).saturating_sub(self.log.count(now.unix_ms));
        self.told_now(now).map_or(own, |told| own.min(told.left.saturating_sub(self.under_way)))
    }

    fn told_now(&self, now: Moment) -> Option<&Told> {
        self.told.as_ref().filter(|told| told.ends_ms > now.unix_ms)
    }

    fn mine(&self, now_ms: i64) -> u64 {
        ((f64::from(self.plan.requests) * self.caution.share(now_ms)) as u64).max(1)
    }

    /// Learns from the answer to the call of this number.
    pub fn heard(&mut self, number: u64, headers: &HeaderMap, now: Moment, server_ms: i64) {
        let requests = u64::from(self.plan.requests);
        let Some(left) = self.plan.left.as_ref().and_then(|header| left(header, headers, requests)) else { return };
        let reset = self.plan.reset.as_ref().and_then(|name| told::reset(headers.get(name)?.to_str().ok()?, server_ms));
        self.told(number, left, reset, now);
    }

    /// The answer to the call of this number told that so many are left, and when all of them are again.
    pub fn told(&mut self, number: u64, left: u64, reset: Option<Duration>, now: Moment) {
        let until = reset.unwrap_or(self.plan.per).min(self.plan.per);
        let ends_ms = now.unix_ms.saturating_add(i64::try_from(until.as_millis()).unwrap_or(i64::MAX));
        let known = self.told.take().filter(|told| told.ends_ms > now.unix_ms && number <= told.departed);
        self.told = Some(match known {
            Some(told) => Told { left: told.left.min(left), ends_ms: told.ends_ms.max(ends_ms), ..told },
            None => Told { left, ends_ms, departed: self.departed },
        });
    }

    /// The server refused a call. It and others, `under_way` of those in the log, were not taken.
    pub fn refused(&mut self, now: Moment, under_way: u64) {
        let taken = self.log.count(now.unix_ms).saturating_sub(under_way);
        let taken = taken as f64 / f64::from(self.plan.requests);
        self.caution.refused(now.unix_ms, self.plan.per, taken);
    }
}
