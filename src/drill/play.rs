//! One scenario from its beginning to its account: replicas, a folder of their own, and runs until one ends well; then records change
//! at the source, and it goes on until that has arrived, too.
//!
//! Trouble that a pipeline does not get over by itself is taken away after some runs, as vendors and people would. What is judged
//! is what is at the sink then.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    attempt::{Ended, Runs, broken},
    book::{Account, Book, Keeping},
    forge::Forge,
    leaves,
    replica::{Shelf, World},
    rules::Rules,
    scenario::{Scenario, Wanted},
    server::{Server, Taken},
    stage::{self, Setting},
    weather::Weather,
};
use crate::{
    config::{
        Plan,
        plan::{Changed, Incremental, Pipeline, To},
    },
    engine::Engine,
    model::{Blame, Clock, Code, Cursor, Fault, SystemClock},
    store::Run,
};

/// Runs of one phase before it is given up.
const RUNS_MAX: u32 = 10;
/// Failed runs of one phase after which the trouble is taken away.
const PATIENCE: u32 = 2;
/// How far behind the clocks are at the beginning and in the second phase, so that what changes later lies in the past, too, and
/// still in no window that was read before. An hour is left for what is mended in between.
const BEHIND: [TimeDelta; 2] = [TimeDelta::hours(4), TimeDelta::hours(2)];
/// How long before the end of a window the changes of a phase are.
const BEFORE_END: TimeDelta = TimeDelta::minutes(30);

/// How a scenario went.
#[derive(Clone, Debug, Serialize)]
pub struct Played {
    pub scenario: &'static str,
    #[serde(flatten)]
    pub account: Account,
    /// From the first trouble to the end of the run after which everything had its verdict; the longer one of both phases.
    pub recovered_ms: Option<u64>,
    pub runs: u32,
    /// Whether a run ended well in both phases.
    pub ended: bool,
    pub reactions: Vec<String>,
    /// What the replicas could not play.
    pub gaps: Vec<String>,
    /// Where its store and the words of its runs are, if somebody should look at them.
    pub folder: Option<PathBuf>,
}

impl Played {
    pub fn is_good(&self) -> bool {
        self.ended && self.account.lost == 0 && self.account.doubled == 0
    }
}

/// What all scenarios of a drill share.
pub struct Drill<'d> {
    pub dir: &'d Path,
    pub plan: &'d Plan,
    pub pipeline: &'d Pipeline,
    pub wanted: Wanted,
}

/// One scenario under way.
struct Stage<'d> {
    drill: &'d Drill<'d>,
    setting: Setting,
    staged: Plan,
    server: Server,
    tally: Tally,
}

/// What is counted on the way.
#[derive(Default)]
struct Tally {
    runs: u32,
    killed: u32,
    breakers: u64,
    recovered: Option<Duration>,
    faults: Vec<Code>,
    cleared: bool,
}

