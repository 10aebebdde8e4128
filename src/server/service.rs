//! The loop of the service: hears what is asked, what ended and what time it is; lets `engine::Schedule` decide; makes the decision
//! durable; and only then begins and stops runs. It wakes when something is due or asked for, and not before.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout_at},
};

pub use super::wish::{What, Wish};
use super::{
    admin,
    care::{self, Care, Wanted},
    hub::Hub,
    ingress::FrontDoor,
    notify::Notify,
    probing::Probing,
    tell,
    work::{Job, Over, Work},
};
use crate::{
    config::{Plan, plan::StorePlan},
    engine::{Action, Decision, Ended, Engine, InForce, Refused, Schedule, Standing},
    model::{Clock, Code, Fault},
    store::{Backfill, DeadLetter},
};

/// What the service is asked for.
pub enum Asked {
    /// To stop: at checkpoints the first time, at once the second time.
    Stop,
    /// To go on by another plan.
    Plan(Box<Plan>),
    /// To read a window of a stream beside its own progress. It is durable when the answer comes.
    Backfill(Backfill, oneshot::Sender<()>),
    /// What a person wants of one pipeline. It is durable when the answer comes.
    Wish(Wish, oneshot::Sender<Result<(), Refused>>),
    /// How everything stands.
    Look(oneshot::Sender<View>),
    /// Changed files were not taken over.
    Refused { because: Code, place: String, why: String },
    /// To look at the clock again, which was set.
    Clock,
    /// For a sign of life.
    Beat,
}

/// What a wish leads to.
enum Granted {
    Decision(Decision),
    Mend(Box<DeadLetter>),
    Drop(Vec<DeadLetter>),
}

/// How everything stands at one moment.
pub struct View {
    pub engine: Arc<Engine>,
    pub standings: Vec<Standing>,
    /// Reactions of pipelines that declare objectives.
    pub in_force: BTreeMap<Arc<str>, Vec<InForce>>,
}

/// A running service. Whatever it stands on is given to it, so that tests drive it by a paused clock.
pub struct Service {
    engine: Arc<Engine>,
    clock: Arc<dyn Clock>,
    schedule: Schedule,
    work: Work,
    asked: mpsc::Receiver<Asked>,
    /// One that came while runs were ended for another one.
    next_plan: Option<Box<Plan>>,
    notify: Arc<Notify>,
    hub: Arc<Hub>,
    /// Replays that were asked for and not begun, by their ticket.
    replays: BTreeMap<u64, Job>,
    tickets: u64,
    door: FrontDoor,
    care: Care,
    probing: Probing,
}

impl Service {
    /// Takes up the schedules where the store says that they stand.
    pub async fn new(engine: Arc<Engine>, notify: Arc<Notify>, asked: mpsc::Receiver<Asked>) -> Result<Self, Fault> {
        let clock = engine.clock().clone();
        let (kept, backfills) = (engine.state().schedules().await?, engine.state().backfills().await?);
        let schedule = Schedule::new(engine.plan(), kept, backfills, clock.now());
        hold_paused(&engine, &schedule);
        let hub = Arc::new(Hub::new(clock.clone()));
        let mut door = FrontDoor::telling(hub.clone());
        door.follow(&engine, engine.plan().serve.stop_within / 2).await?;
        let (work, replays, care) = (Work::default(), BTreeMap::new(), Care::new(hub.clone(), engine.plan()));
        let probing = Probing::new(hub.clone(), engine.plan());
        Ok(Self {
            engine,
            clock,
            schedule,
            work,
            asked,
            next_plan: None,
            notify,
            hub,
            replays,
            tickets: 0,
            door,
            care,
            probing,
        })
    }

    /// Takes up what the store remembers of how pipelines did.
    pub async fn remember(&self) -> Result<(), Fault> {
        self.care.remember(&self.engine).await
    }

    /// What it tells beside its log.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Runs until it is asked to stop, or the store fails. Everything is closed when it returns.
    pub async fn run(mut self) -> Result<(), Fault> {
        self.begin_to_serve();
        let served = self.serve().await;
        if let Err(fault) = &served {
            tracing::error!(code = %fault.code, why = fault.message, "the service cannot go on and stops");
        }
        let limit = Instant::now() + self.engine.plan().serve.stop_within;
        self.notify.stopping();
        self.hub.stopping();
        let stopped = self.stop(limit).await;
        drop(timeout_at(limit, self.engine.close()).await);
        served.and(stopped)
    }

    fn begin_to_serve(&self) {
        let plan = self.engine.plan();
        tell::ended_calendars(plan, self.clock.now());
        tracing::info!(pipelines = plan.pipelines.len(), scheduled = self.schedule.scheduled(), "serving");
        self.notify.ready();
    }

