//! How a client proves to a token endpoint who it is (RFC 6749, 2.3.1; RFC 7523; RFC 8705).
//!
//! It is done at each attempt anew, because a server takes a signed assertion only once. Assertions carry the server's
//! time of day, as far as its answers told it: a machine whose clock is minutes off signs in all the same.

use std::sync::{Arc, Mutex, PoisonError};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::header;
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded::{self, byte_serialize};

use super::{
    fixed::sensitive,
    jwt::{Claims, Key},
};
use crate::{
    config::plan::{ClientAuth, Grant, JwtBearer, OAuth2},
    http::{Request, Signer},
    model::{BoxFuture, Clock, Fault},
};

/// How long an assertion about a client holds.
const ASSERTION_SECONDS: i64 = 300;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Signs token requests, and names what of them must not be shown.
pub struct ClientSigner {
    id: String,
    proof: Proof,
    /// The assertion that is the grant, where one is.
    grant: Option<(Key, JwtBearer)>,
    configured: Vec<SecretString>,
    clock: Arc<dyn Clock>,
    attempt: Mutex<Attempt>,
}

/// How the client proves itself, with its key read.
enum Proof {
    Public,
    Basic { pair: SecretString },
    Post { secret: SecretString },
    Assertion { key: Key, audience: String },
}

/// What the request under way needs besides itself.
#[derive(Default)]
struct Attempt {
    /// What of it must not be shown: a refresh token that it spends, the assertions that were made for it.
    hidden: Vec<SecretString>,
    /// How far the server's clock is from ours.
    offset: TimeDelta,
}

impl ClientSigner {
    pub fn new(oauth2: &OAuth2, clock: Arc<dyn Clock>) -> Result<Self, Fault> {
        let id = oauth2.client_id.clone();
        let mut configured = oauth2.secrets();
        let proof = match &oauth2.client {
            ClientAuth::Basic { secret } => {
                let pair = SecretString::from(pair(&id, secret));
                configured.push(pair.clone());
                Proof::Basic { pair }
            }
            ClientAuth::Post { secret } => Proof::Post { secret: secret.clone() },
            ClientAuth::PrivateKeyJwt { key, audience } => {
                Proof::Assertion { key: Key::read(key)?, audience: audience.clone() }
            }
            ClientAuth::Public | ClientAuth::Tls => Proof::Public,
        };
        let grant = match &oauth2.grant {
            Grant::JwtBearer(bearer) => Some((Key::read(&bearer.key)?, bearer.clone())),
            _ => None,
        };
        Ok(Self { id, proof, grant, configured, clock, attempt: Mutex::default() })
    }

    /// Before a request: what it spends, and what time it is at the server.
    pub fn prepare(&self, spent: &[SecretString], server_now: DateTime<Utc>) {
        let offset = server_now - self.clock.now();
        *self.attempt.lock().unwrap_or_else(PoisonError::into_inner) = Attempt { hidden: spent.to_vec(), offset };
    }

    /// Whether requests carry times that a server may find wrong.
    pub fn tells_time(&self) -> bool {
        self.grant.is_some() || matches!(self.proof, Proof::Assertion { .. })
    }

    /// Everything in a token request that must not be shown.
    pub fn secrets(&self) -> Vec<SecretString> {
        let attempt = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        self.configured.iter().chain(&attempt.hidden).cloned().collect()
    }

    /// An assertion is good for a few minutes, for whoever has it.
    fn hide(&self, assertion: String) {
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner).hidden.push(assertion.into());
    }

    fn prove(&self, request: &mut Request) -> Result<(), Fault> {
        let now = self.clock.now() + self.attempt.lock().unwrap_or_else(PoisonError::into_inner).offset;
        if let Some((key, JwtBearer { issuer, subject, audience, claims: more, lifetime, .. })) = &self.grant {
            let lives_seconds = i64::try_from(lifetime.as_secs()).unwrap_or(ASSERTION_SECONDS);
            let assertion = key.assertion(&Claims { issuer, subject, audience, more, from: now, lives_seconds })?;
            add(request, &[("assertion", &assertion)]);
            self.hide(assertion);
        }
        match &self.proof {
            Proof::Basic { pair } => {
                let value = sensitive(&format!("Basic {}", pair.expose_secret()))?;
                request.headers.insert(header::AUTHORIZATION, value);
            }
            Proof::Post { secret } => {
                add(request, &[("client_id", &self.id), ("client_secret", secret.expose_secret())]);
            }
            Proof::Public => add(request, &[("client_id", &self.id)]),
            Proof::Assertion { key, audience } => {
                let (issuer, subject) = (self.id.as_str(), self.id.as_str());
                let claims =
                    Claims { issuer, subject, audience, more: &[], from: now, lives_seconds: ASSERTION_SECONDS };
                let assertion = key.assertion(&claims)?;
                let fields = [
                    ("client_id", self.id.as_str()),
                    ("client_assertion_type", ASSERTION_TYPE),
                    ("client_assertion", &assertion),
                ];
                add(request, &fields);
                self.hide(assertion);
            }
        }
        Ok(())
    }
}

impl Signer for ClientSigner {
    fn sign<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<(), Fault>> {
        let proved = self.prove(request);
        request.secrets.extend(self.secrets());
        Box::pin(async { proved })
    }

    fn refused<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async { Ok(false) })
    }
}

/// Adds fields to the form. One without a value is left out.
fn add(request: &mut Request, fields: &[(&str, &str)]) {
    let form = String::from_utf8_lossy(&request.body).into_owned();
    let fields = fields.iter().filter(|(_, value)| !value.is_empty());
    request.body = Bytes::from(form_urlencoded::Serializer::new(form).extend_pairs(fields).finish());
}

/// Id and secret are form-encoded before they are joined.
fn pair(id: &str, secret: &SecretString) -> String {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret.expose_secret())))
}
