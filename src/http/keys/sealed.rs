//! What is sealed with a password: PKCS#8 keys (RFC 5958) and the parts of a PKCS#12 file. Two families: PBES2 (RFC 8018),
//! which is what every tool makes today, and the schemes of PKCS#12 itself (RFC 7292, appendix B), which older ones and
//! some vendors' certificate portals still make.

use std::num::NonZeroU32;

use aes::cipher::{BlockModeDecrypt, InnerIvInit, InvalidLength, KeyIvInit, block_padding::Pkcs7};
use cbc::Decryptor;
use der::{
    Decode, Reader, SliceReader, Tag, Tagged,
    asn1::{AnyRef, ObjectIdentifier, OctetStringRef},
};
use ring::{digest, pbkdf2};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::KeyError;

/// More rounds would only keep us busy.
const ROUNDS_MAX: u32 = 10_000_000;

const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
const PBKDF2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.12");
const SCRYPT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11591.4.11");
const AES_128: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.2");
const AES_192: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.22");
const AES_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.42");
const DES_EDE3: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.3.7");
const HMAC_SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.7");
const HMAC_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.9");
const HMAC_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.10");
const HMAC_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.11");
const SHA_3DES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.3");
const SHA_RC2_128: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.5");
const SHA_RC2_40: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.6");

/// An algorithm with its parameters.
#[derive(Clone, Copy)]
pub struct Algorithm<'a> {
    oid: ObjectIdentifier,
    parameters: AnyRef<'a>,
}

impl<'a> Algorithm<'a> {
    pub fn read(reader: &mut SliceReader<'a>) -> der::Result<Self> {
        Self::of(reader.decode()?)
    }

    fn of(any: AnyRef<'a>) -> der::Result<Self> {
        let mut inner = SliceReader::new(any.value())?;
        let oid = inner.decode()?;
        let parameters = if inner.is_finished() { AnyRef::NULL } else { inner.decode()? };
        Ok(Self { oid, parameters })
    }
}

/// Opens an `EncryptedPrivateKeyInfo`; what comes out is PKCS#8.
pub fn open_key(sealed: &[u8], password: Option<&SecretString>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let password = password.ok_or(KeyError::NoPassword)?.expose_secret();
    let parts = || {
        let whole = AnyRef::from_der(sealed)?;
        let mut inner = SliceReader::new(whole.value())?;
        let algorithm = Algorithm::read(&mut inner)?;
        let content: OctetStringRef<'_> = inner.decode()?;
        Ok::<_, der::Error>((algorithm, content.as_bytes()))
    };
    let (algorithm, content) = parts().map_err(|_| KeyError::Damaged("its sealed key cannot be read"))?;
    open(algorithm, content, password)
}

/// Opens what an algorithm sealed with a password. A wrong password shows as bad padding, or as content that makes no
/// sense to the caller.
pub fn open(algorithm: Algorithm<'_>, content: &[u8], password: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    match algorithm.oid {
        PBES2 => open_pbes2(algorithm.parameters, content, password),
        SHA_3DES | SHA_RC2_128 | SHA_RC2_40 => {
            let (salt, rounds) = salt_and_rounds(algorithm.parameters).map_err(bad_parameters)?;
            let (cipher, key_bytes) = match algorithm.oid {
                SHA_3DES => (Cipher::TripleDes, 24),
                SHA_RC2_128 => (Cipher::Rc2 { bits: 128 }, 16),
                _ => (Cipher::Rc2 { bits: 40 }, 5),
            };
            let derive =
                |purpose, bytes| derive(&digest::SHA1_FOR_LEGACY_USE_ONLY, password, salt, purpose, rounds, bytes);
            decrypt(cipher, &derive(Purpose::Key, key_bytes)?, &derive(Purpose::Iv, 8)?, content)
        }
        _ => Err(KeyError::Unsupported("a scheme that is not known here")),
    }
}

#[derive(Clone, Copy)]
enum Cipher {
    Aes128,
    Aes192,
    Aes256,
    TripleDes,
    Rc2 { bits: usize },
}

fn bad_parameters<E>(_: E) -> KeyError {
    KeyError::Damaged("the parameters of its seal cannot be read")
}

fn open_pbes2(parameters: AnyRef<'_>, content: &[u8], password: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut inner = SliceReader::new(parameters.value()).map_err(bad_parameters)?;
    let derivation = Algorithm::read(&mut inner).map_err(bad_parameters)?;
    let cipher = Algorithm::read(&mut inner).map_err(bad_parameters)?;
    let iv: OctetStringRef<'_> = cipher.parameters.decode_as().map_err(bad_parameters)?;
    let (cipher, key_bytes) = match cipher.oid {
        AES_128 => (Cipher::Aes128, 16),
        AES_192 => (Cipher::Aes192, 24),
        AES_256 => (Cipher::Aes256, 32),
        DES_EDE3 => (Cipher::TripleDes, 24),
        _ => return Err(KeyError::Unsupported("a cipher other than AES and triple DES in CBC")),
    };
    match derivation.oid {
        PBKDF2 => {}
        SCRYPT => return Err(KeyError::Unsupported("scrypt")),
        _ => return Err(KeyError::Unsupported("a key derivation other than PBKDF2")),
    }
    let (salt, rounds, hash) = pbkdf2_parameters(derivation.parameters).map_err(bad_parameters)?;
    let rounds = NonZeroU32::new(rounds).filter(|rounds| rounds.get() <= ROUNDS_MAX);
    let rounds = rounds.ok_or(KeyError::Damaged("its number of rounds makes no sense"))?;
    let hash = match hash {
        HMAC_SHA1 => pbkdf2::PBKDF2_HMAC_SHA1,
        HMAC_SHA256 => pbkdf2::PBKDF2_HMAC_SHA256,
        HMAC_SHA384 => pbkdf2::PBKDF2_HMAC_SHA384,
        HMAC_SHA512 => pbkdf2::PBKDF2_HMAC_SHA512,
        _ => return Err(KeyError::Unsupported("a hash other than SHA-1 and SHA-2")),
    };
    let mut key = Zeroizing::new(vec![0; key_bytes]);
    pbkdf2::derive(hash, rounds, salt, password.as_bytes(), &mut key);
    decrypt(cipher, &key, iv.as_bytes(), content)
}

