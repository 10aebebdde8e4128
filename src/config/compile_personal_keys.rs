//! The keys for personal fields: what is written in renkei.yaml, and whether the rules have what they need.

use std::sync::Arc;

use secrecy::ExposeSecret;

use super::{
    check::Check,
    compile_personal::Declared,
    diagnostic::Problem,
    fill::HOLE,
    plan::{PersonalKeys, Protect, RingKey},
    raw_personal::{RawPersonalKeys, RawRingKey},
    shape::{Secret, Spanned},
    source::Span,
};
use crate::model::{Code, SecretKey};

const RING_MAX: usize = 16;
const ID_CHARS_MAX: usize = 16;

/// `personal:` of renkei.yaml.
#[derive(Clone, Default)]
pub enum Keys {
    #[default]
    Absent,
    /// It cannot be used, which is reported, or its variables are not at hand, which is nobody's fault.
    Unusable {
        hash_key: bool,
        ring: bool,
    },
    There(Arc<PersonalKeys>),
}

impl Check<'_> {
    pub fn note_personal_keys(&self, raw: Option<&Spanned<RawPersonalKeys>>) {
        let keys = raw.map_or(Keys::Absent, |raw| self.personal_keys(raw));
        self.personal.borrow_mut().keys = keys;
    }

    /// Refuses rules that need a key which is not there.
    pub(super) fn keys_fit(&self, rules: &[Declared], keys: &Keys) {
        let (hash_key, ring) = match keys {
            Keys::Absent => (false, false),
            Keys::Unusable { hash_key, ring } => (*hash_key, *ring),
            Keys::There(keys) => (true, !keys.ring.is_empty()),
        };
        for rule in rules.iter().filter(|rule| rule.protect.needs_keys()) {
            let (what, help) = match rule.protect {
                _ if !hash_key => ("`hash_key`", "add `personal: { hash_key: \"${PERSONAL_HASH_KEY}\" }`"),
                Protect::Encrypt if !ring => {
                    ("key", "add `keys: [{ id: k1, key: \"${PERSONAL_KEY_1}\" }]` under `personal`")
                }
                _ => continue,
            };
            let message =
                format!("`{}` is to be {}, and renkei.yaml has no {what} for it", rule.path, rule.protect.done());
            let help = format!("{help} to renkei.yaml; `openssl rand -base64 32` makes a key");
            self.report(Problem::new(Code::PersonalKeys, rule.at, message).help(help));
        }
    }

    fn personal_keys(&self, raw: &Spanned<RawPersonalKeys>) -> Keys {
        let personal = &raw.value;
        let unusable = Keys::Unusable { hash_key: personal.hash_key.is_some(), ring: !personal.keys.is_empty() };
        if personal.keys.len() > RING_MAX {
            let problem =
                Problem::new(Code::PersonalKeys, raw.span, format!("the ring has {} keys", personal.keys.len()));
            self.report(problem.help(format!("keep {RING_MAX} at the most; a key that no stored value needs can go")));
            return unusable;
        }
        let hash_key = personal.hash_key.as_ref().and_then(|key| self.secret_key("hash_key", key));
        let ring: Vec<Option<RingKey>> = personal.keys.iter().map(|key| self.ring_key(&key.value)).collect();
        self.keys_differ(personal, hash_key.as_ref(), &ring);
        match (hash_key, ring.into_iter().collect::<Option<Vec<RingKey>>>()) {
            (Some(hash_key), Some(ring)) => Keys::There(Arc::new(PersonalKeys { hash_key, ring })),
            _ => unusable,
        }
    }

    fn ring_key(&self, raw: &RawRingKey) -> Option<RingKey> {
        let id = &raw.id.value;
        let proper = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
        let is_proper = !id.is_empty() && id.len() <= ID_CHARS_MAX && id.chars().all(proper);
        if !is_proper && !id.contains(HOLE) {
            let problem = Problem::new(Code::PersonalKeys, raw.id.span, "this cannot be the id of a key");
            self.report(
                problem.help(format!("use up to {ID_CHARS_MAX} lower case letters, digits, `_` and `-`, such as `k1`")),
            );
        }
        let key = self.secret_key("key", &raw.key);
        is_proper.then_some(RingKey { id: id.clone(), key: key? })
    }

    fn secret_key(&self, name: &str, raw: &Spanned<Secret>) -> Option<SecretKey> {
        let text = raw.value.0.expose_secret();
        if text.contains(HOLE) {
            return None;
        }
        let key = SecretKey::parse(text);
        // What is written literally is reported, and need not be a key as well.
        let is_told = || self.reading.problems.borrow().iter().any(|problem| problem.span == raw.span);
        if key.is_none() && !is_told() {
            let message = format!("`{name}` is neither base64 of 32 bytes nor 64 hexadecimal digits");
            let help = "make one with `openssl rand -base64 32`, and give it by a variable or a secret file";
            self.report(Problem::new(Code::PersonalKeys, raw.span, message).help(help));
        }
        key
    }

    /// Two ids for one key, or one id for two: nobody could tell later which one a value needs.
    fn keys_differ(&self, raw: &RawPersonalKeys, hash_key: Option<&SecretKey>, ring: &[Option<RingKey>]) {
        let twice = |at: Span, first: Span, message: &str| {
            let problem = Problem::new(Code::PersonalKeys, at, message)
                .help("give each key an id and 32 random bytes of its own");
            self.report(problem.related(first, "it is here, too"));
        };
        for (at, key) in raw.keys.iter().enumerate() {
            let id = &key.value.id;
            if let Some(first) = raw.keys[..at].iter().find(|other| other.value.id.value == id.value) {
                twice(id.span, first.value.id.span, "two keys have this id");
            }
            let Some(own) = &ring[at] else { continue };
            let same = |other: &SecretKey| other.expose() == own.key.expose();
            let earlier = ring[..at].iter().position(|other| other.as_ref().is_some_and(|other| same(&other.key)));
            let hash = raw.hash_key.as_ref().filter(|_| hash_key.is_some_and(same)).map(|key| key.span);
            if let Some(first) = earlier.map(|earlier| raw.keys[earlier].value.key.span).or(hash) {
                twice(key.value.key.span, first, "this key is used twice");
            }
        }
    }
}
