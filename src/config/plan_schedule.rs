//! When pipelines run by themselves, and how the service runs them: as meant.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::plan_admin::AdminPlan;
use super::plan_ingress::ListenPlan;

/// When a pipeline runs by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    pub cadence: Cadence,
    /// Of `cron` and of business days.
    pub zone: Tz,
    pub missed: Missed,
    pub busy: Busy,
    /// Each start is put off by less than this. Zero: not at all.
    pub jitter: Duration,
    pub days: Days,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cadence {
    Cron(CronLine),
    Every(Duration),
    /// After each run of the pipeline of this name that ended well.
    After(String),
}

/// A crontab line. Each set has one bit per value that is allowed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CronLine {
    pub text: String,
    pub seconds: u64,
    pub minutes: u64,
    pub hours: u64,
    /// From bit 1.
    pub days: u64,
    /// From bit 1.
    pub months: u64,
    /// Sunday is bit 0.
    pub weekdays: u64,
    /// Both day fields restrict the days, so a day that one of them allows counts; else both must.
    pub either_day: bool,
    /// Minutes or hours begin with `*`: the line follows elapsed time, and a clock that is set back makes it due twice. Any
    /// other line names times of the day, each of which comes once a day.
    pub elapsed: bool,
}

/// What becomes of times that passed while nothing could run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missed {
    None,
    Last,
    All,
}

/// What becomes of a time that comes while the run before is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Busy {
    Skip,
    Queue,
    Cancel,
}

/// Which days count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Days {
    All,
    /// Monday to Friday, less the holidays of these calendars.
    Business(Vec<Arc<Calendar>>),
}

/// A list of holidays.
#[derive(PartialEq, Eq, Debug)]
pub struct Calendar {
    pub name: String,
    pub holidays: BTreeSet<NaiveDate>,
}

impl Calendar {
    /// The last day that the calendar says anything about: the end of the year of its last holiday.
    pub fn ends(&self) -> Option<NaiveDate> {
        use chrono::Datelike;
        self.holidays.last().and_then(|last| NaiveDate::from_ymd_opt(last.year(), 12, 31))
    }
}

/// How the service runs pipelines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServePlan {
    /// Runs under way at once.
    pub runs_max: usize,
    pub stop_within: Duration,
    /// Changed files are noticed.
    pub watch: bool,
    pub keep_runs: Duration,
    /// Nothing: it does not listen.
    pub admin: Option<AdminPlan>,
    /// Where pushed records are taken in.
    pub ingress: ListenPlan,
}

impl fmt::Display for Schedule {
    /// One line, for people, and for telling whether it was changed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cadence {
            Cadence::Cron(line) => write!(f, "cron {} in {}", line.text, self.zone)?,
            Cadence::Every(time) => write!(f, "every {time:?}")?,
            Cadence::After(pipeline) => write!(f, "after {pipeline}")?,
        }
        if let Days::Business(calendars) = &self.days {
            f.write_str(" on business days")?;
            calendars.iter().try_for_each(|calendar| write!(f, " of {}", calendar.name))?;
            if !matches!(self.cadence, Cadence::Cron(_)) {
                write!(f, " in {}", self.zone)?;
            }
        }
        Ok(())
    }
}