    async fn serve(&mut self) -> Result<(), Fault> {
        loop {
            let now = self.clock.now();
            let decision = self.schedule.decide(now);
            self.carry_out(decision).await?;
            self.notify.status(&tell::status(&self.schedule, self.work.len()));
            let wake = self.schedule.next_wake().map(|wake| Instant::now() + until(wake, self.clock.now()));
            let (look, probe) = (self.care.next(), self.probing.next());
            tokio::select! {
                biased;
                asked = self.asked.recv() => match asked {
                    None | Some(Asked::Stop) => return Ok(()),
                    Some(asked) => if self.answer(asked).await? == Then::Stop { return Ok(()) },
                },
                over = self.work.next() => self.take(over).await?,
                fault = self.door.failed() => return Err(fault),
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
                () = sleep_until(look.unwrap_or_else(Instant::now)), if look.is_some() => self.look_after().await?,
                () = sleep_until(probe.unwrap_or_else(Instant::now)), if probe.is_some() => self.probing.begin(&self.engine),
            }
        }
    }

    async fn answer(&mut self, asked: Asked) -> Result<Then, Fault> {
        match asked {
            Asked::Plan(plan) => {
                let mut next = Some(plan);
                while let Some(plan) = next {
                    if self.take_plan(*plan).await? == Then::Stop {
                        return Ok(Then::Stop);
                    }
                    next = self.next_plan.take();
                }
            }
            Asked::Beat => self.notify.alive(),
            Asked::Backfill(backfill, heard) => {
                self.engine.state().keep_backfill(&backfill).await?;
                tracing::info!(pipeline = backfill.pipeline, part = backfill.stream, "a backfill was asked for");
                self.schedule.add_backfill(backfill);
                // Whoever asked may have gone.
                heard.send(()).ok();
            }
            Asked::Wish(wish, heard) => {
                let granted = match self.grant(wish) {
                    Ok(Granted::Decision(decision)) => Ok(self.carry_out(decision).await?),
                    Ok(Granted::Mend(letter)) => self.mend(&letter).await?,
                    Ok(Granted::Drop(letters)) => self.drop(&letters).await?,
                    Err(refused) => Err(refused),
                };
                heard.send(granted).ok();
            }
            Asked::Look(reply) => self.show(reply),
            Asked::Refused { because, place, why } => self.hub.reload_refused(because, &place, &why),
            // The loop looks at the clock in any case.
            Asked::Clock | Asked::Stop => {}
        }
        Ok(Then::GoOn)
    }

    /// What a wish leads to.
    fn grant(&mut self, Wish { pipeline, what }: Wish) -> Result<Granted, Refused> {
        let (now, kind) = (self.clock.now(), what.name());
        let granted = match what {
            What::Trigger => Granted::Decision(self.schedule.trigger(&pipeline, now)?),
            What::Pause => Granted::Decision(self.pause(&pipeline, now)?),
            What::Resume => Granted::Decision(self.resume(&pipeline, now)?),
            What::Cancel => Granted::Decision(self.schedule.cancel(&pipeline)?),
            // A run reads letters and ends them, so they are changed while none is under way.
            What::Mend(letter) => {
                self.schedule.is_free(&pipeline)?;
                Granted::Mend(letter)
            }
            What::Drop(letters) => {
                self.schedule.is_free(&pipeline)?;
                Granted::Drop(letters)
            }
            What::Replay { letters, accept_doubt } => {
                self.tickets += 1;
                // It may begin at once.
                self.replays.insert(self.tickets, Job::Replay { letters: Arc::new(letters), accept_doubt });
                let decision = self.schedule.replay(&pipeline, self.tickets, now);
                Granted::Decision(decision.inspect_err(|_| drop(self.replays.remove(&self.tickets)))?)
            }
        };
        tracing::info!(pipeline, what = kind, "a person asked for it");
        self.hub.tell("asked", json!({ "pipeline": pipeline, "what": kind }));
        Ok(granted)
    }

    fn pause(&mut self, pipeline: &str, now: DateTime<Utc>) -> Result<Decision, Refused> {
        let decision = self.schedule.pause_one(pipeline, now)?;
        self.engine.turn_valve(pipeline, |valve| valve.held = true);
        Ok(decision)
    }

    fn resume(&mut self, pipeline: &str, now: DateTime<Utc>) -> Result<Decision, Refused> {
        if self.schedule.standing_of(pipeline).is_some_and(|standing| standing.paused_by.is_some()) {
            // What was counted before is why it was paused, and would pause it again.
            self.engine.progress(pipeline).vitals.forget();
        }
        let decision = self.schedule.resume_one(pipeline, now)?;
        self.engine.turn_valve(pipeline, |valve| valve.held = false);
        Ok(decision)
    }

