//! What callers were answered, by the idempotency key that they gave, so that a request that is sent again is answered again and
//! not done again.
//!
//! The row is written in the commit that accepts the request's records. The answer itself comes later, once it is known; a process
//! that dies in between leaves a row without one, and the slips in it tell what to answer.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Op, State, Tree, state::SCAN_LIMIT};
use crate::model::{Fault, Slip};

/// Names a key of a pipeline's callers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AnswerName {
    pipeline: String,
    hash: [u8; 16],
}

impl AnswerName {
    pub fn new(pipeline: &str, key: &str) -> Self {
        Self { pipeline: pipeline.to_owned(), hash: hash_of(key.as_bytes()) }
    }

    fn key(&self) -> Vec<u8> {
        [self.pipeline.as_bytes(), b"\0", &self.hash].concat()
    }
}

/// A request that was accepted under a key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Remembered {
    /// Names the request's body.
    pub body: [u8; 16],
    pub at: DateTime<Utc>,
    pub slips: Vec<Slip>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answered>,
}

/// An answer as it was sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Answered {
    pub status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    pub content_type: String,
    pub body: String,
}

impl Remembered {
    /// A request with this body, of which nothing else is known yet.
    pub fn of(body: &[u8], at: DateTime<Utc>) -> Self {
        Self { body: hash_of(body), at, slips: Vec::new(), answer: None }
    }

    pub fn is_of(&self, body: &[u8]) -> bool {
        self.body == hash_of(body)
    }
}

fn hash_of(bytes: &[u8]) -> [u8; 16] {
    let mut cut = [0; 16];
    cut.copy_from_slice(&Sha256::digest(bytes)[..16]);
    cut
}

impl State {
    /// What is known of a key.
    pub async fn remembered(&self, name: &AnswerName) -> Result<Option<Remembered>, Fault> {
        self.read(Tree::Answers, &name.key()).await
    }

    pub(super) fn remember_op(&self, name: &AnswerName, row: &Remembered) -> Result<Op, Fault> {
        self.put(Tree::Answers, name.key(), row)
    }

    /// Adds the answer that was given. It goes with the next commit: until then the row's slips tell as much.
    pub fn remember_soon(&self, name: &AnswerName, row: &Remembered) -> Result<(), Fault> {
        Ok(self.store.commit_soon(vec![self.remember_op(name, row)?])?)
    }

    /// Forgets the answers of a pipeline that were given before `before`, and the oldest of more than `max`. Says how many are
    /// left.
    pub async fn sweep_answers(&self, pipeline: &str, before: DateTime<Utc>, max: usize) -> Result<usize, Fault> {
        let prefix = [pipeline.as_bytes(), b"\0"].concat();
        let mut by_age: Vec<(DateTime<Utc>, Vec<u8>)> = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.scan(Tree::Answers, &prefix, after.as_deref()).await?;
            let is_last = page.len() < SCAN_LIMIT;
            after = page.last().map(|(key, _)| key.clone());
            for (key, bytes) in page {
                let row: Remembered = self.decode(Tree::Answers, &key, &bytes)?;
                by_age.push((row.at, key));
            }
            if is_last {
                break;
            }
        }
        by_age.sort_unstable();
        let too_many = by_age.len().saturating_sub(max);
        let gone = by_age.iter().enumerate().take_while(|(place, (at, _))| *place < too_many || *at < before).count();
        let left = by_age.len() - gone;
        let keys: Vec<Vec<u8>> = by_age.into_iter().take(gone).map(|(_, key)| key).collect();
        for some in keys.chunks(SCAN_LIMIT) {
            let ops = some.iter().map(|key| Op::Delete { tree: Tree::Answers, key: key.clone() });
            self.commit_ops(ops.collect()).await?;
        }
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::TimeDelta;

    use super::*;
    use crate::store::{Memory, Seal};

    #[tokio::test]
    async fn answers_go_by_age_and_the_oldest_of_too_many_go_first() {
        let state = State::new(Arc::new(Memory::default()), Arc::new(Seal::plain()));
        let at = |second: i64| DateTime::from_timestamp(second, 0).unwrap();
        let name = |n: i64| AnswerName::new("orders", &format!("key {n}"));
        for n in 0..10 {
            state.remember_soon(&name(n), &Remembered::of(b"{}", at(n))).unwrap();
        }
        state.remember_soon(&AnswerName::new("others", "key 0"), &Remembered::of(b"{}", at(0))).unwrap();
        assert_eq!(state.sweep_answers("orders", at(3), 100).await.unwrap(), 7);
        assert_eq!(state.sweep_answers("orders", at(3) - TimeDelta::days(1), 4).await.unwrap(), 4);
        for n in 0..10 {
            assert_eq!(state.remembered(&name(n)).await.unwrap().is_some(), n >= 6, "{n}");
        }
        assert!(state.remembered(&AnswerName::new("others", "key 0")).await.unwrap().is_some());
    }

    #[test]
    fn a_row_knows_its_body_and_no_other() {
        let row = Remembered::of(b"{\"id\":1}", DateTime::default());
        assert!(row.is_of(b"{\"id\":1}") && !row.is_of(b"{\"id\": 1}"));
    }
}
