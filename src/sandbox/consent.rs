//! People who consent: with a browser at `/oauth/authorize`, or with a code on another device. There is nobody to ask, so
//! the world's configuration says what they answer.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use sha2::{Digest, Sha256};
use url::Url;

use super::{
    call::{Answer, Call, Refusal, error, json},
    client::Form,
    config::WorldConfig,
};

/// Codes that are open at once.
const OPEN_MAX: usize = 1_000;
const CODE_LIFE: TimeDelta = TimeDelta::seconds(60);
const DEVICE_LIFE: TimeDelta = TimeDelta::seconds(600);

#[derive(Default, Debug)]
pub(super) struct Consents {
    made: u64,
    codes: BTreeMap<String, Given>,
    devices: BTreeMap<String, Device>,
}

/// An authorization code that was not used yet.
#[derive(Debug)]
struct Given {
    challenge: String,
    redirect: String,
    ends: DateTime<Utc>,
}

#[derive(Debug)]
struct Device {
    ends: DateTime<Utc>,
    polls: u32,
    /// Not earlier may it be asked for again.
    next: DateTime<Utc>,
    interval: TimeDelta,
}

impl Consents {
    /// The page that a person would see. They answer at once, and the browser goes back.
    pub fn authorize(&mut self, call: &Call, config: &WorldConfig) -> Result<Answer, Refusal> {
        let bad = |why: &str| error(StatusCode::BAD_REQUEST, "invalid_request", why);
        let field = |name: &str| call.parameter(name).map(|value| value.into_owned()).unwrap_or_default();
        let mut back = Url::parse(&field("redirect_uri")).map_err(|_| bad("the redirect URI is no URL"))?;
        if field("client_id") != config.client_id || field("response_type") != "code" {
            return Err(bad("the client or response type is unknown"));
        }
        if field("code_challenge_method") != "S256" || field("code_challenge").len() != 43 {
            return Err(bad("PKCE with S256 is required"));
        }
        let redirect = back.to_string();
        if config.consent_denied {
            back.query_pairs_mut().append_pair("error", "access_denied").append_pair("error_description", "not today");
        } else {
            self.made += 1;
            let code = format!("sbc_{}_{:08x}", self.made, self.made.wrapping_mul(0x9e37_79b9));
            back.query_pairs_mut().append_pair("code", &code);
            let given = Given { challenge: field("code_challenge"), redirect, ends: call.now + CODE_LIFE };
            bounded(&mut self.codes, code, given);
        }
        back.query_pairs_mut().append_pair("state", &field("state")).append_pair("iss", &call.origin());
        let mut answer = Answer::default();
        *answer.status_mut() = StatusCode::FOUND;
        let location = HeaderValue::from_str(back.as_str()).map_err(|_| bad("the redirect URI is no header"))?;
        answer.headers_mut().insert(header::LOCATION, location);
        Ok(answer)
    }

    /// Takes an authorization code. It is gone with the first attempt, whatever came of it.
    pub fn redeem(&mut self, form: &Form, now: DateTime<Utc>) -> Result<(), Refusal> {
        let refused = |why: &str| error(StatusCode::BAD_REQUEST, "invalid_grant", why);
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let given = self.codes.remove(field("code")).ok_or_else(|| refused("the code is unknown or was used"))?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier")));
        match () {
            () if now >= given.ends => Err(refused("the code has expired")),
            () if field("redirect_uri") != given.redirect => Err(refused("the redirect URI is another")),
            () if challenge != given.challenge => Err(refused("the code verifier is wrong")),
            () => Ok(()),
        }
    }

    /// Codes for another device.
    pub fn device(&mut self, call: &Call, config: &WorldConfig) -> Answer {
        self.made += 1;
        let (device, user) = (format!("sbd_{}", self.made), format!("DEMO-{:04}", self.made));
        let interval = TimeDelta::seconds(i64::from(config.device_interval));
        let open = Device { ends: call.now + DEVICE_LIFE, polls: 0, next: call.now + interval, interval };
        bounded(&mut self.devices, device.clone(), open);
        let page = format!("{}/oauth/verify", call.origin());
        json(
            StatusCode::OK,
            &json!({
                "device_code": device,
                "user_code": user,
                "verification_uri": page,
                "verification_uri_complete": format!("{page}?user_code={user}"),
                "expires_in": DEVICE_LIFE.num_seconds(),
                "interval": 1,
            }),
        )
    }

    /// Whether a person has typed the code by now.
    pub fn poll(&mut self, form: &Form, now: DateTime<Utc>, config: &WorldConfig) -> Result<(), Refusal> {
        let said = |code: &str| error(StatusCode::BAD_REQUEST, code, "the sign-in on the other device is not done");
        let code = form.get("device_code").map(String::as_str).unwrap_or_default();
        let device = self.devices.get_mut(code).ok_or_else(|| said("invalid_grant"))?;
        let early = now < device.next;
        device.next = now + device.interval;
        device.polls += 1;
        match () {
            () if now >= device.ends => Err(said("expired_token")),
            () if early => Err(said("slow_down")),
            () if device.polls <= config.device_polls => Err(said("authorization_pending")),
            () if config.consent_denied => Err(said("access_denied")),
            () => {
                self.devices.remove(code);
                Ok(())
            }
        }
    }
}

fn bounded<T>(open: &mut BTreeMap<String, T>, name: String, value: T) {
    if open.len() >= OPEN_MAX {
        open.pop_first();
    }
    open.insert(name, value);
}
