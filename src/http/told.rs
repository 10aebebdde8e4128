//! What vendors' headers say about their limits, as numbers. What makes no sense is ignored, as if it were not there.
//!
//! | field | means |
//! |---|---|
//! | `RateLimit: "name";r=50;t=30` | of the policy `name` 50 are left, and all of them are again in 30 s |
//! | `RateLimit-Policy: "name";q=100;w=60` | the policy `name` allows 100 in 60 s |
//! | `RateLimit: limit=100, remaining=50, reset=30` | the same, in the third draft and some before the eighth |
//! | `X-RateLimit-Remaining`, `X-RateLimit-Reset` and their cousins | by convention; the reset is a delay or an instant |
//!
//! The first two are draft-ietf-httpapi-ratelimit-headers-11 (May 2026, read there in its eighth to eleventh versions, which
//! agree in these parameters); it is no RFC yet. A policy that counts something else than requests (`qu`) is passed over.

use std::{collections::BTreeSet, time::Duration};

use http::HeaderMap;

use crate::config::plan::{self, LeftHeader};

/// A number above this is a time since 1970 and not a delay: ten years in seconds.
const EPOCH_SECONDS_MIN: f64 = 315_360_000.0;
/// And above this it counts milliseconds.
const EPOCH_MILLIS_MIN: f64 = 315_360_000_000.0;

/// No reset is further away. A longer one is a mistake of somebody.
const RESET_MAX: Duration = Duration::from_secs(86_400);

/// Policies of one answer that are looked at.
const POLICIES_MAX: usize = 8;

/// Characters of a field that are shown.
const SAID_CHARS_MAX: usize = 100;

/// Names under which vendors send the time at which the quota is full again.
const RESETS: [&str; 5] = [
    "ratelimit-reset",
    "x-ratelimit-reset",
    "x-rate-limit-reset",
    "x-ratelimit-reset-requests",
    "x-ratelimit-requests-reset",
];
/// And what is left until then.
const REMAINING: [&str; 5] = [
    "ratelimit-remaining",
    "x-ratelimit-remaining",
    "x-rate-limit-remaining",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-requests-remaining",
];

/// A limit that an answer speaks of.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Policy {
    pub name: String,
    /// So many requests in `window`.
    pub quota: Option<u64>,
    pub window: Option<Duration>,
    /// So many are left, until `reset`.
    pub left: Option<u64>,
    pub reset: Option<Duration>,
}

/// The limits of the IETF's fields, what they allow and what is left of it taken together by name.
pub fn policies(headers: &HeaderMap) -> Vec<Policy> {
    let mut all: Vec<Policy> = Vec::new();
    for value in headers.get_all("ratelimit-policy").iter().chain(headers.get_all("ratelimit")) {
        let Ok(text) = value.to_str() else { continue };
        items(text).filter(Item::counts_requests).for_each(|item| item.add_to(&mut all));
    }
    all.truncate(POLICIES_MAX);
    all
}

/// What is left and until when, by the fields that are only a convention.
pub fn convention(headers: &HeaderMap, server_ms: i64) -> Option<(u64, Duration)> {
    let first = |names: &[&str]| names.iter().find_map(|name| headers.get(*name)?.to_str().ok().map(str::to_owned));
    Some((remaining(&first(&REMAINING)?)?, reset(&first(&RESETS)?, server_ms)?))
}

/// When the quota is full again, by whichever field says it.
pub fn any_reset(headers: &HeaderMap, server_ms: i64) -> Option<Duration> {
    let drafted = policies(headers).into_iter().find_map(|policy| policy.reset);
    let named = || RESETS.iter().find_map(|name| reset(headers.get(*name)?.to_str().ok()?, server_ms));
    drafted.or_else(named)
}

/// Whether a field says that nothing is left.
pub fn spent(headers: &HeaderMap) -> bool {
    let zero = |name: &&str| headers.get(*name).and_then(|value| remaining(value.to_str().ok()?)) == Some(0);
    REMAINING.iter().any(zero) || policies(headers).iter().any(|policy| policy.left == Some(0))
}

