//! What answers say about the end of a call: `Deprecation` (RFC 9745) and `Sunset` (RFC 8594). Kept once for each call, with how often
//! it was said, so that a run can tell what was said in its time.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use http::{HeaderMap, Method};

/// Calls that are told apart. A connector has a few dozen.
const CALLS_MAX: usize = 200;

/// What an answer says.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Said {
    pub deprecated: bool,
    pub deprecated_at: Option<DateTime<Utc>>,
    pub sunset_at: Option<DateTime<Utc>>,
}

/// A stream's or operation's name, the method and the path template.
pub type Named = (Arc<str>, Method, Arc<str>);

/// By call, with how often.
#[derive(Clone, Default, Debug)]
pub struct Notices(BTreeMap<Named, (Said, u64)>);

impl Notices {
    /// Notes what was said last.
    pub fn note(&mut self, call: Named, said: Said) {
        if self.0.len() < CALLS_MAX || self.0.contains_key(&call) {
            let kept = self.0.entry(call).or_default();
            *kept = (said, kept.1 + 1);
        }
    }

    /// What was said since then.
    pub fn since(&self, before: &Self) -> Vec<(Named, Said)> {
        let is_new = |call: &Named, count: u64| before.0.get(call).is_none_or(|(_, known)| *known < count);
        let new = self.0.iter().filter(|(call, (_, count))| is_new(call, *count));
        new.map(|(call, (said, _))| (call.clone(), *said)).collect()
    }
}

/// What an answer's headers say; nothing in most answers. RFC 9745 writes `@1688169599`; its drafts wrote `true` or an HTTP date, and
/// vendors still send those.
pub fn said(headers: &HeaderMap) -> Option<Said> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let date = |text: &str| httpdate::parse_http_date(text).ok().map(DateTime::<Utc>::from);
    let seconds =
        |text: &str| DateTime::from_timestamp(text.strip_prefix('@')?.split(';').next()?.trim().parse().ok()?, 0);
    let deprecation = text("deprecation").filter(|text| !text.is_empty() && *text != "false" && *text != "?0");
    let deprecated_at = deprecation.and_then(|text| seconds(text).or_else(|| date(text)));
    let sunset_at = text("sunset")
        .and_then(|text| date(text).or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())));
    let said = Said { deprecated: deprecation.is_some(), deprecated_at, sunset_at };
    (said != Said::default()).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&'static str, &'static str)]) -> Option<(bool, String, String)> {
        let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let day = |at: Option<DateTime<Utc>>| at.map(|at| at.format("%Y-%m-%d").to_string()).unwrap_or_default();
        said(&headers).map(|said| (said.deprecated, day(said.deprecated_at), day(said.sunset_at)))
    }

    #[test]
    fn the_forms_that_vendors_send_are_read_and_nonsense_says_no_date() {
        let told = |deprecated, at: &str, sunset: &str| Some((deprecated, at.to_owned(), sunset.to_owned()));
        assert_eq!(of(&[("deprecation", "@1688169599")]), told(true, "2023-06-30", ""));
        assert_eq!(of(&[("deprecation", "Sun, 11 Nov 2018 23:59:59 GMT")]), told(true, "2018-11-11", ""));
        assert_eq!(
            of(&[("deprecation", "true"), ("sunset", "Sat, 31 Dec 2033 23:59:59 GMT")]),
            told(true, "", "2033-12-31")
        );
        assert_eq!(of(&[("sunset", "Sat, 31 Dec 2033 23:59:59 GMT")]), told(false, "", "2033-12-31"));
        assert_eq!(of(&[("sunset", "2033-12-31T23:59:59Z")]), told(false, "", "2033-12-31"));
        assert_eq!(of(&[("deprecation", "@99999999999999999999")]), told(true, "", ""));
        assert_eq!(of(&[("sunset", "soon")]), None);
        assert_eq!(of(&[("deprecation", "false")]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn only_what_was_said_since_then_is_told_and_the_calls_are_bounded() {
        let (mut notices, said) = (Notices::default(), Said { deprecated: true, ..Said::default() });
        let call = |n: usize| (Arc::from("s"), Method::GET, Arc::from(format!("/{n}")));
        notices.note(call(1), said);
        let before = notices.clone();
        assert!(notices.since(&before).is_empty());
        notices.note(call(1), said);
        notices.note(call(2), said);
        assert_eq!(notices.since(&before).len(), 2);
        (0..1_000).for_each(|n| notices.note(call(n), said));
        assert_eq!(notices.since(&Notices::default()).len(), CALLS_MAX);
    }
}
