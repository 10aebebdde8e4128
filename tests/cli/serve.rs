//! `serve` as a real process: schedules that run by themselves, files that change, signals at any moment.

use std::{
    io::{BufRead, BufReader},
    os::unix::net::UnixDatagram,
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crate::{
    harness::{Stage, fast, slow},
    signals::signal,
};
use renkei::{
    model::{Clock, Entropy, SystemClock, SystemEntropy},
    sandbox::{FaultKind, FaultPlan},
};
use serde_json::Value;

const LEADS: &str = "pipelines/demo-leads.yaml";

/// A running service with everything that it logs.
pub struct Serving {
    pub child: Child,
    log: Arc<Mutex<Vec<Value>>>,
    reader: JoinHandle<()>,
}

/// How a service ended.
pub struct Ended {
    pub code: Option<i32>,
    took: Duration,
    pub log: Vec<Value>,
}

#[expect(clippy::disallowed_methods, reason = "how long a process takes is real time")]
pub fn now() -> Instant {
    Instant::now()
}

impl Serving {
    pub fn start(stage: &Stage) -> Self {
        Self::start_with(stage, &[])
    }

    pub fn start_with(stage: &Stage, variables: &[(&str, &str)]) -> Self {
        let mut command = stage.command(&["serve", "--log-format", "json"]);
        command.envs(variables.iter().copied()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let shared = log.clone();
        let reader = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                shared.lock().unwrap().push(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
        });
        Self { child, log, reader }
    }

    pub fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log holds so many lines of this message.
    pub fn until(&mut self, stage: &Stage, message: &str, count: usize) -> Value {
        let began = now();
        loop {
            let found: Vec<Value> = self.log().into_iter().filter(|line| line["message"] == message).collect();
            if let Some(last) = found.get(count - 1) {
                return last.clone();
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the service ended: {:#?}", self.log());
            assert!(began.elapsed() < Duration::from_secs(60), "never said `{message}`: {:#?}", self.log());
            stage.breathe();
        }
    }

    pub fn stop(self, name: &str) -> Ended {
        let began = now();
        signal(&self.child, name);
        self.ended(began)
    }

    fn ended(mut self, began: Instant) -> Ended {
        let code = self.child.wait().unwrap().code();
        let took = began.elapsed();
        self.reader.join().unwrap();
        Ended { code, took, log: std::mem::take(&mut self.log.lock().unwrap()) }
    }
}

/// A stage whose leads pipeline has a schedule.
pub fn scheduled(stage: Stage, schedule: &str) -> Stage {
    let text = std::fs::read_to_string(stage.path().join(LEADS)).unwrap();
    stage.write(LEADS, &text.replace("version: 1\n", &format!("version: 1\nschedule: {schedule}\n")));
    stage
}

pub fn edit(stage: &Stage, path: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(stage.path().join(path)).unwrap();
    assert!(text.contains(from), "{path} has no {from}");
    stage.write(path, &text.replace(from, to));
}

#[test]
fn a_service_runs_its_schedules_and_ends_with_0_when_it_is_asked_to() {
    let stage = scheduled(Stage::leads(fast(60), FaultPlan::none()), "{ every: 1s }");
    let mut serving = Serving::start(&stage);
    serving.until(&stage, "run done", 3);
    let refused = stage.renkei(&["status"]);
    assert!(refused.code == 7 && refused.stderr.contains("RK0501"), "{}", refused.transcript());
    assert_eq!(stage.renkei(&["serve"]).code, 7, "one service per state directory");
    let next = stage.renkei(&["schedule", "next", "-n", "2", "--output", "json"]).json();
    assert_eq!(next[0]["pipeline"], "demo-leads", "schedules can be asked for beside the service: {next}");

    let ended = serving.stop("TERM");
    assert_eq!(ended.code, Some(0), "{:#?}", ended.log);
    let run = ended.log.iter().find(|line| line["message"] == "run done").unwrap();
    assert_eq!((&run["pipeline"], &run["level"]), (&"demo-leads".into(), &"INFO".into()));
    for field in ["run", "due", "late_ms", "took_ms", "read", "written", "unchanged", "skipped", "refused", "requests"]
    {
        assert!(run.get(field).is_some(), "{field} is missing: {run}");
    }
    let report = stage.run_until_nothing_is_lost();
    assert_eq!((report.lost, report.doubled, report.counters.replayed), (0, 0, 0));
    let status = stage.renkei(&["status", "--output", "json"]).json();
    assert!(status[0]["next_run_at"].is_string() && status[0]["schedule"] == "every 1s", "{status}");
}

/// Stops at random moments, each with its answers under way answered in time. Nothing is sent that was answered before.
#[test]
fn whenever_sigterm_comes_it_ends_with_0_in_time_and_nothing_that_was_answered_is_sent_again() {
    #[expect(clippy::disallowed_methods, reason = "a test asks its runner how long it may take")]
    let (long, seed) = (std::env::var("RENKEI_LONG").is_ok(), std::env::var("RENKEI_SEED"));
    let seed = seed.ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| SystemEntropy::new().bits() % 1_000_000);
    println!("RENKEI_SEED={seed}");
    let dice = SystemEntropy::seeded(seed);
    let stage = scheduled(Stage::leads(fast(250), slow()), "{ every: 1s }");
    let stops = if long { 200 } else { 10 };
    let mut in_the_middle = 0;
    for stop in 0..stops {
        if stop % 3 == 2 {
            stage.world(|world| world.change(SystemClock.now(), 20));
        }
        let (before, began) = (stage.counters().requests, now());
        let mut serving = Serving::start(&stage);
        serving.until(&stage, "starting", 1);
        let (requests, micros) = (1 + dice.bits() % 40, Duration::from_micros(dice.bits() % 80_000));
        let by_requests = !dice.bits().is_multiple_of(3);
        let is_time = |stage: &Stage| match by_requests {
            true => stage.counters().requests >= before + requests || began.elapsed() > Duration::from_secs(3),
            false => began.elapsed() >= micros,
        };
        while !is_time(&stage) {
            stage.breathe();
        }
        let ended = serving.stop(if dice.bits().is_multiple_of(2) { "TERM" } else { "INT" });
        assert_eq!(ended.code, Some(0), "{:#?}", ended.log);
        assert!(ended.took < Duration::from_secs(8), "it took {:?}: {:#?}", ended.took, ended.log);
        in_the_middle += u64::from(ended.log.iter().any(|line| line["message"] == "run stopped"));
    }
    println!("{in_the_middle} of {stops} stops met a run in the middle");
    assert!(in_the_middle > stops / 4);
    assert_eq!(stage.counters().replayed, 0, "something was sent again");
    stage.world(|world| world.set_faults(FaultPlan::none()));
    let report = stage.run_until_nothing_is_lost();
    assert_eq!((report.lost, report.doubled, report.counters.replayed), (0, 0, 0), "{:?}", report.lost_ids);
}

/// Half of the answers never come. A stop does not wait for them.
#[test]
fn a_stop_among_answers_that_never_come_ends_within_its_time_and_loses_and_doubles_nothing() {
    let stalled = FaultPlan { stall: 0.4, stall_ms: 60_000, ..FaultPlan::none() };
    let stage = scheduled(Stage::leads(fast(60), stalled), "{ every: 1s }");
    edit(&stage, "renkei.yaml", "version: 1\n", "version: 1\nserve: { stop_within: 3s }\n");
    for connector in ["crm", "shop"] {
        let attempt = if connector == "crm" { "attempt: 5m" } else { "attempt: 100ms" };
        edit(&stage, &format!("connectors/{connector}/connector.yaml"), "attempt: 2s", attempt);
    }
    let stalls = |stage: &Stage| stage.counters().faults.get(&FaultKind::StallAfter).copied().unwrap_or_default();
    for stop in 1..=3 {
        let mut serving = Serving::start(&stage);
        serving.until(&stage, "serving", 1);
        let began = now();
        while stalls(&stage) < stop && began.elapsed() < Duration::from_secs(20) {
            stage.breathe();
        }
        let ended = serving.stop("TERM");
        assert_eq!(ended.code, Some(0), "{:#?}", ended.log);
        assert!(ended.took < Duration::from_millis(3_500), "it took {:?}: {:#?}", ended.took, ended.log);
    }
    stage.world(|world| world.set_faults(FaultPlan::none()));
    let report = stage.run_until_nothing_is_lost();
    assert_eq!((report.lost, report.doubled), (0, 0), "{:?}", report.lost_ids);
}

#[test]
fn a_second_signal_ends_at_once() {
    let stalled = FaultPlan { stall: 1.0, stall_ms: 60_000, ..FaultPlan::none() };
    let stage = scheduled(Stage::leads(fast(10), FaultPlan::none()), "{ every: 1s }");
    edit(&stage, "connectors/crm/connector.yaml", "attempt: 2s", "attempt: 5m");
    edit(&stage, "connectors/shop/connector.yaml", "attempt: 2s", "attempt: 5m");
    let mut serving = Serving::start(&stage);
    serving.until(&stage, "run done", 1);
    stage.world(|world| {
        world.change(SystemClock.now() - chrono::TimeDelta::seconds(30), 5);
        world.set_faults(stalled);
    });
    let reads = stage.counters().reads;
    let began = now();
    while stage.counters().reads == reads && began.elapsed() < Duration::from_secs(5) {
        stage.breathe();
    }
    signal(&serving.child, "TERM");
    serving.until(&stage, "stopping", 1);
    let ended = serving.stop("TERM");
    assert_eq!(ended.code, Some(0));
    assert!(ended.took < Duration::from_secs(2), "{:?}", ended.took);
}

#[test]
fn changed_files_are_taken_over_when_they_are_right_and_not_before() {
    let stage = scheduled(Stage::leads(fast(20), FaultPlan::none()), "{ cron: \"0 0 1 1 *\" }");
    let mut serving = Serving::start(&stage);
    serving.until(&stage, "serving", 1);

    edit(&stage, LEADS, "0 0 1 1 *", "0 0 31 2 *");
    let refused = serving.until(
        &stage,
        "the changed files cannot be used and the service goes on as it was; renkei validate shows all that is wrong",
        1,
    );
    assert_eq!((&refused["level"], &refused["code"]), (&"ERROR".into(), &"RK0820".into()));
    assert_eq!(
        (&refused["because"], &refused["place"]),
        (&"RK0129".into(), &format!("{LEADS}:3:24").into()),
        "{refused}"
    );
    assert_eq!(stage.counters().requests, 0, "nothing ran");

    // The same with a file that is no YAML, one that is missing, and one that was not there.
    let good = std::fs::read_to_string(stage.path().join(LEADS)).unwrap();
    stage.write(LEADS, "version: [1\n");
    serving.until(&stage, refused["message"].as_str().unwrap(), 2);
    stage.write(LEADS, &good.replace("{ cron: \"0 0 31 2 *\" }", "{ every: 1s }"));
    serving.until(&stage, "changed files are taken over", 1);
    serving.until(&stage, "run done", 2);

    std::fs::remove_file(stage.path().join(LEADS)).unwrap();
    let taken = serving.until(&stage, "changed files are taken over", 2);
    assert_eq!((&taken["pipelines"], &taken["scheduled"]), (&0.into(), &0.into()));
    let ended = serving.stop("TERM");
    assert_eq!(ended.code, Some(0));
    stage.write(LEADS, &good.replace("schedule: { cron: \"0 0 31 2 *\" }\n", ""));
    assert_eq!((stage.run_until_nothing_is_lost().lost, stage.report().doubled), (0, 0));
}

#[test]
fn a_store_that_moved_or_a_connection_that_changed_is_told_and_handled() {
    let stage = scheduled(Stage::leads(fast(600), slow()), "{ every: 1s }");
    let mut serving = Serving::start(&stage);
    let created = |stage: &Stage| stage.counters().created;
    let began = now();
    while created(&stage) < 20 && began.elapsed() < Duration::from_secs(20) {
        stage.breathe();
    }
    // In the middle of a run its connections become others: it stops at a checkpoint and goes on by the new files.
    edit(&stage, "connectors/crm/connector.yaml", "attempt: 2s", "attempt: 3s");
    signal(&serving.child, "HUP");
    let taken = serving.until(&stage, "changed files are taken over", 1);
    assert_eq!(taken["stopped"], 1, "{taken}");
    serving.until(&stage, "run stopped", 1);
    edit(&stage, "renkei.yaml", "path: state", "path: elsewhere");
    let refused = serving.until(&stage, "`store:` or RENKEI_KEY is another than the service was started with; the files are not taken over, and the service goes on as it was until it is restarted", 1);
    assert_eq!(refused["code"], "RK0823");
    serving.until(&stage, "run done", 1);
    let ended = serving.stop("TERM");
    assert_eq!(ended.code, Some(0));
    edit(&stage, "renkei.yaml", "path: elsewhere", "path: state");
    stage.world(|world| world.set_faults(FaultPlan::none()));
    let report = stage.run_until_nothing_is_lost();
    assert_eq!((report.lost, report.doubled, report.counters.replayed), (0, 0, 0), "{:?}", report.lost_ids);
}

#[test]
fn a_pipeline_that_needs_a_person_is_told_once_and_tried_again_after_a_hangup() {
    let stage = scheduled(Stage::leads(fast(20), FaultPlan::none()), "{ every: 1s }");
    edit(
        &stage,
        "renkei.yaml",
        "client_id: demo, client_secret: \"${RENKEI_SANDBOX_SECRET:-demo-secret}\" } }\n  crm",
        "client_id: demo, client_secret: \"${WRONG}\" } }\n  crm",
    );
    let mut serving = Serving::start_with(&stage, &[("WRONG", "not-it")]);
    let waits = "the pipeline needs a person; nothing is lost, and it is tried again then or after a reload";
    let told = serving.until(&stage, waits, 1);
    assert_eq!(
        (&told["code"], &told["level"], &told["pipeline"]),
        (&"RK0824".into(), &"ERROR".into(), &"demo-leads".into())
    );
    serving.until(&stage, "a time is left out: the one before is not done with", 2);
    signal(&serving.child, "HUP");
    serving.until(&stage, waits, 2);
    let ended = serving.stop("TERM");
    let failed = ended.log.iter().filter(|line| line["message"] == "run failed").count();
    assert_eq!((ended.code, failed), (Some(0), 2), "it is not tried in a hot loop: {:#?}", ended.log);
    let status = stage.command(&["status"]).env("WRONG", "x").output().unwrap();
    assert!(String::from_utf8_lossy(&status.stdout).contains("needs a person: RK06"), "{status:?}");
}

#[test]
fn a_service_manager_hears_how_the_service_does() {
    let stage = scheduled(Stage::leads(fast(5), FaultPlan::none()), "{ cron: \"0 0 1 1 *\" }");
    let path = stage.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let hear = |wanted: &str| {
        let mut buffer = [0; 1_000];
        loop {
            let length = manager.recv(&mut buffer).unwrap_or_else(|error| panic!("waiting for {wanted}: {error}"));
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.starts_with(wanted) {
                return text;
            }
        }
    };
    let serving =
        Serving::start_with(&stage, &[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "200000")]);
    hear("READY=1");
    assert!(hear("STATUS=").contains("1 pipelines scheduled, 0 at work, next demo-leads at "));
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    signal(&serving.child, "HUP");
    hear("RELOADING=1");
    hear("READY=1");
    let ended = serving.stop("TERM");
    hear("STOPPING=1");
    assert_eq!(ended.code, Some(0));
}

#[test]
fn a_service_with_wrong_files_does_not_begin() {
    let stage = scheduled(Stage::leads(fast(1), FaultPlan::none()), "{ cron: \"99 * * * *\" }");
    let ran = stage.renkei(&["serve", "--log-level", "off"]);
    assert_eq!(ran.code, 3, "{}", ran.transcript());
    assert!(ran.stderr.contains("RK0125"), "{}", ran.stderr);
    assert!(!stage.path().join("state/format").exists());
}

#[test]
fn a_window_is_handed_to_the_service_that_runs_and_read_beside_its_runs() {
    let stage = scheduled(Stage::leads(fast(120), FaultPlan::none()), "{ every: 1s }");
    let window = ["backfill", "demo-leads", "--from", "2020-01-01", "--to", "2026-01-01"];
    let mut serving = Serving::start(&stage);
    serving.until(&stage, "run done", 2);
    let asked = stage.renkei(&window);
    assert!(
        asked.code == 0 && asked.stdout.contains("is left to the service of this state directory"),
        "{}",
        asked.transcript()
    );
    serving.until(&stage, "a backfill was asked for", 1);
    let began = now();
    let done = |serving: &Serving| {
        let is_it = |line: &&Value| line["message"] == "run done" && line["job"] == "backfill";
        serving.log().iter().find(is_it).cloned()
    };
    while done(&serving).is_none() && began.elapsed() < Duration::from_secs(30) {
        stage.breathe();
    }
    assert_eq!(done(&serving).unwrap()["written"], 0, "everything was there already");
    let ended = serving.stop("TERM");
    assert_eq!(ended.code, Some(0));
    let gone = stage.renkei(&["backfill", "demo-leads"]);
    assert!(
        gone.code == 2 && gone.stderr.contains("no backfill of `demo-leads` is unfinished"),
        "{}",
        gone.transcript()
    );
    let report = stage.run_until_nothing_is_lost();
    assert_eq!((report.lost, report.doubled, report.counters.replayed), (0, 0, 0));
}
