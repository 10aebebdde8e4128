//! Decides which reactions begin and which end. It only decides: what it sees and what time it is are arguments.
//!
//! | a reaction | when |
//! |---|---|
//! | begins | the budget burns as fast as declared in both windows, and the long one has at least 20 events |
//! | ends | it has been in force for `hold`, and in the short window the budget burns no faster than it may |
//! | pause ends | a person resumes the pipeline; with `resume: by_itself` when `hold` is over, for nothing happens that could be counted |
//!
//! From 14.4 (or 6) down to 1 is far, so a reaction does not come and go. A pause is remembered by the schedule, which outlives the
//! process, and nowhere else; so a person and a reaction can never disagree about it.

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::vitals::{Burn, Vitals};
use crate::config::plan::{Act, Burns, Objective, Reaction, Slo};

/// Of fewer events nothing is concluded.
const EVENTS_MIN: u64 = 20;
/// A budget that burns no faster than this lasts as long as it should.
const RECOVERED: f64 = 1.0;

/// What a reaction saw.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Why {
    pub objective: Objective,
    pub burns: Burns,
    /// In the short window and in the long one.
    pub rates: [f64; 2],
    pub good: u64,
    pub bad: u64,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self { objective, rates: [short, long], bad, .. }, [few, many]) = (self, self.burns.windows());
        let (name, all) = (objective.name(), self.good + bad);
        write!(
            f,
            "the error budget of `{name}` burns {short:.1} times as fast as it may in {few} minutes and {long:.1} times in "
        )?;
        write!(f, "{many}: {bad} of {all} events were bad")
    }
}

/// Since when a reaction is in force, and why.
#[derive(Clone, PartialEq, Debug)]
pub struct InForce {
    pub reaction: Reaction,
    pub since: DateTime<Utc>,
    pub why: Why,
}

/// What is to be done.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    Begin {
        pipeline: Arc<str>,
        reaction: Reaction,
        why: Why,
    },
    End {
        pipeline: Arc<str>,
        reaction: Reaction,
    },
    /// A pause that was to end by itself does.
    Resume {
        pipeline: Arc<str>,
    },
}

/// What is seen of one pipeline.
pub struct Seen<'a> {
    pub pipeline: &'a Arc<str>,
    pub slo: &'a Slo,
    pub vitals: &'a Vitals,
    pub is_paused: bool,
    /// When the pause ends by itself.
    pub paused_until: Option<DateTime<Utc>>,
}

/// The reactions in force, but for pauses.
#[derive(Default)]
pub struct Reflexes(BTreeMap<Arc<str>, Vec<InForce>>);

impl Reflexes {
    /// What follows for one pipeline, and takes it for done.
    pub fn look(&mut self, seen: &Seen<'_>, now: DateTime<Utc>) -> Vec<Change> {
        let (mut changes, pipeline) = (Vec::new(), || seen.pipeline.clone());
        let in_force = self.0.entry(pipeline()).or_default();
        let burn = |reaction: &Reaction| seen.vitals.burn(reaction.when, reaction.burns, now);
        in_force.retain(|it| {
            let is_declared = seen.slo.reactions.contains(&it.reaction);
            let stays = is_declared && !has_ended(it, burn(&it.reaction), now);
            if !stays {
                changes.push(Change::End { pipeline: pipeline(), reaction: it.reaction });
            }
            stays
        });
        if seen.is_paused {
            if seen.paused_until.is_some_and(|until| until <= now) {
                changes.push(Change::Resume { pipeline: pipeline() });
            }
            return changes;
        }
        for reaction in &seen.slo.reactions {
            let (is_in_force, burn) = (in_force.iter().any(|it| it.reaction == *reaction), burn(reaction));
            if is_in_force || !begins(reaction, burn) {
                continue;
            }
            let Burn { short, long, good, bad } = burn;
            let why = Why { objective: reaction.when, burns: reaction.burns, rates: [short, long], good, bad };
            let reaction = *reaction;
            changes.push(Change::Begin { pipeline: pipeline(), reaction, why: why.clone() });
            match reaction.act {
                // The others have nothing to do any more.
                Act::Pause { .. } => break,
                Act::SlowDown(_) | Act::Async => in_force.push(InForce { reaction, since: now, why }),
            }
        }
        changes
    }

    /// Ends everything of pipelines that are not among these: their files are gone, or declare nothing any more.
    pub fn keep_only(&mut self, is_declared: impl Fn(&str) -> bool) -> Vec<Change> {
        let (mut changes, all) = (Vec::new(), std::mem::take(&mut self.0));
        for (pipeline, in_force) in all {
            if is_declared(&pipeline) {
                self.0.insert(pipeline, in_force);
                continue;
            }
            let end = |it: InForce| Change::End { pipeline: pipeline.clone(), reaction: it.reaction };
            changes.extend(in_force.into_iter().map(end));
        }
        changes
    }

    pub fn all(&self) -> impl Iterator<Item = (&Arc<str>, &Vec<InForce>)> {
        self.0.iter()
    }

    pub fn in_force(&self, pipeline: &str) -> &[InForce] {
        self.0.get(pipeline).map_or(&[], Vec::as_slice)
    }
}

fn begins(reaction: &Reaction, burn: Burn) -> bool {
    let rate = reaction.burns.rate();
    burn.short >= rate && burn.long >= rate && burn.good + burn.bad >= EVENTS_MIN
}

fn has_ended(it: &InForce, burn: Burn, now: DateTime<Utc>) -> bool {
    let hold = TimeDelta::from_std(it.reaction.hold).unwrap_or(TimeDelta::MAX);
    now.signed_duration_since(it.since) >= hold && burn.short <= RECOVERED
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
