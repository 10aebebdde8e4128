//! Whether a request comes from somebody who knows a secret of the route. Pure: headers, the body's bytes as they came, and the time
//! go in. Comparisons take the same time wherever two texts differ.
//!
//! Signatures are over the raw body: what a parser makes of it is another text.
//!
//! Sources, looked up 2026-11-24: standardwebhooks.com/verify (HMAC with SHA-256 over `id.timestamp.body`; a space between several
//! signatures, each `v1,` and base64); descriptions of GitHub's (`X-Hub-Signature-256: sha256=` and hex over the body) and of Stripe's
//! webhooks (`Stripe-Signature: t=..,v1=..` over `timestamp.body`, hex, five minutes). The tests hold the published examples.

use std::time::Duration;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderName, header};
use ring::hmac;
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use crate::{
    config::plan::{Callers, Encoding, Hash, Signed, SignedPart, StandardWebhooks, TimestampAt},
    model::from_hex,
};

/// Signatures of one request that are looked at.
const SIGNATURES_MAX: usize = 16;

/// Why a request is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// No credentials, or none that is known.
    Unknown,
    /// Signed at another time.
    Elsewhen,
}

/// Somebody who is known.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Known {
    /// What the signature says that the message is called, the same for each attempt to send it.
    pub message: Option<String>,
}

/// Looks whether a request comes from a caller of the route.
pub fn verify(callers: &Callers, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Result<Known, Refused> {
    let is_known = match callers {
        Callers::Anybody => true,
        Callers::Bearer(tokens) => bearer(headers).is_some_and(|given| is_one_of(given, tokens)),
        Callers::ApiKey { header, values } => text(headers, header).is_some_and(|given| is_one_of(given, values)),
        Callers::StandardWebhooks(plan) => return standard(plan, headers, body, now),
        Callers::Signed(plan) => return signed(plan, headers, body, now).map(|()| Known::default()),
    };
    if is_known { Ok(Known::default()) } else { Err(Refused::Unknown) }
}

/// Whether the head alone tells who calls.
pub fn tells_by_head(callers: &Callers) -> bool {
    match callers {
        Callers::Anybody | Callers::Bearer(_) | Callers::ApiKey { .. } => true,
        Callers::StandardWebhooks(_) | Callers::Signed(_) => false,
    }
}

/// The header's text, where it stands once.
fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut all = headers.get_all(name).iter();
    let only = all.next()?.to_str().ok()?;
    all.next().is_none().then(|| only.trim())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = text(headers, &header::AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Both are hashed under one key, so neither their lengths nor where they differ shows in the time.
fn is_one_of(given: &str, known: &[SecretString]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"comparison");
    let tag = hmac::sign(&key, given.as_bytes());
    known.iter().fold(false, |found, secret| {
        hmac::verify(&key, secret.expose_secret().as_bytes(), tag.as_ref()).is_ok() | found
    })
}

fn is_in_time(seconds: &str, tolerance: Duration, now: DateTime<Utc>) -> Result<(), Refused> {
    let at: i64 = seconds.parse().map_err(|_| Refused::Unknown)?;
    match now.timestamp().abs_diff(at) <= tolerance.as_secs() {
        true => Ok(()),
        false => Err(Refused::Elsewhen),
    }
}

/// Whether one of the signatures is that of the text under one of the secrets.
fn is_signed(algorithm: hmac::Algorithm, secrets: &[SecretSlice<u8>], text: &[&[u8]], signatures: &[Vec<u8>]) -> bool {
    let whole = text.concat();
    secrets.iter().any(|secret| {
        let key = hmac::Key::new(algorithm, secret.expose_secret());
        signatures.iter().any(|signature| hmac::verify(&key, &whole, signature).is_ok())
    })
}

fn standard(plan: &StandardWebhooks, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Result<Known, Refused> {
    let named = |name| text(headers, &HeaderName::from_static(name)).ok_or(Refused::Unknown);
    let (id, timestamp) = (named("webhook-id")?, named("webhook-timestamp")?);
    let of_version = |one: &str| one.strip_prefix("v1,").and_then(|signature| STANDARD.decode(signature).ok());
    let signatures: Vec<Vec<u8>> =
        named("webhook-signature")?.split(' ').take(SIGNATURES_MAX).filter_map(of_version).collect();
    let signed_text = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    if !is_signed(hmac::HMAC_SHA256, &plan.secrets, &signed_text, &signatures) {
        return Err(Refused::Unknown);
    }
    is_in_time(timestamp, plan.tolerance, now)?;
    Ok(Known { message: Some(id.to_owned()) })
}

fn signed(plan: &Signed, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Result<(), Refused> {
    let given = text(headers, &plan.header).ok_or(Refused::Unknown)?;
    let elements = || given.split(',').take(SIGNATURES_MAX).filter_map(|element| element.trim().split_once('='));
    let named = |name: &str| elements().filter(|(key, _)| *key == name).map(|(_, value)| value).collect::<Vec<_>>();
    let written = match &plan.element {
        Some(element) => named(element),
        None => vec![given],
    };
    let decoded = |written: &str| decode(plan.encoding, written.strip_prefix(plan.prefix.as_str())?);
    let signatures: Vec<Vec<u8>> = written.into_iter().filter_map(decoded).collect();
    let timestamp = match &plan.timestamp {
        Some(TimestampAt::Header(header)) => Some(text(headers, header).ok_or(Refused::Unknown)?),
        Some(TimestampAt::Element(element)) => Some(*named(element).first().ok_or(Refused::Unknown)?),
        None => None,
    };
    let part = |part: &SignedPart| match part {
        SignedPart::Text(text) => text.as_bytes().to_vec(),
        SignedPart::Timestamp => timestamp.unwrap_or_default().as_bytes().to_vec(),
        SignedPart::Body => body.to_vec(),
    };
    let parts: Vec<Vec<u8>> = plan.signed.iter().map(part).collect();
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let algorithm = match plan.hash {
        Hash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => hmac::HMAC_SHA256,
        Hash::Sha512 => hmac::HMAC_SHA512,
    };
    if !is_signed(algorithm, &plan.secrets, &parts, &signatures) {
        return Err(Refused::Unknown);
    }
    timestamp.map_or(Ok(()), |timestamp| is_in_time(timestamp, plan.tolerance, now))
}

fn decode(encoding: Encoding, text: &str) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Hex => from_hex(text),
        Encoding::Base64 => STANDARD.decode(text).ok(),
        Encoding::Base64Url => URL_SAFE_NO_PAD.decode(text).ok(),
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
