//! `links` and `runs show`: what ties records to their ids at the sink, and how one run went.

use std::fs;

use crate::harness::{Stage, fast, slow};
use renkei::sandbox::FaultPlan;
use serde_json::{Value, json};

/// Keys of customers with the ids of their leads, as the sandbox knows them.
fn pairs(stage: &Stage) -> Vec<(String, String)> {
    stage.world(|world| {
        let of = |customer: &renkei::sandbox::Customer| {
            world.leads_of(&customer.id).next().map(|lead| (customer.id.clone(), lead.id.clone()))
        };
        world.customers().filter_map(of).collect()
    })
}

#[test]
fn records_that_were_created_elsewhere_are_updated_and_not_created_again() {
    let stage = Stage::leads(fast(60), FaultPlan::none());
    stage.renkei(&["run"]);
    let pairs = pairs(&stage);
    let half = pairs.len() / 2;
    // Another store that knows nothing of the leads.
    fs::remove_dir_all(stage.path().join("state")).unwrap();
    let csv = pairs[..half].iter().map(|(key, id)| format!("{key},{id}\n")).collect::<String>();
    stage.write("half.csv", &format!("key,sink_id\n{csv}"));
    let lines = pairs[half..].iter().map(|(key, id)| format!("{}\n", json!({"key": key, "sink_id": id})));
    stage.write("rest.jsonl", &lines.collect::<String>());
    let first = stage.renkei(&["links", "import", "demo-leads", "half.csv", "--output", "json"]).json();
    let expected =
        |added: usize, known: usize| json!({"pipeline": "demo-leads", "added": added, "replaced": 0, "known": known});
    assert_eq!(first, expected(half, 0));
    let again = stage.renkei(&["links", "import", "demo-leads", "half.csv", "--output", "json"]).json();
    assert_eq!(again, expected(0, half));
    let rest = stage.renkei(&["links", "import", "demo-leads", "rest.jsonl"]);
    assert!(rest.code == 0 && rest.stdout.contains("links added, 0 replaced, 0 known"), "{}", rest.transcript());
    let (key, id) = &pairs[0];
    let shown = stage.renkei(&["links", "show", "demo-leads", key, "--output", "json"]).json();
    assert_eq!((&shown["sink_id"], &shown["in_doubt"], &shown["key"]), (&json!(id), &json!(true), &json!(key)));

    let ran = stage.renkei(&["run", "--output", "json"]).json();
    let counts = &ran["runs"][0]["counts"];
    assert_eq!((&counts["created"], &counts["updated"]), (&json!(0), &json!(pairs.len())), "{counts}");
    let report = stage.report();
    assert_eq!((report.lost, report.doubled, report.leads), (0, 0, pairs.len() as u64));
    let shown = stage.renkei(&["links", "show", "demo-leads", key]).stdout;
    assert!(shown.contains("generation 2\n") && shown.contains("content    as sent\n"), "{shown}");
}

#[test]
fn links_are_listed_by_hash_in_pages_and_forgotten_one_or_all() {
    let stage = Stage::leads(fast(40), FaultPlan::none());
    let none = stage.renkei(&["links", "show", "demo-leads"]);
    assert_eq!(none.transcript(), "exit 0\n--- stdout\n--- stderr\nno links\n");
    stage.renkei(&["run"]);
    let pairs = pairs(&stage);
    let all = stage.renkei(&["links", "show", "demo-leads", "--output", "json"]).json();
    assert_eq!(all.as_array().unwrap().len(), pairs.len());
    let first = stage.renkei(&["links", "show", "demo-leads", "--limit", "3"]);
    let after = all[2]["hash"].as_str().unwrap();
    assert!(first.stderr.contains(&format!("{} in all; the next ones: --after {after}", pairs.len())));
    let next = stage.renkei(&["links", "show", "demo-leads", "--limit", "3", "--after", after, "--output", "json"]);
    assert_eq!(next.json()[0]["hash"], all[3]["hash"]);
    let printed = stage.renkei(&["links", "show", "demo-leads"]).stdout;
    assert!(pairs.iter().all(|(key, _)| !printed.contains(&format!("{key} "))), "a list shows no key");

    let one = stage.renkei(&["links", "forget", "demo-leads", &pairs[0].0]);
    assert!(one.code == 0 && one.stdout.starts_with("1 link of demo-leads forgotten\n"), "{}", one.transcript());
    for command in ["show", "forget"] {
        let gone = stage.renkei(&["links", command, "demo-leads", &pairs[0].0]);
        assert!(gone.code == 2 && gone.stderr.contains("has no link for the key"), "{}", gone.transcript());
    }
    let rest = stage.renkei(&["links", "forget", "demo-leads", "--all", "--output", "json"]).json();
    assert_eq!(rest, json!({"pipeline": "demo-leads", "forgotten": pairs.len() - 1}));
    assert_eq!(stage.renkei(&["links", "show", "demo-leads", "--output", "json"]).json(), json!([]));
}

