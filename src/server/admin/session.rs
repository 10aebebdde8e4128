//! How a browser stays signed in: a cookie that says until when, signed with a key made from the token. It owes the guard that nobody can make
//! one without the token, and that none can be made into the token.
//!
//! Nothing of a session is kept here: it outlives a restart, and it ends with its time or with the token, whichever is earlier. Scripts do not
//! see the cookie (`HttpOnly`), and no other site's request carries it (`SameSite=Strict`). Other ports of the same host do count as the same
//! site, so what changes something is checked by its origin besides (`guard.rs`).

use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, HeaderValue, header};
use ring::hmac;

use crate::model::from_hex;

const NAME: &str = "renkei_session";
const LASTS: TimeDelta = TimeDelta::hours(12);
/// What is signed begins with this, so that the key's other use never signs the same.
const TEXT: &str = "renkei page session until ";

pub struct Sessions {
    key: hmac::Key,
    is_secure: bool,
}

/// The cookie of somebody who signs out.
pub const OVER: HeaderValue = HeaderValue::from_static("renkei_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict");

impl Sessions {
    pub fn new(token: &str, is_secure: bool) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes()), is_secure }
    }

    /// The cookie of a session that begins now.
    pub fn begin(&self, now: DateTime<Utc>) -> Option<HeaderValue> {
        let until = (now + LASTS).timestamp();
        let tag: String =
            hmac::sign(&self.key, text(until).as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect();
        let secure = if self.is_secure { "; Secure" } else { "" };
        let lasts = LASTS.num_seconds();
        let cookie = format!("{NAME}={until}.{tag}; Path=/; Max-Age={lasts}; HttpOnly; SameSite=Strict{secure}");
        HeaderValue::from_str(&cookie).ok()
    }

    /// Whether one of the cookies is of a session that has not ended.
    pub fn knows(&self, headers: &HeaderMap, now: DateTime<Utc>) -> bool {
        let all = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let values =
            all.flat_map(|line| line.split(';')).filter_map(|one| one.trim().strip_prefix(NAME)?.strip_prefix('='));
        values.into_iter().any(|value| self.is_good(value, now).is_some())
    }

    fn is_good(&self, value: &str, now: DateTime<Utc>) -> Option<()> {
        let (until, tag) = value.split_once('.')?;
        let until: i64 = until.parse().ok()?;
        hmac::verify(&self.key, text(until).as_bytes(), &from_hex(tag)?).ok()?;
        // One that lasts longer than any that is begun now was begun by a clock that was wrong.
        (now.timestamp()..=(now + LASTS).timestamp()).contains(&until).then_some(())
    }
}

fn text(until: i64) -> String {
    format!("{TEXT}{until}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_with_its_time_or_its_token_and_cannot_be_stretched() {
        let at = |second: i64| DateTime::from_timestamp(1_767_225_600 + second, 0).unwrap();
        let sessions = Sessions::new("a token", true);
        let set = sessions.begin(at(0)).unwrap();
        let set = set.to_str().unwrap();
        assert!(set.ends_with("HttpOnly; SameSite=Strict; Secure") && !set.contains("a token"), "{set}");
        let cookie = set.split(';').next().unwrap().to_owned();
        let knows = |sessions: &Sessions, cookie: &str, now| {
            let line = HeaderValue::from_str(&format!("theme=dark; {cookie}")).unwrap();
            sessions.knows(&HeaderMap::from_iter([(header::COOKIE, line)]), now)
        };
        assert!(knows(&sessions, &cookie, at(0)) && knows(&sessions, &cookie, at(43_200)));
        assert!(!knows(&sessions, &cookie, at(43_201)), "its time is over");
        assert!(!knows(&sessions, &cookie, at(-1)), "it lasts longer than any");
        assert!(!knows(&Sessions::new("another token", true), &cookie, at(0)), "the token is another one");
        let (until, tag) = cookie.trim_start_matches("renkei_session=").split_once('.').unwrap();
        let later = until.parse::<i64>().unwrap() + 1;
        let forged = [
            format!("{later}.{tag}"),
            format!("{until}.{}", &tag[2..]),
            format!("{until}."),
            until.to_owned(),
            String::new(),
        ];
        for value in forged {
            assert!(!knows(&sessions, &format!("renkei_session={value}"), at(10)), "{value}");
        }
    }
}
