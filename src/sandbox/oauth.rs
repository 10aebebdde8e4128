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

#[cfg(test)]
mod tests {
    use crate::sandbox::{
        WorldConfig,
        probe::{CREDENTIALS, Probe, calm, json},
    };

    const REFRESH: &str = "grant_type=refresh_token&client_id=demo&client_secret=demo-secret&refresh_token=";

    fn grant(probe: &mut Probe, form: &str) -> (u16, serde_json::Value) {
        let answer = probe.send("POST", "/oauth/token", &[], form);
        (answer.status().as_u16(), json(&answer))
    }

    #[test]
    fn a_token_works_until_it_expires() {
        let mut probe = Probe::new(calm());
        probe.later(299_999);
        assert_eq!(probe.get("/shop/customers").status(), 200);
        probe.later(1);
        let expired = probe.get("/shop/customers");
        assert_eq!(expired.status(), 401);
        assert!(expired.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer "));
        probe.token.clear();
        assert_eq!(probe.get("/crm/leads").status(), 401);
        assert_eq!(probe.world.counters().unauthorized, 2);
    }

    #[test]
    fn revoked_tokens_end_at_once_and_a_new_one_can_be_had() {
        let mut probe = Probe::new(calm());
        probe.world.revoke_tokens();
        assert_eq!(probe.get("/shop/customers").status(), 401);
        let (_, granted) = grant(&mut probe, CREDENTIALS);
        assert_eq!((granted["token_type"].as_str(), granted["expires_in"].as_u64()), (Some("bearer"), Some(300)));
        probe.token = granted["access_token"].as_str().unwrap().into();
        assert_eq!(probe.get("/shop/customers").status(), 200);
        let last = if probe.token.ends_with('0') { "1" } else { "0" };
        probe.token.replace_range(probe.token.len() - 1.., last);
        assert_eq!(probe.get("/shop/customers").status(), 401, "a token that was made up");
    }

    #[test]
    fn a_wrong_secret_or_grant_is_refused_in_the_words_of_the_standard() {
        let mut probe = Probe::new(calm());
        let error =
            |answer: (u16, serde_json::Value)| (answer.0, answer.1["error"].as_str().unwrap_or_default().to_owned());
        let wrong = CREDENTIALS.replace("demo-secret", "guess");
        assert_eq!(error(grant(&mut probe, &wrong)), (401, "invalid_client".into()));
        let other = CREDENTIALS.replace("client_credentials", "password");
        assert_eq!(error(grant(&mut probe, &other)), (400, "unsupported_grant_type".into()));
        assert_eq!(error(grant(&mut probe, &format!("{REFRESH}guess"))), (400, "invalid_grant".into()));
    }

    #[test]
    fn basic_credentials_are_form_decoded() {
        let odd = WorldConfig { client_id: "a b".into(), client_secret: "c:d%".into(), ..calm() };
        let mut probe = Probe { world: crate::sandbox::World::new(odd), now: calm().epoch, token: String::new() };
        // base64 of `a+b:c%3Ad%25`
        let header = [("authorization", "Basic YStiOmMlM0FkJTI1")];
        let answer = probe.send("POST", "/oauth/token", &header, "grant_type=client_credentials");
        assert_eq!(answer.status(), 200);
    }

    #[test]
    fn a_rotated_refresh_token_works_once() {
        let mut probe = Probe::new(WorldConfig { rotate_refresh: true, ..calm() });
        let (status, first) = grant(&mut probe, &format!("{REFRESH}demo-refresh"));
        assert_eq!(status, 200);
        assert_eq!(grant(&mut probe, &format!("{REFRESH}demo-refresh")).0, 400);
        let next = first["refresh_token"].as_str().unwrap();
        assert_eq!(grant(&mut probe, &format!("{REFRESH}{next}")).0, 200);
    }

    #[test]
    fn without_rotation_a_refresh_token_works_until_consent_is_withdrawn() {
        let mut probe = Probe::new(calm());
        for _ in 0..2 {
            let (status, granted) = grant(&mut probe, &format!("{REFRESH}demo-refresh"));
            assert_eq!((status, granted.get("refresh_token")), (200, None));
        }
        probe.world.revoke_refresh_tokens();
        assert_eq!(grant(&mut probe, &format!("{REFRESH}demo-refresh")).0, 400);
    }
}
