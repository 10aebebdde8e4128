//! How a pipeline does, counted where it happens.
//!
//! | objective | an event | is bad when |
//! |---|---|---|
//! | success | a record gets its verdict | it was rejected or parked |
//! | p95 | a caller that waited is answered (`sync` routes); else a write of a batch came back | it took longer than declared |
//! | freshness | the service looks, every five seconds | the last run that was done began longer ago than declared |
//!
//! While callers are not let wait, writes are counted in their place: what the sink needs is what they would wait for.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};

use super::window::{Ring, Times};
use crate::{
    config::plan::{Burns, Objective, Slo},
    model::Counts,
};

/// What is counted against.
#[derive(Clone, PartialEq, Debug)]
pub struct Standard {
    pub slo: Slo,
    /// Callers of the pipeline wait for verdicts by default.
    pub answers: bool,
}

/// How fast the budget of an objective burns in the windows of one of the two rates: as many times as fast as it may.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Burn {
    pub short: f64,
    pub long: f64,
    /// Events of the long window.
    pub good: u64,
    pub bad: u64,
}

#[derive(Default)]
struct Counted {
    standard: Option<Standard>,
    /// In the order of [`Objective::ALL`]; those of objectives that are not declared are not there.
    rings: [Option<Ring>; 3],
    times: Option<Times>,
    /// Callers are not let wait now.
    at_once: bool,
}

/// One pipeline's. Without a standard nothing is counted and nothing is kept.
#[derive(Default)]
pub struct Vitals(Mutex<Counted>);

impl std::fmt::Debug for Vitals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Vitals").finish()
    }
}

impl Vitals {
    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts against this from now on. What was counted against another one is forgotten.
    pub fn hold_to(&self, standard: Option<Standard>) {
        let mut counted = self.lock();
        let is_same = match (&counted.standard, &standard) {
            (Some(old), Some(new)) => {
                let targets = |standard: &Standard| (standard.slo.freshness, standard.slo.success, standard.slo.p95);
                old.answers == new.answers && targets(old) == targets(new)
            }
            (None, None) => true,
            _ => false,
        };
        if is_same {
            counted.standard = standard;
            return;
        }
        *counted = Counted { at_once: counted.at_once, ..Counted::default() };
        counted.standard = standard;
        counted.empty();
    }

    /// Begins to count anew.
    pub fn forget(&self) {
        self.lock().empty();
    }

    /// Callers are let wait, or not.
    pub fn at_once(&self, is_so: bool) {
        self.lock().at_once = is_so;
    }

    /// Records have their verdicts.
    pub fn settled(&self, counts: &Counts, now: DateTime<Utc>) {
        let bad = counts.dead_letters();
        self.lock().add(Objective::Success, now, counts.verdicts().saturating_sub(bad), bad);
    }

    /// A write came back.
    pub fn wrote(&self, took: Duration, now: DateTime<Utc>) {
        let mut counted = self.lock();
        if counted.standard.as_ref().is_some_and(|standard| !standard.answers) || counted.at_once {
            counted.took(took, now);
        }
    }

    /// A caller that waited for verdicts is answered.
    pub fn answered(&self, took: Duration, now: DateTime<Utc>) {
        let mut counted = self.lock();
        if counted.standard.as_ref().is_some_and(|standard| standard.answers) && !counted.at_once {
            counted.took(took, now);
        }
    }

    /// Somebody looked how old the last run is.
    pub fn looked(&self, age: Duration, now: DateTime<Utc>) {
        let mut counted = self.lock();
        let Some(most) = counted.standard.as_ref().and_then(|standard| standard.slo.freshness) else { return };
        let is_bad = age > most;
        counted.add(Objective::Freshness, now, u64::from(!is_bad), u64::from(is_bad));
    }

    /// How fast an objective's budget burns. Without the objective, or without an event, not at all.
    pub fn burn(&self, objective: Objective, burns: Burns, now: DateTime<Utc>) -> Burn {
        let counted = self.lock();
        let target = counted.standard.as_ref().and_then(|standard| standard.slo.target(objective));
        let (Some(target), Some(ring)) = (target, &counted.rings[objective as usize]) else { return Burn::default() };
        let [short, long] = burns.windows().map(|minutes| ring.sum(now, minutes));
        let (good, bad) = long;
        Burn { short: rate(short, target), long: rate(long, target), good, bad }
    }

