//! Looks after objectives: every few seconds it counts how fresh pipelines are, lets `engine::Reflexes` decide, and does what that asks
//! for. A pipeline rests, or its callers are answered at once, through what the engine has for it; a pause it hands to the loop, which does
//! it as it would for a person. Each is logged, told and counted with its reason.
//!
//! While no pipeline declares objectives there is nothing to wake up for.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{hub::Hub, service::View, tell};
use crate::{
    config::{
        Plan,
        plan::{Act, Burns, Objective, Pipeline, Reaction, Slo},
    },
    engine::{Engine, InForce, Reflex, Reflexes, Schedule, Seen, Standing, Why},
    model::{Code, Fault},
    store::PausedBy,
};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(5);
/// Runs of the last hours that are counted when the service begins.
const RUNS_MAX: usize = 10_000;

/// What the loop is to do.
pub enum Wanted {
    Pause { pipeline: Arc<str>, by: PausedBy },
    Resume { pipeline: Arc<str> },
}

pub struct Care {
    reflexes: Reflexes,
    hub: Arc<Hub>,
    /// When it looks next, if there is anything to look at.
    next: Option<Instant>,
}

impl Care {
    pub fn new(hub: Arc<Hub>, plan: &Plan) -> Self {
        let mut care = Self { reflexes: Reflexes::default(), hub, next: None };
        care.follow(plan);
        care
    }

    /// Follows another plan.
    pub fn follow(&mut self, plan: &Plan) {
        let has_any = plan.pipelines.values().any(|pipeline| pipeline.slo.is_some());
        // What is in force of a plan before is looked at once more, to end it.
        self.next = (has_any || self.next.is_some()).then(|| Instant::now() + LOOK);
    }

    pub fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Counts what the store remembers of the last hours. How long deliveries took, and how fresh pipelines were, it does not.
    pub async fn remember(&self, engine: &Engine) -> Result<(), Fault> {
        if self.next.is_none() {
            return Ok(());
        }
        let now = engine.clock().now();
        let [_, minutes] = Burns::Slow.windows();
        let since = now - TimeDelta::minutes(minutes.into());
        let recent = |ended: Option<DateTime<Utc>>| ended.is_some_and(|ended| ended > since && ended <= now);
        let runs = engine.state().latest_runs(None, now, RUNS_MAX, |run| recent(run.ended_at)).await?;
        for run in &runs {
            engine.progress(&run.pipeline).vitals.settled(&run.counts, run.ended_at.unwrap_or(now));
        }
        Ok(())
    }

    /// Looks at everything, does what can be done here, and says what the loop has to do.
    pub fn look(&mut self, engine: &Engine, schedule: &Schedule) -> Vec<Wanted> {
        let (now, plan) = (engine.clock().now(), engine.plan());
        let mut wanted = Vec::new();
        for pipeline in plan.pipelines.values() {
            let Some((slo, standing)) = pipeline.slo.as_ref().zip(schedule.standing_of(&pipeline.name)) else {
                continue;
            };
            let progress = engine.progress(&pipeline.name);
            if slo.freshness.is_some() && standing.paused_since.is_none() {
                progress.vitals.looked(age(&self.hub, &pipeline.name, now), now);
            }
            let paused_until = standing.paused_by.as_ref().and_then(|by| by.until);
            let (vitals, is_paused) = (&progress.vitals, standing.paused_since.is_some());
            let seen = Seen { pipeline: &standing.pipeline, slo, vitals, is_paused, paused_until };
            for change in self.reflexes.look(&seen, now) {
                wanted.extend(self.follow_up(change, now));
            }
            settle(engine, &pipeline.name, self.reflexes.in_force(&pipeline.name));
        }
        let is_declared = |name: &str| plan.pipelines.get(name).is_some_and(|pipeline| pipeline.slo.is_some());
        for change in self.reflexes.keep_only(is_declared) {
            if let Reflex::End { pipeline, .. } = &change {
                settle(engine, pipeline, &[]);
            }
            wanted.extend(self.follow_up(change, now));
        }
        let has_any = plan.pipelines.values().any(|pipeline| pipeline.slo.is_some());
        self.next = has_any.then(|| Instant::now() + LOOK);
        wanted
    }

    /// Tells of a change, and says what the loop has to do.
    fn follow_up(&self, change: Reflex, now: DateTime<Utc>) -> Option<Wanted> {
        match change {
            Reflex::Begin { pipeline, reaction, why } => {
                self.hub.reaction(&pipeline, &reaction, Some(&why));
                tell::reaction_begins(&pipeline, &reaction, &why);
                pause(&reaction, &why, now).map(|by| Wanted::Pause { pipeline, by })
            }
            Reflex::End { pipeline, reaction } => {
                self.hub.reaction(&pipeline, &reaction, None);
                tell::reaction_ends(&pipeline, reaction.act.name());
                None
            }
            Reflex::Resume { pipeline } => {
                self.hub.pause_ends(&pipeline);
                tell::reaction_ends(&pipeline, "pause");
                Some(Wanted::Resume { pipeline })
            }
        }
    }

