//! Personal fields: what stands in a record in place of a value that is somebody's own business.
//!
//! Rules are applied where a record is read, before anything else sees it; so steps, mapping, store, logs and plans hold protected
//! values without knowing it, and only a sink that was declared to need it opens one again ([`Personal::open`]).
//!
//! The hard idea is what has been protected already. A source is never believed: whatever it sends at a rule's place is protected,
//! also a text that looks as if it were. Records that come back from our own store, for a replay or an edit, are recognised by
//! what nobody without the keys can make, and only what is still clear is protected ([`Personal::stored`]).

mod base32;
mod ring;
mod walk;

use std::{convert::Infallible, fmt};

use bytes::Bytes;
use serde_json::value::RawValue;

use ring::{Closed, Hashed, OURS, Ring, Sealed};
use walk::json_text;

use crate::{
    config::plan::{self, PersonalRule, Protect},
    model::{Code, ContentHash, Fields, Key, Path, Reason, Step},
};

/// What stands where a text was masked.
const MASK: &str = "***";
/// A value that is no list or object: its text is what counts, whether it was written as text or number.
const SCALAR: u8 = b's';
const STRUCTURE: u8 = b'j';

/// The rules of a pipeline, ready to be applied. Without rules nothing is looked at.
#[derive(Default)]
pub struct Personal {
    rules: Vec<PersonalRule>,
    /// Those of the stream that tells what is gone.
    tombstones: Vec<PersonalRule>,
    hashed_key: Vec<bool>,
    clear: Vec<Path>,
    clear_gone: Vec<Path>,
    ring: Option<Ring>,
}

impl fmt::Debug for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Personal").field("rules", &self.rules).field("clear", &self.clear).finish_non_exhaustive()
    }
}

impl Personal {
    pub fn new(plan: &plan::Personal) -> Self {
        Self {
            rules: plan.rules.clone(),
            tombstones: plan.tombstones.clone(),
            hashed_key: plan.hashed_key.clone(),
            clear: plan.clear.clone(),
            clear_gone: plan.clear_gone.clone(),
            ring: plan.keys.as_deref().map(Ring::new),
        }
    }

    /// For the listing that tells what is gone. It is only read.
    pub fn of_tombstones(plan: &plan::Personal) -> Self {
        Self { rules: plan.tombstones.clone(), ..Self::new(plan) }
    }

    /// For the listing that tells what exists.
    pub fn of_existing(plan: &plan::Personal) -> Self {
        Self { rules: plan.existing.clone(), ..Self::new(plan) }
    }

    /// Nothing is protected and nothing opened.
    pub fn is_idle(&self) -> bool {
        self.rules.is_empty()
    }

    /// A name of the hash key, where hashes or fingerprints are made with one.
    pub fn hash_key(&self) -> Option<&str> {
        let needed = self.rules.iter().chain(&self.tombstones).any(|rule| rule.protect.needs_keys());
        self.ring.as_ref().filter(|_| needed).map(Ring::name)
    }

    /// Which fields of the record's key are hashed.
    pub fn hashed_key(&self) -> &[bool] {
        &self.hashed_key
    }

