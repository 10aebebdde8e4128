//! What lists and metrics ask of the store: one pass over few rows for all pipelines, not one for each.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::{
    State, Tree,
    records::{Run, StreamId},
    state::SCAN_LIMIT,
};
use crate::model::Fault;

/// Rows of the outbox that are read at once: they are whole batches.
const BATCHES: usize = 16;
/// The first look back at runs; each further one is longer, as long as it finds few.
const LOOK_BACK: TimeDelta = TimeDelta::minutes(1);
const FEW: usize = 500;
/// A look that would go further back goes to the beginning.
const LOOK_BACK_MAX: TimeDelta = TimeDelta::days(3_660);
/// Rows that one question looks at, but for those of one look.
const ROWS_MAX: usize = 20_000;

/// What is staged of a pipeline.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct StagedNow {
    pub batches: usize,
    pub oldest: Option<DateTime<Utc>>,
}

/// The part of a batch's row that tells when it was staged.
#[derive(Deserialize)]
struct StagedAt {
    staged_at: DateTime<Utc>,
}

impl State {
    /// What is staged, by pipeline.
    pub async fn staged_now(&self) -> Result<BTreeMap<String, StagedNow>, Fault> {
        let mut all: BTreeMap<String, StagedNow> = BTreeMap::new();
        let (mut after, mut before): (Option<Vec<u8>>, Option<StreamId>) = (None, None);
        loop {
            let page = self.store.scan(Tree::Outbox, &[], after.as_deref(), BATCHES).await?;
            let Some((last, _)) = page.last() else { return Ok(all) };
            after = Some(last.clone());
            for (key, bytes) in &page {
                let Some(stream) = StreamId::from_prefix(key) else { continue };
                let staged = all.entry(stream.pipeline.clone()).or_default();
                staged.batches += 1;
                // The first batch of a stream is its oldest.
                if before.as_ref() != Some(&stream) {
                    let row: StagedAt = self.decode(Tree::Outbox, key, bytes)?;
                    staged.oldest = Some(staged.oldest.map_or(row.staged_at, |oldest| oldest.min(row.staged_at)));
                }
                before = Some(stream);
            }
        }
    }

    /// How many dead letters there are, by pipeline.
    pub async fn letter_counts(&self) -> Result<BTreeMap<String, usize>, Fault> {
        let mut all: BTreeMap<String, usize> = BTreeMap::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.scan(Tree::OpenLetters, &[], after.as_deref()).await?;
            for stream in page.iter().filter_map(|(key, _)| StreamId::from_prefix(key)) {
                *all.entry(stream.pipeline).or_default() += 1;
            }
            after = page.last().map(|(key, _)| key.clone());
            if page.len() < SCAN_LIMIT {
                return Ok(all);
            }
        }
    }

    /// One run.
    pub async fn run(&self, id: &str) -> Result<Option<Run>, Fault> {
        self.read(Tree::Runs, id.as_bytes()).await
    }

    /// Runs that begin before `before`, newest first: at most `limit` that are `wanted`. A run is found by the time in its id, so this
    /// reads about as many rows as it returns, and never more than a bounded number.
    pub async fn latest_runs(
        &self,
        before: Option<&str>,
        now: DateTime<Utc>,
        limit: usize,
        wanted: impl Fn(&Run) -> bool,
    ) -> Result<Vec<Run>, Fault> {
        let mut end = before.map_or_else(|| run_bound(now + TimeDelta::days(1)), |id| id.as_bytes().to_vec());
        let mut from = before.and_then(time_of).unwrap_or(now);
        let (mut back, mut looked, mut found) = (LOOK_BACK, 0, Vec::new());
        while found.len() < limit && looked < ROWS_MAX && !end.is_empty() {
            let earlier = from.checked_sub_signed(back).filter(|_| back < LOOK_BACK_MAX);
            let start = earlier.map(run_bound).unwrap_or_default();
            let mut window = self.runs_between(&start, &end).await?;
            looked += window.len();
            if window.len() < FEW {
                back = back * 4;
            }
            window.retain(&wanted);
            found.extend(window.into_iter().rev());
            (end, from) = (start, earlier.unwrap_or(from));
        }
        found.truncate(limit);
        Ok(found)
    }

    async fn runs_between(&self, start: &[u8], end: &[u8]) -> Result<Vec<Run>, Fault> {
        let (mut all, mut after) = (Vec::new(), start.to_vec());
        loop {
            let page = self.scan(Tree::Runs, &[], Some(&after)).await?;
            let is_last = page.len() < SCAN_LIMIT;
            for (key, bytes) in page {
                if key.as_slice() >= end {
                    return Ok(all);
                }
                all.push(self.decode(Tree::Runs, &key, &bytes)?);
                after = key;
            }
            if is_last {
                return Ok(all);
            }
        }
    }
}

/// What stands before the id of every run that begins at a time or later. Ids begin with the time, in milliseconds, as 12 hexadecimal
/// digits with a dash after the eighth.
pub(super) fn run_bound(at: DateTime<Utc>) -> Vec<u8> {
    let digits = format!("{:012x}", at.timestamp_millis().max(0));
    let (high, low) = digits.split_at(digits.len() - 4);
    format!("{high}-{low}").into_bytes()
}

fn time_of(id: &str) -> Option<DateTime<Utc>> {
    let digits = format!("{}{}", id.get(..8)?, id.get(9..13)?);
    DateTime::from_timestamp_millis(i64::from_str_radix(&digits, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::{Memory, Seal};

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_225_600 + second, 0).unwrap()
    }

    fn id(at: DateTime<Utc>, number: u8) -> String {
        let millis = at.timestamp_millis().unsigned_abs();
        uuid::Builder::from_unix_timestamp_millis(millis, &[number; 10]).into_uuid().to_string()
    }

    #[tokio::test]
    async fn the_latest_runs_come_first_and_the_next_page_goes_on_behind_them() {
        let state = State::new(Arc::new(Memory::default()), Arc::new(Seal::plain()));
        let mut ids = Vec::new();
        // Two in the same millisecond, some of today, some of last week, and one of a year ago.
        for (number, second) in [-31_536_000, -604_800, -604_000, -3_000, -30, -30, 0].into_iter().enumerate() {
            let pipeline = if number % 2 == 0 { "even" } else { "odd" };
            let run = Run::begin(id(at(second), number as u8), &StreamId::new(pipeline, "s"), at(second));
            state.save_run(&run).await.unwrap();
            ids.push(run.id);
        }
        ids.reverse();
        let names = |runs: Vec<Run>| runs.into_iter().map(|run| run.id).collect::<Vec<_>>();
        assert_eq!(names(state.latest_runs(None, at(1), 100, |_| true).await.unwrap()), ids);
        let mut paged = Vec::new();
        while paged.len() < ids.len() {
            let before = paged.last().cloned();
            let page = names(state.latest_runs(before.as_deref(), at(1), 2, |_| true).await.unwrap());
            assert!(!page.is_empty() && page.len() <= 2);
            paged.extend(page);
        }
        assert_eq!(paged, ids);
        let odd = state.latest_runs(None, at(1), 100, |run| run.pipeline == "odd").await.unwrap();
        assert_eq!(names(odd), [&ids[1], &ids[3], &ids[5]].map(String::clone));
        assert_eq!(state.run(&ids[3]).await.unwrap().unwrap().id, ids[3]);
    }
}
