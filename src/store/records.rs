//! What the store remembers besides checkpoints and outbox: links, runs and dead letters, with their keys and formats.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::model::{Code, Counts, Drift, Fields, Key, KeyHash, Latency, Notice, Reason};

/// No stream's name holds it.
const PART: char = '~';

/// Names a stream's state: the pipeline and the stream it reads. Behind the stream's name, `~` and a name of its own mark a
/// part of it that is read beside the stream itself: it has its own checkpoint, outbox and journal, and shares the ledger, which
/// is links and dead letters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamId {
    pub pipeline: String,
    pub stream: String,
}

impl StreamId {
    pub fn new(pipeline: impl Into<String>, stream: impl Into<String>) -> Self {
        Self { pipeline: pipeline.into(), stream: stream.into() }
    }

    /// The stream whose links and dead letters this one shares: itself, unless it is a part of another.
    pub fn ledger(&self) -> Self {
        Self::new(self.pipeline.clone(), self.own_name())
    }

    fn own_name(&self) -> &str {
        self.stream.split_once(PART).map_or(&self.stream, |(own, _)| own)
    }

    /// A part of this stream.
    pub fn part(&self, name: &str) -> Self {
        Self::new(self.pipeline.clone(), format!("{}{PART}{name}", self.stream))
    }

    /// The prefix of the keys of all parts of this stream.
    pub(super) fn parts_prefix(&self) -> Vec<u8> {
        format!("{}\0{}{PART}", self.pipeline, self.stream).into_bytes()
    }

    /// The prefix of this stream's keys. Names hold no NUL, so no stream's prefix begins another's.
    pub(super) fn prefix(&self) -> Vec<u8> {
        [self.pipeline.as_bytes(), b"\0", self.stream.as_bytes(), b"\0"].concat()
    }

    pub(super) fn from_prefix(key: &[u8]) -> Option<Self> {
        let mut parts = key.split(|byte| *byte == 0);
        let mut text = || parts.next().and_then(|part| std::str::from_utf8(part).ok()).map(str::to_owned);
        Some(Self { pipeline: text()?, stream: text()? })
    }

    pub(super) fn key(&self, suffix: &[u8]) -> Vec<u8> {
        let mut key = self.prefix();
        key.extend_from_slice(suffix);
        key
    }

    pub(super) fn outbox_key(&self, seq: u64) -> Vec<u8> {
        self.key(&seq.to_be_bytes())
    }

    pub(super) fn link_key(&self, key: &Key) -> Vec<u8> {
        [self.pipeline.as_bytes(), b"\0", self.own_name().as_bytes(), b"\0", &KeyHash::of(key).0].concat()
    }
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.pipeline, self.stream)
    }
}

/// How a run stands or ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Under way, or ended by a crash before it could say so.
    Running,
    Done,
    /// Stopped by a signal or a limit after a clean checkpoint.
    Stopped,
    Failed,
}

/// One execution of a pipeline. It is written in the same commits as what it counts, so after a crash its counts are
/// those of the last commit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Run {
    pub id: String,
    pub pipeline: String,
    pub stream: String,
    pub started_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    pub state: RunState,
    pub counts: Counts,
    /// How long its records took from reading to their verdict. Runs of earlier versions do not tell.
    #[serde(default, skip_serializing_if = "Latency::is_empty")]
    pub latency: Latency,
    pub pages: u64,
    pub requests: u64,
    pub retries: u64,
    /// Answers that asked us to slow down.
    pub throttled: u64,
    /// How long its connections were held back by their quota.
    pub waited_ms: u64,
    /// In what its records differed from their contracts. Of a run that was killed nothing.
    #[serde(default, skip_serializing_if = "Drift::is_empty")]
    pub drift: Drift,
    /// What answers said about the end of calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<Notice>,
    /// Why a failed run failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<RunFault>,
}