    /// Looks how pipelines keep their objectives, and does what follows.
    async fn look_after(&mut self) -> Result<(), Fault> {
        for wanted in self.care.look(&self.engine, &self.schedule) {
            let now = self.clock.now();
            let decision = match wanted {
                Wanted::Pause { pipeline, by } => {
                    tell::note_on(&self.engine, "pause", Some(&pipeline), care::noted(&by)).await;
                    self.engine.turn_valve(&pipeline, |valve| valve.held = true);
                    self.schedule.pause_by(&pipeline, by, now)
                }
                Wanted::Resume { pipeline } => {
                    tell::note_on(&self.engine, "resume", Some(&pipeline), Value::Null).await;
                    self.resume(&pipeline, now)
                }
            };
            // One that is gone needs nothing any more.
            if let Ok(decision) = decision {
                self.carry_out(decision).await?;
            }
        }
        Ok(())
    }

    /// Keeps a mended letter, if it is still the one that was looked at.
    async fn mend(&self, letter: &DeadLetter) -> Result<Result<(), Refused>, Fault> {
        let Some(_rest) = self.engine.at_rest(&letter.pipeline).await else { return Ok(Err(Refused::Busy)) };
        let (state, stream) = (self.engine.state(), letter.stream_id());
        let now = state.dead_letters_named(&stream, &[&letter.id]).await?;
        if !now.iter().any(|now| now.at == letter.at) {
            return Ok(Err(Refused::Gone));
        }
        Ok(Ok(state.keep_letter(letter).await?))
    }

    /// Takes letters of one pipeline away for good.
    async fn drop(&self, letters: &[DeadLetter]) -> Result<Result<(), Refused>, Fault> {
        let pipeline = letters.first().map_or("", |letter| letter.pipeline.as_str());
        let Some(_rest) = self.engine.at_rest(pipeline).await else { return Ok(Err(Refused::Busy)) };
        Ok(Ok(self.engine.state().drop_letters(letters).await?))
    }

    fn show(&self, reply: oneshot::Sender<View>) {
        // Whoever asked may have gone.
        let in_force = self.care.in_force();
        reply.send(View { engine: self.engine.clone(), standings: self.schedule.standings(), in_force }).ok();
    }

    /// Goes on by another plan. A run whose pipeline is another one now ends at its next checkpoint and goes on by the new
    /// plan; the others do not notice. Where connections changed all of them end first, and only then the new ones are
    /// used: so no account is ever used under two budgets.
    async fn take_plan(&mut self, plan: Plan) -> Result<Then, Fault> {
        let old = self.engine.clone();
        let old = old.plan();
        if !is_same_store(&old.store, &plan.store) {
            tell::store_moved();
            self.notify.ready();
            return Ok(Then::GoOn);
        }
        let is_same = |name: &str| {
            let (old, new) = (old.pipelines.get(name), plan.pipelines.get(name));
            old.zip(new).is_some_and(|(old, new)| old.made_of == new.made_of)
        };
        let mut stopped: Vec<Arc<str>> = self.work.pipelines().filter(|name| !is_same(name)).cloned().collect();
        let mut then = Then::GoOn;
        if old.made_of != plan.made_of {
            stopped = self.work.pipelines().cloned().collect();
            self.schedule.pause();
            then = self.end_all(Instant::now() + old.serve.stop_within, Then::GoOn).await?;
        }
        stopped.iter().for_each(|name| self.work.stop(name));
        // Its deliveries end with the old plan, and so before an account is used by the new one.
        self.door.end_lanes(Instant::now() + old.serve.stop_within).await;
        self.probing.end().await;
        self.engine = Arc::new(self.engine.reloaded(plan).await);
        let now = self.clock.now();
        self.schedule.replan(self.engine.plan(), now);
        hold_paused(&self.engine, &self.schedule);
        self.care.follow(self.engine.plan());
        self.probing.follow(self.engine.plan());
        tell::ended_calendars(self.engine.plan(), now);
        if let Err(fault) = self.door.follow(&self.engine, old.serve.stop_within / 2).await {
            tell::door_stays(&fault);
        }
        let (pipelines, scheduled) = (self.engine.plan().pipelines.len(), self.schedule.scheduled());
        tracing::info!(pipelines, scheduled, stopped = stopped.len(), "changed files are taken over");
        self.hub.reloaded(pipelines, scheduled);
        tell::telemetry_stays(&old.telemetry, &self.engine.plan().telemetry);
        tell::note_reload(&self.engine, old).await;
        if old.serve.admin != self.engine.plan().serve.admin {
            admin::moved();
        }
        self.notify.ready();
        Ok(then)
    }

    /// Hears what ended: as many as there are, because they share a commit.
    async fn take(&mut self, over: Over) -> Result<(), Fault> {
        let mut all = Decision::default();
        for over in [over].into_iter().chain(self.work.more()) {
            tell::over(&over);
            self.hub.over(&over);
            let Decision { actions, keep, notes } = self.schedule.ended(&over.pipeline, over.ended, self.clock.now());
            all.actions.extend(actions);
            all.keep.extend(keep);
            all.notes.extend(notes);
        }
        self.carry_out(all).await
    }

