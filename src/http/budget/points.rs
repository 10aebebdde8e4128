//! A bucket of points that refills by itself, of which each call takes what its query costs. What a call will cost is
//! known from the answer to the one before of the same name; what is left is told by every answer, and counted between.

use std::{collections::HashMap, sync::Arc};

use super::moment::Moment;
use crate::{config::plan, model::Path};

pub struct Points {
    plan: plan::Points,
    max: f64,
    per_second: f64,
    available: f64,
    as_of_ms: i64,
    /// What the calls under way were taken to cost.
    under_way: f64,
    costs: HashMap<Arc<str>, f64>,
}

impl Points {
    /// The bucket is full: points come back while nobody is there.
    pub fn new(plan: &plan::Points, now: Moment) -> Self {
        let max = f64::from(plan.max);
        Self {
            plan: plan.clone(),
            max,
            per_second: f64::from(plan.per_second).max(f64::MIN_POSITIVE),
            available: max,
            as_of_ms: now.unix_ms,
            under_way: 0.0,
            costs: HashMap::new(),
        }
    }

    pub fn max(&self) -> u64 {
        self.max as u64
    }

    pub fn opens_ms(&self, call: &str, now: Moment) -> i64 {
        let missing = self.cost(call) - self.available(now);
        match missing > 0.0 {
            true => now.unix_ms + ((missing / self.per_second * 1000.0).ceil() as i64).max(1),
            false => now.unix_ms,
        }
    }

    /// Takes what a call is thought to cost, and returns it.
    pub fn take(&mut self, call: &str, now: Moment) -> f64 {
        let cost = self.cost(call);
        self.available = self.available(now) - cost;
        self.as_of_ms = now.unix_ms;
        self.under_way += cost;
        cost
    }

    /// The call is not under way any more, whatever came of it, or never was.
    pub fn back(&mut self, cost: f64, left: bool) {
        self.under_way = (self.under_way - cost).max(0.0);
        if !left {
            self.available += cost;
        }
    }

    pub fn left(&self, now: Moment) -> f64 {
        self.available(now)
    }

    /// What an answer tells: what its call cost, and what is left. `own` is what the call was taken to cost. The others
    /// under way may be counted in what is left or not, and are taken off to be safe.
    pub fn heard(&mut self, call: &Arc<str>, own: f64, body: &[u8], now: Moment) {
        let Ok(body) = std::str::from_utf8(body) else { return };
        let number = |path: &Option<Path>| -> Option<f64> {
            let number: f64 = path.as_ref()?.find(body)?.get().parse().ok()?;
            (number.is_finite() && number >= 0.0).then_some(number)
        };
        if let Some(max) = number(&self.plan.maximum).filter(|max| *max >= 1.0) {
            self.max = max;
        }
        if let Some(rate) = number(&self.plan.restore).filter(|rate| *rate > 0.0) {
            self.per_second = rate;
        }
        if let Some(cost) = number(&self.plan.requested) {
            self.costs.insert(call.clone(), cost);
        }
        if let Some(available) = number(&self.plan.available) {
            self.available = available - (self.under_way - own).max(0.0);
            self.as_of_ms = now.unix_ms;
        }
    }

    /// More than a full bucket is never waited for: the server will say what it thinks of such a call.
    fn cost(&self, call: &str) -> f64 {
        self.costs.get(call).copied().unwrap_or(f64::from(self.plan.cost)).min(self.max)
    }

    fn available(&self, now: Moment) -> f64 {
        let passed = now.unix_ms.saturating_sub(self.as_of_ms).max(0) as f64 / 1000.0;
        (self.available + passed * self.per_second).min(self.max)
    }
}
