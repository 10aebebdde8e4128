//! What an answer says about limits beside what the budget declares. Pure.

use std::{fmt::Display, time::Duration};

use serde_json::Value;

use super::{Line, words::counted};
use crate::{config::plan::Budget, http::Told};

/// What the last answer said about limits, beside what is declared.
pub fn quota(budget: &Budget, told: Option<Told>) -> Line {
    let Some(told) = told else { return Line::not_tried("quota", "there was no answer to look at") };
    let said: Vec<String> = told.fields.iter().map(|(name, text)| format!("{name}: {text}")).collect();
    let declared = declared(budget);
    let seen = match said.is_empty() {
        true => format!("declared: {}; the answer names no limit", declared.join(", ")),
        false => format!("declared: {}; the answer says {}", declared.join(", "), said.join(", ")),
    };
    let stricter = told.allows.iter().find(|allowed| is_stricter(**allowed, budget));
    let line = match (told.missing.as_slice(), stricter) {
        ([], None) => Line::ok("quota", seen),
        ([], Some((requests, per))) => Line::warning(
            "quota",
            seen,
            format!(
                "The server allows {requests} in {} s, which is less than what is declared. It is obeyed; declare it under \
                 `budget`, so that no run has to learn it.",
                per.as_secs()
            ),
        ),
        (missing, _) => Line::warning(
            "quota",
            format!("{seen}; not there: {}", missing.join(", ")),
            "The budget counts on these headers. Compare their names with the vendor's documentation; some vendors send \
             them only with some answers.",
        ),
    };
    let fields = told.fields.into_iter().map(|(name, text)| (name, Value::from(text))).collect();
    line.fact("declared", declared).fact("seen", Value::Object(fields)).fact("missing", told.missing)
}

/// The limits of a budget in short.
fn declared(budget: &Budget) -> Vec<String> {
    let per = |requests: &dyn Display, time: Duration| format!("{requests} in {} s", time.as_secs_f64());
    let buckets = budget.buckets.iter().map(|bucket| per(&bucket.requests, bucket.per));
    let windows = budget.windows.iter().map(|window| per(&window.requests, window.per));
    let days = budget.daily.iter().map(|daily| format!("{} a day", daily.requests));
    let points = budget.points.iter().map(|points| format!("{} points a second", points.per_second));
    let tiers = budget.tiers.iter().map(|tier| counted(tier.calls.len(), "call") + " with limits of their own");
    let at_once = [format!("{} at once", budget.concurrency)];
    buckets.chain(windows).chain(days).chain(points).chain(tiers).chain(at_once).collect()
}

/// Whether what is declared lets more through in the long run than the server allows.
fn is_stricter((requests, per): (u64, Duration), budget: &Budget) -> bool {
    let rate = |requests: f64, per: Duration| requests / per.as_secs_f64();
    let buckets = budget.buckets.iter().map(|bucket| rate(bucket.requests.into(), bucket.per));
    let windows = budget.windows.iter().map(|window| rate(window.requests.into(), window.per));
    let days = budget.daily.iter().map(|daily| rate(daily.requests as f64, Duration::from_secs(86_400)));
    let declared = buckets.chain(windows).chain(days).fold(f64::INFINITY, f64::min);
    // Nothing declared is not more than anything: learning is what it is for.
    declared.is_finite() && rate(requests as f64, per) < declared * 0.999
}
