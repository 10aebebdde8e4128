//! `POST /oauth/token`: every grant a vendor offers, with the rotation that punishes a client for losing an answer. Access
//! tokens are bounded in number; the oldest are forgotten first.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::json;

use super::{
    account::{Effect, Outcome},
    assertion::{self, Seen},
    call::{Answer, Call, Refusal, error, json, later, set},
    client::{admitted, decode_basic, form},
    config::WorldConfig,
    consent::Consents,
    rotation::{Family, Refresh, Rotation, SignIns},
    route::Route,
    signed::{self, Nonces},
};

const TOKENS_MAX: usize = 10_000;
/// The refresh token that exists from the start, as if a person had consented.
const FIRST_REFRESH: &str = "demo-refresh";

#[derive(Debug)]
pub(super) struct Oauth {
    seed: u64,
    issued: u64,
    access: BTreeMap<u64, Access>,
    refresh: Refresh,
    consents: Consents,
    /// Assertions that were taken.
    assertions: Seen,
    nonces: Nonces,
}

#[derive(Clone, Copy, Debug)]
struct Access {
    expiry: DateTime<Utc>,
    /// The consent it came of, if a person gave one.
    family: Option<Family>,
}

impl Oauth {
    pub fn new(seed: u64) -> Self {
        let mut refresh = Refresh::default();
        refresh.consent(FIRST_REFRESH.into());
        Self {
            seed,
            issued: 0,
            access: BTreeMap::new(),
            refresh,
            consents: Consents::default(),
            assertions: Seen::default(),
            nonces: Nonces::default(),
        }
    }

    /// Answers a request to one of the routes of signing in.
    pub fn answer(&mut self, call: &Call, route: &Route, config: &WorldConfig) -> Outcome {
        let answer = match route {
            Route::Authorize => self.consents.authorize(call, config),
            Route::Device => self.device(call, config),
            Route::Login => self.login(call, config),
            _ => self.grant(call, config),
        };
        match answer {
            Ok(answer) => Outcome::plain(Effect::Read, answer),
            Err(answer) if answer.status() == StatusCode::UNAUTHORIZED => Outcome::plain(Effect::Unauthorized, *answer),
            Err(answer) => Outcome::refused(answer),
        }
    }

    /// Whether the call carries an access token that is known and not expired, a session, or a good signature.
    pub fn admits(&mut self, call: &Call, config: &WorldConfig) -> Result<(), Refusal> {
        if let Some(signature) = call.header("authorization").and_then(|text| text.strip_prefix("HMAC ")) {
            return signed::admit(signature, call, config, &mut self.nonces);
        }
        let cookie =
            call.header("cookie").and_then(|text| text.split(';').find_map(|part| part.trim().strip_prefix("sid=")));
        let session = call.header("x-session").or(cookie);
        let token = session.or_else(|| call.header("authorization").and_then(bearer));
        let known = token.and_then(|token| self.access(token)).filter(|access| call.now < access.expiry);
        if let Some(family) = known.and_then(|access| access.family) {
            self.refresh.used(family, config.rotation);
        }
        known.map(|_| ()).ok_or_else(unauthorized)
    }

    pub fn consent(&mut self, token: &str) {
        self.refresh.consent(token.to_owned());
    }

    pub fn seen(&self) -> SignIns {
        self.refresh.seen
    }

    pub fn revoke_access(&mut self) {
        self.access.clear();
    }

    pub fn revoke_refresh(&mut self) {
        self.refresh.revoke();
    }

    fn grant(&mut self, call: &Call, config: &WorldConfig) -> Result<Answer, Refusal> {
        let form = form(call);
        if form.get("grant_type").map(String::as_str) == Some(assertion::GRANT) {
            assertion::admit_grant(&form, call, config, &mut self.assertions)?;
            return Ok(self.issue(call.now, config, None, None));
        }
        admitted(call, &form, config, &mut self.assertions)?;
        match form.get("grant_type").map(String::as_str) {
            Some("client_credentials") => Ok(self.issue(call.now, config, None, None)),
            Some("refresh_token") => {
                let token = form.get("refresh_token").cloned().unwrap_or_default();
                let (family, next) = self.spend(&token, config.rotation)?;
                Ok(self.issue(call.now, config, Some(family), next))
            }
            Some("authorization_code") => {
                self.consents.redeem(&form, call.now)?;
                Ok(self.consented(call.now, config))
            }
            Some("urn:ietf:params:oauth:grant-type:device_code") => {
                self.consents.poll(&form, call.now, config)?;
                Ok(self.consented(call.now, config))
            }
            _ => Err(error(StatusCode::BAD_REQUEST, "unsupported_grant_type", "there is no such grant here")),
        }
    }

