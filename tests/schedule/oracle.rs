//! When a crontab line is due, told without the engine: minute by minute through UTC, with the wall clock that a time zone shows at
//! each minute, as the cron of a Unix system lives through it.
//!
//! | the wall clock | a fixed line | a line with `*` in minutes or hours |
//! |---|---|---|
//! | goes on by a minute | is due when the time is right | is due when the time is right |
//! | jumps over minutes | is due now, once, if one of them was right | misses them |
//! | is set back | is not due again until the clock is where it was | is due when the time is right, again |

use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;

/// What a wall clock and a calendar show.
#[derive(Clone, Copy)]
pub struct Shown {
    pub minute: u32,
    pub hour: u32,
    pub day: u32,
    pub month: u32,
    /// Sunday is 0.
    pub weekday: u32,
}

impl Shown {
    fn of(at: &NaiveDateTime) -> Self {
        let weekday = at.weekday().num_days_from_sunday();
        Self { minute: at.minute(), hour: at.hour(), day: at.day(), month: at.month(), weekday }
    }

    fn is(&self, hour: u32, minute: u32) -> bool {
        self.hour == hour && self.minute == minute
    }
}

/// A line of the table: as people write it, and as a rule about wall time.
pub struct Line {
    pub text: &'static str,
    pub fixed: bool,
    pub fits: fn(&Shown) -> bool,
}

const fn fixed(text: &'static str, fits: fn(&Shown) -> bool) -> Line {
    Line { text, fixed: true, fits }
}

const fn elapsed(text: &'static str, fits: fn(&Shown) -> bool) -> Line {
    Line { text, fixed: false, fits }
}

pub const LINES: [Line; 24] = [
    fixed("0 0 * * *", |at| at.is(0, 0)),
    fixed("30 1 * * *", |at| at.is(1, 30)),
    fixed("15 2 * * *", |at| at.is(2, 15)),
    fixed("30 2 * * *", |at| at.is(2, 30)),
    fixed("0 3 * * *", |at| at.is(3, 0)),
    fixed("0,20,40 1-3 * * *", |at| (1..=3).contains(&at.hour) && at.minute % 20 == 0),
    fixed("0-59 2 * * SUN", |at| at.hour == 2 && at.weekday == 0),
    fixed("45 1,2 13 * 5", |at| (1..=2).contains(&at.hour) && at.minute == 45 && (at.day == 13 || at.weekday == 5)),
    fixed("0 9 1,15 * MON", |at| at.is(9, 0) && ([1, 15].contains(&at.day) || at.weekday == 1)),
    fixed("5 4 */2 * MON", |at| at.is(4, 5) && at.day % 2 == 1 && at.weekday == 1),
    fixed("0 12 * * FRI-MON", |at| at.is(12, 0) && [5, 6, 0, 1].contains(&at.weekday)),
    fixed("0 6 * * 7", |at| at.is(6, 0) && at.weekday == 0),
    fixed("0 6 * * 0,6", |at| at.is(6, 0) && [0, 6].contains(&at.weekday)),
    fixed("59 23 31 12 *", |at| at.is(23, 59) && at.day == 31 && at.month == 12),
    fixed("0 2 29 FEB *", |at| at.is(2, 0) && at.day == 29 && at.month == 2),
    fixed("30 2 8-14 MAR,NOV *", |at| at.is(2, 30) && (8..=14).contains(&at.day) && [3, 11].contains(&at.month)),
    fixed("@monthly", |at| at.is(0, 0) && at.day == 1),
    fixed("@weekly", |at| at.is(0, 0) && at.weekday == 0),
    elapsed("*/15 * * * *", |at| at.minute % 15 == 0),
    elapsed("*/7 1-3 * * *", |at| at.minute % 7 == 0 && (1..=3).contains(&at.hour)),
    elapsed("0 */2 * * *", |at| at.minute == 0 && at.hour % 2 == 0),
    elapsed("30 * * * 0", |at| at.minute == 30 && at.weekday == 0),
    elapsed("@hourly", |at| at.minute == 0),
    elapsed("*/20 2 13 * 5", |at| at.minute % 20 == 0 && at.hour == 2 && (at.day == 13 || at.weekday == 5)),
];

/// What the lines are due at in a zone, and how often its clock jumps ahead and is set back.
pub struct Told {
    pub due: Vec<Vec<DateTime<Utc>>>,
    pub ahead: usize,
    pub back: usize,
    /// The minutes at which it does either.
    pub changes: Vec<DateTime<Utc>>,
}

/// Lives through every minute after `begin` and before `end`.
pub fn live(zone: Tz, begin: DateTime<Utc>, end: DateTime<Utc>, lines: &[Line]) -> Told {
    let mut told = Told { due: vec![Vec::new(); lines.len()], ahead: 0, back: 0, changes: Vec::new() };
    let minute = TimeDelta::minutes(1);
    let mut before = begin.with_timezone(&zone).naive_local();
    let mut furthest = before;
    let mut now = begin + minute;
    while now < end {
        let at = now.with_timezone(&zone).naive_local();
        let shown = Shown::of(&at);
        let step = at - before;
        if step != minute {
            told.changes.push(now);
            if step > minute { told.ahead += 1 } else { told.back += 1 }
        }
        // The minutes that the clock shows for the first time, those it jumped over included.
        let news = (at - furthest).num_minutes();
        let jumped: Vec<Shown> = (1..news).map(|more| Shown::of(&(furthest + minute * more as i32))).collect();
        for (line, due) in lines.iter().zip(&mut told.due) {
            let fits = (line.fits)(&shown) && (!line.fixed || news > 0);
            if fits || (line.fixed && jumped.iter().any(line.fits)) {
                due.push(now);
            }
        }
        furthest = furthest.max(at);
        before = at;
        now += minute;
    }
    told
}
