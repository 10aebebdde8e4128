//! What the network and the server do to a request, drawn from a seed. Drawing is here and pure; doing it to a socket
//! is the server's. "Before" and "after" say whether the request took effect: the client cannot tell, and that is the
//! point.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// What happens to one request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The answer comes late. The request has taken effect at once, and a create is in flight until the answer is out.
    Latency,
    /// No answer for `stall_ms`, then a reset; the request took no effect.
    StallBefore,
    /// No answer for `stall_ms`, then a reset; the request took effect.
    StallAfter,
    /// The connection is reset; the request took no effect.
    ResetBefore,
    /// The connection is reset; the request took effect.
    ResetAfter,
    /// 500 or 503; the request took no effect.
    ErrorBefore,
    /// 500 or 502; the request took effect all the same.
    ErrorAfter,
    /// 429 without a reason and without a word about time, as a proxy in front of a server gives it; the request took no
    /// effect.
    Throttle,
    /// The request took effect and the answer is cut in the middle of its `Content-Length`.
    HalfBody,
}

/// How often each fault strikes, as shares of all requests. At most one strikes a request.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultPlan {
    pub latency: f64,
    /// A late answer is late by up to this.
    pub latency_ms: u64,
    pub stall: f64,
    pub stall_ms: u64,
    pub reset_before: f64,
    pub reset_after: f64,
    pub error_before: f64,
    pub error_after: f64,
    pub throttle: f64,
    pub half_body: f64,
    /// Faults for the very next requests, in order, before any is drawn.
    pub next: VecDeque<FaultKind>,
}

impl FaultPlan {
    pub fn none() -> Self {
        Self::default()
    }

    /// A good day at a real vendor.
    pub fn mild() -> Self {
        Self {
            latency: 0.1,
            latency_ms: 50,
            reset_before: 0.01,
            reset_after: 0.01,
            error_before: 0.02,
            half_body: 0.01,
            ..Self::default()
        }
    }

    /// A day on which the vendor's status page is red.
    pub fn harsh() -> Self {
        Self {
            latency: 0.15,
            latency_ms: 300,
            stall: 0.005,
            stall_ms: 8_000,
            reset_before: 0.03,
            reset_after: 0.03,
            error_before: 0.04,
            error_after: 0.02,
            half_body: 0.03,
            ..Self::default()
        }
    }

    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::none()),
            "mild" => Some(Self::mild()),
            "harsh" => Some(Self::harsh()),
            _ => None,
        }
    }

    /// Says what is wrong with the numbers, if anything.
    pub fn check(&self) -> Result<(), String> {
        let shares = self.shares().map(|(_, share)| share);
        if shares.iter().any(|share| !(0.0..=1.0).contains(share)) || shares.iter().sum::<f64>() > 1.0 + 1e-9 {
            return Err("each fault is a share between 0 and 1, and all of them together are at most 1".into());
        }
        if self.latency_ms > 600_000 || self.stall_ms > 600_000 || self.next.len() > 10_000 {
            return Err("latency_ms and stall_ms are at most 600000, and next has at most 10000 faults".into());
        }
        Ok(())
    }

    fn shares(&self) -> [(FaultKind, f64); 9] {
        [
            (FaultKind::Latency, self.latency),
            (FaultKind::StallBefore, self.stall / 2.0),
            (FaultKind::StallAfter, self.stall / 2.0),
            (FaultKind::ResetBefore, self.reset_before),
            (FaultKind::ResetAfter, self.reset_after),
            (FaultKind::ErrorBefore, self.error_before),
            (FaultKind::ErrorAfter, self.error_after),
            (FaultKind::Throttle, self.throttle),
            (FaultKind::HalfBody, self.half_body),
        ]
    }

    pub(super) fn draw(&mut self, rng: &mut fastrand::Rng) -> Option<FaultKind> {
        if let Some(kind) = self.next.pop_front() {
            return Some(kind);
        }
        let mut dice = rng.f64();
        for (kind, share) in self.shares() {
            if dice < share {
                return Some(kind);
            }
            dice -= share;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_faults_in_about_the_shares_asked_for() {
        let draw = || {
            let (mut plan, mut rng) = (FaultPlan::harsh(), fastrand::Rng::with_seed(7));
            (0..20_000).map(|_| plan.draw(&mut rng)).collect::<Vec<_>>()
        };
        let drawn = draw();
        assert_eq!(drawn, draw());
        let mut counts = BTreeMap::new();
        drawn.into_iter().for_each(|kind| *counts.entry(kind).or_insert(0) += 1);
        let near = |kind, share: f64| (f64::from(counts[&Some(kind)]) / 20_000.0 - share).abs() < 0.01;
        assert!(
            near(FaultKind::Latency, 0.15) && near(FaultKind::ResetAfter, 0.03) && near(FaultKind::ErrorAfter, 0.02)
        );
        assert!(counts.contains_key(&Some(FaultKind::StallAfter)) && counts.contains_key(&None));
    }

    #[test]
    fn the_faults_named_for_the_next_requests_come_first() {
        let mut plan = FaultPlan { next: [FaultKind::HalfBody, FaultKind::ResetAfter].into(), ..FaultPlan::none() };
        let mut rng = fastrand::Rng::with_seed(1);
        let drawn: Vec<_> = (0..3).map(|_| plan.draw(&mut rng)).collect();
        assert_eq!(drawn, [Some(FaultKind::HalfBody), Some(FaultKind::ResetAfter), None]);
    }

    #[test]
    fn shares_that_cannot_be_are_refused() {
        assert!(FaultPlan { reset_after: 1.5, ..FaultPlan::none() }.check().is_err());
        assert!(FaultPlan { reset_after: 0.6, half_body: 0.6, ..FaultPlan::none() }.check().is_err());
        assert!(FaultPlan { stall: f64::NAN, ..FaultPlan::none() }.check().is_err());
        assert!(FaultPlan::harsh().check().is_ok() && FaultPlan::mild().check().is_ok());
    }
}