fn pbkdf2_parameters(how: AnyRef<'_>) -> der::Result<(&[u8], u32, ObjectIdentifier)> {
    let mut inner = SliceReader::new(how.value())?;
    let salt: OctetStringRef<'_> = inner.decode()?;
    let rounds = inner.decode()?;
    let mut hash = HMAC_SHA1;
    while !inner.is_finished() {
        // A key length may stand before the hash, and says nothing that the cipher does not say.
        let part: AnyRef<'_> = inner.decode()?;
        if part.tag() == Tag::Sequence {
            hash = Algorithm::of(part)?.oid;
        }
    }
    Ok((salt.as_bytes(), rounds, hash))
}

fn salt_and_rounds(parameters: AnyRef<'_>) -> der::Result<(&[u8], u32)> {
    let mut inner = SliceReader::new(parameters.value())?;
    let salt: OctetStringRef<'_> = inner.decode()?;
    Ok((salt.as_bytes(), inner.decode()?))
}

fn decrypt(cipher: Cipher, key: &[u8], iv: &[u8], content: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let mut buffer = Zeroizing::new(content.to_vec());
    let length = match cipher {
        Cipher::Aes128 => unsealed(Decryptor::<aes::Aes128>::new_from_slices(key, iv), &mut buffer)?,
        Cipher::Aes192 => unsealed(Decryptor::<aes::Aes192>::new_from_slices(key, iv), &mut buffer)?,
        Cipher::Aes256 => unsealed(Decryptor::<aes::Aes256>::new_from_slices(key, iv), &mut buffer)?,
        Cipher::TripleDes => unsealed(Decryptor::<des::TdesEde3>::new_from_slices(key, iv), &mut buffer)?,
        Cipher::Rc2 { bits } => {
            let cipher = rc2::Rc2::new_with_eff_key_len(key, bits);
            unsealed(Decryptor::inner_iv_slice_init(cipher, iv), &mut buffer)?
        }
    };
    buffer.truncate(length);
    Ok(buffer)
}

/// Decrypts in place and returns the length without padding.
fn unsealed<D: BlockModeDecrypt>(mode: Result<D, InvalidLength>, buffer: &mut [u8]) -> Result<usize, KeyError> {
    let opened = mode.map_err(bad_parameters)?.decrypt_padded::<Pkcs7>(buffer);
    opened.map(<[u8]>::len).map_err(|_| KeyError::WrongPassword)
}

/// What derived bytes are for: RFC 7292, B.3.
#[derive(Clone, Copy)]
pub enum Purpose {
    Key = 1,
    Iv = 2,
    Mac = 3,
}

/// RFC 7292, B.2: bytes from a password in the way of PKCS#12. The names of the bytes are those of the standard.
pub fn derive(
    hash: &'static digest::Algorithm,
    password: &str,
    salt: &[u8],
    purpose: Purpose,
    rounds: u32,
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    if rounds == 0 || rounds > ROUNDS_MAX {
        return Err(KeyError::Damaged("its number of rounds makes no sense"));
    }
    let block = hash.block_len();
    let password: Zeroizing<Vec<u8>> =
        Zeroizing::new(password.encode_utf16().chain([0]).flat_map(u16::to_be_bytes).collect());
    let filled = |part: &[u8]| -> Vec<u8> {
        let bytes = part.len().div_ceil(block) * block;
        part.iter().copied().cycle().take(bytes).collect()
    };
    let mut input = Zeroizing::new([filled(salt), filled(&password)].concat());
    let diversifier = vec![purpose as u8; block];
    let mut out = Zeroizing::new(Vec::with_capacity(length));
    while out.len() < length {
        let mut context = digest::Context::new(hash);
        context.update(&diversifier);
        context.update(&input);
        let mut a = context.finish();
        for _ in 1..rounds {
            a = digest::digest(hash, a.as_ref());
        }
        let wanted = (length - out.len()).min(a.as_ref().len());
        out.extend_from_slice(&a.as_ref()[..wanted]);
        let b = filled(a.as_ref());
        for part in input.chunks_mut(block) {
            add_one_and(part, &b[..block]);
        }
    }
    Ok(out)
}

/// `part = part + b + 1`, as large numbers that wrap.
fn add_one_and(part: &mut [u8], b: &[u8]) {
    let mut carry = 1_u16;
    for (byte, added) in part.iter_mut().zip(b).rev() {
        let sum = u16::from(*byte) + u16::from(*added) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
}
