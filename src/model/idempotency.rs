//! Idempotency keys are names, not dice and not counters.
//!
//! The same write has the same key after a crash, on another machine, a week later, or from a store that went back in
//! time. The version is part of the name because content alone is not enough: a record that changes A -> B -> A within
//! the vendor's memory would have its second A answered from that memory, and lost.

use sha2::{Digest, Sha256};

use super::{Code, ContentHash, Key};

/// Names one write: 128 bits as 32 hexadecimal digits.
pub fn idempotency_key(connection: &str, operation: &str, key: &Key, content: &ContentHash, state: &str) -> String {
    name(&[connection.as_bytes(), operation.as_bytes(), key.as_str().as_bytes(), &content.0, state.as_bytes()])
}

/// Names a request that carries several writes, from their names in the order they are sent.
pub fn idempotency_key_of_batch<'a>(keys: impl Iterator<Item = &'a str>) -> String {
    let parts: Vec<&[u8]> = keys.map(str::as_bytes).collect();
    name(&parts)
}

/// Names the refusal of a record: the same record, refused for the same reason again, has the same name. 80 bits as 20
/// hexadecimal digits, because people type it.
pub fn letter_name(pipeline: &str, stream: &str, key: Option<&Key>, content: &ContentHash, code: Code) -> String {
    let key: &[u8] = key.map_or(b"-", |key| key.as_str().as_bytes());
    let mut name = name(&[pipeline.as_bytes(), stream.as_bytes(), key, &content.0, &code.number().to_be_bytes()]);
    name.truncate(20);
    name
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
    fn a_refusal_is_named_by_its_record_and_its_code_and_not_by_when_it_happened() {
        let named = |key: Option<&str>, content, code| {
            letter_name("leads", "customers", key.map(Key::new).as_ref(), &ContentHash([content; 16]), code)
        };
        let name = named(Some("a"), 1, Code::RecordRefused);
        assert_eq!((name.len(), &name), (20, &named(Some("a"), 1, Code::RecordRefused)));
        for other in [
            named(Some("b"), 1, Code::RecordRefused),
            named(None, 1, Code::RecordRefused),
            named(Some("a"), 2, Code::RecordRefused),
            named(Some("a"), 1, Code::KeyExpired),
        ] {
            assert_ne!(name, other);
        }
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(key("a1", "2"), key("a", "12"));
    }
}
