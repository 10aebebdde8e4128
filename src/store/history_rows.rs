//! How the history lies in the store: numbered rows per stream, of which the oldest make room for the newest, so that it never
//! takes more than its share. What a row is about stands in front of it as hashes, so that looking for one record reads no more
//! of a row than that, until it is found.
//!
//! ```text
//!   key     stream, kind, number, time in ms
//!   value   sealed: format, count, as many hashes of keys, compressed JSON
//! ```
//!
//! Rows leave in the commit that adds others, so the bound holds at every moment and costs no commit of its own. What is known of
//! all rows together is one small value beside them, changed in the same commit.

use std::{collections::BTreeSet, io::Read};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Op, State, Tree,
    batch::Settled,
    history::{About, BatchHops, HistoryRule, Hop, Passed, Why},
    records::StreamId,
    state::{damaged, not_json},
};
use crate::model::{Fault, KeyHash};

const FORMAT: u32 = 1;
/// Of a row, before it is compressed.
const ROW_BYTES: usize = 256 << 10;
const ROW_HASHES: usize = 4_096;
/// No row is larger when it is unpacked: a single hop may be larger than the rest of what fits.
const ROW_BYTES_MAX: u64 = 64 << 20;
/// What a hop takes besides its fields.
const HOP_BYTES: usize = 256;
/// What a row takes in the store besides its key and value.
const ROW_OVERHEAD: u64 = 64;
/// The fastest: rows are written once and hardly ever read.
const COMPRESSION: i32 = 1;
/// Rows looked at to make room, at a time. They are read for it, and may be as large as a row gets.
const ROOM_ROWS: usize = 8;
/// Rows that one commit takes away to make room. What is too much beyond goes after the run.
const ROOM_ROWS_MAX: usize = 256;
/// Rows that one commit takes away after a run, and that one run takes away.
const TRIM_ROWS: usize = 64;
const TRIM_ROWS_MAX: usize = 10_000;

const HEADS: &[u8] = b"history\0";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Hops,
    Passes,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Hops, Self::Passes];

    fn byte(self) -> u8 {
        match self {
            Self::Hops => b'h',
            Self::Passes => b'p',
        }
    }

    fn share(self, rule: HistoryRule) -> u64 {
        let passes = rule.bytes_max / 4;
        match self {
            Self::Hops => rule.bytes_max - passes,
            Self::Passes => passes,
        }
    }
}

/// What is known of a stream's rows.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Heads {
    hops: Ring,
    passes: Ring,
}

/// The rows of one kind.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
pub(super) struct Ring {
    /// The number of the next row.
    next: u64,
    bytes: u64,
    /// No row is older. Not exact, so that nobody has to read the row that is the oldest now.
    since_ms: i64,
    /// When the last row that had to go was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone_ms: Option<i64>,
}

impl Heads {
    pub fn of(&mut self, kind: Kind) -> &mut Ring {
        match kind {
            Kind::Hops => &mut self.hops,
            Kind::Passes => &mut self.passes,
        }
    }
}

/// The JSON of a row of passes: how many of its hashes have which reason, in their order.
#[derive(Serialize, Deserialize)]
pub(super) struct PassRow {
    pub run: String,
    pub settled_at: DateTime<Utc>,
    pub groups: Vec<(Why, usize)>,
}

/// The JSON of a row of hops, in the order of its hashes.
#[derive(Serialize)]
struct HopRow<'a> {
    about: &'a About,
    hops: Vec<&'a Hop>,
}

#[derive(Deserialize)]
pub(super) struct HopRowRead {
    pub about: About,
    pub hops: Vec<Hop>,
}

/// A row before it has its key.
type Plain = Vec<u8>;

/// A row as it was read.
pub(super) struct Row {
    pub hashes: Vec<KeyHash>,
    json: Vec<u8>,
}