impl Drill<'_> {
    /// Plays one scenario.
    pub async fn play(&self, scenario: Scenario, folder: PathBuf) -> Result<Played, Fault> {
        fs::create_dir(&folder).map_err(|error| broken(&error))?;
        let mut stage = self.set(scenario, folder.clone()).await?;
        {
            let mut world = stage.server.world();
            world.set_behind(BEHIND[0]);
            let until = self.before_end(&world);
            let World { book, shelf, .. } = &mut *world;
            shelf.fill(book, self.wanted.records, until, self.first_number());
            nameable(book, self.pipeline, self.wanted.records)?;
        }
        let mut ended = stage.drive().await?;
        if ended {
            let mut world = stage.server.world();
            world.set_behind(BEHIND[1]);
            let from = self.before_end(&world);
            world.weather.next_phase();
            let World { book, shelf, .. } = &mut *world;
            shelf.change(book, from);
        }
        ended = ended && stage.drive().await?;
        let played = stage.judge(scenario, ended).await?;
        if played.is_good() {
            // A folder that stays is no reason to fail.
            let _ = fs::remove_dir_all(&folder);
            return Ok(played);
        }
        Ok(Played { folder: Some(folder), ..played })
    }

    async fn set(&self, scenario: Scenario, folder: PathBuf) -> Result<Stage<'_>, Fault> {
        let mut taken = Vec::new();
        for name in stage::served(self.pipeline) {
            taken.push((name, Taken::any().await.map_err(|error| broken(&error))?));
        }
        let ports = taken.iter().map(|(name, taken)| (name.clone(), taken.port)).collect();
        let page = (self.wanted.records as u64 / 5).max(4);
        let setting = Setting { folder, ports, page };
        let Some(staged) = stage::staged(self.plan, &self.pipeline.name, &setting) else {
            return Err(Fault::halt(Code::Bug, Blame::Bug, "a drilled pipeline is not in its plan"));
        };
        let Some(pipeline) = staged.pipelines.get(&self.pipeline.name).cloned() else {
            return Err(Fault::halt(Code::Bug, Blame::Bug, "a drilled pipeline is not in its plan"));
        };
        let seed = self.wanted.seed ^ ((scenario as u64) << 32);
        let rules = Rules::of(&pipeline);
        let forge = Forge::new(&pipeline, &rules, self.wanted.seed)?;
        let shelf = Shelf::new(forge, rules, scenario == Scenario::Drift);
        let weather = Weather::new(scenario, seed);
        let mut world = World::new(Book::new(keeping(&pipeline)), shelf, weather, page as usize);
        pipeline.from.api.iter().for_each(|api| world.open(&pipeline, api));
        if let To::Operation { api, .. } = &pipeline.to {
            world.open(&pipeline, api);
        }
        let mut server = Server::new(world);
        taken.into_iter().for_each(|(name, taken)| server.serve(&name, taken));
        let stage = Stage { drill: self, setting, staged, server, tally: Tally::default() };
        stage.runs().prepare()?;
        Ok(stage)
    }

    fn source(&self) -> String {
        self.pipeline.from.api.as_ref().map(|api| api.name.clone()).unwrap_or_default()
    }

    /// A time before the end of a window that would begin now, by the source's clock.
    fn before_end(&self, world: &World) -> DateTime<Utc> {
        let settle = match &self.pipeline.from.stream.incremental {
            Some(Incremental::Field(field)) => TimeDelta::from_std(field.settle).unwrap_or(BEFORE_END),
            Some(Incremental::Token { .. }) | None => TimeDelta::zero(),
        };
        world.time(&self.source(), SystemClock.now()) - settle - BEFORE_END
    }

    /// The number of the first change.
    fn first_number(&self) -> i64 {
        match &self.pipeline.from.stream.incremental {
            Some(Incremental::Field(field)) => match field.start {
                Some(Cursor::Integer(start)) => start.saturating_add(1),
                _ => 1,
            },
            Some(Incremental::Token { .. }) | None => 1,
        }
    }
}

/// How the pipeline's sink keeps records.
fn keeping(pipeline: &Pipeline) -> Keeping {
    match &pipeline.to {
        To::Operation { changed, .. } => {
            Keeping { first_state: matches!(changed, Changed::Skip), ..Keeping::default() }
        }
        To::File { .. } | To::Table { .. } => {
            Keeping { every_state: true, every_pass: pipeline.from.stream.incremental.is_none(), first_state: false }
        }
    }
}

/// What arrives must say whose it is, or nobody could tell a double from another record.
fn nameable(book: &Book, pipeline: &Pipeline, records: usize) -> Result<(), Fault> {
    let nameless = (0..records).find(|record| {
        let fields = book.fields(super::book::Named { record: *record, state: None });
        let texts = fields.and_then(|fields| serde_json::from_str::<Value>(fields.as_str()).ok());
        texts.is_some_and(|value| book.named(&leaves::of(&value)).is_none_or(|named| named.record != *record))
    });
    if nameless.is_none() {
        return Ok(());
    }
    let message = format!("what {} sends does not say which record it is about", pipeline.name);
    Err(Fault::halt(Code::DrillNameless, Blame::Config, message).help(
        "Nothing outside of the drill was touched. Every text and number that is mapped is the same for several records, so \
         nobody could tell whether one arrived twice. Map the record's key, too.",
    ))
}

