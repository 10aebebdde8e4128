//! Which dead letters are open, by record: one small row per letter, kept in memory while the process works on the stream.
//!
//! A commit has to know whether a record that is accepted has a letter, for every record, so the question costs no read.
//! Only this process writes to the store, and each change of a row is in the commit that changes the letter.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};

use super::{
    Op, State, Tree,
    letters::Letters,
    records::{DeadLetter, StreamId},
    state::damaged,
};
use crate::model::{Fault, Key, KeyHash};

/// Letters that one commit takes away.
const DROP_MAX: usize = 1_000;
/// Letters that one run takes away because of their age or number. What is left goes with the next runs.
const TRIM_MAX: usize = 10_000;

/// The name of records without a key.
const NAMELESS: KeyHash = KeyHash([0; 16]);

pub(super) fn record_of(key: Option<&Key>) -> KeyHash {
    key.map_or(NAMELESS, KeyHash::of)
}

#[derive(Default)]
pub(super) struct OpenLetters(Mutex<BTreeMap<StreamId, Open>>);

/// The letters of a stream.
#[derive(Default)]
struct Open {
    /// By record and id, when each was met last.
    letters: BTreeMap<(KeyHash, String), DateTime<Utc>>,
    /// Records that are refused and whose letter is not committed yet.
    coming: BTreeSet<KeyHash>,
}

impl Open {
    fn of(&self, record: KeyHash) -> impl Iterator<Item = &String> {
        let from = (record, String::new());
        self.letters.range(from..).take_while(move |((of, _), _)| *of == record).map(|((_, id), _)| id)
    }
}

impl OpenLetters {
    fn streams(&self) -> MutexGuard<'_, BTreeMap<StreamId, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long and how many dead letters of a stream are kept. Nothing: for good, and all of them.
#[derive(Clone, Copy, Default, Debug)]
pub struct Retention {
    pub keep: Option<Duration>,
    pub max: Option<usize>,
}

impl State {
    /// Loads the rows of a stream, once per process.
    pub(super) async fn learn_letters(&self, stream: &StreamId) -> Result<(), Fault> {
        let stream = &stream.ledger();
        if self.open.streams().contains_key(stream) {
            return Ok(());
        }
        let mut letters = BTreeMap::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.scan(Tree::OpenLetters, &stream.prefix(), after.as_deref()).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, at) in &page {
                let (name, at) = row(&key[stream.prefix().len()..], at).ok_or_else(|| damaged(Tree::OpenLetters))?;
                letters.insert(name, at);
            }
        }
        self.open.streams().entry(stream.clone()).or_insert(Open { letters, ..Open::default() });
        Ok(())
    }

    /// Says that the record will leave a letter, so that a later state of it is known to end one.
    pub fn expect_letter(&self, stream: &StreamId, key: &Key) {
        if let Some(open) = self.open.streams().get_mut(&stream.ledger()) {
            open.coming.insert(KeyHash::of(key));
        }
    }

    /// Those of the records that have a dead letter, or are about to.
    pub fn with_letters<'k>(&self, stream: &StreamId, keys: impl Iterator<Item = &'k Key>) -> Vec<Key> {
        let streams = self.open.streams();
        let Some(open) =
            streams.get(&stream.ledger()).filter(|open| !open.letters.is_empty() || !open.coming.is_empty())
        else {
            return Vec::new();
        };
        let is_open = |key: &&Key| {
            let record = KeyHash::of(key);
            open.coming.contains(&record) || open.of(record).next().is_some()
        };
        keys.filter(is_open).cloned().collect()
    }

    /// What a commit changes about dead letters.
    pub(super) fn letter_ops(
        &self,
        mut letters: Letters<'_>,
        earlier: Vec<Option<DeadLetter>>,
    ) -> Result<Vec<Op>, Fault> {
        let refused = letters.after(earlier);
        let mut streams = self.open.streams();
        let open = streams.entry(letters.stream.clone()).or_default();
        let replayed = letters.ended.into_iter().map(|id| (NAMELESS, id));
        let answered = letters.answered.iter().flat_map(|record| open.of(*record).map(|id| (*record, id.clone())));
        // A letter that named no record may have got a name by being mended.
        let renamed = refused.iter().filter(|letter| letter.key.is_some()).map(|letter| (NAMELESS, letter.id.clone()));
        let renamed = renamed.filter(|name| open.letters.contains_key(name));
        let gone: Vec<_> = answered.chain(replayed).chain(renamed).collect();
        let mut ops = Vec::with_capacity(2 * (gone.len() + refused.len()));
        for name in gone {
            open.letters.remove(&name);
            ops.extend(without(letters.stream, &name));
        }
        for letter in refused {
            let name = (record_of(letter.key.as_ref()), letter.id.clone());
            let (key, value) =
                (letters.stream.key(&row_key(&name)), letter.at.timestamp_millis().to_be_bytes().to_vec());
            ops.push(Op::Put { tree: Tree::OpenLetters, key, value });
            ops.push(self.put(Tree::DeadLetters, letters.stream.key(letter.id.as_bytes()), &letter)?);
            open.letters.insert(name, letter.at);
        }
        Ok(ops)
    }

    /// The dead letters of these ids, as far as they are still there.
    pub async fn dead_letters_named(&self, stream: &StreamId, ids: &[&str]) -> Result<Vec<DeadLetter>, Fault> {
        let keys = ids.iter().map(|id| stream.key(id.as_bytes())).collect();
        Ok(self.read_many(Tree::DeadLetters, keys).await?.into_iter().flatten().collect())
    }

    /// The dead letters that are open about any of the records.
    pub async fn letters_about(&self, stream: &StreamId, keys: &[Key]) -> Result<Vec<DeadLetter>, Fault> {
        self.learn_letters(stream).await?;
        let ledger = stream.ledger();
        let ids: Vec<String> = {
            let streams = self.open.streams();
            let open = streams.get(&ledger).filter(|open| !open.letters.is_empty());
            open.iter().flat_map(|open| keys.iter().flat_map(|key| open.of(KeyHash::of(key)))).cloned().collect()
        };
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        self.dead_letters_named(&ledger, &ids).await
    }

    /// Takes dead letters away for good, a bounded commit at a time.
    pub async fn drop_letters(&self, letters: &[DeadLetter]) -> Result<(), Fault> {
        for part in letters.chunks(DROP_MAX) {
            let mut ops = Vec::with_capacity(2 * part.len());
            for letter in part {
                let (stream, name) = (letter.stream_id(), (record_of(letter.key.as_ref()), letter.id.clone()));
                if let Some(open) = self.open.streams().get_mut(&stream) {
                    open.letters.remove(&name);
                }
                ops.extend(without(&stream, &name));
            }
            self.commit_ops(ops).await?;
        }
        Ok(())
    }

    /// Keeps what a person changed about a letter.
    pub async fn keep_letter(&self, letter: &DeadLetter) -> Result<(), Fault> {
        let key = letter.stream_id().key(letter.id.as_bytes());
        self.commit_ops(vec![self.put(Tree::DeadLetters, key, letter)?]).await
    }

    /// Takes away letters that are too old, and the oldest ones where there are too many. Returns how many.
    pub async fn trim_letters(&self, stream: &StreamId, rule: Retention, now: DateTime<Utc>) -> Result<usize, Fault> {
        if rule.keep.is_none() && rule.max.is_none() {
            return Ok(0);
        }
        let stream = &stream.ledger();
        self.learn_letters(stream).await?;
        let old = too_old(self.open.streams().get(stream), rule, now);
        for part in old.chunks(DROP_MAX) {
            self.commit_ops(part.iter().flat_map(|name| without(stream, name)).collect()).await?;
            if let Some(open) = self.open.streams().get_mut(stream) {
                for name in part {
                    open.letters.remove(name);
                }
            }
        }
        Ok(old.len())
    }
}

