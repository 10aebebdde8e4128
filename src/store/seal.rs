//! Seals tokens and payloads before they enter a store, so that a copied state directory without its key tells nothing.
//!
//! XChaCha20-Poly1305 with a random nonce of 192 bits: random nonces never meet at any volume one store can hold, so no
//! counter has to survive a store that goes back. Tree and key are authenticated with the value, so a sealed value
//! cannot be moved to another place. The key's id stands in front, so that a wrong key is told from a damaged value, and
//! so that keys can be changed later.

use std::{fs, io, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Error, Tree, files};
use crate::model::SecretKey;

const PLAIN: u8 = 0;
const SEALED: u8 = 1;
const ID_BYTES: usize = 4;
const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;

/// 256 bits that open everything sealed with them. It cannot be printed.
pub struct SealKey(SecretKey);

impl SealKey {
    /// Reads a key as people hand it over: base64 of 32 bytes, or 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, Error> {
        SecretKey::parse(text).map(Self).ok_or_else(|| Error::SealKey {
            what: "the key is neither base64 of 32 bytes nor 64 hexadecimal digits".to_owned(),
        })
    }

    /// Reads the key file of a state directory, or makes one with a fresh key that only this user can read. Called by
    /// the process that holds the store's lock, so that two never make one at a time.
    pub fn of_dir(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("key");
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&Zeroizing::new(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut bytes = Zeroizing::new([0; KEY_BYTES]);
                random(&mut *bytes)?;
                let text = Zeroizing::new(STANDARD.encode(bytes.as_slice()) + "\n");
                files::make_dir(dir)
                    .and_then(|()| files::write_atomically(&path, text.as_bytes(), files::PRIVATE))
                    .map_err(|source| Error::io(dir, "write", &path, source))?;
                Self::parse(&text)
            }
            Err(error) => Err(Error::io(dir, "read", &path, error)),
        }
    }

    /// The key that signs the audit log of this state directory.
    pub fn audit_key(&self) -> SecretKey {
        self.0.derived("renkei audit log")
    }

    /// A short name of the key that tells nothing about it.
    fn id(&self) -> [u8; ID_BYTES] {
        let digest = Sha256::new().chain_update(b"renkei key id").chain_update(self.0.expose()).finalize();
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&digest[..ID_BYTES]);
        id
    }
}

/// Seals with one key.
pub struct Seal(Option<(XChaCha20Poly1305, [u8; ID_BYTES])>);

impl Seal {
    pub fn new(key: &SealKey) -> Self {
        Self(Some((XChaCha20Poly1305::new(key.0.expose().into()), key.id())))
    }

    /// Seals nothing. For stores in memory, whose bytes a seeded history must be able to repeat.
    pub fn plain() -> Self {
        Self(None)
    }

    /// Seals a value for one place.
    pub fn close(&self, tree: Tree, key: &[u8], value: &[u8]) -> Result<Vec<u8>, Error> {
        let Some((cipher, id)) = &self.0 else { return Ok([&[PLAIN], value].concat()) };
        let mut nonce = [0; NONCE_BYTES];
        random(&mut nonce)?;
        let place = place(tree, key, id);
        let sealed = cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: value, aad: &place })
            .map_err(|_| Error::SealKey { what: "the value is too long to be sealed".to_owned() })?;
        Ok([&[SEALED], &id[..], &nonce, &sealed].concat())
    }

    /// Opens what was sealed for this place. A keyed seal never opens what was not sealed.
    pub fn open(&self, tree: Tree, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let refused = |what: String| Error::SealKey { what };
        match (&self.0, sealed.split_first()) {
            (None, Some((&PLAIN, value))) => Ok(value.to_vec()),
            (None, _) => Err(refused("it was sealed with a key, and none is at hand".to_owned())),
            (Some((cipher, id)), Some((&SEALED, rest))) => {
                let cut = || refused("it is too short".to_owned());
                let (of, rest) = rest.split_first_chunk::<ID_BYTES>().ok_or_else(cut)?;
                if of != id {
                    let names = format!("key {} sealed it, and key {} is at hand", name(of), name(id));
                    return Err(refused(names));
                }
                let (nonce, body) = rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(cut)?;
                cipher
                    .decrypt(&XNonce::from(*nonce), Payload { msg: body, aad: &place(tree, key, id) })
                    .map_err(|_| refused("it was changed, or moved from another place".to_owned()))
            }
            (Some(_), _) => Err(refused("it was never sealed".to_owned())),
        }
    }
}