    /// The places of a record's protected fields.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.rules.iter().map(|rule| &rule.path)
    }

    /// The mapped fields that the sink gets in the clear.
    pub fn opened_paths(&self) -> impl Iterator<Item = &Path> {
        self.clear.iter()
    }

    /// Protects a record as it was read. Of an item that is no object nobody can say where its fields are, so nothing of it is
    /// kept.
    pub fn read(&self, fields: Fields, is_object: bool) -> Fields {
        if self.is_idle() {
            return fields;
        }
        if !is_object {
            let masked = walk::fields(fields.as_str(), |_, raw| Ok::<_, Infallible>(Some(mask(raw))));
            let Ok(masked) = masked;
            return masked.map_or(fields, object);
        }
        let Ok(new) =
            self.each(&self.rules, &fields, |protect, raw| Ok::<_, Infallible>(Some(self.protected(protect, raw))));
        new.unwrap_or(fields)
    }

    /// Protects what is still clear in a record of our own store: of before the rule, or as a person edited it. `gone`: it is a
    /// tombstone, of whichever stream.
    pub fn stored(&self, fields: Fields, gone: bool) -> Result<Fields, Reason> {
        let rules: &[PersonalRule] = if gone { &self.tombstones } else { &[] };
        [&self.rules, rules].into_iter().try_fold(fields, |fields, rules| {
            let new = self.each(rules, &fields, |protect, raw| match self.known(protect, raw)? {
                true => Ok(None),
                false => Ok(Some(self.protected(protect, raw))),
            })?;
            Ok(new.unwrap_or(fields))
        })
    }

    /// The name of a record whose key has hashed fields.
    pub fn key(&self, key: Key) -> Key {
        let Some(ring) = self.ring.as_ref().filter(|_| self.hashed_key.contains(&true)) else { return key };
        if self.hashed_key.len() == 1 {
            return Key::new(ring.hash(SCALAR, key.as_str()));
        }
        let parts: Vec<&RawValue> = serde_json::from_str(key.as_str()).unwrap_or_default();
        let part = |(raw, is_hashed): (&&RawValue, &bool)| match is_hashed {
            true => json_text(&ring.hash(SCALAR, &scalar(raw.get()))),
            false => raw.get().to_owned(),
        };
        Key::new(format!("[{}]", parts.iter().zip(&self.hashed_key).map(part).collect::<Vec<_>>().join(",")))
    }

    /// Whether a person who typed this key copied a hashed one.
    pub fn is_hashed(&self, key: &Key) -> bool {
        let parts: Vec<&RawValue> = serde_json::from_str(key.as_str()).unwrap_or_default();
        match self.hashed_key.len() {
            0 | 1 => is_hash(key.as_str()),
            _ => parts.iter().any(|part| text_of(part.get()).is_some_and(is_hash)),
        }
    }

    /// Names the content of mapped fields. Which key of the ring encrypted a value is no part of it.
    pub fn content(&self, fields: &Fields) -> ContentHash {
        let rules = || self.rules.iter().chain(&self.tombstones);
        let encrypts = || rules().any(|rule| rule.protect == Protect::Encrypt);
        let Some(ring) = self.ring.as_ref().filter(|_| encrypts() && Sealed::may_be_in(fields.as_str())) else {
            return ContentHash::of(fields);
        };
        let Ok(stable) = walk::texts(fields.as_str(), &mut |raw| {
            let sealed = text_of(raw).and_then(Sealed::parse);
            Ok::<_, Infallible>(sealed.and_then(|sealed| ring.stable(&sealed)).map(|name| json_text(&name)))
        });
        stable.map_or_else(|| ContentHash::of(fields), |stable| ContentHash::of(&object(stable)))
    }

    /// Whether the sink gets anything in the clear.
    pub fn opens(&self) -> bool {
        !self.clear.is_empty() || !self.clear_gone.is_empty()
    }

    fn clear(&self, gone: bool) -> &[Path] {
        if gone { &self.clear_gone } else { &self.clear }
    }

    /// The mapped fields of a record, or of a deletion, as the sink is to get them. A value that cannot be opened is a reason to
    /// hold the record back.
    pub fn open(&self, fields: &Fields, gone: bool) -> Result<Fields, Reason> {
        let mut opened = fields.clone();
        for path in self.clear(gone) {
            let new = walk::rewrite(opened.as_str(), path.steps(), &mut |raw| self.opened(path, raw))?;
            opened = new.map_or(opened, object);
        }
        Ok(opened)
    }

    /// The texts and numbers of opened fields that were protected. They must not be shown.
    pub fn opened_values(&self, opened: &Fields, gone: bool) -> Vec<String> {
        let mut values = Vec::new();
        for path in self.clear(gone) {
            let Ok(_) = walk::rewrite(opened.as_str(), path.steps(), &mut |raw| {
                collect(raw, &mut values);
                Ok::<_, Infallible>(None)
            });
        }
        values
    }

    /// What `leaf` makes of each value that a rule is about.
    fn each<E>(
        &self,
        rules: &[PersonalRule],
        fields: &Fields,
        mut leaf: impl FnMut(Protect, &str) -> Result<Option<String>, E>,
    ) -> Result<Option<Fields>, E> {
        if rules.is_empty() {
            return Ok(None);
        }
        let new = walk::fields(fields.as_str(), |name, raw| {
            let mut new: Option<String> = None;
            for rule in rules {
                let Some((Step::Field(first), rest)) = rule.path.steps().split_first() else { continue };
                if first == name {
                    let now = new.as_deref().unwrap_or(raw);
                    new = walk::rewrite(now, rest, &mut |raw| leaf(rule.protect, raw))?.or(new);
                }
            }
            Ok(new)
        })?;
        Ok(new.map(object))
    }

    /// A rule without its key cannot be in a plan; if it could, nothing would be shown all the same.
    fn protected(&self, protect: Protect, raw: &str) -> String {
        let text = self.ring.as_ref().and_then(|ring| match protect {
            Protect::Mask => None,
            Protect::Hash => Some(match raw.as_bytes().first() {
                Some(b'{' | b'[') => ring.hash(STRUCTURE, &walk::canonical(raw)),
                _ => ring.hash(SCALAR, &scalar(raw)),
            }),
            Protect::Encrypt => ring.close(&walk::canonical(raw)),
        });
        text.map_or_else(|| mask(raw), |text| json_text(&text))
    }

    /// Whether a value of our own store is protected.
    fn known(&self, protect: Protect, raw: &str) -> Result<bool, Reason> {
        let (Some(text), Some(ring)) = (text_of(raw), &self.ring) else { return Ok(false) };
        if let Some(hash) = Hashed::parse(text) {
            return match ring.made(&hash) {
                true => Ok(true),
                false => Err(unusable("a value was hashed with another `hash_key` than the one of renkei.yaml")),
            };
        }
        match Sealed::parse(text).map(|sealed| ring.open(&sealed)) {
            Some(Ok(_) | Err(Closed::NoKey(_))) => Ok(true),
            Some(Err(Closed::Damaged)) => {
                Err(unusable("an encrypted value was changed, or its key is another one now"))
            }
            // A mask from before the rule was changed: there is nothing behind it.
            None => Ok(text == MASK && protect != Protect::Mask),
        }
    }

    fn opened(&self, path: &Path, raw: &str) -> Result<Option<String>, Reason> {
        let Some(text) = text_of(raw) else { return Ok(None) };
        let opened = match (Sealed::parse(text), &self.ring) {
            (Some(sealed), Some(ring)) => ring.open(&sealed),
            (Some(sealed), None) => Err(Closed::NoKey(sealed.id().to_owned())),
            (None, _) if text == MASK || text.starts_with(OURS) => Err(Closed::Damaged),
            // Staged in the clear, before there was a rule.
            (None, _) => return Ok(None),
        };
        match opened {
            Ok(json) => Ok(Some(json)),
            Err(Closed::NoKey(id)) => Err(Reason::new(
                Code::RingKeyMissing,
                format!(
                    "the value of `{path}` is encrypted with the key `{id}`, which is not among the keys of renkei.yaml"
                ),
            )),
            Err(Closed::Damaged) => Err(unusable(&format!(
                "the value of `{path}` is not what was encrypted: a step changed it, or a key is another one now"
            ))),
        }
    }
}

