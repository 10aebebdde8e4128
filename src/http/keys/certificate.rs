//! Whose a certificate is, and how long it holds.

use chrono::{DateTime, Utc};
use der::Decode;
use x509_cert::{Certificate, spki::SubjectPublicKeyInfoRef};

use super::KeyError;

/// Characters of a subject that are shown.
const SUBJECT_CHARS_MAX: usize = 200;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dates {
    /// As RFC 4514 writes it: `CN=shop,O=Example`.
    pub subject: String,
    pub not_before: DateTime<Utc>,
    pub not_after: DateTime<Utc>,
}

/// Reads a certificate in DER.
pub fn dates(certificate: &[u8]) -> Result<Dates, KeyError> {
    let read = Certificate::from_der(certificate).map_err(|_| KeyError::Damaged("its certificate cannot be read"))?;
    let body = read.tbs_certificate;
    let time = |time: x509_cert::time::Time| {
        let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
    };
    let subject = body.subject.to_string().chars().filter(|c| !c.is_control()).take(SUBJECT_CHARS_MAX).collect();
    Ok(Dates { subject, not_before: time(body.validity.not_before), not_after: time(body.validity.not_after) })
}

/// The bits of a `SubjectPublicKeyInfo`: an `RSAPublicKey`, or the point of an elliptic curve.
pub fn public_key_bits(info: &[u8]) -> Result<Vec<u8>, KeyError> {
    let damaged = |_| KeyError::Damaged("its public key cannot be read");
    let read = SubjectPublicKeyInfoRef::from_der(info).map_err(damaged)?;
    Ok(read.subject_public_key.raw_bytes().to_vec())
}
