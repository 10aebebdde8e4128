//! Files that people keep keys and certificates in: PEM, keys sealed with a password, and PKCS#12. What comes out is DER
//! for those who sign with it; nothing here signs, and nothing of a key is ever part of an error.

mod certificate;
mod pkcs12;
mod sealed;

use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer,
    pem::{self, PemObject, SectionKind},
};
use secrecy::{ExposeSecret, SecretString};

pub use certificate::{Dates, dates};

/// Why a file's key or certificate cannot be used, in words that hold nothing of it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    #[error("it holds no {0}")]
    Missing(&'static str),
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    #[error("it is sealed with a password, and none is given")]
    NoPassword,
    #[error("the password does not open it")]
    WrongPassword,
    #[error("it is sealed with {0}, which is not supported; seal it anew with openssl's defaults")]
    Unsupported(&'static str),
}

/// A certificate with those that vouch for it, its own first, and its key.
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// The certificates of a PEM file, in their order.
pub fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, KeyError> {
    let all = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    match all {
        Ok(all) if all.is_empty() => Err(KeyError::Missing("certificate in PEM")),
        Ok(all) => Ok(all),
        Err(_) => Err(KeyError::Damaged("its PEM cannot be read")),
    }
}

/// The first private key of a PEM file, sealed or not.
pub fn private_key(text: &[u8], password: Option<&SecretString>) -> Result<PrivateKeyDer<'static>, KeyError> {
    // The old way of openssl has its cipher in a header, and what it seals looks like a plain key that is damaged.
    if text.windows(ENCRYPTED_HEADER.len()).any(|part| part == ENCRYPTED_HEADER) {
        return Err(KeyError::Unsupported("openssl's old PEM encryption"));
    }
    if let Some(sealed) = sealed_section(text) {
        let opened = sealed::open_key(&sealed, password)?;
        return Ok(PrivatePkcs8KeyDer::from(opened.to_vec()).into());
    }
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound => KeyError::Missing("private key in PEM"),
        _ => KeyError::Damaged("its PEM cannot be read"),
    })
}

const ENCRYPTED_HEADER: &[u8] = b"Proc-Type: 4,ENCRYPTED";

/// The content of an `ENCRYPTED PRIVATE KEY`, which the PEM reader knows no kind for.
fn sealed_section(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let (_, rest) = text.split_once("-----BEGIN ENCRYPTED PRIVATE KEY-----")?;
    let (body, _) = rest.split_once("-----END ENCRYPTED PRIVATE KEY-----")?;
    // Read as a kind of key that it is not: only the base64 counts.
    let renamed = format!("-----BEGIN PRIVATE KEY-----{body}-----END PRIVATE KEY-----\n");
    let mut lines = renamed.as_bytes();
    let (kind, content) = pem::from_buf(&mut lines).ok()??;
    (kind == SectionKind::PrivateKey).then_some(content)
}

/// The bits of a public key in PEM, as those who check signatures take them.
pub fn public_key(text: &[u8]) -> Result<Vec<u8>, KeyError> {
    let whole = SubjectPublicKeyInfoDer::from_pem_slice(text).map_err(|_| KeyError::Missing("public key in PEM"))?;
    certificate::public_key_bits(&whole)
}

/// A certificate and its key out of PKCS#12.
pub fn pkcs12(file: &[u8], password: Option<&SecretString>) -> Result<Identity, KeyError> {
    let password = password.map_or("", |password| password.expose_secret());
    pkcs12::read(file, password)
}
