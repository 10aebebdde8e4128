//! What became of records, batch by batch: the history that `renkei trace` tells. It is written in the very commit that gives
//! the verdicts, so a record's hop is there exactly when its verdict is.
//!
//! Two things are kept, because they are worth different amounts of space. A *hop* is a record on its way to the sink: when it was
//! read and sent, as what, and how it was answered. A *pass* is a record that was decided without a write (unchanged, skipped by
//! a filter), or one that a file or a table took: the hash of its key and the reason, no more. Each has its own share of the
//! space, so that a million unchanged records cannot push out what was written.
//!
//! The store knows no rule about personal data: what a hop holds of a record was masked by whoever hands it over.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

use super::{
    batch::{Deed, Settled},
    open::record_of,
};
use crate::model::{Key, KeyHash, Verdict, Version};

/// How much of the past is kept, of each stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HistoryRule {
    /// What is older goes after a run.
    pub keep: Duration,
    /// What the stream's history takes in the store. The oldest makes room for the newest.
    pub bytes_max: u64,
}

impl HistoryRule {
    /// Nothing is kept.
    pub const OFF: Self = Self { keep: Duration::ZERO, bytes_max: 0 };

    pub fn is_off(self) -> bool {
        self.bytes_max == 0
    }
}

/// One record on its way to the sink, in one batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hop {
    #[serde(default, skip_serializing_if = "Deed::is_write")]
    pub deed: Deed,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// How many states of the record the sink had accepted before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generation: u32,
    /// The id at the sink that an earlier write had learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink_id: Option<String>,
    /// The name of this write, from which the key of its request is made.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What the sink was to get, masked. Absent for a record that did not get that far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Box<RawValue>>,
    /// Requests of the run that gave the verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sent: Vec<Sending>,
    pub verdict: Verdict,
    /// The dead letter that it was replayed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub letter: Option<String>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Hop {
    /// A record that was refused before anything was made of it, or of which no more is known.
    pub fn of(verdict: Verdict) -> Self {
        let (deed, name, sent) = (Deed::Write, String::new(), Vec::new());
        Self { deed, version: None, generation: 0, sink_id: None, name, fields: None, sent, verdict, letter: None }
    }
}

/// One request about a record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sending {
    pub asks: Asks,
    pub operation: Arc<str>,
    /// When its first byte was about to leave.
    pub at: DateTime<Utc>,
    /// Until the answer, or until it was given up.
    pub took_ms: u64,
    /// Of a write: nothing where no answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What a look-up or a reading told, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// How often it was sent.
    pub attempts: u32,
    /// Records in the request.
    pub records: usize,
    /// The idempotency key that it carried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asks {
    Write,
    LookUp,
    /// Its revision.
    Read,
    /// The results of the job that a write began.
    Job,
}

/// Requests by the place of their record in its batch.
pub type Sendings = BTreeMap<usize, Vec<Sending>>;

/// Why a record has its verdict without a hop.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The sink was sent this content before.
    Unchanged,
    /// A step of the pipeline, in its words.
    Filtered(Arc<str>),
    /// It changed after it was created, and the pipeline leaves such records alone.
    LeftAlone,
    /// It is gone at the source, and was never brought to the sink.
    NeverWritten,
    /// It is gone at the source, and its deletion was delivered; or it has come back since.
    Buried,
    /// A file or a table took it.
    Created,
    Updated,
    /// A table holds it already.
    Held,
    /// A newer state of it was delivered before.
    Superseded,
}

/// Records without a hop, by the reason.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Passed(Vec<(Why, Hashes)>);

#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Hashes(Vec<KeyHash>);

impl Passed {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn add(&mut self, why: &Why, key: &Key) {
        self.of(why).push(KeyHash::of(key));
    }

    pub fn merge(&mut self, more: Self) {
        more.0.into_iter().for_each(|(why, hashes)| self.of(&why).extend(hashes.0));
    }

    fn of(&mut self, why: &Why) -> &mut Vec<KeyHash> {
        let at = self.0.iter().position(|(known, _)| known == why).unwrap_or_else(|| {
            self.0.push((why.clone(), Hashes::default()));
            self.0.len() - 1
        });
        &mut self.0[at].1.0
    }

    /// The reasons with their records.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&Why, &[KeyHash])> {
        self.0.iter().map(|(why, hashes)| (why, hashes.0.as_slice()))
    }
}

/// In the outbox they stand as one text.
impl Serialize for Hashes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|hash| hash.0).collect();
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Hashes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = STANDARD.decode(String::deserialize(from)?).map_err(de::Error::custom)?;
        let (hashes, rest) = bytes.as_chunks::<16>();
        match rest.is_empty() {
            true => Ok(Self(hashes.iter().map(|hash| KeyHash(*hash)).collect())),
            false => Err(de::Error::custom("hashes of another length")),
        }
    }
}

/// The hops of one batch, with what they have in common.
pub(super) struct BatchHops {
    pub about: About,
    pub hops: Vec<(KeyHash, Hop)>,
}

/// What the records of a row have in common.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct About {
    /// The run that gave the verdicts.
    pub run: String,
    /// The run that read and staged them, where it was another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_by: Option<String>,
    /// When the first page of the batch was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staged_at: Option<DateTime<Utc>>,
    pub settled_at: DateTime<Utc>,
}

impl BatchHops {
    /// The hops that a settled batch brought along, and those of records that were refused before they were mapped.
    pub fn of(settled: &mut Settled, run: &str, now: DateTime<Utc>) -> Self {
        let staged = &settled.staged;
        let about = About {
            run: run.to_owned(),
            read_by: staged.read_by.clone().filter(|by| by != run),
            read_at: staged.batch.read_at,
            staged_at: staged.in_outbox.then_some(staged.staged_at),
            settled_at: now,
        };
        let mut hops = std::mem::take(&mut settled.hops);
        let refused = staged.batch.rejects.iter();
        hops.extend(
            refused.map(|reject| (record_of(reject.key.as_ref()), Hop::of(Verdict::Rejected(reject.reason.clone())))),
        );
        for (key, letter) in &staged.batch.replayed {
            let replayed = KeyHash::of(key);
            let of_it = hops.iter_mut().filter(|(hash, _)| *hash == replayed);
            of_it.for_each(|(_, hop)| hop.letter = Some(letter.clone()));
        }
        Self { about, hops }
    }
}