/// What is authenticated beside the value.
fn place(tree: Tree, key: &[u8], id: &[u8]) -> Vec<u8> {
    [&[SEALED], id, tree.name().as_bytes(), &[0], key].concat()
}

fn name(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn random(bytes: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(bytes)
        .map_err(|error| Error::SealKey { what: format!("the system gives no random bytes: {error}") })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::model::Code;

    fn key(digit: char) -> SealKey {
        SealKey::parse(&digit.to_string().repeat(64)).unwrap()
    }

    #[test]
    fn a_sealed_value_opens_only_in_its_place_and_with_its_key() {
        let seal = Seal::new(&key('a'));
        let sealed = seal.close(Tree::Tokens, b"crm", b"secret token").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"secret"));
        assert_eq!(seal.open(Tree::Tokens, b"crm", &sealed).unwrap(), b"secret token");
        for (tree, at) in [(Tree::Tokens, b"shop".as_slice()), (Tree::Outbox, b"crm")] {
            assert_eq!(seal.open(tree, at, &sealed).unwrap_err().code(), Code::SealKey);
        }
        let wrong = Seal::new(&key('b')).open(Tree::Tokens, b"crm", &sealed).unwrap_err();
        assert_eq!(wrong.code(), Code::SealKey);
        assert!(wrong.to_string().contains("is at hand"), "{wrong}");
    }

    #[test]
    fn every_changed_byte_and_every_cut_is_refused() {
        let seal = Seal::new(&key('a'));
        let sealed = seal.close(Tree::Tokens, b"crm", b"token").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(seal.open(Tree::Tokens, b"crm", &changed).is_err(), "byte {at}");
            assert!(seal.open(Tree::Tokens, b"crm", &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn the_same_value_is_sealed_differently_each_time() {
        let seal = Seal::new(&key('a'));
        assert_ne!(seal.close(Tree::Meta, b"k", b"v").unwrap(), seal.close(Tree::Meta, b"k", b"v").unwrap());
    }

    #[test]
    fn plain_and_sealed_do_not_open_each_other() {
        let (plain, seal) = (Seal::plain(), Seal::new(&key('a')));
        let open = plain.close(Tree::Meta, b"k", b"v").unwrap();
        assert_eq!(plain.open(Tree::Meta, b"k", &open).unwrap(), b"v");
        assert!(seal.open(Tree::Meta, b"k", &open).is_err());
        assert!(plain.open(Tree::Meta, b"k", &seal.close(Tree::Meta, b"k", b"v").unwrap()).is_err());
    }

    #[test]
    fn a_directory_gets_one_key_that_only_its_owner_reads() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("state");
        let first = SealKey::of_dir(&dir).unwrap();
        assert_eq!(fs::metadata(dir.join("key")).unwrap().permissions().mode() & 0o777, 0o600);
        let sealed = Seal::new(&first).close(Tree::Meta, b"k", b"v").unwrap();
        assert_eq!(Seal::new(&SealKey::of_dir(&dir).unwrap()).open(Tree::Meta, b"k", &sealed).unwrap(), b"v");
        fs::write(dir.join("key"), "half a k").unwrap();
        assert!(matches!(SealKey::of_dir(&dir), Err(Error::SealKey { .. })));
    }

    #[test]
    fn a_key_is_read_from_base64_and_from_hexadecimal_digits() {
        let base64 = STANDARD.encode([0xab; 32]);
        assert_eq!(SealKey::parse(&base64).unwrap().id(), SealKey::parse(&"aB".repeat(32)).unwrap().id());
        for bad in ["", "short", &"ab".repeat(31), &"zz".repeat(32)] {
            assert!(SealKey::parse(bad).is_err(), "{bad}");
        }
    }
}
