//! What a run costs in requests, by the account of the sandbox: most records of a full reading have not changed, and those
//! cost nothing.

use std::fs;

use crate::harness::{Stage, fast};
use renkei::{
    model::{Clock, SystemClock},
    sandbox::{FaultPlan, WorldConfig},
};

/// Requests that were neither readings nor tokens.
fn writes(stage: &Stage) -> u64 {
    let seen = stage.counters();
    seen.requests - seen.reads - seen.tokens
}

fn edit(stage: &Stage, path: &str, from: &str, to: &str) {
    let text = fs::read_to_string(stage.path().join(path)).unwrap();
    assert!(text.contains(from), "{path} has no {from:?} any more");
    stage.write(path, &text.replacen(from, to, 1));
}

/// Delivers 10,000 customers, changes 100 of them, and reads all of them again, in an order that has nothing to do with what
/// changed. Returns how many writes that cost and how many leads it was about.
fn hundred_of_ten_thousand(operation: &str) -> (u64, u64) {
    let stage = Stage::leads(WorldConfig { unordered: true, bad_email: 0.0, ..fast(10_000) }, FaultPlan::none());
    edit(&stage, "connectors/shop/connector.yaml", "limit: 25", "limit: 100");
    edit(&stage, "connectors/shop/connector.yaml", "      order: ascending\n", "");
    edit(&stage, "pipelines/demo-leads.yaml", "  operation: create_lead\n", &format!("  operation: {operation}\n"));
    if operation != "create_lead" {
        edit(&stage, "pipelines/demo-leads.yaml", "  changed: { operation: update_lead }\n", "");
    }
    assert_eq!(stage.run_until_nothing_is_lost().lost, 0);
    let before = (writes(&stage), stage.counters());
    stage.world(|world| world.change(SystemClock.now(), 100));
    // What changed within the last second is left to the next run.
    let report = (0..20)
        .map(|_| {
            let ran = stage.renkei(&["run", "--full-refresh", "customers"]);
            assert_eq!(ran.code, 0, "{}", ran.transcript());
            stage.report()
        })
        .find(|report| report.lost == 0)
        .expect("the changes arrive");
    assert_eq!(report.doubled, 0);
    let now = stage.counters();
    (writes(&stage) - before.0, now.created + now.updated - before.1.created - before.1.updated)
}

#[test]
fn a_hundred_changes_among_ten_thousand_records_cost_a_hundred_single_writes() {
    let (writes, leads) = hundred_of_ten_thousand("create_lead");
    assert!(leads >= 30 && writes == leads && writes <= 100, "{writes} writes for {leads} leads");
}

#[test]
fn a_hundred_changes_scattered_over_a_hundred_pages_cost_two_batches() {
    let (writes, leads) = hundred_of_ten_thousand("upsert_leads");
    assert!(leads >= 30 && (1..=2).contains(&writes), "{writes} writes for {leads} leads");
}