/// The names of letters that a rule does not keep, the oldest first.
fn too_old(open: Option<&Open>, rule: Retention, now: DateTime<Utc>) -> Vec<(KeyHash, String)> {
    let mut all: Vec<_> = open.into_iter().flat_map(|open| open.letters.iter().map(|(name, at)| (*at, name))).collect();
    all.sort();
    let over = rule.max.map_or(0, |max| all.len().saturating_sub(max));
    let since = rule.keep.and_then(|keep| now.checked_sub_signed(chrono::TimeDelta::from_std(keep).ok()?));
    let is_old = |at: &DateTime<Utc>| since.is_some_and(|since| *at < since);
    let old = all.iter().enumerate().take_while(|(place, (at, _))| *place < over || is_old(at));
    old.take(TRIM_MAX).map(|(_, (_, name))| (*name).clone()).collect()
}

fn row_key((record, id): &(KeyHash, String)) -> Vec<u8> {
    [&record.0[..], id.as_bytes()].concat()
}

fn row(key: &[u8], at: &[u8]) -> Option<((KeyHash, String), DateTime<Utc>)> {
    let (record, id) = key.split_first_chunk::<16>()?;
    let at = DateTime::from_timestamp_millis(i64::from_be_bytes(at.try_into().ok()?))?;
    Some(((KeyHash(*record), std::str::from_utf8(id).ok()?.to_owned()), at))
}

fn without(stream: &StreamId, name: &(KeyHash, String)) -> [Op; 2] {
    [
        Op::Delete { tree: Tree::DeadLetters, key: stream.key(name.1.as_bytes()) },
        Op::Delete { tree: Tree::OpenLetters, key: stream.key(&row_key(name)) },
    ]
}