    /// The part of good events within the last hour. Nothing: there were none.
    pub fn good(&self, objective: Objective, now: DateTime<Utc>) -> Option<f64> {
        let counted = self.lock();
        let (good, bad) = counted.rings[objective as usize].as_ref()?.sum(now, 60);
        (good + bad > 0).then(|| good as f64 / (good + bad) as f64)
    }

    /// The p95 of the last five minutes.
    pub fn p95(&self, now: DateTime<Utc>) -> Option<Duration> {
        self.lock().times.as_ref()?.quantile(now, 0.95)
    }
}

/// So many times as fast as it may.
fn rate((good, bad): (u64, u64), target: f64) -> f64 {
    match good + bad {
        0 => 0.0,
        all => bad as f64 / all as f64 / (1.0 - target),
    }
}

impl Counted {
    fn empty(&mut self) {
        let is_declared = |objective| self.standard.as_ref().is_some_and(|it| it.slo.target(objective).is_some());
        let rings = Objective::ALL.map(|objective| is_declared(objective).then(Ring::default));
        self.times = is_declared(Objective::P95).then(Times::default);
        self.rings = rings;
    }

    fn add(&mut self, objective: Objective, now: DateTime<Utc>, good: u64, bad: u64) {
        if let Some(ring) = &mut self.rings[objective as usize]
            && good + bad > 0
        {
            ring.add(now, good, bad);
        }
    }

    fn took(&mut self, took: Duration, now: DateTime<Utc>) {
        let Some(most) = self.standard.as_ref().and_then(|standard| standard.slo.p95) else { return };
        if let Some(times) = &mut self.times {
            times.add(now, took);
        }
        self.add(Objective::P95, now, u64::from(took <= most), u64::from(took > most));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    fn slo() -> Slo {
        let (freshness, p95) = (Some(Duration::from_secs(900)), Some(Duration::from_millis(200)));
        Slo { freshness, success: Some(0.995), p95, reactions: Vec::new() }
    }

    #[test]
    fn a_burn_rate_is_the_bad_part_by_the_part_that_may_be() {
        let vitals = Vitals::default();
        vitals.settled(&Counts { created: 10, ..Counts::default() }, at(0));
        assert_eq!(vitals.burn(Objective::Success, Burns::Fast, at(0)), Burn::default(), "nothing is declared");
        vitals.hold_to(Some(Standard { slo: slo(), answers: false }));
        vitals.settled(&Counts { created: 990, rejected: 6, parked: 4, ..Counts::default() }, at(0));
        let burn = vitals.burn(Objective::Success, Burns::Fast, at(60));
        assert!((burn.short - 2.0).abs() < 1e-9 && (burn.long - 2.0).abs() < 1e-9, "{burn:?}");
        assert_eq!((burn.good, burn.bad, vitals.good(Objective::Success, at(60))), (990, 10, Some(0.99)));
        let later = vitals.burn(Objective::Success, Burns::Fast, at(600));
        assert_eq!((later.short, later.good), (0.0, 990), "the short window is over");
        vitals.looked(Duration::from_secs(901), at(0));
        vitals.looked(Duration::from_secs(900), at(5));
        assert!((vitals.burn(Objective::Freshness, Burns::Slow, at(5)).short - 50.0).abs() < 1e-6);
    }

    #[test]
    fn answers_count_where_callers_wait_and_writes_where_they_do_not() {
        let (slow, fast) = (Duration::from_secs(2), Duration::from_millis(20));
        let counts = |vitals: &Vitals| {
            let burn = vitals.burn(Objective::P95, Burns::Fast, at(1));
            (burn.good, burn.bad)
        };
        let vitals = Vitals::default();
        vitals.hold_to(Some(Standard { slo: slo(), answers: true }));
        vitals.wrote(slow, at(0));
        vitals.answered(fast, at(0));
        assert_eq!(counts(&vitals), (1, 0));
        vitals.at_once(true);
        vitals.answered(fast, at(0));
        vitals.wrote(slow, at(0));
        assert_eq!(counts(&vitals), (1, 1), "else an answer at once would look like a sink that is well");
        vitals.hold_to(Some(Standard { slo: slo(), answers: false }));
        assert_eq!(counts(&vitals), (0, 0), "another standard");
    }
}
