//! Signed assertions (RFC 7519, RFC 7523): who we are, for whom, and for how long, signed with a private key.
//!
//! The key's kind says the algorithm: RS256 for RSA, ES256 for a key on P-256. Reading and signing is done by the library
//! that TLS has anyway; it speaks DER where JOSE wants the two numbers of an ECDSA signature side by side.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use rustls::{SignatureScheme, crypto::ring::sign::any_supported_type, sign};
use serde_json::{Map, Value, json};

use crate::{
    config::plan::SigningKey,
    http::keys,
    model::{Blame, Code, Fault},
};

/// Bytes of each of the two numbers of an ES256 signature.
const P256_BYTES: usize = 32;

/// Bytes of chance in an assertion's id.
const ID_BYTES: usize = 16;

/// A key that signs assertions. It has no Debug.
pub struct Key {
    key: Arc<dyn sign::SigningKey>,
    scheme: SignatureScheme,
    id: Option<String>,
}

/// What an assertion says.
pub struct Claims<'a> {
    pub issuer: &'a str,
    pub subject: &'a str,
    pub audience: &'a str,
    /// Further claims, with their JSON texts.
    pub more: &'a [(String, String)],
    pub from: DateTime<Utc>,
    pub lives_seconds: i64,
}

impl Key {
    pub fn read(plan: &SigningKey) -> Result<Self, Fault> {
        let pem = secrecy::ExposeSecret::expose_secret(&plan.pem).as_bytes();
        let der = keys::private_key(pem, plan.password.as_ref()).map_err(|error| unusable(&error.to_string()))?;
        let key = any_supported_type(&der).map_err(|_| unusable("it is neither RSA of 2048 bits and more nor EC"))?;
        let scheme = [SignatureScheme::RSA_PKCS1_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256]
            .into_iter()
            .find(|scheme| key.choose_scheme(&[*scheme]).is_some())
            .ok_or_else(|| unusable("it signs neither RS256 nor ES256; an EC key must be on P-256"))?;
        Ok(Self { key, scheme, id: plan.id.clone() })
    }

    /// An assertion in its compact form. Each has an id of its own, because a server may take each one only once.
    pub fn assertion(&self, claims: &Claims<'_>) -> Result<String, Fault> {
        let mut header = json!({ "alg": self.algorithm(), "typ": "JWT" });
        if let Some(id) = &self.id {
            header["kid"] = id.as_str().into();
        }
        let (from, more) = (claims.from.timestamp(), claims.more.iter());
        let mut body: Map<String, Value> =
            more.map(|(name, json)| (name.clone(), serde_json::from_str(json).unwrap_or(Value::Null))).collect();
        body.insert("iss".to_owned(), claims.issuer.into());
        body.insert("sub".to_owned(), claims.subject.into());
        body.insert("aud".to_owned(), claims.audience.into());
        body.insert("iat".to_owned(), from.into());
        body.insert("exp".to_owned(), (from + claims.lives_seconds).into());
        body.insert("jti".to_owned(), random(ID_BYTES)?.into());
        let encoded = |value: String| URL_SAFE_NO_PAD.encode(value);
        let signed = format!("{}.{}", encoded(header.to_string()), encoded(Value::Object(body).to_string()));
        let signature = self.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn algorithm(&self) -> &'static str {
        match self.scheme {
            SignatureScheme::ECDSA_NISTP256_SHA256 => "ES256",
            _ => "RS256",
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Fault> {
        let signer = self.key.choose_scheme(&[self.scheme]).ok_or_else(|| unusable("it does not sign"))?;
        let signature = signer.sign(message).map_err(|_| unusable("it does not sign"))?;
        match self.scheme {
            SignatureScheme::ECDSA_NISTP256_SHA256 => {
                side_by_side(&signature).ok_or_else(|| unusable("it does not sign"))
            }
            _ => Ok(signature),
        }
    }
}

/// A text of so many random bytes, that nobody can guess.
pub fn random(bytes: usize) -> Result<String, Fault> {
    let mut chance = vec![0; bytes];
    getrandom::fill(&mut chance).map_err(|error| {
        Fault::halt(Code::StoreIo, Blame::Host, format!("the system gives no random numbers: {error}"))
            .help("nothing was sent; this is a fault of the machine")
    })?;
    Ok(URL_SAFE_NO_PAD.encode(chance))
}

/// An ECDSA signature out of DER: a sequence of two whole numbers, each without leading zeros but for a sign.
fn side_by_side(der: &[u8]) -> Option<Vec<u8>> {
    let [0x30, length, rest @ ..] = der else { return None };
    let rest = rest.get(..usize::from(*length))?;
    let (r, rest) = number(rest)?;
    let (s, rest) = number(rest)?;
    rest.is_empty().then(|| [r, s].concat())
}

fn number(der: &[u8]) -> Option<([u8; P256_BYTES], &[u8])> {
    let [0x02, length, rest @ ..] = der else { return None };
    let (digits, rest) = rest.split_at_checked(usize::from(*length))?;
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    let digits = &digits[zeros..];
    let mut whole = [0; P256_BYTES];
    whole.get_mut(P256_BYTES.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    Some((whole, rest))
}

fn unusable(why: &str) -> Fault {
    Fault::halt(Code::SigningKey, Blame::Credentials, format!("the private key cannot be used: {why}")).help(
        "Nothing was sent. Give a key in PEM (PKCS#8, PKCS#1 or SEC1, sealed or not), and the password where it is sealed.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_numbers_of_a_signature_stand_side_by_side_in_32_bytes_each() {
        let der = |r: &[u8], s: &[u8]| {
            let number = |digits: &[u8]| [&[0x02, digits.len() as u8], digits].concat();
            let body = [number(r), number(s)].concat();
            [&[0x30, body.len() as u8], &body[..]].concat()
        };
        let long = [&[0], &[0xff; 32][..]].concat();
        let raw = side_by_side(&der(&long, &[1])).unwrap();
        assert_eq!((&raw[..32], &raw[32..63], raw[63]), (&[0xff; 32][..], &[0; 31][..], 1));
        for broken in [&[][..], &[0x30, 9, 2], &der(&[1; 33], &[1]), &[0x30, 3, 2, 1, 1], &[0x31, 0]] {
            assert_eq!(side_by_side(broken), None, "{broken:?}");
        }
    }
}