/// `790`: that many are left.
pub fn remaining(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// What is left when `18/5000` are used, also inside a longer text, or `18` of the quota that we know.
pub fn left_of_used(text: &str, quota: u64) -> Option<u64> {
    let digits = |c: char| c.is_ascii_digit();
    match text.split_once('/') {
        Some((used, all)) => {
            let used: u64 = used.trim_end().rsplit(|c| !digits(c)).next()?.parse().ok()?;
            let all: u64 = all.trim_start().split(|c| !digits(c)).next()?.parse().ok()?;
            Some(all.saturating_sub(used))
        }
        None => text.trim().parse().ok().map(|used: u64| quota.saturating_sub(used)),
    }
}

/// How far away a reset is: a delay in seconds, or an instant since 1970 in seconds or milliseconds; the size tells.
pub fn reset(text: &str, server_ms: i64) -> Option<Duration> {
    let number: f64 = text.trim().parse().ok()?;
    let server_now = server_ms as f64 / 1000.0;
    let seconds = match number {
        n if n >= EPOCH_MILLIS_MIN => (n / 1000.0 - server_now).max(0.0),
        n if n >= EPOCH_SECONDS_MIN => (n - server_now).max(0.0),
        n => n,
    };
    // The comparison is false for NaN too.
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(RESET_MAX.as_secs_f64())))
}

/// What an answer says about limits, for people, beside what the plan expects it to say.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Told {
    /// Fields and what they say, cut to a line.
    pub fields: Vec<(String, String)>,
    /// Fields that the budget declares and that are not there.
    pub missing: Vec<String>,
    /// Requests and the time for them, as the fields of the IETF name them.
    pub allows: Vec<(u64, Duration)>,
}

/// Reads an answer's fields about limits.
pub fn told(headers: &HeaderMap, budget: &plan::Budget) -> Told {
    let usual = ["ratelimit-policy", "ratelimit", "retry-after"].into_iter().chain(REMAINING).chain(RESETS);
    let left = |left: &Option<LeftHeader>| match left {
        Some(LeftHeader::Remaining(name) | LeftHeader::Used(name)) => Some(name.as_str().to_owned()),
        None => None,
    };
    let of_window =
        |window: &plan::Window| [left(&window.left), window.reset.as_ref().map(|it| it.as_str().to_owned())];
    let declared = budget.windows.iter().flat_map(of_window).chain(budget.daily.iter().map(|day| left(&day.left)));
    let declared: Vec<String> = declared.flatten().collect();
    let mut names: Vec<String> = usual.map(str::to_owned).chain(declared.iter().cloned()).collect();
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let said = |name: &String| -> Option<(String, String)> {
        let text = headers.get(name)?.to_str().ok()?;
        Some((name.clone(), text.chars().take(SAID_CHARS_MAX).collect()))
    };
    Told {
        fields: names.iter().filter_map(said).collect(),
        missing: declared.into_iter().filter(|name| !headers.contains_key(name)).collect(),
        allows: policies(headers).iter().filter_map(|policy| policy.quota.zip(policy.window)).collect(),
    }
}

/// One item of a list: a name and its parameters.
struct Item<'t> {
    name: &'t str,
    parameters: Vec<(&'t str, &'t str)>,
}

/// The items of a structured field, read leniently: vendors write names as strings, as tokens or not at all.
fn items(text: &str) -> impl Iterator<Item = Item<'_>> {
    // Before the eighth draft the commas stood between the parameters of the one policy that there was.
    let is_old = text.split(',').all(|part| part.contains('=') && !part.contains(';'));
    let parts: Vec<&str> = if is_old { vec![text] } else { text.split(',').collect() };
    let separator = if is_old { ',' } else { ';' };
    parts.into_iter().take(POLICIES_MAX).map(move |part| {
        let mut pieces = part.split(separator).map(str::trim).peekable();
        let name = pieces.next_if(|piece| !piece.contains('=')).unwrap_or_default().trim_matches('"');
        Item { name, parameters: pieces.filter_map(|piece| piece.split_once('=')).collect() }
    })
}

