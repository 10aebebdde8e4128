//! The texts that stand where a personal value stood, and the keys that make and open them.
//!
//! ```text
//!   rk:h1:<hash 16 bytes, check 4>                       a keyed hash
//!   rk:e1:<key id>:<fingerprint 24 bytes, sealed text>   an encrypted value
//! ```
//!
//! The hard idea is the fingerprint, a keyed hash of the value. It is the nonce, so that a value encrypted twice is the same text
//! and a retry sends the same bytes; a nonce that is a function of the text never meets another text, which XChaCha20 needs. And
//! it does not depend on the key of the ring: after a rotation the text is another one and the fingerprint the same, so a record
//! whose values are encrypted under another key is recognised as unchanged.
//!
//! The check lets a hash be recognised as one of ours. A text that only looks like one is not believed.

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::base32;
use crate::config::plan::PersonalKeys;

/// Begins every text of ours.
pub const OURS: &str = "rk:";
const HASH: &str = "rk:h1:";
const SEALED: &str = "rk:e1:";
const HASH_BYTES: usize = 16;
const CHECK_BYTES: usize = 4;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// The keys of a workspace, made ready.
pub struct Ring {
    /// The first one encrypts.
    keys: Vec<(String, XChaCha20Poly1305)>,
    hash: Prf,
    check: Prf,
    fingerprint: Prf,
    content: Prf,
    name: String,
}

/// Why a text is not opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Closed {
    /// The ring has no key of this id.
    NoKey(String),
    /// It was changed, cut, or encrypted with another key of the same id.
    Damaged,
}

impl Ring {
    pub fn new(keys: &PersonalKeys) -> Self {
        let root = Prf::new(keys.hash_key.expose());
        let derived = |label: &str| Prf::new(&root.of(&[label.as_bytes()]));
        let cipher = |key| XChaCha20Poly1305::new(<&[u8; 32]>::into(key));
        Self {
            keys: keys.ring.iter().map(|one| (one.id.clone(), cipher(one.key.expose()))).collect(),
            hash: derived("renkei personal hash 1"),
            check: derived("renkei personal check 1"),
            fingerprint: derived("renkei personal fingerprint 1"),
            content: derived("renkei personal content 1"),
            name: base32::encode(&root.of(&[b"renkei personal name 1"])[..10]),
        }
    }

    /// A short name of the hash key that tells nothing about it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hash of a value's text. `kind` keeps values apart that are written alike.
    pub fn hash(&self, kind: u8, text: &str) -> String {
        let whole = self.hash.of(&[&[kind], text.as_bytes()]);
        let hash = &whole[..HASH_BYTES];
        let check = &self.check.of(&[hash])[..CHECK_BYTES];
        format!("{HASH}{}", base32::encode(&[hash, check].concat()))
    }

    /// The encrypted form of a JSON text. Nothing without a key.
    pub fn close(&self, json: &str) -> Option<String> {
        let (id, cipher) = self.keys.first()?;
        let whole = self.fingerprint.of(&[json.as_bytes()]);
        let nonce: [u8; NONCE_BYTES] = *whole.first_chunk()?;
        let aad = aad(id);
        let sealed = cipher.encrypt(&XNonce::from(nonce), Payload { msg: json.as_bytes(), aad: &aad }).ok()?;
        Some(format!("{SEALED}{id}:{}", base32::encode(&[&nonce[..], &sealed].concat())))
    }

    /// The JSON text that a sealed one stands for.
    pub fn open(&self, sealed: &Sealed<'_>) -> Result<String, Closed> {
        let Some((id, cipher)) = self.keys.iter().find(|(id, _)| id == sealed.id) else {
            return Err(Closed::NoKey(sealed.id.to_owned()));
        };
        let (nonce, body) = sealed.bytes.split_first_chunk::<NONCE_BYTES>().ok_or(Closed::Damaged)?;
        let aad = aad(id);
        let opened = cipher.decrypt(&XNonce::from(*nonce), Payload { msg: body, aad: &aad });
        opened.ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(Closed::Damaged)
    }

    /// What names the value of a sealed text whatever key sealed it. Nothing for a text that is not known to be ours.
    pub fn stable(&self, sealed: &Sealed<'_>) -> Option<String> {
        self.open(sealed).ok()?;
        let nonce = sealed.bytes.first_chunk::<NONCE_BYTES>()?;
        // Nobody without the key can write this into a field of another state.
        Some(base32::encode(&self.content.of(&[nonce])))
    }

    /// Whether this hash key made the hash.
    pub fn made(&self, hash: &Hashed) -> bool {
        self.check.of(&[&hash.0[..HASH_BYTES]])[..CHECK_BYTES] == hash.0[HASH_BYTES..]
    }
}

/// A text that has the form of an encrypted value.
#[derive(Clone, Debug)]
pub struct Sealed<'a> {
    id: &'a str,
    bytes: Vec<u8>,
}

impl<'a> Sealed<'a> {
    pub fn parse(text: &'a str) -> Option<Self> {
        let (id, body) = text.strip_prefix(SEALED)?.split_once(':')?;
        let bytes = base32::decode(body).filter(|bytes| bytes.len() > NONCE_BYTES + TAG_BYTES)?;
        is_id(id).then_some(Self { id, bytes })
    }

