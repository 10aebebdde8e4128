//! What of a budget outlives the process: a pause, what was used of longer quotas, and what refusals taught. Times are
//! times of day in milliseconds since 1970.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    caution::Caution,
    daily::Others,
    gates::{Gates, Kind},
    moment::Moment,
};

/// Slots that are kept of one limit.
const SLOTS_MAX: usize = 100;

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Saved {
    pub at: i64,
    /// Everybody waits until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked_until: Option<i64>,
    /// By label.
    #[serde(default)]
    pub limits: BTreeMap<String, SavedLimit>,
}

#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct SavedLimit {
    /// Until when calls are remembered since, and how many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    slots: Vec<(i64, u64)>,
    /// Calls that others used, and until when that is believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    others: Option<(u64, i64)>,
    /// The share of the declared pace, and when it was that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pace: Option<(f64, i64)>,
}

pub fn save(gates: &Gates, blocked_until: Option<i64>, now: Moment) -> Saved {
    let limits = gates.limits.iter().filter_map(|limit| Some((limit.label.to_string(), kept(&limit.kind)?)));
    Saved { at: now.unix_ms, blocked_until, limits: limits.collect() }
}

/// Takes over what was saved of the limits that are still declared. A time that lies further ahead than it can was written
/// by a clock that is set otherwise now; what it holds ends within the limit's own span.
pub fn restore(gates: &mut Gates, saved: &Saved, now: Moment) {
    for limit in &mut gates.limits {
        let Some(kept) = saved.limits.get(&*limit.label) else { continue };
        let others = kept.others.map(|(calls, until_ms)| Others { calls, until_ms }).unwrap_or_default();
        let pace = kept.pace.filter(|(share, _)| (0.0..=1.0).contains(share));
        let caution = pace.map_or(Caution::none(), |(share, at_ms)| Caution::new(share, at_ms.min(now.unix_ms)));
        match &mut limit.kind {
            Kind::Bucket(bucket) => {
                bucket.caution = caution;
                bucket.set_pace(now);
            }
            Kind::Window(window) => {
                window.caution = caution;
                window.log.restore(&kept.slots, now.unix_ms);
            }
            Kind::Daily(daily) => {
                daily.log.restore(&kept.slots, now.unix_ms);
                let most = now.unix_ms.saturating_add(daily.log.span_ms());
                daily.others = Others { until_ms: others.until_ms.min(most), ..others };
            }
            Kind::Points(_) | Kind::Concurrency(..) | Kind::Ceiling(_) => {}
        }
    }
}

fn kept(kind: &Kind) -> Option<SavedLimit> {
    let pace = |caution: &Caution| (caution.share < 1.0).then_some((caution.share, caution.at_ms));
    let others = |others: &Others| (others.calls > 0).then_some((others.calls, others.until_ms));
    let kept = match kind {
        Kind::Bucket(bucket) => SavedLimit { pace: pace(&bucket.caution), ..SavedLimit::default() },
        Kind::Window(window) => {
            SavedLimit { slots: window.log.saved(SLOTS_MAX), others: None, pace: pace(&window.caution) }
        }
        Kind::Daily(daily) => {
            SavedLimit { slots: daily.log.saved(SLOTS_MAX), others: others(&daily.others), pace: None }
        }
        Kind::Points(_) | Kind::Concurrency(..) | Kind::Ceiling(_) => SavedLimit::default(),
    };
    (kept != SavedLimit::default()).then_some(kept)
}
