//! PKCS#12 (RFC 7292): a certificate, those that vouch for it, and its key, in one file under one password.
//!
//! Only what a client certificate needs is read: certificates and keys, sealed or plain. The whole is checked by its MAC
//! first, so a wrong password is told from a damaged file.

use der::{
    Decode, Reader, SliceReader, TagNumber,
    asn1::{AnyRef, ContextSpecific, ObjectIdentifier, OctetStringRef},
};
use ring::{digest, hmac};
use rustls::{
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

use super::{
    Identity, KeyError,
    sealed::{self, Algorithm, Purpose},
};

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
const KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.1");
const SEALED_KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.2");
const CERTIFICATE_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.3");
const X509: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.22.1");
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

/// Bags in one file.
const BAGS_MAX: usize = 100;

const EXPLICIT: TagNumber = TagNumber::N0;

fn damaged(_: der::Error) -> KeyError {
    KeyError::Damaged("it is no PKCS#12 file, or one in an unusual form")
}

/// What was found in the bags.
#[derive(Default)]
struct Found {
    certificates: Vec<CertificateDer<'static>>,
    keys: Vec<PrivateKeyDer<'static>>,
    bags: usize,
}

pub fn read(file: &[u8], password: &str) -> Result<Identity, KeyError> {
    let whole = AnyRef::from_der(file).map_err(damaged)?;
    let mut inner = SliceReader::new(whole.value()).map_err(damaged)?;
    let _version: u8 = inner.decode().map_err(damaged)?;
    let (kind, content) = content_info(&mut inner).map_err(damaged)?;
    if kind != DATA {
        return Err(KeyError::Unsupported("a signature instead of a password"));
    }
    let safe: OctetStringRef<'_> = content.decode_as().map_err(damaged)?;
    if inner.is_finished() {
        return Err(KeyError::Damaged("it has no MAC, so nothing tells whether it is whole"));
    }
    check_mac(inner.decode().map_err(damaged)?, safe.as_bytes(), password)?;
    let mut found = Found::default();
    let parts = AnyRef::from_der(safe.as_bytes()).map_err(damaged)?;
    let mut parts = SliceReader::new(parts.value()).map_err(damaged)?;
    while !parts.is_finished() {
        let (kind, content) = content_info(&mut parts).map_err(damaged)?;
        match kind {
            DATA => {
                let bags: OctetStringRef<'_> = content.decode_as().map_err(damaged)?;
                found.bags(bags.as_bytes(), password)?;
            }
            ENCRYPTED_DATA => found.bags(&opened(content, password)?, password)?,
            _ => return Err(KeyError::Unsupported("a public key instead of a password")),
        }
    }
    found.identity()
}

/// `ContentInfo`: what it is, and the content.
fn content_info<'a>(reader: &mut SliceReader<'a>) -> der::Result<(ObjectIdentifier, AnyRef<'a>)> {
    let whole: AnyRef<'a> = reader.decode()?;
    let mut inner = SliceReader::new(whole.value())?;
    Ok((inner.decode()?, explicit(&mut inner)?))
}

fn explicit<'a>(reader: &mut SliceReader<'a>) -> der::Result<AnyRef<'a>> {
    let content = ContextSpecific::<AnyRef<'a>>::decode_explicit(reader, EXPLICIT)?;
    content.map(|content| content.value).ok_or_else(|| der::ErrorKind::Failed.into())
}