    /// What is in force, by pipeline.
    pub fn in_force(&self) -> BTreeMap<Arc<str>, Vec<InForce>> {
        self.reflexes.all().filter(|(_, all)| !all.is_empty()).map(|(name, all)| (name.clone(), all.clone())).collect()
    }
}

/// How a reaction that pauses is remembered.
fn pause(reaction: &Reaction, why: &Why, now: DateTime<Utc>) -> Option<PausedBy> {
    let Act::Pause { by_itself } = reaction.act else { return None };
    let until = TimeDelta::from_std(reaction.hold).ok().and_then(|hold| now.checked_add_signed(hold));
    let objective = why.objective.name().to_owned();
    Some(PausedBy { objective, why: why.to_string(), until: until.filter(|_| by_itself) })
}

/// Since the last run that was done began; before the first, since the service did.
fn age(hub: &Hub, pipeline: &str, now: DateTime<Utc>) -> Duration {
    let since = hub.tally.of(pipeline).done_at.unwrap_or(hub.tally.began);
    (now - since).to_std().unwrap_or_default()
}

/// Makes a pipeline work as what is in force says.
fn settle(engine: &Engine, pipeline: &str, in_force: &[InForce]) {
    let shares = in_force.iter().filter_map(|it| match it.reaction.act {
        Act::SlowDown(share) => Some(share),
        Act::Async | Act::Pause { .. } => None,
    });
    let at_once = in_force.iter().any(|it| it.reaction.act == Act::Async);
    let progress = engine.progress(pipeline);
    progress.slow_down.work_for(shares.min_by(f64::total_cmp));
    progress.vitals.at_once(at_once);
    engine.turn_valve(pipeline, |valve| valve.at_once = at_once);
}

/// The objectives of a pipeline as they stand, and its reactions in force. Nothing: it declares none.
pub fn shown(hub: &Hub, view: &View, plan: &Pipeline, standing: &Standing) -> Option<Value> {
    let slo = plan.slo.as_ref()?;
    let now = view.engine.clock().now();
    let objectives = slo.objectives().map(|(objective, target)| {
        let vitals = &view.engine.progress(&plan.name).vitals;
        let mut burn = serde_json::Map::new();
        burn_rates(view, plan, objective, now)
            .for_each(|(window, rate)| drop(burn.insert(window.to_owned(), json!(rate))));
        let seconds = |time: Duration| json!(time.as_secs_f64());
        let (limit, is) = match objective {
            Objective::Freshness => (slo.freshness.map(seconds), Some(seconds(age(hub, &plan.name, now)))),
            Objective::Success => (None, vitals.good(objective, now).map(|part| json!(part))),
            Objective::P95 => (slo.p95.map(seconds), vitals.p95(now).map(seconds)),
        };
        json!({
            "objective": objective, "target": target, "limit_seconds": limit, "now": is,
            "good_within_an_hour": vitals.good(objective, now), "burn_rates": burn,
        })
    });
    let objectives: Vec<Value> = objectives.collect();
    let in_force = view.in_force.get(&*plan.name).into_iter().flatten();
    let mut reactions: Vec<Value> = in_force.map(shown_reaction).collect();
    reactions.extend(standing.paused_by.as_ref().map(|by| {
        json!({
            "do": "pause", "objective": by.objective, "since": standing.paused_since, "why": by.why, "until": by.until,
        })
    }));
    Some(json!({ "objectives": objectives, "declared": slo.reactions.len(), "in_force": reactions }))
}

fn shown_reaction(it: &InForce) -> Value {
    let mut shown = json!({
        "do": it.reaction.act.name(), "objective": it.reaction.when, "burns": it.reaction.burns, "since": it.since,
        "why": it.why.to_string(),
    });
    if let Act::SlowDown(share) = it.reaction.act {
        shown["to"] = json!(share);
    }
    shown
}

/// How fast the budget of an objective burns, by window.
pub fn burn_rates<'v>(
    view: &'v View,
    plan: &'v Pipeline,
    objective: Objective,
    now: DateTime<Utc>,
) -> impl Iterator<Item = (&'static str, f64)> + use<'v> {
    let names = [(Burns::Fast, ["5m", "1h"]), (Burns::Slow, ["30m", "6h"])];
    names.into_iter().flat_map(move |(burns, [short, long])| {
        let burn = view.engine.progress(&plan.name).vitals.burn(objective, burns, now);
        [(short, burn.short), (long, burn.long)]
    })
}

/// What a pipeline's objectives may lead to, each with whether it is in force.
pub fn acts<'v>(
    view: &'v View,
    slo: &'v Slo,
    standing: &'v Standing,
) -> impl Iterator<Item = (&'static str, bool)> + use<'v> {
    let in_force = view.in_force.get(&standing.pipeline).map_or(&[][..], Vec::as_slice);
    Act::NAMES.into_iter().filter(|act| slo.reactions.iter().any(|it| it.act.name() == *act)).map(
        move |act| match act {
            "pause" => (act, standing.paused_by.is_some()),
            act => (act, in_force.iter().any(|it| it.reaction.act.name() == act)),
        },
    )
}

/// What the log and the audit say of a pause by a reaction.
pub fn noted(by: &PausedBy) -> Value {
    json!({ "code": Code::ObjectiveBurns, "objective": by.objective, "why": by.why, "until": by.until })
}
