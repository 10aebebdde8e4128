//! Signed assertions (RFC 7523), judged as strictly as a careful vendor does: signature, issuer, audience, times, and each
//! one only once.

use std::collections::VecDeque;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::Value;

use super::{
    call::{Call, Refusal, error},
    client::{Form, unknown},
    config::WorldConfig,
};
use crate::http::keys;

pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const CLIENT: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The service account that may sign itself in.
pub(super) const SERVICE: &str = "service@sandbox.test";

/// Seconds that a client's clock may be ahead.
const SKEW: i64 = 60;
/// Seconds that an assertion may hold.
const LIFE_MAX: i64 = 3600;
const SEEN_MAX: usize = 10_000;

/// The ids of assertions that were taken.
#[derive(Default, Debug)]
pub(super) struct Seen(VecDeque<String>);

pub(super) fn admit_client(
    assertion: &str,
    form: &Form,
    call: &Call,
    config: &WorldConfig,
    seen: &mut Seen,
) -> Result<(), Refusal> {
    let kind = form.get("client_assertion_type").map(String::as_str);
    let named = form.get("client_id").is_none_or(|id| *id == config.client_id);
    if kind != Some(CLIENT) || !named {
        return Err(unknown("the assertion is of another kind or client"));
    }
    judge(assertion, &config.client_id, call, config, seen).map_err(unknown)
}

pub(super) fn admit_grant(form: &Form, call: &Call, config: &WorldConfig, seen: &mut Seen) -> Result<(), Refusal> {
    let assertion = form.get("assertion").map(String::as_str).unwrap_or_default();
    judge(assertion, SERVICE, call, config, seen).map_err(|why| error(StatusCode::BAD_REQUEST, "invalid_grant", why))
}

fn judge(
    assertion: &str,
    issuer: &str,
    call: &Call,
    config: &WorldConfig,
    seen: &mut Seen,
) -> Result<(), &'static str> {
    let claims = verified(assertion, config.client_key.as_deref().ok_or("no key is registered")?)
        .ok_or("the assertion is malformed or its signature is wrong")?;
    let text = |name: &str| claims[name].as_str();
    let number = |name: &str| claims[name].as_i64();
    let now = call.now.timestamp();
    if text("iss") != Some(issuer) || text("sub") != Some(issuer) {
        return Err("the issuer or subject is another");
    }
    if text("aud") != Some(&format!("{}/oauth/token", call.origin())) {
        return Err("the audience is another");
    }
    match (number("iat"), number("exp")) {
        (Some(issued), _) if issued > now + SKEW => return Err("it was issued in the future"),
        (_, Some(end)) if end <= now => return Err("it has expired"),
        (_, Some(end)) if end > now + LIFE_MAX + SKEW => return Err("it holds for too long"),
        (_, None) => return Err("it never expires"),
        _ => {}
    }
    let id = text("jti").ok_or("it has no id")?;
    if seen.0.iter().any(|known| known == id) {
        return Err("it was used before");
    }
    if seen.0.len() >= SEEN_MAX {
        seen.0.pop_front();
    }
    seen.0.push_back(id.to_owned());
    Ok(())
}

/// The claims, if the signature is right.
fn verified(assertion: &str, public_key: &str) -> Option<Value> {
    let (signed, signature) = assertion.rsplit_once('.')?;
    let (header, body) = signed.split_once('.')?;
    let read = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
    let algorithm: &dyn VerificationAlgorithm = match read(header)?["alg"].as_str()? {
        "RS256" => &RSA_PKCS1_2048_8192_SHA256,
        "ES256" => &ECDSA_P256_SHA256_FIXED,
        _ => return None,
    };
    let key = UnparsedPublicKey::new(algorithm, keys::public_key(public_key.as_bytes()).ok()?);
    key.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    read(body)
}