impl State {
    /// What a commit adds to the history of its stream, and what has to make room for it.
    pub(super) async fn history_ops(
        &self,
        stream: &StreamId,
        settled: &mut [Settled],
        run: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<Op>, Fault> {
        if self.history.is_off() {
            return Ok(Vec::new());
        }
        let (hops, passes) = (hop_rows(settled, run, now)?, pass_rows(settled, run, now)?);
        if hops.is_empty() && passes.is_empty() {
            return Ok(Vec::new());
        }
        let mut heads: Heads = self.read(Tree::Meta, &head_key(stream)).await?.unwrap_or_default();
        let mut ops = Vec::new();
        for (kind, rows) in [(Kind::Hops, hops), (Kind::Passes, passes)] {
            let ring = heads.of(kind);
            let added = self.added(stream, kind, ring, rows, now, &mut ops)?;
            let over = (ring.bytes + added).saturating_sub(kind.share(self.history));
            ops.extend(self.room(stream, kind, ring, over).await?);
            ring.bytes += added;
        }
        ops.push(self.put(Tree::Meta, head_key(stream), &heads)?);
        Ok(ops)
    }

    /// Puts rows behind the others and returns how many bytes they take. Of more than the share holds only the newest.
    fn added(
        &self,
        stream: &StreamId,
        kind: Kind,
        ring: &mut Ring,
        rows: Vec<Plain>,
        now: DateTime<Utc>,
        ops: &mut Vec<Op>,
    ) -> Result<u64, Fault> {
        if ring.bytes == 0 {
            // What was there before is gone, and nobody knows what happened since.
            (ring.since_ms, ring.gone_ms) = (now.timestamp_millis(), None);
        }
        let (mut sealed, mut bytes) = (Vec::with_capacity(rows.len()), 0);
        for (at, row) in rows.iter().enumerate().rev() {
            let key = row_key(stream, kind, ring.next + at as u64, now);
            let value = self.seal.close(Tree::History, &key, row)?;
            let size = size(&key, &value);
            if bytes + size > kind.share(self.history) {
                ring.gone_ms = Some(now.timestamp_millis());
                break;
            }
            bytes += size;
            sealed.push(Op::Put { tree: Tree::History, key, value });
        }
        ring.next += rows.len() as u64;
        ops.extend(sealed.into_iter().rev());
        Ok(bytes)
    }

    /// Takes away the oldest rows until so many bytes are free.
    async fn room(&self, stream: &StreamId, kind: Kind, ring: &mut Ring, over: u64) -> Result<Vec<Op>, Fault> {
        let (mut ops, mut free, mut after) = (Vec::new(), 0, None::<Vec<u8>>);
        while free < over && ops.len() < ROOM_ROWS_MAX {
            let prefix = prefix(stream, kind);
            let page = self.store.scan(Tree::History, &prefix, after.as_deref(), ROOM_ROWS).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, value) in page {
                if free < over {
                    free += ring.forget(&key, &value);
                    ops.push(Op::Delete { tree: Tree::History, key });
                }
            }
        }
        Ok(ops)
    }

    /// Takes away what is older than the rule keeps, and what is too much: of this stream and of streams that are not among the
    /// `live` ones: those that a run of this process may be writing to. A bounded commit at a time, and no more than a bounded number of rows; what is
    /// left goes after the next runs.
    pub async fn trim_history(
        &self,
        stream: &StreamId,
        live: &BTreeSet<StreamId>,
        now: DateTime<Utc>,
    ) -> Result<usize, Fault> {
        let mut gone = 0;
        for (of, heads) in self.histories().await? {
            if of == *stream || !live.contains(&of) {
                gone += self.trim_one(&of, heads, now, TRIM_ROWS_MAX.saturating_sub(gone)).await?;
            }
        }
        Ok(gone)
    }

    async fn trim_one(
        &self,
        stream: &StreamId,
        mut heads: Heads,
        now: DateTime<Utc>,
        rows_max: usize,
    ) -> Result<usize, Fault> {
        let keep = TimeDelta::from_std(self.history.keep).unwrap_or(TimeDelta::MAX);
        let since_ms = now.checked_sub_signed(keep).map_or(i64::MIN, |since| since.timestamp_millis());
        let mut gone = 0;
        for kind in Kind::ALL {
            let share = kind.share(self.history);
            let mut ring = *heads.of(kind);
            while gone < rows_max && ring.bytes > 0 && (ring.bytes > share || ring.since_ms < since_ms) {
                let page = self.store.scan(Tree::History, &prefix(stream, kind), None, TRIM_ROWS).await?;
                let mut ops = Vec::with_capacity(page.len() + 1);
                for (key, value) in &page {
                    if ring.bytes <= share && time_ms(key) >= since_ms {
                        ring.since_ms = time_ms(key);
                        break;
                    }
                    ring.forget(key, value);
                    ops.push(Op::Delete { tree: Tree::History, key: key.clone() });
                }
                if page.len() == ops.len() && page.len() < TRIM_ROWS {
                    ring.bytes = 0;
                }
                gone += ops.len();
                *heads.of(kind) = ring;
                ops.push(self.put(Tree::Meta, head_key(stream), &heads)?);
                self.commit_ops(ops).await?;
            }
        }
        Ok(gone)
    }

    /// Every stream with a history.
    pub(super) async fn histories(&self) -> Result<Vec<(StreamId, Heads)>, Fault> {
        let rows: Vec<(Vec<u8>, Heads)> = self.rows(Tree::Meta, HEADS).await?;
        let named = rows.into_iter().map(|(key, heads)| {
            let stream = StreamId::from_prefix(&key[HEADS.len()..]).ok_or_else(|| damaged(Tree::Meta))?;
            Ok((stream, heads))
        });
        named.collect()
    }

    /// Some rows of a kind after a key, oldest first, with their keys.
    pub(super) async fn history_rows(
        &self,
        stream: &StreamId,
        kind: Kind,
        after: Option<&[u8]>,
    ) -> Result<Vec<(Vec<u8>, Row)>, Fault> {
        let page = self.store.scan(Tree::History, &prefix(stream, kind), after, TRIM_ROWS).await?;
        let opened = page.into_iter().map(|(key, value)| {
            let plain = self.seal.open(Tree::History, &key, &value)?;
            let row = Row::of(&plain).ok_or_else(|| damaged(Tree::History))?;
            Ok((key, row))
        });
        opened.collect()
    }
}