impl Stage<'_> {
    fn runs(&self) -> Runs<'_> {
        Runs { dir: self.drill.dir, pipeline: &self.drill.pipeline.name, setting: &self.setting }
    }

    /// Runs the pipeline until a run ends well; false when none does.
    async fn drive(&mut self) -> Result<bool, Fault> {
        self.server.forget_trouble();
        let mut failed = 0;
        let mut trouble = None;
        for _ in 0..RUNS_MAX {
            self.server.world().weather.next_run();
            self.tally.runs += 1;
            match self.runs().one(&self.server).await? {
                Ended::Done(breakers) => {
                    self.tally.breakers += breakers;
                    self.server.world().book.end_pass();
                    let since = self.server.trouble().or(trouble);
                    let took = since.map(|since| since.elapsed());
                    self.tally.recovered = self.tally.recovered.max(took);
                    return Ok(true);
                }
                Ended::Killed => self.tally.killed += 1,
                Ended::Failed(code, breakers) => {
                    self.tally.breakers += breakers;
                    self.tally.faults.push(code);
                    trouble = trouble.or_else(|| Some(Instant::now()));
                    failed += 1;
                    self.help(failed);
                }
            }
        }
        Ok(false)
    }

    /// What people and vendors do about it.
    fn help(&mut self, failed: u32) {
        let mut world = self.server.world();
        world.mend_credentials();
        if failed < PATIENCE {
            return;
        }
        self.tally.cleared = true;
        world.weather.clear_up();
        if failed == PATIENCE && world.weather.scenario() == Scenario::Drift {
            world.go_on();
            let from = self.drill.before_end(&world);
            let World { book, shelf, .. } = &mut *world;
            shelf.repair(book, from);
        }
    }

    async fn judge(self, scenario: Scenario, ended: bool) -> Result<Played, Fault> {
        let engine = Engine::open(self.staged.clone()).await?;
        let letters = engine.state().dead_letters(Some(&self.drill.pipeline.name)).await?;
        let runs = engine.state().runs().await?;
        engine.close().await;
        let mut codes: HashMap<String, Vec<Code>> = HashMap::new();
        for letter in &letters {
            let key = letter.key.as_ref().map(|key| key.as_str().to_owned()).unwrap_or_default();
            codes.entry(key).or_default().push(letter.reason.code);
        }
        if matches!(self.drill.pipeline.to, To::File { .. }) {
            self.enter_files()?;
        }
        let world = self.server.world();
        let reasons = letters.iter().map(|letter| letter.reason.code);
        Ok(Played {
            scenario: scenario.name(),
            account: world.book.account(&codes),
            recovered_ms: self.tally.recovered.map(|took| took.as_millis() as u64),
            runs: self.tally.runs,
            ended,
            reactions: reactions(&self.tally, &runs, reasons, &world),
            gaps: gaps(scenario, &world),
            folder: None,
        })
    }

    /// Enters the lines of the files that were written.
    fn enter_files(&self) -> Result<(), Fault> {
        let folder = self.setting.folder.join("out");
        let Ok(files) = fs::read_dir(&folder) else { return Ok(()) };
        let mut paths: Vec<PathBuf> = files.filter_map(|file| Some(file.ok()?.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
        paths.sort();
        let mut world = self.server.world();
        for path in paths {
            let text = fs::read_to_string(&path).map_err(|error| broken(&error))?;
            for line in text.lines() {
                let value: Value = serde_json::from_str(line).unwrap_or(Value::Null);
                let named = world.book.named(&leaves::of(&value));
                world.book.create(named, value);
            }
        }
        Ok(())
    }
}

/// What the pipeline did about it, in words; the counts come from its runs and from the replicas.
fn reactions(tally: &Tally, runs: &[Run], letters: impl Iterator<Item = Code>, world: &World) -> Vec<String> {
    let mut said = Vec::new();
    let mut say = |number: u64, one: &str, many: &str| match number {
        0 => {}
        1 => said.push(format!("1 {one}")),
        number => said.push(format!("{number} {many}")),
    };
    let sum = |of: fn(&Run) -> u64| runs.iter().map(of).sum::<u64>();
    let sums = world.sums();
    say(u64::from(tally.killed), "kill", "kills");
    say(tally.faults.len() as u64, "run gave up", "runs gave up");
    say(sum(|run| run.retries), "retry", "retries");
    say(sum(|run| run.throttled), "refusal obeyed", "refusals obeyed");
    say(sums.signed_in.saturating_sub(world.sign_ins_needed()), "new sign-in", "new sign-ins");
    say(sum(|run| run.counts.resumed), "record taken up from the outbox", "records taken up from the outbox");
    say(sums.replayed, "write answered by its key", "writes answered by their keys");
    say(sums.looked_up, "look-up", "look-ups");
    say(sums.read_back, "reading of a revision", "readings of a revision");
    say(tally.breakers, "turn of a breaker", "turns of a breaker");
    let paused = sum(|run| run.waited_ms);
    if paused > 0 && sum(|run| run.throttled) > 0 {
        said.push(format!("paused {}.{} s", paused / 1_000, paused % 1_000 / 100));
    }
    let mut codes: Vec<Code> = letters.chain(tally.faults.iter().copied()).collect();
    codes.sort_unstable();
    codes.dedup();
    said.extend(codes.iter().map(Code::to_string));
    if tally.cleared {
        said.push("the trouble had to end first".to_owned());
    }
    said
}

/// What could not be played.
fn gaps(scenario: Scenario, world: &World) -> Vec<String> {
    let mut gaps = Vec::new();
    if scenario == Scenario::Revoked && !world.has_credentials() {
        gaps.push("its connections have no credentials that could be revoked".to_owned());
    }
    let by_data = matches!(scenario, Scenario::Calm | Scenario::Drift | Scenario::Skew);
    if !by_data && world.counters.struck == 0 {
        gaps.push("the pipeline made too few requests for it".to_owned());
    }
    gaps.extend(world.counters.unknown.iter().map(|place| format!("{place}: nothing like it is declared")));
    let unread = world.sums().unread;
    if unread > 0 {
        gaps.push(format!("in {unread} requests the list of records was not found"));
    }
    gaps
}
