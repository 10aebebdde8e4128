//! Crontab's meaning, on the `cron` crate. This is the only file that knows the crate, whose dialect is another one.
//!
//! | crontab | the crate | so here |
//! |---|---|---|
//! | 0 and 7 are Sunday | 1 is Sunday | weekdays are written by name |
//! | a day counts when either day field allows it, if both restrict | both must | the union of two schedules |
//! | a fixed time in the gap of spring runs once, right after it | is skipped | it is evaluated where there is no gap, and what falls into one is moved to its end |
//! | a fixed time in the repeated hour of autumn runs once | runs twice, and `after(t)` may answer with a time before `t` | the first of both counts |
//! | `*/15` follows elapsed time through both | as above | a time that does not exist is left out, one that comes twice comes twice |
//!
//! The hard idea: the crate only ever sees wall time as if it were UTC, where every time exists once. Which instants a wall time
//! stands for is answered here, by the time zone.

use std::str::FromStr;

use chrono::{DateTime, LocalResult, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};

use crate::config::plan::CronLine;

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// A crontab line in a time zone.
#[derive(Clone, Debug)]
pub struct Crontab {
    zone: Tz,
    /// The times of day of either of them count.
    walls: Vec<cron::Schedule>,
    /// See [`CronLine::elapsed`].
    elapsed: bool,
}

impl Crontab {
    /// Nothing for a line whose sets are empty, which no checked line has.
    pub fn new(line: &CronLine, zone: Tz) -> Option<Self> {
        let every_day = CronLine { days: u64::MAX, ..line.clone() };
        let every_weekday = CronLine { weekdays: u64::MAX, ..line.clone() };
        let walls = if line.either_day { vec![every_day, every_weekday] } else { vec![line.clone()] };
        let walls = walls.iter().map(|line| cron::Schedule::from_str(&spelt(line)).ok()).collect::<Option<_>>()?;
        Some(Self { zone, walls, elapsed: line.elapsed })
    }

    /// The first instant after `at` at which the line is due.
    pub fn next_after(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.elapsed { self.next_elapsed(at) } else { self.next_fixed(at) }
    }

    /// Each wall time is one instant, and later ones are never earlier instants: what lies in a gap is its end, and of two
    /// the first counts.
    fn next_fixed(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut wall = self.local(at);
        loop {
            wall = self.next_wall(wall)?;
            let instant = match self.zone.from_local_datetime(&wall) {
                LocalResult::Single(one) | LocalResult::Ambiguous(one, _) => Some(one),
                LocalResult::None => GapInfo::new(&wall, &self.zone).and_then(|gap| gap.end),
            };
            if let Some(instant) = instant.map(|instant| instant.to_utc()).filter(|instant| *instant > at) {
                return Some(instant);
            }
        }
    }

    /// Each instant is due whose wall time is. Where the clock is set back after `at`, walls that `at` has passed come again.
    fn next_elapsed(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let here = self.local(at);
        let next = self.next_elapsed_from(here, at)?;
        let LocalResult::Ambiguous(first, second) = self.zone.from_local_datetime(&here) else { return Some(next) };
        let repeated = second - first;
        if first.to_utc() != at || repeated <= TimeDelta::zero() {
            return Some(next);
        }
        let again = self.next_elapsed_from(here - repeated, at);
        Some(again.map_or(next, |again| again.min(next)))
    }

    fn next_elapsed_from(&self, wall: NaiveDateTime, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut wall = wall;
        loop {
            wall = self.next_wall(wall)?;
            let instants = match self.zone.from_local_datetime(&wall) {
                LocalResult::Single(one) => [Some(one), None],
                LocalResult::Ambiguous(first, second) => [Some(first), Some(second)],
                LocalResult::None => [None, None],
            };
            let mut later =
                instants.into_iter().flatten().map(|instant| instant.to_utc()).filter(|instant| *instant > at);
            if let Some(instant) = later.next() {
                return Some(instant);
            }
        }
    }

    fn local(&self, at: DateTime<Utc>) -> NaiveDateTime {
        at.with_timezone(&self.zone).naive_local()
    }

    fn next_wall(&self, wall: NaiveDateTime) -> Option<NaiveDateTime> {
        let as_utc = wall.and_utc();
        self.walls.iter().filter_map(|walls| walls.after(&as_utc).next()).map(|next| next.naive_utc()).min()
    }
}

/// The line in the crate's dialect.
fn spelt(line: &CronLine) -> String {
    let numbers = |bits, from: u32, to: u32| field(bits, from, to, |value| value.to_string());
    let weekdays = field(line.weekdays, 0, 6, |value| WEEKDAYS[value as usize % 7].to_owned());
    let [seconds, minutes, hours] =
        [(line.seconds, 59), (line.minutes, 59), (line.hours, 23)].map(|(bits, to)| numbers(bits, 0, to));
    let (days, months) = (numbers(line.days, 1, 31), numbers(line.months, 1, 12));
    format!("{seconds} {minutes} {hours} {days} {months} {weekdays}")
}

fn field(bits: u64, from: u32, to: u32, name: impl Fn(u32) -> String) -> String {
    let allowed: Vec<u32> = (from..=to).filter(|value| bits >> value & 1 == 1).collect();
    if allowed.len() as u32 == to - from + 1 {
        return "*".to_owned();
    }
    allowed.into_iter().map(name).collect::<Vec<_>>().join(",")
}
