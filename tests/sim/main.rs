//! The whole engine in seeded simulation: real source, sink, request path and sign-in; a fake clock, a network that loses
//! requests and answers, tokens that end early, accounts that are spent, a store that loses power or goes back in time, and a
//! shop that drifts and shows changes late. A history that breaks a promise is told in short.
//!
//! `RENKEI_SEED=n` repeats one history, `RENKEI_HISTORIES=n` lives through that many, `RENKEI_LONG=1` through many more.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_methods, reason = "a test asks the environment how much to do")]
#![expect(clippy::disallowed_macros, reason = "a test prints its seeds")]

mod beside;
mod canary;
mod doubt;
mod family;
mod folder;
mod history;
mod life;
mod service;
mod shrink;
mod sliced;
mod targets;
mod weather;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use history::{Broken, Finding, Script};
use renkei::config::{self, MapEnvironment, Plan};

const HISTORIES: u64 = 10_000;
const HISTORIES_LONG: u64 = 100_000;
/// Those in which customers are deleted.
const DELETING: u64 = 3_000;
const DELETING_LONG: u64 = 33_333;

fn plan() -> Arc<Plan> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim/workspace");
    let environment = MapEnvironment::new(&[("SECRET", "demo-secret")]);
    Arc::new(config::load(&folder, &environment).unwrap_or_else(|report| panic!("{}", report.render(false))))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn live(plan: &Arc<Plan>, script: Script) -> Result<Finding, Broken> {
    life::paused(history::live(plan, script))
}

#[test]
fn nothing_is_lost_or_doubled_and_every_record_has_a_verdict() {
    let Some((histories, totals)) = live_all(Script::of, HISTORIES, HISTORIES_LONG) else { return };
    // A simulation in which nothing goes wrong proves nothing.
    assert!(totals.crashes.load(Ordering::Relaxed) > histories / 4, "too few crashes: {totals:?}");
    assert!(totals.went_back.load(Ordering::Relaxed) > histories / 50, "too few restored backups: {totals:?}");
    assert!(totals.records.load(Ordering::Relaxed) > histories * 5, "too few records: {totals:?}");
}

#[test]
fn what_is_gone_at_the_source_goes_at_the_sink_and_nothing_else_does() {
    let Some((histories, totals)) = live_all(Script::deleting, DELETING, DELETING_LONG) else { return };
    assert!(totals.crashes.load(Ordering::Relaxed) > histories / 4, "too few crashes: {totals:?}");
    assert!(totals.deleted.load(Ordering::Relaxed) > histories / 2, "too few deletions: {totals:?}");
}

/// Lives through histories, or through the one that the environment names. Nothing: it was one.
fn live_all(script: fn(u64) -> Script, short: u64, long: u64) -> Option<(u64, Totals)> {
    let plan = plan();
    if let Some(seed) = number("RENKEI_SEED") {
        let finding = live(&plan, script(seed)).unwrap_or_else(|broken| panic!("{broken}"));
        println!("seed {seed}: {finding:?}");
        return None;
    }
    let (histories, totals) = (life::count(short, long), Totals::default());
    let broken = life::through(histories, |seed| live(&plan, script(seed)).map(|finding| totals.add(&finding)));
    println!("{histories} histories: {totals:?}");
    if let Some(Broken { seed, what, .. }) = broken {
        let shortest = shrink::shrink(&plan, script(seed)).map_or_else(String::new, |(_, broken)| broken.to_string());
        panic!(
            "seed {seed}: {what}\nto see it again: RENKEI_SEED={seed} cargo nextest run --test sim\nin short: {shortest}"
        );
    }
    Some((histories, totals))
}

#[derive(Default, Debug)]
struct Totals {
    lives: AtomicU64,
    crashes: AtomicU64,
    went_back: AtomicU64,
    records: AtomicU64,
    deleted: AtomicU64,
}

impl Totals {
    fn add(&self, finding: &Finding) {
        self.lives.fetch_add(finding.lives.into(), Ordering::Relaxed);
        self.crashes.fetch_add(finding.crashes.into(), Ordering::Relaxed);
        self.went_back.fetch_add(finding.went_back.into(), Ordering::Relaxed);
        self.records.fetch_add(finding.records, Ordering::Relaxed);
        self.deleted.fetch_add(finding.deleted, Ordering::Relaxed);
    }
}
