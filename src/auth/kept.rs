//! What is kept of a connection's sign-in, and when to renew it. Pure.
//!
//! The hard idea is the two slots. `refresh` is the newest refresh token that is durable; `pending` says that it was sent
//! and that no answer to it is durable yet. A crash in between leaves both, so the next process knows that the server may
//! have moved on without us, and tries the token it has once more. `parked` ends that: nothing is tried until a person
//! acts.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::model::{Blame, Code, Fault};

/// A token is refreshed at least this often, whatever its server says.
const LIFE_MAX: TimeDelta = TimeDelta::days(30);

/// A long-lived token is refreshed this long before its end.
const AHEAD: TimeDelta = TimeDelta::seconds(60);

const FORMAT: u32 = 2;

/// It has no Debug.
#[derive(Clone, Default)]
pub struct Kept {
    pub access: Option<Access>,
    /// The newest refresh token. Nothing: none was given, or none yet.
    pub refresh: Option<SecretString>,
    /// A refresh that was begun and whose answer is not here.
    pub pending: Option<Pending>,
    pub parked: Option<Parked>,
    /// When a person signed in, or the first token was got.
    pub since: Option<DateTime<Utc>>,
    /// A hash of the secrets it was got with, where they are not in its name.
    pub made_with: Option<String>,
    /// The scopes that its server named.
    pub scopes: Option<Vec<String>>,
}

/// What requests carry. It has no Debug.
#[derive(Clone)]
pub struct Access {
    pub token: SecretString,
    /// When to get a new one. Nothing: the server names no end, so only a 401 tells.
    pub refresh_at: Option<DateTime<Utc>>,
    /// When it ends, as far as its server said.
    pub ends_at: Option<DateTime<Utc>>,
}

/// A refresh whose answer may be lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pending {
    pub since: DateTime<Utc>,
    /// How often the same refresh token was sent since then, over all processes.
    pub tries: u32,
}

/// Why nothing is tried any more until a person acts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Parked {
    pub at: DateTime<Utc>,
    pub code: Code,
    pub message: String,
    pub help: String,
}

impl Access {
    /// An access token got at `now` that lives for `seconds`. `share` in 0.0..1.0 is its jitter.
    pub fn new(token: SecretString, now: DateTime<Utc>, seconds: Option<u64>, share: f64) -> Self {
        let life = life(seconds);
        Self { token, refresh_at: life.map(|life| refresh_at(now, life, share)), ends_at: life.map(|life| now + life) }
    }

    pub fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        self.refresh_at.is_none_or(|at| now < at)
    }
}

impl Parked {
    pub fn new(at: DateTime<Utc>, fault: &Fault) -> Self {
        Self { at, code: fault.code, message: fault.message.clone(), help: fault.help.clone() }
    }

    /// The fault of every call until somebody acts. Nothing is sent for it.
    pub fn fault(&self) -> Fault {
        Fault::halt(self.code, Blame::Credentials, self.message.clone()).help(self.help.clone())
    }
}

