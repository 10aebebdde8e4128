//! `schedule next` and `backfill`, as somebody types them.

use crate::harness::{Stage, fast};
use renkei::sandbox::FaultPlan;

const LEADS: &str = "pipelines/demo-leads.yaml";
const ORDERS: &str = "pipelines/demo-orders.yaml";

fn with_schedule(stage: &Stage, path: &str, schedule: &str) {
    let text = std::fs::read_to_string(stage.path().join(path)).unwrap();
    stage.write(path, &text.replace("version: 1\n", &format!("version: 1\nschedule: {schedule}\n")));
}

#[test]
fn the_next_times_are_listed_in_their_order_with_local_time_and_start() {
    let stage = Stage::leads(fast(1), FaultPlan::none());
    let none = stage.renkei(&["schedule", "next"]);
    assert_eq!((none.code, none.stderr.as_str()), (0, "no pipeline has a schedule yet\n"));
    stage.write(
        ORDERS,
        "version: 1\nfrom: { connection: shop, stream: orders }\nto: { connection: files, file: orders }\n",
    );
    with_schedule(&stage, LEADS, "{ cron: \"*/10 * * * *\", timezone: Asia/Tokyo, jitter: 30s }");
    with_schedule(&stage, ORDERS, "{ after: demo-leads }");

    let next = stage.renkei(&["schedule", "next", "-n", "3", "--output", "json"]).json();
    let next = next.as_array().unwrap();
    assert_eq!(next.len(), 4, "three times, and what follows");
    for (time, later) in next.iter().zip(&next[1..3]) {
        assert!(
            time["due"].as_str() < later["due"].as_str() && time["due"].as_str() <= time["start"].as_str(),
            "{time}"
        );
        assert!(time["local"].as_str().unwrap().ends_with("0:00 Asia/Tokyo"), "{time}");
    }
    assert_eq!((&next[3]["pipeline"], &next[3]["after"]), (&"demo-orders".into(), &"demo-leads".into()));
    let text = stage.renkei(&["schedule", "next", "demo-leads", "-n", "2"]).stdout;
    assert!(text.starts_with("pipeline    due (UTC)") && text.lines().count() == 3, "{text}");
    let wrong = stage.renkei(&["schedule", "next", "demo-lead"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("did you mean `demo-leads`"), "{}", wrong.transcript());
}

#[test]
fn a_backfill_reads_its_window_and_leaves_the_cursor_alone() {
    let stage = Stage::leads(fast(100), FaultPlan::none());
    stage.renkei(&["run", "demo-leads"]);
    let cursor = |stage: &Stage| stage.renkei(&["state", "show", "--output", "json"]).json();
    let before = cursor(&stage);
    let created = stage.counters().created;

    let ran = stage.renkei(&[
        "backfill",
        "demo-leads",
        "--from",
        "2000-01-01",
        "--to",
        "2026-06-01T00:00:00+09:00",
        "--output",
        "json",
    ]);
    assert_eq!(ran.code, 1, "the dead letters are met again: {}", ran.transcript());
    let counts = &ran.json()["runs"][0]["counts"];
    assert_eq!((&counts["created"], &counts["unchanged"]), (&0.into(), &created.into()), "{counts}");
    assert_eq!((cursor(&stage), stage.counters().created), (before, created));

    stage.renkei(&["links", "forget", "demo-leads", "--all"]);
    let again =
        stage.renkei(&["backfill", "demo-leads", "--from", "2000-01-01", "--to", "2026-06-01", "--output", "json"]);
    assert!(again.json()["runs"][0]["counts"]["created"].as_u64() > Some(0), "{}", again.transcript());
    assert_eq!((stage.report().lost, stage.report().doubled), (0, 0), "the keys are the same");
}

#[test]
fn a_window_that_makes_no_sense_is_refused_with_its_code() {
    let stage = Stage::leads(fast(5), FaultPlan::none());
    stage.write(
        ORDERS,
        "version: 1\nfrom: { connection: shop, stream: orders }\nto: { connection: files, file: orders }\n",
    );
    stage.write(
        "pipelines/products.yaml",
        "version: 1\nfrom: { connection: shop, stream: products }\nto: { connection: crm, operation: create_lead }\n",
    );
    for (pipeline, from, to, says) in [
        ("demo-leads", "2026-02-01", "2026-01-01", "ends before it begins"),
        ("demo-leads", "2026-01-01", "2999-01-01", "ends in the future"),
        ("demo-leads", "yesterday", "2026-01-01", "`yesterday` is no bound of it"),
        ("demo-orders", "2026-01-01", "2026-02-01", "cannot be written by two"),
        ("products", "2026-01-01", "2026-02-01", "cannot be read by window"),
    ] {
        let ran = stage.renkei(&["backfill", pipeline, "--from", from, "--to", to]);
        assert!(
            ran.code == 3 && ran.stderr.contains("error[RK0821]") && ran.stderr.contains(says),
            "{}",
            ran.transcript()
        );
    }
    assert_eq!(stage.renkei(&["backfill", "demo-leads", "--from", "2026-01-01"]).code, 2);
    assert_eq!(stage.renkei(&["backfill", "demo-leads"]).code, 2, "nothing is unfinished");
    assert_eq!(stage.counters().requests, 0);
}

#[test]
fn a_backfill_that_is_stopped_goes_on_where_it_was_or_is_dropped() {
    let stage = Stage::leads(fast(300), crate::harness::slow());
    let window = ["backfill", "demo-leads", "--from", "2000-01-01", "--to", "2026-06-01"];
    let mut child = stage.start(&window);
    stage.until(&mut child, |counters| counters.created > 30);
    crate::signals::signal(&child, "TERM");
    let ran = stage.ended(child);
    assert_eq!(ran.code, 143, "{}", ran.transcript());
    let created = stage.counters().created;

    stage.world(|world| world.set_faults(FaultPlan::none()));
    let went_on = stage.renkei(&["backfill", "demo-leads", "--output", "json"]);
    let run = &went_on.json()["runs"][0];
    assert!(run["counts"]["created"].as_u64() > Some(0), "{}", went_on.transcript());
    assert!(run["counts"]["unchanged"].as_u64() < Some(created / 2), "it does not begin anew: {run}");
    assert_eq!(stage.renkei(&["backfill", "demo-leads"]).code, 2, "it is done");
    assert_eq!((stage.report().doubled, stage.report().counters.replayed), (0, 0));

    let mut child = stage.start(&window);
    stage.until(&mut child, |counters| counters.reads > 15);
    child.kill().unwrap();
    child.wait().unwrap();
    // The live run delivers what the backfill left staged, before it reads anything.
    assert!([0, 1].contains(&stage.renkei(&["run", "demo-leads"]).code));
    let dropped = stage.renkei(&["backfill", "demo-leads", "--drop"]);
    assert!(dropped.stdout.starts_with("1 unfinished"), "{}", dropped.transcript());
    assert_eq!((stage.run_until_nothing_is_lost().lost, stage.report().doubled), (0, 0));
}