    async fn carry_out(&mut self, decision: Decision) -> Result<(), Fault> {
        let Decision { actions, keep, notes } = decision;
        for note in &notes {
            tell::note(note);
            self.hub.note(note);
        }
        self.engine.state().keep_schedules(&keep).await?;
        let grace = self.engine.plan().serve.stop_within / 2;
        for action in actions {
            let (pipeline, job) = match action {
                Action::Stop { pipeline } => {
                    self.work.stop(&pipeline);
                    continue;
                }
                Action::Begin { pipeline, due, start } => {
                    (pipeline, Job::Run { due, late: until(self.clock.now(), start) })
                }
                Action::Backfill(backfill) => (backfill.pipeline.as_str().into(), Job::Backfill(backfill)),
                Action::Replay { pipeline, ticket } => match self.replays.remove(&ticket) {
                    Some(job) => (pipeline, job),
                    None => continue,
                },
            };
            self.hub.begun(&pipeline, &job);
            self.work.begin(self.engine.clone(), pipeline, job, grace);
        }
        Ok(())
    }

    async fn stop(&mut self, limit: Instant) -> Result<(), Fault> {
        tracing::info!(under_way = self.work.len(), "stopping");
        self.probing.end().await;
        self.schedule.pause();
        // First nothing comes in any more; then what came is delivered as far as the time allows, beside the runs.
        let half = limit - self.engine.plan().serve.stop_within / 2;
        drop(timeout_at(half, self.door.close_intake()).await);
        let mut door = std::mem::take(&mut self.door);
        let soft = limit - (self.engine.plan().serve.stop_within / 10).max(Duration::from_millis(200));
        let (ended, ()) = tokio::join!(self.end_all(limit, Then::Stop), door.end_lanes(soft));
        ended.map(drop)
    }

    /// Ends everything within the limit: runs at their checkpoints where they get there in time, and where they do not, or a
    /// stop is asked for once more, as a power cut would end them. What is staged stays staged. The schedule is paused.
    async fn end_all(&mut self, limit: Instant, mut then: Then) -> Result<Then, Fault> {
        let within = self.engine.plan().serve.stop_within;
        self.work.stop_all();
        // The rest is for the store.
        let soft = limit - (within / 10).max(Duration::from_millis(200));
        let mut is_asked = true;
        while self.work.len() > 0 {
            tokio::select! {
                biased;
                over = self.work.next() => self.take(over).await?,
                asked = self.asked.recv(), if is_asked => match asked {
                    Some(Asked::Stop) if then == Then::Stop => break,
                    Some(Asked::Stop) => then = Then::Stop,
                    Some(Asked::Beat) => self.notify.alive(),
                    Some(Asked::Plan(plan)) => self.next_plan = Some(plan),
                    Some(Asked::Look(reply)) => self.show(reply),
                    Some(Asked::Refused { because, place, why }) => self.hub.reload_refused(because, &place, &why),
                    // Nobody hears that it is durable, so it is asked for again.
                    Some(Asked::Backfill(..) | Asked::Wish(..) | Asked::Clock) => {}
                    None => is_asked = false,
                },
                () = sleep_until(soft) => break,
            }
        }
        let dropped = self.work.drop_all().await;
        if dropped.is_empty() {
            return Ok(then);
        }
        tell::dropped(&dropped);
        let mut keep = Vec::new();
        for pipeline in dropped {
            keep.extend(self.schedule.ended(&pipeline, Ended::Stopped, self.clock.now()).keep);
        }
        self.engine.state().keep_schedules(&keep).await?;
        Ok(then)
    }
}

/// Holds back what was pushed to pipelines that are paused, and nothing else.
fn hold_paused(engine: &Engine, schedule: &Schedule) {
    let is_pushed = |name: &str| engine.plan().pipelines.get(name).is_some_and(|plan| plan.from.ingress.is_some());
    for standing in schedule.standings().iter().filter(|standing| is_pushed(&standing.pipeline)) {
        engine.turn_valve(&standing.pipeline, |valve| valve.held = standing.paused_since.is_some());
    }
}

/// Whether the loop goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    GoOn,
    Stop,
}

/// The time from one moment to a later one; none to an earlier one.
fn until(later: DateTime<Utc>, earlier: DateTime<Utc>) -> Duration {
    (later - earlier).to_std().unwrap_or_default()
}

fn is_same_store(old: &StorePlan, new: &StorePlan) -> bool {
    let key = |plan: &StorePlan| plan.key.as_ref().map(|key| key.expose_secret().to_owned());
    old.path == new.path && old.disk_bytes_max == new.disk_bytes_max && key(old) == key(new)
}