impl Ring {
    /// Since when nothing is missing.
    pub fn since(self) -> Option<DateTime<Utc>> {
        let since_ms = self.gone_ms.unwrap_or(self.since_ms);
        (self.bytes > 0).then(|| DateTime::from_timestamp_millis(since_ms)).flatten()
    }

    /// Lets go of the oldest row, and says how many bytes it took.
    fn forget(&mut self, key: &[u8], value: &[u8]) -> u64 {
        let (size, at_ms) = (size(key, value), time_ms(key));
        self.bytes = self.bytes.saturating_sub(size);
        self.since_ms = at_ms;
        self.gone_ms = Some(at_ms);
        size
    }
}

impl Row {
    fn of(plain: &[u8]) -> Option<Self> {
        let (format, rest) = plain.split_first_chunk::<4>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        if u32::from_be_bytes(*format) != FORMAT {
            return None;
        }
        let (hashes, json) = rest.split_at_checked(16 * u32::from_be_bytes(*count) as usize)?;
        let hashes = hashes.as_chunks::<16>().0.iter().map(|hash| KeyHash(*hash)).collect();
        Some(Self { hashes, json: json.to_vec() })
    }

    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, Fault> {
        let mut json = Vec::new();
        let unpacked = zstd::Decoder::new(self.json.as_slice())
            .and_then(|packed| packed.take(ROW_BYTES_MAX).read_to_end(&mut json));
        unpacked.map_err(|_| damaged(Tree::History))?;
        serde_json::from_slice(&json).map_err(|_| damaged(Tree::History))
    }
}

fn hop_rows(settled: &mut [Settled], run: &str, now: DateTime<Utc>) -> Result<Vec<Plain>, Fault> {
    let mut rows = Vec::new();
    for batch in settled {
        let BatchHops { about, hops } = BatchHops::of(batch, run, now);
        let mut rest = hops.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let fits = rest.iter().take_while(|(_, hop)| {
                bytes += HOP_BYTES + hop.fields.as_ref().map_or(0, |fields| fields.get().len());
                bytes <= ROW_BYTES
            });
            let (part, after) = rest.split_at(fits.count().max(1));
            let hashes: Vec<KeyHash> = part.iter().map(|(hash, _)| *hash).collect();
            rows.push(plain(&hashes, &HopRow { about: &about, hops: part.iter().map(|(_, hop)| hop).collect() })?);
            rest = after;
        }
    }
    Ok(rows)
}

fn pass_rows(settled: &mut [Settled], run: &str, now: DateTime<Utc>) -> Result<Vec<Plain>, Fault> {
    let mut all = Passed::default();
    settled.iter_mut().for_each(|batch| all.merge(std::mem::take(&mut batch.staged.batch.passed)));
    let mut rows = Vec::new();
    let (mut hashes, mut groups) = (Vec::new(), Vec::new());
    let mut close = |hashes: &mut Vec<KeyHash>, groups: &mut Vec<(Why, usize)>| {
        let row = PassRow { run: run.to_owned(), settled_at: now, groups: std::mem::take(groups) };
        plain(&std::mem::take(hashes), &row).map(|row| rows.push(row))
    };
    for (why, mut rest) in all.groups() {
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.len().min(ROW_HASHES - hashes.len()));
            hashes.extend_from_slice(part);
            groups.push((why.clone(), part.len()));
            rest = after;
            if hashes.len() == ROW_HASHES {
                close(&mut hashes, &mut groups)?;
            }
        }
    }
    if !hashes.is_empty() {
        close(&mut hashes, &mut groups)?;
    }
    Ok(rows)
}

fn plain(hashes: &[KeyHash], about: &impl Serialize) -> Result<Plain, Fault> {
    let json = serde_json::to_vec(about).map_err(not_json)?;
    let json = zstd::bulk::compress(&json, COMPRESSION).map_err(|_| damaged(Tree::History))?;
    let count = u32::try_from(hashes.len()).unwrap_or(u32::MAX);
    let hashes = hashes.iter().flat_map(|hash| hash.0);
    Ok(FORMAT.to_be_bytes().into_iter().chain(count.to_be_bytes()).chain(hashes).chain(json).collect())
}

fn size(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64 + ROW_OVERHEAD
}

fn head_key(stream: &StreamId) -> Vec<u8> {
    [HEADS, &stream.prefix()].concat()
}

fn prefix(stream: &StreamId, kind: Kind) -> Vec<u8> {
    stream.key(&[kind.byte()])
}

fn row_key(stream: &StreamId, kind: Kind, number: u64, now: DateTime<Utc>) -> Vec<u8> {
    [&prefix(stream, kind)[..], &number.to_be_bytes(), &now.timestamp_millis().to_be_bytes()].concat()
}

fn time_ms(key: &[u8]) -> i64 {
    key.last_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
