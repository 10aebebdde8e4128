//! An access token with its times, and when to get the next one. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A token is refreshed at least this often, whatever its server says.
const LIFE_MAX: TimeDelta = TimeDelta::days(30);

/// A long-lived token is refreshed this long before its end.
const AHEAD: TimeDelta = TimeDelta::seconds(60);

const FORMAT: u32 = 1;

/// It has no Debug.
#[derive(Clone)]
pub struct Token {
    pub access: SecretString,
    /// The refresh token that came with it, or the one that still holds.
    pub refresh: Option<SecretString>,
    /// When to get a new one. Nothing: the server names no end, so only a 401 tells.
    pub refresh_at: Option<DateTime<Utc>>,
}

impl Token {
    pub fn is_fresh(&self, now: DateTime<Utc>) -> bool {
        self.refresh_at.is_none_or(|at| now < at)
    }

    /// As it is sealed into the store.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let saved = Saved {
            format: FORMAT,
            access: self.access.expose_secret().to_owned(),
            refresh: self.refresh.as_ref().map(|token| token.expose_secret().to_owned()),
            refresh_at: self.refresh_at,
        };
        // Texts, a number and a time always serialize.
        Zeroizing::new(serde_json::to_vec(&saved).unwrap_or_default())
    }

    /// Nothing for what an unknown version wrote: the way on is to get a new token.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let saved: Saved = serde_json::from_slice(bytes).ok().filter(|saved: &Saved| saved.format == FORMAT)?;
        Some(Self {
            access: saved.access.into(),
            refresh: saved.refresh.map(SecretString::from),
            refresh_at: saved.refresh_at,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct Saved {
    format: u32,
    access: String,
    refresh: Option<String>,
    refresh_at: Option<DateTime<Utc>>,
}

/// When to refresh a token got at `now` that lives for `seconds`: after 80 % of its life, or 60 seconds before its end
/// where that is later; a little earlier by `share` in 0.0..1.0, so that many processes do not come at once. A life of
/// zero is how some servers say that it has none.
pub fn refresh_at(now: DateTime<Utc>, seconds: Option<u64>, share: f64) -> Option<DateTime<Utc>> {
    let seconds = i64::try_from(seconds.filter(|seconds| *seconds > 0)?).unwrap_or(i64::MAX);
    let life = TimeDelta::try_seconds(seconds).map_or(LIFE_MAX, |life| life.min(LIFE_MAX));
    let used = (life * 4 / 5).max(life - AHEAD);
    let jitter_ms = (life.num_milliseconds() / 20).min(AHEAD.num_milliseconds()) as f64 * share;
    Some(now + used - TimeDelta::milliseconds(jitter_ms as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64, share: f64) -> Option<i64> {
        let now: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        refresh_at(now, Some(seconds), share).map(|at| (at - now).num_seconds())
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
        assert_eq!(refresh_at("2026-01-01T00:00:00Z".parse().unwrap(), None, 0.5), None);
    }

    #[test]
    fn a_saved_token_is_read_back_and_another_format_is_not() {
        let token = Token { access: "a".into(), refresh: Some("r".into()), refresh_at: None };
        let bytes = token.to_bytes();
        let read = Token::from_bytes(&bytes).unwrap();
        assert_eq!(read.access.expose_secret(), "a");
        assert_eq!(read.refresh.unwrap().expose_secret(), "r");
        let newer = String::from_utf8(bytes.to_vec()).unwrap().replace(r#""format":1"#, r#""format":2"#);
        assert!(Token::from_bytes(newer.as_bytes()).is_none());
    }
}
