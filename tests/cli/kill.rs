//! Real SIGKILLs at random moments: while the store opens, between pages, with writes under way, while answers are lost.
//! Whatever the moment, a later run leaves every lead in the CRM exactly once, by the sandbox's account.

use std::time::{Duration, Instant};

use crate::harness::{Stage, fast};
use renkei::{
    model::{Clock, Entropy, SystemClock, SystemEntropy},
    sandbox::{FaultKind, FaultPlan},
};

const KILLS: u64 = 8;
const KILLS_LONG: u64 = 1_000;

/// Answers get lost before and after they took effect, and now and then one takes its time.
fn faults() -> FaultPlan {
    FaultPlan {
        latency: 0.3,
        latency_ms: 10,
        reset_before: 0.03,
        reset_after: 0.05,
        error_before: 0.03,
        error_after: 0.04,
        half_body: 0.03,
        ..FaultPlan::none()
    }
}

/// When to kill: so long after the start, or as soon as the sandbox has seen so many more requests.
enum Moment {
    After(Duration),
    Requests(u64),
}

impl Moment {
    fn draw(dice: &dyn Entropy) -> Self {
        match dice.bits() % 3 {
            0 => Self::After(Duration::from_micros(dice.bits() % 60_000)),
            1 => Self::Requests(1 + dice.bits() % 8),
            _ => Self::Requests(1 + dice.bits() % 120),
        }
    }
}

#[test]
fn after_kills_at_random_moments_every_lead_is_there_exactly_once() {
    #[expect(clippy::disallowed_methods, reason = "a test asks its runner how long it may take")]
    let (long, seed) = (std::env::var("RENKEI_LONG").is_ok(), std::env::var("RENKEI_SEED"));
    let seed = seed.ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| SystemEntropy::new().bits() % 1_000_000);
    println!("RENKEI_SEED={seed}");
    let dice = SystemEntropy::seeded(seed);
    let stage = Stage::leads(fast(300), faults());
    let (mut struck, mut runs) = (0, 0);
    let kills = if long { KILLS_LONG } else { KILLS };
    // A run that ended before its moment is no kill.
    while struck < kills {
        if runs % 4 == 3 {
            stage.world(|world| world.change(SystemClock.now(), 30));
        }
        struck += u64::from(killed(&stage, &Moment::draw(&dice)));
        runs += 1;
        assert!(runs <= 2 * kills, "only {struck} of {runs} runs were still running when they were killed");
    }

    stage.world(|world| world.set_faults(FaultPlan::none()));
    let report = stage.run_until_nothing_is_lost();
    let replayed = report.counters.replayed;
    let cut = report.counters.faults.get(&FaultKind::ResetAfter).copied().unwrap_or_default();
    println!("{struck} kills in {runs} runs, {cut} connections cut after the effect and before the answer");
    println!("{} leads, {replayed} requests answered from memory", report.leads);
    assert!(cut >= kills / 5, "only {cut} connections were cut");
    assert_eq!((report.lost, report.doubled), (0, 0), "lost {:?}, doubled {:?}", report.lost_ids, report.doubled_ids);
    assert_eq!(report.leads, report.eligible);
    assert!(stage.renkei(&["runs", "--limit", "200"]).stdout.contains("cut off"));
}

/// Starts a run and kills it at the moment. False where it had ended before.
fn killed(stage: &Stage, moment: &Moment) -> bool {
    let before = stage.counters().requests;
    let mut child = stage.command(&["run", "demo-leads", "--log-level", "off"]);
    let mut child = child.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    #[expect(clippy::disallowed_methods, reason = "the moment of a kill is real time")]
    let started = Instant::now();
    let now = || match moment {
        Moment::After(time) => started.elapsed() >= *time,
        Moment::Requests(requests) => stage.counters().requests >= before + requests,
    };
    while !now() && child.try_wait().unwrap().is_none() {
        stage.breathe();
    }
    let running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    running
}
