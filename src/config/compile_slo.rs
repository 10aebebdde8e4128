//! Objectives and reactions: whether what is asked for can be kept, and whether a reaction could ever come.

use std::{sync::Arc, time::Duration};

use super::{
    check::Check,
    diagnostic::Problem,
    plan::{Act, Burns, Cadence, Canary, From, Mode, Objective, Probe, Reaction, Schedule, Slo, Stream, To},
    raw_slo::{RawAct, RawBurns, RawCanary, RawObjective, RawProbe, RawReaction, RawResume, RawSlo},
    shape::Spanned,
    units::{Share, Time},
};
use crate::model::Code;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

impl Check<'_> {
    /// The objectives of a pipeline, given what it reads and when.
    pub fn slo(&self, raw: &Spanned<RawSlo>, from: Option<&From>, schedule: Option<&Schedule>) -> Slo {
        let (owner, raw) = (raw.span, &raw.value);
        if raw.freshness.is_none() && raw.success.is_none() && raw.p95.is_none() {
            self.missing_key(owner, owner, "success", "say what is to be kept with `freshness`, `success` or `p95`");
        }
        if let Some(freshness) = &raw.freshness {
            self.can_be_fresh(freshness, from, schedule);
        }
        let time = |time: &Spanned<Time>, least: Duration, most: Duration| self.time(Some(time), least, least..=most);
        let mut slo = Slo {
            freshness: raw.freshness.as_ref().map(|it| time(it, 10 * SECOND, 366 * DAY)),
            success: raw.success.as_ref().map(|success| self.part(success, "keeps no budget for errors")),
            p95: raw.p95.as_ref().map(|p95| time(p95, Duration::from_millis(1), 600 * SECOND)),
            reactions: Vec::new(),
        };
        slo.reactions = raw.reactions.iter().filter_map(|raw| self.reaction(raw, &slo, from)).collect();
        slo
    }

    /// A part that is neither nothing nor everything.
    fn part(&self, share: &Spanned<Share>, whole: &str) -> f64 {
        let Share(part) = share.value;
        if part <= 0.0 || part >= 1.0 {
            let why = if part >= 1.0 { whole } else { "asks for nothing" };
            let problem = Problem::new(Code::OutOfRange, share.span, format!("{}% {why}", part * 100.0));
            self.report(problem.help("write more than 0% and less than 100%"));
            return 0.5;
        }
        part
    }

    fn can_be_fresh(&self, freshness: &Spanned<Time>, from: Option<&From>, schedule: Option<&Schedule>) {
        let cannot = |message: String, help: &str| {
            self.report(Problem::new(Code::ObjectiveUnkeepable, freshness.span, message).help(help));
        };
        if from.is_some_and(From::is_only_pushed) {
            return cannot(
                "nothing is read here that could grow old".to_owned(),
                "remove `freshness`; `p95` tells how long callers wait",
            );
        }
        let Some(schedule) = schedule else {
            return cannot(
                "the pipeline has no schedule, so nothing keeps it fresh".to_owned(),
                "add `schedule:`, or remove `freshness`",
            );
        };
        let pause = longest_pause(&schedule.cadence);
        if let Some(pause) = pause.filter(|pause| freshness.value.0 <= *pause) {
            let message = format!(
                "{:?} pass between two runs of the schedule, which is not less than {:?}",
                pause, freshness.value.0
            );
            cannot(
                message,
                "run it more often, or ask for less: the time between two runs and the time that one takes",
            );
        }
    }

    fn reaction(&self, raw: &Spanned<RawReaction>, slo: &Slo, from: Option<&From>) -> Option<Reaction> {
        let raw = &raw.value;
        let when = match raw.when.value {
            RawObjective::Freshness => Objective::Freshness,
            RawObjective::Success => Objective::Success,
            RawObjective::P95 => Objective::P95,
        };
        let burns = match raw.burns.unwrap_or_default() {
            RawBurns::Fast => Burns::Fast,
            RawBurns::Slow => Burns::Slow,
        };
        let never = |at, message: String, help: String| {
            self.report(Problem::new(Code::ReactionNever, at, message).help(help));
        };
        match slo.target(when) {
            None => {
                let name = when.name();
                never(
                    raw.when.span,
                    format!("there is no objective `{name}` to watch"),
                    format!("add `{name}:` to `slo`"),
                );
            }
            Some(target) if burns.rate() * (1.0 - target) > 1.0 => {
                let message = format!(
                    "the budget can burn {:.1} times as fast as it may at the most, and {} is {}",
                    1.0 / (1.0 - target),
                    burns.name(),
                    burns.rate()
                );
                let help = "watch `burns: slow`, or ask for more than 93.1% (84% for slow)";
                never(raw.when.span, message, help.to_owned());
            }
            Some(_) => {}
        }
        let hold = self.time(raw.hold.as_ref(), 15 * MINUTE, 10 * SECOND..=7 * DAY);
        Some(Reaction { when, burns, act: self.act(raw, from), hold })
    }

    fn act(&self, raw: &RawReaction, from: Option<&From>) -> Act {
        if let Some(to) = raw.to.as_ref().filter(|_| !matches!(raw.act.value, RawAct::SlowDown)) {
            self.conflict(to.span, "`to` belongs to `slow_down`", "remove `to`");
        }
        if let Some(resume) = raw.resume.as_ref().filter(|_| !matches!(raw.act.value, RawAct::Pause)) {
            self.conflict(resume.span, "`resume` belongs to `pause`", "remove `resume`; anything else ends by itself");
        }
        match raw.act.value {
            RawAct::SlowDown => {
                let share = raw.to.as_ref().map_or(0.5, |to| to.value.0);
                if let Some(to) = raw.to.as_ref().filter(|_| !(0.01..=0.9).contains(&share)) {
                    let problem =
                        Problem::new(Code::OutOfRange, to.span, "a value out of bounds, expected from 1% to 90%");
                    self.report(
                        problem.help("write the part of the time that the pipeline is at work; `pause` stops it"),
                    );
                }
                Act::SlowDown(share)
            }
            RawAct::Async => {
                let ingress = from.and_then(|from| from.ingress.as_ref());
                if from.is_some() && !ingress.is_some_and(|ingress| ingress.mode == Mode::Sync) {
                    let problem =
                        Problem::new(Code::ReactionNever, raw.act.span, "nobody waits for verdicts of this pipeline");
                    self.report(
                        problem.help("`async` is for `from: { ingress: { mode: sync } }`; remove the reaction"),
                    );
                }
                Act::Async
            }
            RawAct::Pause => {
                let by_itself = raw.resume.as_ref().is_some_and(|resume| matches!(resume.value, RawResume::ByItself));
                if let Some(hold) = raw.hold.as_ref().filter(|_| !by_itself) {
                    let help = "remove `hold`, or add `resume: by_itself`";
                    self.conflict(hold.span, "a pause that a person ends has no `hold`", help);
                }
                Act::Pause { by_itself }
            }
        }
    }

    pub fn canary(&self, raw: &Spanned<RawCanary>, from: Option<&From>, to: Option<&To>) -> Canary {
        let (span, raw) = (raw.span, &raw.value);
        if from.is_some_and(From::is_only_pushed) {
            self.conflict(
                span,
                "what is pushed comes a few records at a time",
                "remove `canary`, or watch `success` under `slo`",
            );
        }
        if to.is_some_and(|to| !matches!(to, To::Operation { .. })) {
            self.conflict(span, "files and tables take records as they come", "remove `canary`; it is for operations");
        }
        let share =
            raw.share.as_ref().map_or(0.05, |share| self.part(share, "of the records would leave none to hold back"));
        let success = raw.success.as_ref().map_or(0.99, |success| {
            if success.value.0 <= 0.0 {
                let problem = Problem::new(Code::OutOfRange, success.span, "every verdict would be good enough");
                self.report(problem.help("write more than 0%, up to 100%"));
            }
            success.value.0
        });
        Canary { share, min: self.number(raw.min.as_ref(), 20, 1..=10_000), success }
    }

    /// A probe, given the streams of its connection. Of one that cannot be used nothing more is said.
    pub fn probe(
        &self,
        raw: &RawProbe,
        connector: &str,
        streams: &std::collections::BTreeMap<String, Arc<Stream>>,
        is_broken: bool,
    ) -> Option<Probe> {
        let every = self.time(raw.every.as_ref(), 5 * MINUTE, 10 * SECOND..=DAY);
        let stream = streams.get(&raw.call.value);
        if stream.is_none() && !is_broken {
            let lead = format!("the streams of the connector `{connector}` are");
            self.unknown("stream", &raw.call, streams.keys().map(String::as_str), &lead);
        }
        Some(Probe { every, stream: stream?.clone() })
    }
}

/// The longest time between two runs of one day, as far as the schedule tells. Days that are left out make it longer.
fn longest_pause(cadence: &Cadence) -> Option<Duration> {
    let line = match cadence {
        Cadence::Every(every) => return Some(*every),
        Cadence::After(_) => return None,
        Cadence::Cron(line) => line,
    };
    let has = |set: u64, value: u64| set >> value & 1 == 1;
    let minutes = (0..1_440u64).filter(|minute| has(line.hours, minute / 60) && has(line.minutes, minute % 60));
    let minutes: Vec<u64> = minutes.collect();
    let first = minutes.first()?;
    let next = minutes.iter().skip(1).copied().chain([first + 1_440]);
    let pause = minutes.iter().zip(next).map(|(minute, next)| next - minute).max()?;
    // Within a minute there may be several; then the pause is from the last of one minute to the first of another.
    let (first, last) = (line.seconds.trailing_zeros(), 63 - line.seconds.leading_zeros());
    Some(Duration::from_secs((pause * 60).saturating_sub(u64::from(last.saturating_sub(first)))))
}
