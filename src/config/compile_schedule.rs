//! Schedules: which of the three ways says when, whether it ever comes, and whether pipelines wait for each other in a circle.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono_tz::{TZ_VARIANTS, Tz};

use super::{
    calendar::Calendars,
    check::Check,
    cron_line,
    diagnostic::Problem,
    fill::HOLE,
    plan_schedule::{Busy, Cadence, CronLine, Days, Missed, Schedule, ServePlan},
    raw_schedule::{RawMissed, RawOnly, RawOverlap, RawSchedule, RawServe},
    shape::Spanned,
    source::Span,
    suggest,
};
use crate::model::Code;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const JITTER_MAX: Duration = Duration::from_secs(3_600);

/// Saturday and Sunday.
const WEEKEND: u64 = 0b100_0001;

/// Which pipeline each pipeline waits for, and where that is written.
pub type After = BTreeMap<String, Spanned<String>>;

impl Check<'_> {
    pub fn serve(&self, raw: Option<&RawServe>) -> ServePlan {
        let default = RawServe::default();
        let raw = raw.unwrap_or(&default);
        let stop_within = (Duration::from_secs(30), 2 * SECOND..=600 * SECOND);
        ServePlan {
            runs_max: self.number(raw.runs_max.as_ref(), 32, 1..=4096) as usize,
            stop_within: self.time(raw.stop_within.as_ref(), stop_within.0, stop_within.1),
            watch: raw.watch.unwrap_or(true),
            keep_runs: self.time(raw.keep_runs.as_ref(), 90 * DAY, DAY..=3660 * DAY),
            admin: raw.admin.as_ref().map(|admin| self.admin(admin)),
            ingress: self.listen(raw.ingress.as_ref().map(|ingress| &ingress.value)),
        }
    }

    pub fn schedule(&self, raw: &Spanned<RawSchedule>, calendars: &Calendars) -> Option<Schedule> {
        let (owner, raw) = (raw.span, &raw.value);
        let cadence = self.cadence(owner, raw)?;
        let zone = raw.timezone.as_ref().map_or(Some(Tz::UTC), |zone| self.zone(zone))?;
        let days = self.days(raw, &cadence, calendars)?;
        let jitter_max = match &cadence {
            Cadence::Every(every) => (*every).min(JITTER_MAX),
            Cadence::Cron(_) | Cadence::After(_) => JITTER_MAX,
        };
        let jitter = self.time(raw.jitter.as_ref(), Duration::ZERO, Duration::ZERO..=jitter_max);
        let missed = match raw.missed.as_ref().map(|missed| missed.value) {
            Some(RawMissed::None) => Missed::None,
            Some(RawMissed::All) => Missed::All,
            Some(RawMissed::Last) | None => Missed::Last,
        };
        let busy = match raw.overlap.as_ref().map(|overlap| overlap.value) {
            Some(RawOverlap::Queue) => Busy::Queue,
            Some(RawOverlap::Cancel) => Busy::Cancel,
            Some(RawOverlap::Skip) | None => Busy::Skip,
        };
        Some(Schedule { cadence, zone, missed, busy, jitter, days })
    }

    fn cadence(&self, owner: Span, raw: &RawSchedule) -> Option<Cadence> {
        let ways = [("cron", raw.cron.as_ref().map(|it| it.span)), ("every", raw.every.as_ref().map(|it| it.span))];
        let ways = ways.into_iter().chain([("after", raw.after.as_ref().map(|it| it.span))]);
        let ways: Vec<(&str, Span)> = ways.filter_map(|(name, span)| Some((name, span?))).collect();
        if let [(first, _), (second, span), ..] = ways.as_slice() {
            self.conflict(*span, format!("`{first}` and `{second}` both say when"), "keep one of them");
            return None;
        }
        match (&raw.cron, &raw.every, &raw.after) {
            (Some(line), ..) => self.cron(line).map(Cadence::Cron),
            (_, Some(every), _) => {
                self.only_for_clocks(raw, false);
                Some(Cadence::Every(self.time(Some(every), DAY, SECOND..=366 * DAY)))
            }
            (.., Some(pipeline)) => {
                self.only_for_clocks(raw, true);
                Some(Cadence::After(pipeline.value.clone()))
            }
            (None, None, None) => {
                self.missing_key(owner, owner, "cron", "say when with one of `cron`, `every` and `after`");
                None
            }
        }
    }

    /// Refuses what has no meaning beside `every` or `after`.
    fn only_for_clocks(&self, raw: &RawSchedule, after: bool) {
        let zone = raw.timezone.as_ref().filter(|_| after || raw.only.is_none()).map(|it| ("timezone", it.span));
        let others = [
            ("missed", raw.missed.as_ref().map(|it| it.span)),
            ("jitter", raw.jitter.as_ref().map(|it| it.span)),
            ("only", raw.only.as_ref().map(|it| it.span)),
        ];
        let others = others.into_iter().filter_map(|(name, span)| Some((name, span?))).filter(|_| after);
        let way = if after { "after" } else { "every" };
        for (name, span) in others.chain(zone) {
            self.conflict(span, format!("`{name}` has no meaning beside `{way}`"), format!("remove `{name}`"));
        }
    }

    fn cron(&self, line: &Spanned<String>) -> Option<CronLine> {
        if line.value.contains(HOLE) {
            return cron_line::read("@daily").ok();
        }
        let error = match cron_line::read(&line.value) {
            Ok(line) => return Some(line),
            Err(error) => error,
        };
        let code = if error.never { Code::NeverDue } else { Code::CrontabLine };
        let span = self.inside(line.span, &line.value, error.at);
        self.report(Problem::new(code, span, error.message).help(error.help));
        None
    }

    pub(super) fn zone(&self, name: &Spanned<String>) -> Option<Tz> {
        if name.value.contains(HOLE) {
            return Some(Tz::UTC);
        }
        if let Ok(zone) = name.value.parse() {
            return Some(zone);
        }
        let known = TZ_VARIANTS.iter().map(|zone| zone.name());
        let help = match suggest::nearest(&name.value, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write an IANA name such as Asia/Tokyo, Europe/London or UTC".to_owned(),
        };
        let message = format!("there is no time zone `{}`", name.value);
        self.report(Problem::new(Code::TimeZone, name.span, message).help(help));
        None
    }

    fn days(&self, raw: &RawSchedule, cadence: &Cadence, calendars: &Calendars) -> Option<Days> {
        let Some(only) = &raw.only else {
            if let Some(first) = raw.calendar.as_ref().and_then(|named| named.0.first()) {
                let help = "add `only: business_days`, or remove `calendar`";
                self.conflict(first.span, "a calendar alone changes nothing", help);
            }
            return Some(Days::All);
        };
        let RawOnly::BusinessDays = only.value;
        if let Cadence::Cron(line) = cadence
            && !line.either_day
            && line.weekdays & !WEEKEND == 0
        {
            let problem = Problem::new(Code::NeverDue, only.span, "the line names days of the weekend only");
            self.report(problem.help("remove `only`, or let the line name other weekdays"));
        }
        let named = raw.calendar.iter().flat_map(|named| &named.0);
        let found: Vec<_> = named
            .map(|name| match calendars.get(&name.value) {
                Some(calendar) => calendar.clone(),
                None => {
                    self.unknown("calendar", name, calendars.keys().map(String::as_str), "the calendars are");
                    None
                }
            })
            .collect();
        found.into_iter().collect::<Option<Vec<_>>>().map(Days::Business)
    }

    /// Checks that pipelines wait for pipelines that there are, and not for themselves by any way round.
    pub fn circles(&self, after: &After, pipelines: &BTreeSet<&str>) {
        for pipeline in after.values().filter(|pipeline| !pipelines.contains(pipeline.value.as_str())) {
            self.unknown("pipeline", pipeline, pipelines.iter().copied(), "the pipelines are");
        }
        let mut told: BTreeSet<&str> = BTreeSet::new();
        for start in after.keys() {
            let Some(circle) = circle(start, after).filter(|circle| !circle.iter().any(|name| told.contains(name)))
            else {
                continue;
            };
            told.extend(&circle);
            let way = circle.iter().copied().chain(circle.first().copied()).collect::<Vec<_>>().join(" after ");
            let span = after.get(start).map_or(Span::default(), |pipeline| pipeline.span);
            let problem = Problem::new(Code::AfterCircle, span, format!("none of them ever begins: {way}"));
            let others = circle.iter().skip(1).filter_map(|name| after.get(*name));
            let problem = others.fold(problem, |problem, other| problem.related(other.span, "and this one waits, too"));
            self.report(problem.help("let one of them run by `cron` or `every`"));
        }
    }
}

/// The circle that a pipeline waits in, beginning with itself; nothing when it waits in none.
fn circle<'a>(start: &'a str, after: &'a After) -> Option<Vec<&'a str>> {
    let mut way = vec![start];
    loop {
        let next = after.get(*way.last()?)?.value.as_str();
        if next == start {
            return Some(way);
        }
        if way.contains(&next) {
            return None;
        }
        way.push(next);
    }
}