impl Run {
    /// A run of a stream that begins now and has done nothing yet.
    pub fn begin(id: impl Into<String>, stream: &StreamId, now: DateTime<Utc>) -> Self {
        Self {
            id: id.into(),
            pipeline: stream.pipeline.clone(),
            stream: stream.stream.clone(),
            started_at: now,
            ended_at: None,
            state: RunState::Running,
            counts: Counts::default(),
            latency: Latency::default(),
            pages: 0,
            requests: 0,
            retries: 0,
            throttled: 0,
            waited_ms: 0,
            drift: Drift::default(),
            notices: Vec::new(),
            fault: None,
        }
    }
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RunFault {
    pub code: Code,
    pub message: String,
}

/// A rejected or parked record, waiting for a person. The same record refused again for the same reason is the same letter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Names it in commands, for as long as the record and the reason stay the same.
    pub id: String,
    pub pipeline: String,
    pub stream: String,
    /// The run that met it last.
    pub run: String,
    /// When it was met last.
    pub at: DateTime<Utc>,
    /// When it was met first; nothing while that was the only time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_at: Option<DateTime<Utc>>,
    /// How often it was met.
    #[serde(default = "once")]
    pub times: u64,
    /// Parked rather than rejected.
    pub parked: bool,
    /// What was refused is the deletion of the record.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
    pub key: Option<Key>,
    pub reason: Reason,
    /// The record as it was read.
    pub source: Box<RawValue>,
    /// The record as the sink was to get it, when it got that far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Box<RawValue>>,
    /// The record as a person mended it. It is what a replay takes; `source` stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<Box<RawValue>>,
    /// It goes when its record is accepted. Letters of formats 1 and 2 do not, so nobody knows whether theirs was.
    #[serde(default)]
    pub tracked: bool,
}

impl DeadLetter {
    /// The record as a replay takes it.
    pub fn record(&self) -> Fields {
        let raw = self.edited.as_ref().unwrap_or(&self.source);
        Fields::from_object(raw.get().to_owned().into())
    }

    /// A write of it may have taken effect, and nobody knows.
    pub fn in_doubt(&self) -> bool {
        self.parked && self.reason.code.leaves_doubt()
    }

    /// Whose letter it is.
    pub fn stream_id(&self) -> StreamId {
        StreamId::new(self.pipeline.clone(), self.stream.clone())
    }
}

/// Letters of format 1 were met once each.
fn once() -> u64 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_streams_prefix_begins_anothers() {
        let (a, b) = (StreamId::new("lead", "x"), StreamId::new("leads", "x"));
        assert!(!b.prefix().starts_with(&a.prefix()));
        assert_eq!(StreamId::from_prefix(&a.outbox_key(3)), Some(a));
    }

    #[test]
    fn a_run_of_an_earlier_version_is_read_and_does_not_tell_how_long_its_records_took() {
        let run = Run::begin("1", &StreamId::new("leads", "x"), DateTime::default());
        let text = serde_json::to_string(&run).unwrap();
        assert!(!text.contains("latency"), "nothing is written of nothing: {text}");
        assert_eq!(serde_json::from_str::<Run>(&text).unwrap(), run);
    }

    #[test]
    fn a_part_has_its_own_outbox_and_the_streams_links() {
        let (stream, other) = (StreamId::new("leads", "customers"), StreamId::new("leads", "customer"));
        let part = stream.part("1f3a");
        assert_eq!((part.ledger(), part.to_string()), (stream.clone(), "leads/customers~1f3a".to_owned()));
        let key = Key::new("7");
        assert_eq!(part.link_key(&key), stream.link_key(&key));
        assert_ne!(part.outbox_key(0), stream.outbox_key(0));
        assert!(!part.prefix().starts_with(&stream.prefix()) && part.prefix().starts_with(&stream.parts_prefix()));
        assert!(!other.part("1").prefix().starts_with(&stream.parts_prefix()));
    }
}