fn check_mac(mac: AnyRef<'_>, content: &[u8], password: &str) -> Result<(), KeyError> {
    let parts = || {
        let mut inner = SliceReader::new(mac.value())?;
        let info: AnyRef<'_> = inner.decode()?;
        let salt: OctetStringRef<'_> = inner.decode()?;
        let rounds: u32 = if inner.is_finished() { 1 } else { inner.decode()? };
        let mut info = SliceReader::new(info.value())?;
        let hash: AnyRef<'_> = info.decode()?;
        let hash: ObjectIdentifier = SliceReader::new(hash.value())?.decode()?;
        let mac: OctetStringRef<'_> = info.decode()?;
        Ok::<_, der::Error>((hash, mac.as_bytes(), salt.as_bytes(), rounds))
    };
    let (hash, expected, salt, rounds) = parts().map_err(damaged)?;
    let (digest, hmac) = match hash {
        SHA1 => (&digest::SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        SHA256 => (&digest::SHA256, hmac::HMAC_SHA256),
        SHA384 => (&digest::SHA384, hmac::HMAC_SHA384),
        SHA512 => (&digest::SHA512, hmac::HMAC_SHA512),
        _ => return Err(KeyError::Unsupported("a MAC other than HMAC with SHA-1 or SHA-2")),
    };
    let key = sealed::derive(digest, password, salt, Purpose::Mac, rounds, digest.output_len())?;
    let whole = hmac::verify(&hmac::Key::new(hmac, &key), content, expected);
    whole.map_err(|_| if password.is_empty() { KeyError::NoPassword } else { KeyError::WrongPassword })
}

/// The bags of an `EncryptedData`.
fn opened(content: AnyRef<'_>, password: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut inner = SliceReader::new(content.value()).map_err(damaged)?;
    let _version: u8 = inner.decode().map_err(damaged)?;
    let info: AnyRef<'_> = inner.decode().map_err(damaged)?;
    let mut info = SliceReader::new(info.value()).map_err(damaged)?;
    let _kind: ObjectIdentifier = info.decode().map_err(damaged)?;
    let algorithm = Algorithm::read(&mut info).map_err(damaged)?;
    let sealed = ContextSpecific::<OctetStringRef<'_>>::decode_implicit(&mut info, EXPLICIT).map_err(damaged)?;
    let sealed = sealed.ok_or(KeyError::Damaged("a part of it is empty"))?;
    sealed::open(algorithm, sealed.value.as_bytes(), password)
}

impl Found {
    fn bags(&mut self, content: &[u8], password: &str) -> Result<(), KeyError> {
        let all = AnyRef::from_der(content).map_err(damaged)?;
        let mut all = SliceReader::new(all.value()).map_err(damaged)?;
        while !all.is_finished() {
            self.bags += 1;
            if self.bags > BAGS_MAX {
                return Err(KeyError::Damaged("it holds more than anybody needs"));
            }
            let bag: AnyRef<'_> = all.decode().map_err(damaged)?;
            let mut inner = SliceReader::new(bag.value()).map_err(damaged)?;
            let kind: ObjectIdentifier = inner.decode().map_err(damaged)?;
            let value = explicit(&mut inner).map_err(damaged)?;
            self.bag(kind, value, password)?;
        }
        Ok(())
    }

    fn bag(&mut self, kind: ObjectIdentifier, value: AnyRef<'_>, password: &str) -> Result<(), KeyError> {
        let pkcs8 = |bytes: &[u8]| PrivateKeyDer::from(PrivatePkcs8KeyDer::from(bytes.to_vec()));
        match kind {
            KEY_BAG => self.keys.push(pkcs8(&der_of(value)?)),
            SEALED_KEY_BAG => {
                let sealed = der_of(value)?;
                self.keys.push(pkcs8(&sealed::open_key(&sealed, Some(&password.into()))?));
            }
            CERTIFICATE_BAG => {
                let mut inner = SliceReader::new(value.value()).map_err(damaged)?;
                let kind: ObjectIdentifier = inner.decode().map_err(damaged)?;
                let certificate: OctetStringRef<'_> =
                    explicit(&mut inner).and_then(|any| any.decode_as()).map_err(damaged)?;
                if kind == X509 {
                    self.certificates.push(CertificateDer::from(certificate.as_bytes().to_vec()));
                }
            }
            // Revocation lists and secrets of other programs.
            _ => {}
        }
        Ok(())
    }

    /// The key's own certificate first, because files hold them in any order.
    fn identity(mut self) -> Result<Identity, KeyError> {
        let key = self.keys.pop().ok_or(KeyError::Missing("private key"))?;
        if !self.keys.is_empty() {
            return Err(KeyError::Damaged("it holds several keys, and nothing says which is meant"));
        }
        if self.certificates.is_empty() {
            return Err(KeyError::Missing("certificate"));
        }
        let signs =
            any_supported_type(&key).map_err(|_| KeyError::Damaged("its key is of a kind that TLS does not use"))?;
        let own = self
            .certificates
            .iter()
            .position(|certificate| CertifiedKey::new(vec![certificate.clone()], signs.clone()).keys_match().is_ok());
        let own =
            self.certificates.remove(own.ok_or(KeyError::Damaged("its key belongs to none of its certificates"))?);
        Ok(Identity { chain: [vec![own], self.certificates].concat(), key })
    }
}

/// A value with its tag and length again.
fn der_of(value: AnyRef<'_>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    der::Encode::to_der(&value).map(Zeroizing::new).map_err(damaged)
}
