//! When a pipeline is due, as pure functions of the time: its line or its interval, less the days that do not count, put off by
//! its jitter. What has come due since is answered here too, and which of that was missed.
//!
//! | due | means |
//! |---|---|
//! | `every: 5m` | at the multiples of five minutes since 1970, moved by a part of them that the pipeline's name decides: pipelines spread out, and a restart changes nothing |
//! | `cron` | as `crontab.rs` says |
//! | `after` | never by the clock |

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Datelike, LocalResult, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::{GapInfo, Tz};
use sha2::{Digest, Sha256};

use super::crontab::Crontab;
use crate::{
    config::plan::{Cadence, Calendar, Days, Missed, Schedule},
    model::{Entropy, SystemEntropy},
};

/// A start that is not later than this is on time.
pub const ON_TIME: TimeDelta = TimeDelta::seconds(60);
/// Times that one pipeline may owe. Of more, the newest are kept.
pub const DUE_MAX: usize = 1_000;
/// Times that are counted. Of more, only the newest are looked at.
const COUNT_MAX: usize = 10_000;
/// Days that are looked through for one that counts.
const DAYS_MAX: u32 = 4_000;

/// One time at which a pipeline is due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Due {
    /// When it begins: `at` put off by the jitter.
    pub start: DateTime<Utc>,
    pub at: DateTime<Utc>,
}

/// When one pipeline is due.
#[derive(Clone, Debug)]
pub struct Timetable {
    beat: Beat,
    zone: Tz,
    /// Nothing: all days count.
    business: Option<Vec<Arc<Calendar>>>,
    jitter: Duration,
    pub missed: Missed,
    /// Moves intervals and draws jitter.
    seed: u64,
}

#[derive(Clone, Debug)]
enum Beat {
    Cron(Crontab),
    Every(TimeDelta),
}

/// What has come due, and what becomes of it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Passed {
    /// The last one: everything up to it is decided.
    pub last: Option<DateTime<Utc>>,
    /// What is to be run, in order.
    pub run: Vec<DateTime<Utc>>,
    /// Of `run`, these were missed; the others are on time.
    pub late: usize,
    /// How many are left out; not more than are counted.
    pub forgotten: u64,
    /// The next one, whose start has not come.
    pub next: Option<Due>,
}

impl Timetable {
    /// Nothing for a schedule that does not go by the clock.
    pub fn new(pipeline: &str, schedule: &Schedule) -> Option<Self> {
        let beat = match &schedule.cadence {
            Cadence::Cron(line) => Beat::Cron(Crontab::new(line, schedule.zone)?),
            Cadence::Every(every) => Beat::Every(TimeDelta::from_std(*every).ok()?),
            Cadence::After(_) => return None,
        };
        let business = match &schedule.days {
            Days::All => None,
            Days::Business(calendars) => Some(calendars.clone()),
        };
        let Schedule { zone, jitter, missed, .. } = *schedule;
        Some(Self { beat, zone, business, jitter, missed, seed: seed(&[pipeline.as_bytes()]) })
    }

    /// The first time after `at`.
    pub fn next_after(&self, at: DateTime<Utc>) -> Option<Due> {
        let mut from = at;
        for _ in 0..DAYS_MAX {
            let due = self.next_beat(from)?;
            if self.counts(due) {
                return Some(Due { start: self.start_of(due), at: due });
            }
            // The next time that may count is on the next day.
            from = self.end_of_day(due)?;
        }
        None
    }

    /// When the run of a time is to begin.
    pub fn start_of(&self, due: DateTime<Utc>) -> DateTime<Utc> {
        due + self.jitter(due)
    }

    /// What came due after `since` and begins at `now` at the latest. The order of times is kept: one whose jitter is
    /// short does not overtake the one before.
    pub fn passed(&self, since: DateTime<Utc>, now: DateTime<Utc>) -> Passed {
        let (mut passed, next) = self.between(since, now, COUNT_MAX);
        let counted = passed.len() as u64;
        if next.is_some_and(|due| due.start <= now) {
            passed = self.newest(since, now);
        }
        let next = passed.last().map_or(next, |last| self.next_after(last.at));
        Passed { next, ..choose(&passed, counted.max(passed.len() as u64), self.missed, now) }
    }