impl Item<'_> {
    fn get(&self, names: [&str; 2]) -> Option<u64> {
        let (_, value) = self.parameters.iter().find(|(name, _)| names.contains(&name.trim()))?;
        value.trim().parse().ok()
    }

    /// The unit is requests unless it is named and another.
    fn counts_requests(&self) -> bool {
        let unit = self.parameters.iter().find(|(name, _)| name.trim() == "qu");
        unit.is_none_or(|(_, unit)| matches!(unit.trim().trim_matches('"'), "request" | "requests"))
    }

    fn add_to(&self, all: &mut Vec<Policy>) {
        let at = all.iter().position(|policy| policy.name == self.name).unwrap_or_else(|| {
            all.push(Policy { name: self.name.to_owned(), ..Policy::default() });
            all.len() - 1
        });
        let policy = &mut all[at];
        let seconds = |seconds: u64| Duration::from_secs(seconds).min(RESET_MAX);
        policy.quota = self.get(["q", "limit"]).or(policy.quota);
        policy.window = self.get(["w", "window"]).filter(|window| *window > 0).map(seconds).or(policy.window);
        policy.left = self.get(["r", "remaining"]).or(policy.left);
        policy.reset = self.get(["t", "reset"]).map(seconds).or(policy.reset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_fields_of_the_draft_are_taken_together_by_name() {
        let told = policies(&headers(&[
            ("ratelimit-policy", r#""burst";q=100;w=60,"daily";q=1000;w=86400"#),
            ("ratelimit", r#""burst";r=50;t=30"#),
        ]));
        let burst = Policy {
            name: "burst".to_owned(),
            quota: Some(100),
            window: Some(60 * SECOND),
            left: Some(50),
            reset: Some(30 * SECOND),
        };
        let daily = Policy { quota: Some(1000), window: Some(RESET_MAX), ..Policy::default() };
        assert_eq!(told, [burst, Policy { name: "daily".to_owned(), ..daily }]);
    }

    #[test]
    fn earlier_drafts_and_names_without_quotes_are_read() {
        let third = policies(&headers(&[("ratelimit", "limit=100, remaining=7, reset=5")]));
        assert_eq!((third[0].quota, third[0].left, third[0].reset), (Some(100), Some(7), Some(5 * SECOND)));
        let token = policies(&headers(&[("ratelimit", "default;r=50;t=30")]));
        assert_eq!((token[0].name.as_str(), token[0].left), ("default", Some(50)));
        let lines = policies(&headers(&[("ratelimit", r#""a";r=1;t=2"#), ("ratelimit", r#""b";r=3"#)]));
        assert_eq!((lines.len(), lines[1].left, lines[1].reset), (2, Some(3), None));
    }

    #[test]
    fn what_does_not_count_requests_or_makes_no_sense_is_passed_over() {
        for text in [
            r#""bytes";q=9000;w=60;qu="content-bytes""#,
            r#""slots";q=5;qu="concurrent-requests""#,
            "",
            ";;;",
            "\"",
            "q=-5;w=x",
        ] {
            let told = policies(&headers(&[("ratelimit-policy", text)]));
            assert!(told.iter().all(|policy| policy.quota.is_none() && policy.window.is_none()), "{text}: {told:?}");
        }
        let many = (0..1000).map(|n| format!("\"p{n}\";q=1;w=1")).collect::<Vec<_>>().join(",");
        assert_eq!(policies(&headers(&[("ratelimit-policy", &many)])).len(), POLICIES_MAX);
    }

    #[test]
    fn used_numbers_are_read_as_ratios_also_inside_a_text() {
        assert_eq!(left_of_used("32/40", 1), Some(8));
        assert_eq!(left_of_used("api-usage=18/5000", 1), Some(4982));
        assert_eq!(left_of_used("api-usage=18/5000; per-app-api-usage=17/250(appName=x)", 1), Some(4982));
        assert_eq!(left_of_used("18", 5000), Some(4982));
        assert_eq!(left_of_used("50/40", 1), Some(0));
        for text in ["", "/", "x/y", "many", "-1"] {
            assert_eq!(left_of_used(text, 10), None, "{text}");
        }
    }

    #[test]
    fn a_reset_is_a_delay_or_an_instant_by_its_size() {
        let server_ms = 784_111_777_000;
        assert_eq!(reset("12", server_ms), Some(12 * SECOND));
        assert_eq!(reset("784111787", server_ms), Some(10 * SECOND));
        assert_eq!(reset("784111787000", server_ms), Some(10 * SECOND));
        assert_eq!(reset("784111000", server_ms), Some(Duration::ZERO));
        assert_eq!(reset("999999999999999", server_ms), Some(RESET_MAX));
        for text in ["32/40", "-3", "NaN", "", "soon"] {
            assert_eq!(reset(text, server_ms), None, "{text}");
        }
    }

    #[test]
    fn the_conventional_fields_count_only_together() {
        let told = |pairs| convention(&headers(pairs), 0);
        assert_eq!(told(&[("x-ratelimit-remaining", "3"), ("x-ratelimit-reset", "7")]), Some((3, 7 * SECOND)));
        assert_eq!(told(&[("x-rate-limit-remaining", "0"), ("x-rate-limit-reset", "1")]), Some((0, SECOND)));
        assert_eq!(told(&[("x-ratelimit-remaining", "3")]), None);
        assert_eq!(told(&[("x-ratelimit-reset", "3")]), None);
        assert!(spent(&headers(&[("x-ratelimit-remaining", "0")])));
        assert!(spent(&headers(&[("ratelimit", r#""default";r=0;t=9"#)])));
        assert!(!spent(&headers(&[("x-ratelimit-remaining", "1")])));
    }
}
