//! What the CRM remembers of an `Idempotency-Key`: the request it came with, the answer it got, and until when that
//! request is still being worked on. After the retention the key is forgotten and works again, as at real vendors; a
//! client that repeats later than that makes a double.

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::Duration,
};

use chrono::{DateTime, Utc};

use super::call::{Answer, Call, later};

/// Keys held at once. A vendor that ran out would refuse the request, and so do we.
const KEYS_MAX: usize = 1_000_000;

#[derive(Debug)]
struct Kept {
    request: u64,
    answer: Answer,
    busy_until: DateTime<Utc>,
    kept_until: DateTime<Utc>,
}

pub(super) enum Seen {
    New,
    Replay(Answer),
    OtherRequest,
    InFlight,
    Full,
}

#[derive(Debug, Default)]
pub(super) struct Keys {
    kept: HashMap<String, Kept>,
    /// Oldest first, because the retention is the same for all.
    queue: VecDeque<(DateTime<Utc>, String)>,
}

impl Keys {
    pub fn look(&mut self, key: &str, call: &Call) -> Seen {
        self.forget(call.now);
        match self.kept.get(key) {
            None if self.kept.len() >= KEYS_MAX => Seen::Full,
            None => Seen::New,
            Some(kept) if kept.request != fingerprint(call) => Seen::OtherRequest,
            Some(kept) if call.now < kept.busy_until => Seen::InFlight,
            Some(kept) => Seen::Replay(kept.answer.clone()),
        }
    }

    pub fn keep(&mut self, key: &str, call: &Call, answer: &Answer, retention: Duration) {
        let kept_until = later(call.now, retention);
        self.queue.push_back((kept_until, key.into()));
        let busy_until = later(call.now, call.takes);
        self.kept
            .insert(key.into(), Kept { request: fingerprint(call), answer: answer.clone(), busy_until, kept_until });
    }

    fn forget(&mut self, now: DateTime<Utc>) {
        while self.queue.front().is_some_and(|(until, _)| *until <= now) {
            if let Some((until, key)) = self.queue.pop_front()
                && self.kept.get(&key).is_some_and(|kept| kept.kept_until == until)
            {
                self.kept.remove(&key);
            }
        }
    }
}

fn fingerprint(call: &Call) -> u64 {
    let mut hasher = DefaultHasher::new();
    (call.method.as_str(), call.path, call.query).hash(&mut hasher);
    call.body.hash(&mut hasher);
    hasher.finish()
}