    /// The first tokens of a new consent.
    fn consented(&mut self, now: DateTime<Utc>, config: &WorldConfig) -> Answer {
        let first = self.refresh_name();
        let family = self.refresh.consent(first.clone());
        self.issue(now, config, Some(family), Some(first))
    }

    fn device(&mut self, call: &Call, config: &WorldConfig) -> Result<Answer, Refusal> {
        let form = form(call);
        admitted(call, &form, config, &mut self.assertions)?;
        Ok(self.consents.device(call, config))
    }

    /// A session, for the user `demo` with the secret of the client.
    fn login(&mut self, call: &Call, config: &WorldConfig) -> Result<Answer, Refusal> {
        let body = call.object()?;
        let field = |name: &str| body.get(name).and_then(serde_json::Value::as_str);
        let basic = call.header("authorization").and_then(|text| text.strip_prefix("Basic ")).and_then(decode_basic);
        let who = field("user").zip(field("password")).map(|(user, password)| (user.to_owned(), password.to_owned()));
        if who.or(basic) != Some((config.client_id.clone(), config.client_secret.clone())) {
            return Err(error(StatusCode::UNAUTHORIZED, "bad_login", "the user or password is wrong"));
        }
        let (token, expiry) = self.token(call.now, config, None);
        let seconds = config.token_ttl.as_secs();
        let body = json!({ "session": { "token": token, "seconds": seconds, "until": super::call::rfc3339(expiry) } });
        let mut answer = json(StatusCode::OK, &body);
        set(&mut answer, "x-session", &token);
        set(&mut answer, "set-cookie", &format!("sid={token}; Path=/; Max-Age={seconds}; HttpOnly"));
        Ok(answer)
    }

    fn refresh_name(&self) -> String {
        format!("sbr_{}_{:016x}", self.issued + 1, self.mark(self.issued + 1))
    }

    fn spend(&mut self, token: &str, rotation: Rotation) -> Result<(Family, Option<String>), Refusal> {
        let next = self.refresh_name();
        self.refresh.take(token, rotation, || next).map_err(|ended| {
            if let Some(family) = ended {
                self.access.retain(|_, access| access.family != Some(family));
            }
            error(StatusCode::BAD_REQUEST, "invalid_grant", "the refresh token is unknown or was used")
        })
    }

    fn token(&mut self, now: DateTime<Utc>, config: &WorldConfig, family: Option<Family>) -> (String, DateTime<Utc>) {
        self.issued += 1;
        self.access.retain(|_, access| access.expiry > now);
        if self.access.len() >= TOKENS_MAX {
            self.access.pop_first();
        }
        let expiry = later(now, config.token_ttl);
        self.access.insert(self.issued, Access { expiry, family });
        (format!("sbx_{}_{:016x}", self.issued, self.mark(self.issued)), expiry)
    }

    fn issue(
        &mut self,
        now: DateTime<Utc>,
        config: &WorldConfig,
        family: Option<Family>,
        refresh: Option<String>,
    ) -> Answer {
        let (token, _) = self.token(now, config, family);
        let mut body =
            json!({ "access_token": token, "token_type": "bearer", "expires_in": config.token_ttl.as_secs() });
        if let Some(refresh) = refresh {
            body["refresh_token"] = refresh.into();
        }
        let mut answer = json(StatusCode::OK, &body);
        set(&mut answer, "cache-control", "no-store");
        answer
    }

    fn access(&self, token: &str) -> Option<Access> {
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

#[cfg(test)]
mod tests {
    use crate::sandbox::{
        Rotation, WorldConfig,
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
    fn a_rotated_refresh_token_works_once_and_using_it_again_ends_all_that_came_of_it() {
        let mut probe = Probe::new(WorldConfig { rotation: Rotation::SingleUse, ..calm() });
        let (status, first) = grant(&mut probe, &format!("{REFRESH}demo-refresh"));
        assert_eq!(status, 200);
        let next = first["refresh_token"].as_str().unwrap();
        let (status, second) = grant(&mut probe, &format!("{REFRESH}{next}"));
        assert_eq!(status, 200);
        probe.token = second["access_token"].as_str().unwrap().into();
        assert_eq!(probe.get("/shop/customers").status(), 200);
        assert_eq!(grant(&mut probe, &format!("{REFRESH}{next}")).0, 400);
        let last = second["refresh_token"].as_str().unwrap();
        assert_eq!(grant(&mut probe, &format!("{REFRESH}{last}")).0, 400);
        assert_eq!(probe.get("/shop/customers").status(), 401);
        assert_eq!((probe.world.sign_ins().replays, probe.world.sign_ins().families_ended), (1, 1));
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
