//! Every limit as people and programs see it.

use serde::Serialize;

use super::{
    gates::{Gates, Kind, Limit},
    moment::Moment,
};
use crate::http::Priority;

/// One limit as it stands.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct LimitView {
    pub limit: String,
    /// The streams and operations that it is about; nothing: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<Vec<String>>,
    /// Calls, places or points that are left now, where that is known.
    pub left: Option<u64>,
    /// Of so many.
    pub of: Option<u64>,
    /// So many of them are left to others by work that can wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserve: Option<u64>,
    /// What others used, as far as answers told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others: Option<u64>,
    /// The share of the declared pace that is used, after the server refused what was declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pace: Option<f64>,
    /// Until when it lets nothing through, in milliseconds since 1970.
    #[serde(skip)]
    pub closed_until_ms: Option<i64>,
    /// Answers told of it; it is declared nowhere.
    pub learned: bool,
}

pub fn of(gates: &mut Gates, now: Moment) -> Vec<LimitView> {
    let declared = gates.declared();
    gates.limits.iter_mut().enumerate().map(|(at, limit)| seen(limit, at >= declared, now)).collect()
}

fn seen(limit: &mut Limit, learned: bool, now: Moment) -> LimitView {
    let mut view = LimitView {
        limit: limit.label.to_string(),
        calls: limit.calls().map(|calls| calls.iter().cloned().collect()),
        left: None,
        of: None,
        reserve: None,
        others: None,
        pace: None,
        closed_until_ms: None,
        learned,
    };
    let slowed = |share: f64| (share < 1.0).then_some(share);
    let mut opens_ms = None;
    match &mut limit.kind {
        Kind::Bucket(bucket) => {
            view.of = Some(bucket.requests());
            view.pace = slowed(bucket.caution.share(now.unix_ms));
        }
        Kind::Window(window) => {
            (view.left, view.of) = (Some(window.left(now)), Some(window.requests()));
            view.pace = slowed(window.caution.share(now.unix_ms));
            opens_ms = Some(window.opens_ms(now));
        }
        Kind::Daily(daily) => {
            (view.left, view.of) = (Some(daily.left(now)), Some(daily.requests()));
            view.reserve = Some(daily.reserved(Priority::Incremental)).filter(|reserve| *reserve > 0);
            view.others = Some(daily.others.now(now.unix_ms)).filter(|others| *others > 0);
            opens_ms = Some(daily.opens_ms(Priority::Incremental, now));
        }
        Kind::Points(points) => (view.left, view.of) = (Some(points.left(now).max(0.0) as u64), Some(points.max())),
        Kind::Concurrency(most, under_way) => {
            (view.left, view.of) = (Some(most.saturating_sub(*under_way).into()), Some((*most).into()));
        }
        Kind::Ceiling(ceiling) => {
            view.left = ceiling.left(now);
            opens_ms = Some(ceiling.opens_ms(now));
        }
    }
    view.closed_until_ms = opens_ms.filter(|opens| *opens > now.unix_ms);
    view
}
