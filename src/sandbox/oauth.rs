//! `POST /oauth/token`: client credentials and refresh tokens, with the rotation that punishes a client for losing an
//! answer. Access tokens are bounded in number; the oldest are forgotten first.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::json;

use super::{
    account::{Effect, Outcome},
    call::{Answer, Call, Refusal, error, json, later, set},
    config::WorldConfig,
};

const TOKENS_MAX: usize = 10_000;
/// The refresh token that exists from the start, as if a person had consented.
const FIRST_REFRESH: &str = "demo-refresh";

#[derive(Debug)]
pub(super) struct Oauth {
    seed: u64,
    issued: u64,
    access: BTreeMap<u64, DateTime<Utc>>,
    refresh: BTreeSet<String>,
}

impl Oauth {
    pub fn new(seed: u64) -> Self {
        Self { seed, issued: 0, access: BTreeMap::new(), refresh: BTreeSet::from([FIRST_REFRESH.into()]) }
    }

    pub fn token(&mut self, call: &Call, config: &WorldConfig) -> Outcome {
        match self.grant(call, config) {
            Ok(answer) => Outcome::plain(Effect::Read, answer),
            Err(answer) if answer.status() == StatusCode::UNAUTHORIZED => Outcome::plain(Effect::Unauthorized, *answer),
            Err(answer) => Outcome::refused(answer),
        }
    }

    /// Whether the call carries an access token that is known and not expired.
    pub fn admits(&self, call: &Call) -> bool {
        let token = call.header("authorization").and_then(bearer);
        token.and_then(|token| self.expiry(token)).is_some_and(|expiry| call.now < expiry)
    }

    pub fn revoke_access(&mut self) {
        self.access.clear();
    }

    pub fn revoke_refresh(&mut self) {
        self.refresh.clear();
    }

    fn grant(&mut self, call: &Call, config: &WorldConfig) -> Result<Answer, Refusal> {
        let form: BTreeMap<String, String> = url::form_urlencoded::parse(call.body).into_owned().collect();
        let field = |name: &str| form.get(name).cloned();
        let client = match call.header("authorization").and_then(|text| text.strip_prefix("Basic ")) {
            Some(basic) => decode_basic(basic),
            None => field("client_id").zip(field("client_secret")),
        };
        if client != Some((config.client_id.clone(), config.client_secret.clone())) {
            let mut answer = error(StatusCode::UNAUTHORIZED, "invalid_client", "the client id or secret is wrong");
            set(&mut answer, "www-authenticate", "Basic realm=\"sandbox\"");
            return Err(answer);
        }
        match form.get("grant_type").map(String::as_str) {
            Some("client_credentials") => Ok(self.issue(call.now, config, None)),
            Some("refresh_token") => {
                let token = field("refresh_token").unwrap_or_default();
                if !self.refresh.contains(&token) {
                    return Err(error(
                        StatusCode::BAD_REQUEST,
                        "invalid_grant",
                        "the refresh token is unknown or was used",
                    ));
                }
                let next = config.rotate_refresh.then(|| self.rotate(&token));
                Ok(self.issue(call.now, config, next))
            }
            _ => {
                Err(error(StatusCode::BAD_REQUEST, "unsupported_grant_type", "use client_credentials or refresh_token"))
            }
        }
    }

    fn rotate(&mut self, old: &str) -> String {
        self.refresh.remove(old);
        let next = format!("sbr_{}_{:016x}", self.issued + 1, self.mark(self.issued + 1));
        self.refresh.insert(next.clone());
        next
    }

    fn issue(&mut self, now: DateTime<Utc>, config: &WorldConfig, refresh: Option<String>) -> Answer {
        self.issued += 1;
        self.access.retain(|_, expiry| *expiry > now);
        if self.access.len() >= TOKENS_MAX {
            self.access.pop_first();
        }
        self.access.insert(self.issued, later(now, config.token_ttl));
        let mut body = json!({
            "access_token": format!("sbx_{}_{:016x}", self.issued, self.mark(self.issued)),
            "token_type": "bearer",
            "expires_in": config.token_ttl.as_secs(),
        });
        if let Some(refresh) = refresh {
            body["refresh_token"] = refresh.into();
        }
        let mut answer = json(StatusCode::OK, &body);
        set(&mut answer, "cache-control", "no-store");
        answer
    }

    fn expiry(&self, token: &str) -> Option<DateTime<Utc>> {
        let (number, mark) = token.strip_prefix("sbx_")?.split_once('_')?;
        let number = number.parse().ok()?;
        let known = u64::from_str_radix(mark, 16).ok()? == self.mark(number);
        known.then(|| self.access.get(&number).copied())?
    }

    /// Makes tokens look random and differ between seeds. They guard nothing.
    fn mark(&self, number: u64) -> u64 {
        fastrand::Rng::with_seed(self.seed ^ number.rotate_left(32)).u64(..)
    }
}

/// The answer to a call without a good token.
pub(super) fn unauthorized() -> Refusal {
    let mut answer =
        error(StatusCode::UNAUTHORIZED, "invalid_token", "the access token is missing, expired or revoked");
    set(&mut answer, "www-authenticate", "Bearer realm=\"sandbox\", error=\"invalid_token\"");
    answer
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// RFC 6749 2.3.1: id and secret are form-encoded before they are joined.
fn decode_basic(text: &str) -> Option<(String, String)> {
    let plain = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    let (id, secret) = plain.split_once(':')?;
    let decoded = |part: &str| {
        let joined = format!("v={part}");
        url::form_urlencoded::parse(joined.as_bytes()).next().map(|(_, value)| value.into_owned())
    };
    decoded(id).zip(decoded(secret))
}