/// Whether a text has the form of a hash. It tells nothing about the value.
pub fn is_hash(text: &str) -> bool {
    Hashed::parse(text).is_some()
}

fn unusable(what: &str) -> Reason {
    Reason::new(Code::ProtectedValue, what)
}

fn object(text: String) -> Fields {
    Fields::from_object(Bytes::from(text))
}

/// A value of the same type that tells nothing.
fn mask(raw: &str) -> String {
    match raw.as_bytes().first() {
        Some(b'{') => "{}".to_owned(),
        Some(b'[') => "[]".to_owned(),
        Some(b't' | b'f') => "false".to_owned(),
        Some(b'n') | None => "null".to_owned(),
        Some(b'"') => format!("\"{MASK}\""),
        Some(_) => "0".to_owned(),
    }
}

/// The characters of a JSON text, or of a number or boolean as it is written.
fn scalar(raw: &str) -> String {
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned()),
        _ => raw.to_owned(),
    }
}

/// The characters of a JSON text without escapes: those of ours have none.
fn text_of(raw: &str) -> Option<&str> {
    raw.strip_prefix('"')?.strip_suffix('"').filter(|text| !text.contains('\\'))
}

fn collect(raw: &str, values: &mut Vec<String>) {
    if !matches!(raw.as_bytes().first(), Some(b'{' | b'[')) {
        values.push(scalar(raw));
        return;
    }
    // Inside of a protected value everything is personal.
    let Ok(value) = serde_json::from_str::<serde_json::Value>(raw) else { return values.push(raw.to_owned()) };
    let mut waiting = vec![&value];
    while let Some(value) = waiting.pop() {
        match value {
            serde_json::Value::Object(fields) => {
                // A name that is none of a schema may be a value, too.
                let is_plain = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                values.extend(fields.keys().filter(|name| !is_plain(name)).cloned());
                waiting.extend(fields.values());
            }
            serde_json::Value::Array(items) => waiting.extend(items),
            serde_json::Value::String(text) => values.push(text.clone()),
            serde_json::Value::Null => {}
            other => values.push(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
