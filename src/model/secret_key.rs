//! 256 bits as people hand them over: base64 of 32 bytes, or 64 hexadecimal digits. A key cannot be printed and is wiped when
//! it goes.

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretBox};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const BYTES: usize = 32;

#[derive(Debug)]
pub struct SecretKey(SecretBox<[u8; BYTES]>);

impl SecretKey {
    /// Nothing for a text that is neither form of 32 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bytes = Zeroizing::new(match hex(text) {
            Some(bytes) => bytes,
            None => STANDARD.decode(text).unwrap_or_default(),
        });
        let bytes = <[u8; BYTES]>::try_from(bytes.as_slice()).ok()?;
        Some(Self(SecretBox::new(Box::new(bytes))))
    }

    /// Another key for another purpose. Who has it does not have this one.
    pub fn derived(&self, purpose: &str) -> Self {
        let digest = Sha256::new().chain_update(purpose).chain_update([0]).chain_update(self.expose()).finalize();
        Self(SecretBox::new(Box::new(digest.into())))
    }

    pub fn expose(&self) -> &[u8; BYTES] {
        self.0.expose_secret()
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    from_hex(text).filter(|bytes| bytes.len() == BYTES)
}

/// Reads hexadecimal digits, two for each byte.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_base64_and_from_hexadecimal_digits_and_never_shown() {
        let base64 = SecretKey::parse(&STANDARD.encode([0xab; BYTES])).unwrap();
        let hex = SecretKey::parse(&"aB".repeat(BYTES)).unwrap();
        assert_eq!(base64.expose(), hex.expose());
        assert!(!format!("{hex:?}").to_lowercase().contains("ab, ") && !format!("{hex:?}").contains("171"), "{hex:?}");
        let derived = [hex.derived("a"), hex.derived("a"), hex.derived("b")].map(|key| *key.expose());
        assert!(derived[0] == derived[1] && derived[0] != derived[2] && derived[0] != *hex.expose());
        for bad in ["", "short", &"ab".repeat(31), &"zz".repeat(BYTES), &"é".repeat(BYTES)] {
            assert!(SecretKey::parse(bad).is_none(), "{bad}");
        }
    }
}
