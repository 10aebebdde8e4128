//! Idempotency keys are names, not dice and not counters.
//!
//! The same write has the same key after a crash, on another machine, a week later, or from a store that went back in
//! time. The version is part of the name because content alone is not enough: a record that changes A -> B -> A within
//! the vendor's memory would have its second A answered from that memory, and lost.

use sha2::{Digest, Sha256};

use super::{ContentHash, Key};

/// Names one write: 128 bits as 32 hexadecimal digits.
pub fn idempotency_key(connection: &str, operation: &str, key: &Key, content: &ContentHash, state: &str) -> String {
    name(&[connection.as_bytes(), operation.as_bytes(), key.as_str().as_bytes(), &content.0, state.as_bytes()])
}

/// Names a request that carries several writes, from their names in the order they are sent.
pub fn idempotency_key_of_batch<'a>(keys: impl Iterator<Item = &'a str>) -> String {
    let parts: Vec<&[u8]> = keys.map(str::as_bytes).collect();
    name(&parts)
}

fn name(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(record: &str, state: &str) -> String {
        idempotency_key("crm", "create", &Key::new(record), &ContentHash([7; 16]), state)
    }

    #[test]
    fn the_same_write_has_the_same_name_and_another_state_another() {
        assert_eq!(key("a", "1"), key("a", "1"));
        assert_ne!(key("a", "1"), key("a", "2"));
        assert_ne!(key("a", "1"), key("b", "1"));
        assert_eq!(key("a", "1").len(), 32);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(key("a1", "2"), key("a", "12"));
    }
}
