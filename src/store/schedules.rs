//! What the scheduler remembers over restarts: where each pipeline's schedule stands, and backfills that have not ended.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Op, State, Tree, records::StreamId, standing::run_bound, state::damaged};
use crate::model::{Code, Cursor, Fault};

/// Runs that one commit removes.
const TRIM_MAX: usize = 1_000;

/// Where a pipeline's schedule stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Scheduled {
    /// The schedule as it was then, in words. Of another one nothing was missed.
    pub line: String,
    /// Everything that came due up to here is decided.
    pub decided: DateTime<Utc>,
    /// Times that shall be run and were not begun, in order.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub owed: VecDeque<DateTime<Utc>>,
    /// The time whose run is under way, or was when the process ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<DateTime<Utc>>,
    /// Runs in a row that failed or were cut off.
    #[serde(default)]
    pub failures: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// Since when nothing of it may begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<DateTime<Utc>>,
    /// A reaction of its objectives paused it, and why. Nothing: a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_by: Option<PausedBy>,
}

/// What paused a pipeline that no person did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PausedBy {
    pub objective: String,
    pub why: String,
    /// When it ends by itself. Nothing: a person ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

impl Scheduled {
    /// The state of a schedule that is seen for the first time: nothing was missed.
    pub fn new(line: String, now: DateTime<Utc>) -> Self {
        let owed = VecDeque::new();
        Self { line, decided: now, owed, begun: None, failures: 0, wait: None, paused: None, paused_by: None }
    }

    /// Whether a restart must find it. A pipeline without a schedule has nothing to remember, unless it is paused.
    pub fn is_kept(&self) -> bool {
        !self.line.is_empty() || self.paused.is_some()
    }
}

/// A pipeline is not tried again before.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Wait {
    pub since: DateTime<Utc>,
    pub until: DateTime<Utc>,
    /// Why.
    pub code: Code,
    /// Only a person can mend it.
    pub person: bool,
}

/// A window of a stream that is read beside the stream's own progress.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Backfill {
    pub pipeline: String,
    /// The stream's own name, and behind `~` one for this backfill: see [`StreamId::ledger`].
    pub stream: String,
    pub from: Cursor,
    pub to: Cursor,
    pub asked_at: DateTime<Utc>,
}

impl Backfill {
    pub fn stream_id(&self) -> StreamId {
        StreamId::new(self.pipeline.clone(), self.stream.clone())
    }

    fn key(&self) -> Vec<u8> {
        [BACKFILL, &self.stream_id().prefix()].concat()
    }
}

/// The two kinds of rows of the tree, told by how their keys begin.
const SCHEDULE: &[u8] = b"s\0";
const BACKFILL: &[u8] = b"b\0";

impl State {
    /// Where each pipeline's schedule stands, those of pipelines that are gone included.
    pub async fn schedules(&self) -> Result<BTreeMap<String, Scheduled>, Fault> {
        let rows: Vec<(Vec<u8>, Scheduled)> = self.rows(Tree::Schedules, SCHEDULE).await?;
        let named = |(key, row): (Vec<u8>, Scheduled)| {
            let name = String::from_utf8(key[SCHEDULE.len()..].to_vec()).map_err(|_| damaged(Tree::Schedules))?;
            Ok((name, row))
        };
        rows.into_iter().map(named).collect()
    }

    /// Remembers all of these in one commit. Nothing: it is forgotten.
    pub async fn keep_schedules(&self, rows: &[(String, Option<Scheduled>)]) -> Result<(), Fault> {
        let op = |(name, row): &(String, Option<Scheduled>)| {
            let key = [SCHEDULE, name.as_bytes()].concat();
            match row {
                Some(row) => self.put(Tree::Schedules, key, row),
                None => Ok(Op::Delete { tree: Tree::Schedules, key }),
            }
        };
        let ops = rows.iter().map(op).collect::<Result<Vec<_>, _>>()?;
        if ops.is_empty() { Ok(()) } else { self.commit_ops(ops).await }
    }