    /// The times after `since` that begin at `now` at the latest, up to a number of them, and the one that follows.
    fn between(&self, since: DateTime<Utc>, now: DateTime<Utc>, max: usize) -> (Vec<Due>, Option<Due>) {
        let (mut passed, mut next) = (Vec::new(), self.next_after(since));
        while let Some(due) = next.filter(|due| due.start <= now && passed.len() < max) {
            passed.push(due);
            next = self.next_after(due.at);
        }
        (passed, next)
    }

    /// The newest of more times than are counted: looks back twice as far until there are enough.
    fn newest(&self, since: DateTime<Utc>, now: DateTime<Utc>) -> Vec<Due> {
        let mut back = TimeDelta::minutes(1);
        loop {
            let from = now.checked_sub_signed(back).map_or(since, |from| from.max(since));
            let (passed, _) = self.between(from, now, usize::MAX);
            if passed.len() >= DUE_MAX || from == since {
                return passed;
            }
            back = back * 2;
        }
    }

    fn next_beat(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.beat {
            Beat::Cron(crontab) => crontab.next_after(at),
            Beat::Every(every) => {
                let every = every.num_milliseconds().max(1);
                let moved = (self.seed % every.unsigned_abs()) as i64;
                let beats = (at.timestamp_millis() - moved).div_euclid(every) + 1;
                DateTime::from_timestamp_millis(beats.checked_mul(every)?.checked_add(moved)?)
            }
        }
    }

    fn counts(&self, due: DateTime<Utc>) -> bool {
        let Some(calendars) = &self.business else { return true };
        let day = due.with_timezone(&self.zone).date_naive();
        let is_weekend = matches!(day.weekday(), Weekday::Sat | Weekday::Sun);
        !is_weekend && !calendars.iter().any(|calendar| calendar.holidays.contains(&day))
    }

    /// An instant at the end of a local day, after which only times of later days come.
    fn end_of_day(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let next = at.with_timezone(&self.zone).date_naive().succ_opt()?;
        let midnight = next.and_hms_opt(0, 0, 0)?;
        let begins = match self.zone.from_local_datetime(&midnight) {
            LocalResult::Single(one) | LocalResult::Ambiguous(one, _) => one,
            LocalResult::None => GapInfo::new(&midnight, &self.zone)?.end?,
        };
        Some(at.max(begins.to_utc() - TimeDelta::nanoseconds(1)))
    }

    /// By how much the start of a time is put off: chance, and yet the same whenever one asks.
    fn jitter(&self, due: DateTime<Utc>) -> TimeDelta {
        if self.jitter.is_zero() {
            return TimeDelta::zero();
        }
        let entropy = SystemEntropy::seeded(seed(&[&self.seed.to_be_bytes(), &due.timestamp_millis().to_be_bytes()]));
        TimeDelta::from_std(self.jitter.mul_f64(entropy.share())).unwrap_or_default()
    }
}

/// Which of the times that passed are run. `count` of them passed in all.
fn choose(passed: &[Due], count: u64, missed: Missed, now: DateTime<Utc>) -> Passed {
    let Some(last) = passed.last() else { return Passed::default() };
    let is_late = |due: &Due| now - due.start > ON_TIME;
    let run: Vec<&Due> = match missed {
        Missed::None => passed.last().filter(|due| !is_late(due)).into_iter().collect(),
        Missed::Last => vec![last],
        Missed::All => passed.iter().skip(passed.len().saturating_sub(DUE_MAX)).collect(),
    };
    Passed {
        last: Some(last.at),
        late: run.iter().filter(|due| is_late(due)).count(),
        forgotten: count - run.len() as u64,
        run: run.into_iter().map(|due| due.at).collect(),
        next: None,
    }
}

/// A number for whoever needs the same one again.
fn seed(parts: &[&[u8]]) -> u64 {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