impl Kept {
    /// As it is sealed into the store.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let exposed = |secret: &SecretString| secret.expose_secret().to_owned();
        let access = self.access.as_ref();
        let saved = Saved {
            format: FORMAT,
            access: access.map(|access| exposed(&access.token)),
            refresh: self.refresh.as_ref().map(exposed),
            refresh_at: access.and_then(|access| access.refresh_at),
            ends_at: access.and_then(|access| access.ends_at),
            pending: self.pending,
            parked: self.parked.clone(),
            since: self.since,
            made_with: self.made_with.clone(),
            scopes: self.scopes.clone(),
        };
        // Texts, numbers and times always serialize.
        Zeroizing::new(serde_json::to_vec(&saved).unwrap_or_default())
    }

    /// Nothing for what an unknown version wrote: the way on is to get a new token.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        // Format 1 had no slots for what is pending or parked, and knew no end.
        let saved: Saved =
            serde_json::from_slice(bytes).ok().filter(|saved: &Saved| (1..=FORMAT).contains(&saved.format))?;
        let (refresh_at, ends_at) = (saved.refresh_at, saved.ends_at);
        Some(Self {
            access: saved.access.map(|token| Access { token: token.into(), refresh_at, ends_at }),
            refresh: saved.refresh.map(SecretString::from),
            pending: saved.pending,
            parked: saved.parked,
            since: saved.since,
            made_with: saved.made_with,
            scopes: saved.scopes,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Saved {
    format: u32,
    access: Option<String>,
    refresh: Option<String>,
    refresh_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
    pending: Option<Pending>,
    parked: Option<Parked>,
    since: Option<DateTime<Utc>>,
    made_with: Option<String>,
    /// Nothing in what was written before there were any.
    scopes: Option<Vec<String>>,
}

/// A life of zero is how some servers say that it has none.
fn life(seconds: Option<u64>) -> Option<TimeDelta> {
    let seconds = i64::try_from(seconds.filter(|seconds| *seconds > 0)?).unwrap_or(i64::MAX);
    Some(TimeDelta::try_seconds(seconds).map_or(LIFE_MAX, |life| life.min(LIFE_MAX)))
}

/// After 80 % of its life, or 60 seconds before its end where that is later; a little earlier by `share`, so that many
/// processes do not come at once.
fn refresh_at(now: DateTime<Utc>, life: TimeDelta, share: f64) -> DateTime<Utc> {
    let used = (life * 4 / 5).max(life - AHEAD);
    let jitter_ms = (life.num_milliseconds() / 20).min(AHEAD.num_milliseconds()) as f64 * share;
    now + used - TimeDelta::milliseconds(jitter_ms as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn after(seconds: u64, share: f64) -> Option<i64> {
        Access::new("a".into(), now(), Some(seconds), share).refresh_at.map(|at| (at - now()).num_seconds())
    }

    #[test]
    fn a_token_is_refreshed_at_80_percent_or_60_seconds_before_its_end() {
        assert_eq!(after(3600, 0.0), Some(3540));
        assert_eq!(after(100, 0.0), Some(80));
        assert_eq!(after(10, 0.0), Some(8));
        assert_eq!(after(3600, 0.999), Some(3480));
        assert_eq!(after(100, 0.999), Some(75));
    }

    #[test]
    fn a_life_without_end_is_cut_and_a_life_of_zero_is_none() {
        assert_eq!(after(u64::MAX, 0.0), Some(30 * 86_400 - 60));
        assert_eq!(after(0, 0.0), None);
        let unknown = Access::new("a".into(), now(), None, 0.5);
        assert_eq!((unknown.refresh_at, unknown.ends_at), (None, None));
        assert_eq!(Access::new("a".into(), now(), Some(u64::MAX), 0.5).ends_at, Some(now() + LIFE_MAX));
    }

    #[test]
    fn what_was_kept_is_read_back_and_another_format_is_not() {
        let parked = Fault::halt(Code::SignInAgain, Blame::Credentials, "gone").help("sign in");
        let kept = Kept {
            access: Some(Access::new("a".into(), now(), Some(100), 0.0)),
            refresh: Some("r".into()),
            pending: Some(Pending { since: now(), tries: 3 }),
            parked: Some(Parked::new(now(), &parked)),
            since: Some(now()),
            made_with: Some("h".to_owned()),
            scopes: Some(vec!["read".to_owned()]),
        };
        let bytes = kept.to_bytes();
        let read = Kept::from_bytes(&bytes).unwrap();
        let access = read.access.unwrap();
        assert_eq!((access.token.expose_secret(), access.refresh_at), ("a", Some(now() + TimeDelta::seconds(80))));
        assert_eq!(access.ends_at, Some(now() + TimeDelta::seconds(100)));
        assert_eq!(read.refresh.unwrap().expose_secret(), "r");
        assert_eq!((read.pending, read.since, read.scopes), (kept.pending, kept.since, kept.scopes));
        assert_eq!(read.parked.unwrap().fault(), parked);
        let newer = String::from_utf8(bytes.to_vec()).unwrap().replace(r#""format":2"#, r#""format":3"#);
        assert!(Kept::from_bytes(newer.as_bytes()).is_none());
    }

    #[test]
    fn a_token_that_was_kept_before_there_were_scopes_is_still_read() {
        let old =
            br#"{"format":2,"access":"a","refresh":"r","refresh_at":null,"ends_at":null,"pending":null,"parked":null,
            "since":"2026-01-01T00:00:00Z","made_with":null}"#;
        let read = Kept::from_bytes(old).unwrap();
        assert_eq!((read.since, read.scopes), (Some(now()), None));
        assert_eq!(read.refresh.unwrap().expose_secret(), "r");
    }

    #[test]
    fn a_token_of_the_first_format_is_still_read() {
        let old = br#"{"format":1,"access":"a","refresh":"r","refresh_at":"2026-01-01T00:00:00Z"}"#;
        let read = Kept::from_bytes(old).unwrap();
        assert_eq!(read.access.unwrap().refresh_at, Some(now()));
        assert_eq!(read.refresh.unwrap().expose_secret(), "r");
        assert!(read.pending.is_none() && read.parked.is_none());
    }
}
