//! Signed requests: a declared text over parts of the request, its HMAC, and headers that carry both.
//!
//! Each attempt is signed anew, with a new nonce and by the server's time of day as far as its answers told it. A 401 from
//! a server whose clock turns out to differ is tried once more, signed by its time.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use ring::{digest, hmac};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;
use zeroize::Zeroizing;

use super::{
    fixed::sensitive,
    jwt::random,
    session::{Named, unsigned},
};
use crate::{
    config::plan::{Api, Encoding, Hash, Hmac, TimestampFormat},
    expr::{EvalError, Scope, object},
    http::{Request, Signer},
    model::{Blame, BoxFuture, Clock, Code, Fault, Fields},
};

/// A server's clock that is further off than this may be why it refused.
const SKEW: TimeDelta = TimeDelta::seconds(30);

const NONCE_BYTES: usize = 16;

pub struct HmacSigner {
    plan: Hmac,
    key: hmac::Key,
    secrets: Named,
    hidden: Vec<SecretString>,
    settings: Fields,
    clock: Arc<dyn Clock>,
}

impl HmacSigner {
    pub fn new(api: &Api, plan: &Hmac, clock: Arc<dyn Clock>) -> Result<Self, Fault> {
        let text = plan.secret.expose_secret();
        let bytes = match plan.secret_encoding {
            None => Some(text.as_bytes().to_vec()),
            Some(Encoding::Hex) => from_hex(text.trim()),
            Some(Encoding::Base64 | Encoding::Base64Url) => STANDARD.decode(text.trim()).ok(),
        };
        let bytes = Zeroizing::new(bytes.ok_or_else(|| {
            let message = "the signing secret is not written as `secret_encoding` says";
            Fault::halt(Code::Unsigned, Blame::Credentials, message)
                .help("Nothing was sent. Compare the two, then run again.")
        })?);
        let algorithm = match plan.hash {
            Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha512 => hmac::HMAC_SHA512,
        };
        let named = plan.secrets.iter().map(|(_, secret)| secret);
        Ok(Self {
            key: hmac::Key::new(algorithm, &bytes),
            secrets: Named::new(&plan.secrets),
            hidden: named.chain([&plan.secret]).cloned().collect(),
            settings: api.settings.clone(),
            plan: plan.clone(),
            clock,
        })
    }

    fn put(&self, request: &mut Request) -> Result<(), Fault> {
        let now = self.clock.now() + request.offset;
        let parts = Parts::of(request, &self.plan, now, random(NONCE_BYTES)?);
        let scope = parts.scope(&self.settings, self.secrets.json());
        let failed = |what: &str, error: EvalError| unsigned(what, &error);
        let string = self.plan.string.render(&scope).map_err(|error| failed("string", error))?.unwrap_or_default();
        let signature = encoded(self.plan.encoding, hmac::sign(&self.key, string.as_bytes()).as_ref());
        let scope = scope.text("signature", &signature);
        for (name, template) in &self.plan.headers {
            let value = template.render(&scope).map_err(|error| failed(name.as_str(), error))?;
            if let Some(value) = value {
                request.headers.insert(name, sensitive(&value)?);
            }
        }
        request.secrets.push(signature.into());
        request.secrets.extend(self.hidden.iter().cloned());
        Ok(())
    }
}

/// A request as templates see it.
struct Parts {
    method: String,
    host: String,
    path: String,
    query: String,
    sorted_query: String,
    headers: String,
    body: String,
    body_hash: String,
    timestamp: String,
    nonce: String,
}

impl Parts {
    fn of(request: &Request, plan: &Hmac, now: DateTime<Utc>, nonce: String) -> Self {
        let url = &request.url;
        let query = url.query().unwrap_or_default();
        let mut sorted: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
        sorted.sort_unstable();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let headers: Vec<(String, String)> = request
            .headers
            .iter()
            .filter_map(|(name, value)| {
                Some((name.to_string(), serde_json::Value::from(value.to_str().ok()?).to_string()))
            })
            .collect();
        let entries: Vec<_> = headers.iter().map(|(name, json)| (name.as_str().into(), json.as_str().into())).collect();
        Self {
            method: request.method.to_string(),
            host: format!("{}{port}", url.host_str().unwrap_or_default()),
            path: url.path().to_owned(),
            query: query.to_owned(),
            sorted_query: sorted.join("&"),
            headers: object(&entries),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            body_hash: encoded(plan.body_encoding, digest::digest(hash(plan.body_hash), &request.body).as_ref()),
            timestamp: written(plan.timestamp, now),
            nonce,
        }
    }

    fn scope<'s>(&'s self, settings: &'s Fields, secrets: &'s str) -> Scope<'s> {
        Scope::new()
            .text("method", &self.method)
            .text("host", &self.host)
            .text("path", &self.path)
            .text("query", &self.query)
            .text("sorted_query", &self.sorted_query)
            .json("headers", self.headers.as_str())
            .text("body", &self.body)
            .text("body_hash", &self.body_hash)
            .text("timestamp", &self.timestamp)
            .text("nonce", &self.nonce)
            .json("config", settings.as_str())
            .json("secrets", secrets)
    }
}

impl Signer for HmacSigner {
    fn sign<'a>(&'a self, request: &'a mut Request) -> BoxFuture<'a, Result<(), Fault>> {
        let put = self.put(request);
        Box::pin(async { put })
    }

    fn refused<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<bool, Fault>> {
        let off = (request.offset_learned - request.offset).abs();
        Box::pin(async move { Ok(off > SKEW) })
    }
}

fn hash(hash: Hash) -> &'static digest::Algorithm {
    match hash {
        Hash::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => &digest::SHA256,
        Hash::Sha512 => &digest::SHA512,
    }
}

fn encoded(encoding: Encoding, bytes: &[u8]) -> String {
    match encoding {
        Encoding::Hex => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Encoding::Base64 => STANDARD.encode(bytes),
        Encoding::Base64Url => URL_SAFE_NO_PAD.encode(bytes),
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(byte).collect())?
}

fn written(format: TimestampFormat, at: DateTime<Utc>) -> String {
    match format {
        TimestampFormat::EpochSeconds => at.timestamp().to_string(),
        TimestampFormat::EpochMillis => at.timestamp_millis().to_string(),
        TimestampFormat::Rfc3339 => at.to_rfc3339_opts(SecondsFormat::Secs, true),
        TimestampFormat::HttpDate => at.format("%a, %d %b %Y %H:%M:%S GMT").to_string(),
    }
}