    /// Backfills that have not ended, in the order in which they were asked for.
    pub async fn backfills(&self) -> Result<Vec<Backfill>, Fault> {
        let rows: Vec<(Vec<u8>, Backfill)> = self.rows(Tree::Schedules, BACKFILL).await?;
        let mut all: Vec<Backfill> = rows.into_iter().map(|(_, row)| row).collect();
        all.sort_by(|a, b| (a.asked_at, &a.stream).cmp(&(b.asked_at, &b.stream)));
        Ok(all)
    }

    pub async fn keep_backfill(&self, backfill: &Backfill) -> Result<(), Fault> {
        self.commit_ops(vec![self.put(Tree::Schedules, backfill.key(), backfill)?]).await
    }

    /// Forgets a backfill and how far it came. Nothing of it may be staged.
    pub async fn end_backfill(&self, backfill: &Backfill) -> Result<(), Fault> {
        let stream = backfill.stream_id();
        self.refuse_while_staged(&stream).await?;
        let rows = [(Tree::Schedules, backfill.key()), (Tree::Checkpoints, stream.prefix())];
        self.commit_ops(rows.map(|(tree, key)| Op::Delete { tree, key }).to_vec()).await
    }

    /// Removes the records of runs that began before a time, a bounded commit at a time. Returns how many.
    pub async fn trim_runs(&self, before: DateTime<Utc>) -> Result<usize, Fault> {
        let bound = run_bound(before);
        let mut removed = 0;
        loop {
            let page = self.scan(Tree::Runs, &[], None).await?;
            let old = page.into_iter().map(|(key, _)| key).take_while(|key| *key < bound).take(TRIM_MAX);
            let ops: Vec<Op> = old.map(|key| Op::Delete { tree: Tree::Runs, key }).collect();
            if ops.is_empty() {
                return Ok(removed);
            }
            removed += ops.len();
            self.commit_ops(ops).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::{Memory, Run, Seal};

    fn state() -> State {
        State::new(Arc::new(Memory::default()), Arc::new(Seal::plain()))
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[tokio::test]
    async fn what_is_kept_of_schedules_comes_back_and_can_be_forgotten() {
        let state = state();
        let wait = Wait { since: at(5), until: at(3_605), code: Code::Unauthorized, person: true };
        let full = Scheduled {
            owed: [at(20), at(30)].into(),
            begun: Some(at(10)),
            failures: 3,
            wait: Some(wait),
            paused: Some(at(40)),
            paused_by: Some(PausedBy { objective: "success".to_owned(), why: "it burns".to_owned(), until: None }),
            ..Scheduled::new("every 10s".to_owned(), at(30))
        };
        let plain = Scheduled::new("after a".to_owned(), at(1));
        let rows = [("a".to_owned(), Some(full.clone())), ("b".to_owned(), Some(plain.clone()))];
        state.keep_schedules(&rows).await.unwrap();
        let both = [("a".to_owned(), full), ("b".to_owned(), plain)];
        assert_eq!(state.schedules().await.unwrap(), both.clone().into());
        state.keep_schedules(&[("a".to_owned(), None)]).await.unwrap();
        assert_eq!(state.schedules().await.unwrap(), [both[1].clone()].into());
    }

    #[tokio::test]
    async fn records_of_old_runs_are_removed_and_younger_ones_stay() {
        let state = state();
        let id = |millis: u64| uuid::Builder::from_unix_timestamp_millis(millis, &[7; 10]).into_uuid().to_string();
        let begun = 1_767_225_600_000u64;
        for minute in 0..2_500 {
            let run = Run::begin(id(begun + minute * 60_000), &StreamId::new("p", "s"), at(0));
            state.save_run(&run).await.unwrap();
        }
        let before = DateTime::from_timestamp_millis((begun + 2_400 * 60_000) as i64).unwrap();
        assert_eq!(state.trim_runs(before).await.unwrap(), 2_400);
        let left = state.runs().await.unwrap();
        assert_eq!((left.len(), left[0].id.clone()), (100, id(begun + 2_400 * 60_000)));
        assert_eq!(state.trim_runs(before).await.unwrap(), 0);
    }
}
