//! Signed calls: `Authorization: HMAC <key id>:<epoch seconds>:<nonce>:<base64>`, where the last part is HMAC-SHA256 with
//! the client's secret over six lines: method, path, query, time, nonce, and the body's SHA-256 in hex.

use std::collections::VecDeque;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;
use sha2::{Digest, Sha256};

use super::{
    call::{Call, Refusal, error},
    config::WorldConfig,
};

/// Seconds that a client's clock may be off.
const SKEW: i64 = 300;
const NONCES_MAX: usize = 10_000;

/// The nonces that were used.
#[derive(Default, Debug)]
pub(super) struct Nonces(VecDeque<String>);

pub(super) fn admit(signature: &str, call: &Call, config: &WorldConfig, used: &mut Nonces) -> Result<(), Refusal> {
    let refused = |why: &str| error(http::StatusCode::UNAUTHORIZED, "bad_signature", why);
    let mut parts = signature.split(':');
    let mut part = || parts.next().unwrap_or_default();
    let (id, time, nonce, signature) = (part(), part(), part(), part());
    let body: String = Sha256::digest(call.body).iter().map(|byte| format!("{byte:02x}")).collect();
    let string = [call.method.as_str(), call.path, call.query, time, nonce, &body].join("\n");
    let key = hmac::Key::new(hmac::HMAC_SHA256, config.client_secret.as_bytes());
    let given = STANDARD.decode(signature).unwrap_or_default();
    if id != config.client_id || hmac::verify(&key, string.as_bytes(), &given).is_err() {
        return Err(refused("the signature does not fit the request"));
    }
    let off = time.parse::<i64>().map_or(i64::MAX, |time| (time - call.now.timestamp()).abs());
    if off > SKEW {
        return Err(refused("the time of the signature is off"));
    }
    if used.0.iter().any(|known| known == nonce) {
        return Err(refused("the nonce was used before"));
    }
    if used.0.len() >= NONCES_MAX {
        used.0.pop_front();
    }
    used.0.push_back(nonce.to_owned());
    Ok(())
}