    /// The id of the key that sealed it.
    pub fn id(&self) -> &'a str {
        self.id
    }

    /// Whether there may be one in a JSON text.
    pub fn may_be_in(json: &str) -> bool {
        json.contains(SEALED)
    }
}

/// A text that has the form of a hash.
pub struct Hashed(Vec<u8>);

impl Hashed {
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = base32::decode(text.strip_prefix(HASH)?)?;
        (bytes.len() == HASH_BYTES + CHECK_BYTES).then_some(Self(bytes))
    }
}

/// The id is part of what is sealed, so that it cannot be exchanged.
fn aad(id: &str) -> Vec<u8> {
    [SEALED.as_bytes(), id.as_bytes()].concat()
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

/// A keyed function to 32 bytes that nobody without the key can tell from chance: HMAC-SHA256.
struct Prf(Hmac<Sha256>);

impl Prf {
    fn new(key: &[u8; 32]) -> Self {
        // HMAC fills a shorter key up with zeros itself; this length can be no other.
        let mut block = [0; 64];
        block[..32].copy_from_slice(key);
        Self(Hmac::new(&block.into()))
    }

    fn of(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::{config::plan::RingKey, model::SecretKey};

    /// A ring with the hash key of this digit and ring keys of these ids and digits.
    pub fn keys(hash: char, ring: &[(&str, char)]) -> PersonalKeys {
        let key = |digit: char| SecretKey::parse(&digit.to_string().repeat(64)).unwrap();
        let ring = ring.iter().map(|(id, digit)| RingKey { id: (*id).to_owned(), key: key(*digit) }).collect();
        PersonalKeys { hash_key: key(hash), ring }
    }

    fn ring(hash: char, ring: &[(&str, char)]) -> Ring {
        Ring::new(&keys(hash, ring))
    }

    fn sealed(text: &str) -> Sealed<'_> {
        Sealed::parse(text).unwrap()
    }

    #[test]
    fn a_value_has_one_text_under_a_key_and_another_one_under_the_next() {
        let (old, new) = (ring('a', &[("k1", '1')]), ring('a', &[("k2", '2'), ("k1", '1')]));
        let before = old.close("\"ann@x.example\"").unwrap();
        assert_eq!(before, old.close("\"ann@x.example\"").unwrap());
        assert!(before.starts_with("rk:e1:k1:") && !before.contains("ann"), "{before}");
        let after = new.close("\"ann@x.example\"").unwrap();
        assert_ne!(before.strip_prefix("rk:e1:k1:"), after.strip_prefix("rk:e1:k2:"));
        for text in [&before, &after] {
            assert_eq!(new.open(&sealed(text)).unwrap(), "\"ann@x.example\"");
        }
        assert_eq!(new.stable(&sealed(&before)), new.stable(&sealed(&after)));
        assert_ne!(new.stable(&sealed(&before)), new.stable(&sealed(&new.close("\"bob\"").unwrap())));
        assert_eq!(old.open(&sealed(&after)), Err(Closed::NoKey("k2".to_owned())));
        assert_eq!(old.stable(&sealed(&after)), None);
    }

    #[test]
    fn what_was_changed_anywhere_or_sealed_by_another_key_of_the_id_is_damaged() {
        let ring_ab = ring('a', &[("a", '1'), ("b", '1')]);
        let text = ring_ab.close("\"ann\"").unwrap();
        let other_id = text.replacen(":a:", ":b:", 1);
        assert_eq!(ring_ab.open(&sealed(&other_id)), Err(Closed::Damaged));
        assert_eq!(ring('a', &[("a", '2')]).open(&sealed(&text)), Err(Closed::Damaged));
        for at in "rk:e1:a:".len()..text.len() {
            let other = if text.as_bytes()[at] == b'a' { 'b' } else { 'a' };
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            let opened = Sealed::parse(&changed).map(|changed| ring_ab.open(&changed));
            assert!(opened.is_none_or(|opened| opened == Err(Closed::Damaged)), "character {at}");
        }
    }

    #[test]
    fn a_hash_depends_on_its_key_and_is_known_to_be_ours() {
        let (one, other) = (ring('a', &[]), ring('b', &[]));
        let hash = one.hash(b's', "ann@x.example");
        assert_eq!(hash, one.hash(b's', "ann@x.example"));
        assert_eq!(hash.len(), "rk:h1:".len() + 32);
        assert!(hash != other.hash(b's', "ann@x.example") && hash != one.hash(b'j', "ann@x.example"));
        let parsed = Hashed::parse(&hash).unwrap();
        assert!(one.made(&parsed) && !other.made(&parsed));
        let forged = format!("rk:h1:{}", "a".repeat(32));
        assert!(!one.made(&Hashed::parse(&forged).unwrap()));
        assert_ne!(one.name(), other.name());
    }

    #[test]
    fn only_texts_of_the_very_form_are_parsed() {
        let text = ring('a', &[("k", '1')]).close("\"ann\"").unwrap();
        for bad in
            ["rk:e1:", "rk:e1:k:", "rk:e1::aa", &text.to_uppercase(), &text.replace(":k:", ":K:"), "rk:e1:k:abcd"]
        {
            assert!(Sealed::parse(bad).is_none(), "{bad}");
        }
        for bad in ["rk:h1:", "rk:h1:ann@x.example", "rk:h2:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert!(Hashed::parse(bad).is_none(), "{bad}");
        }
    }
}