#[test]
fn links_stay_as_they_are_while_batches_are_staged() {
    let stage = Stage::leads(fast(300), slow());
    let mut child = stage.start(&["run", "demo-leads"]);
    stage.until(&mut child, |counters| counters.created > 5);
    child.kill().unwrap();
    child.wait().unwrap();
    stage.write("one.csv", "key,sink_id\nx,lead_1\n");
    for args in [
        vec!["links", "forget", "demo-leads", "--all"],
        vec!["links", "forget", "demo-leads", "x"],
        vec!["links", "import", "demo-leads", "one.csv"],
    ] {
        let refused = stage.renkei(&args);
        assert!(refused.code == 3 && refused.stderr.contains("staged batches"), "{}", refused.transcript());
    }
}

#[test]
fn a_file_that_cannot_be_imported_is_refused_before_anything_is_written() {
    let stage = Stage::init(fast(1));
    stage.write("links.csv", "key,sink_id\na,1\n");
    let file = stage.renkei(&["links", "import", "customers", "links.csv"]);
    assert!(file.code == 2 && file.stderr.contains("does not write to an API"), "{}", file.transcript());
    let stage = Stage::leads(fast(1), FaultPlan::none());
    stage.write("links.csv", "key,sink_id\na,1\na,2\n");
    let twice = stage.renkei(&["links", "import", "demo-leads", "links.csv"]);
    assert!(twice.code == 2 && twice.stderr.contains("entry 2 stands there twice"), "{}", twice.transcript());
    let typo = stage.renkei(&["links", "import", "demo-lead", "links.csv"]);
    assert!(typo.code == 2 && typo.stderr.contains("did you mean `demo-leads`?"), "{}", typo.transcript());
    assert!(!stage.path().join("state/format").exists());
}

#[test]
fn one_run_is_shown_with_its_counts_its_cost_and_the_first_refused_records() {
    let stage = Stage::leads(fast(200), FaultPlan::none());
    stage.renkei(&["run"]);
    let run = stage.renkei(&["runs", "--output", "json"]).json()[0].clone();
    let id = run["id"].as_str().unwrap();
    assert!(stage.renkei(&["runs"]).stdout.contains(id), "runs names the ids that `runs show` takes");
    let shown = stage.renkei(&["runs", "show", id, "--limit", "2", "--output", "json"]).json();
    let rejected = shown["counts"]["rejected"].as_u64().unwrap();
    assert_eq!((shown["letters"].as_u64(), shown["refused"].as_array().map(Vec::len)), (Some(rejected), Some(2)));
    assert_eq!(shown["refused"][0]["reason"]["code"], "RK0401");
    let causes = shown["causes"].as_array().unwrap();
    let of = |verdict: &str| {
        let own = causes.iter().filter(|cause| cause["verdict"] == verdict);
        own.map(|cause| cause["records"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((of("rejected"), of("skipped")), (rejected, shown["counts"]["skipped"].as_u64().unwrap()));
    let text = stage.renkei(&["runs", "show", &id[..30], "--limit", "2"]).stdout;
    let letter = shown["refused"][0]["id"].as_str().unwrap();
    for part in ["why       ", " skipped: step 1 (filter): record.consent and ", " rejected: RK0401 must contain @"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains(&format!("one of the refused records whole: renkei dead-letters show {letter}")), "{text}");
    assert!(text.contains("renkei trace RECORD_KEY --pipeline demo-leads"), "{text}");
    for part in ["records   read 200 ", "retries 0  429s 0  waited for quota", "  rejected  cus_", "the first 2 of"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let unknown = stage.renkei(&["runs", "show", "nobody"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("there is no run `nobody`"), "{}", unknown.transcript());
    // Refused again by a later run, the letters are that one's.
    stage.renkei(&["run", "--full-refresh", "customers"]);
    let first = stage.renkei(&["runs", "show", id]).stdout;
    assert!(first.contains("0 dead letters of this run; the others were met again"), "{first}");
    let all: Value = stage.renkei(&["runs", "--output", "json"]).json();
    assert_eq!(all.as_array().unwrap().len(), 2);
}
