//! From a caller to the CRM: durable before it is acknowledged, delivered once, and told to whoever asks.

use std::time::Duration;

use renkei::sandbox::{FaultKind, FaultPlan};
use serde_json::json;
use tokio::time::Instant;

use crate::rig::{Rig, lead, pipeline, write};

const SYNC: &str = ", mode: sync";

#[tokio::test]
async fn a_record_is_accepted_delivered_and_told() {
    let rig = Rig::new("").await;
    let answer = rig.push(&lead("a", 1), &[]).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let accepted = answer.json();
    assert_eq!(accepted["status"], "accepted");
    let place = accepted["status_url"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), Some(place.as_str()));
    let told = rig.verdict(&place).await;
    assert_eq!((&told["verdict"], &told["id"]), (&json!("created"), &accepted["id"]));
    assert_eq!(told["sink_id"], rig.sandbox.world().leads_of("a").next().unwrap().id.as_str());
    assert_eq!(rig.leads("a"), 1);
}

#[tokio::test]
async fn a_caller_of_sync_gets_the_sinks_verdict_for_each_state_of_a_record() {
    let rig = Rig::new(SYNC).await;
    let created = rig.push(&lead("a", 1), &[]).await;
    assert_eq!((created.status, &created.json()["verdict"]), (201, &json!("created")), "{created:?}");
    let again = rig.push(&lead("a", 1), &[]).await;
    assert_eq!((again.status, &again.json()["verdict"]), (200, &json!("unchanged")), "{again:?}");
    assert_eq!(again.json()["sink_id"], created.json()["sink_id"]);
    let updated = rig.push(&lead("a", 3), &[]).await;
    assert_eq!((updated.status, &updated.json()["verdict"]), (200, &json!("updated")), "{updated:?}");
    let late = rig.push(&lead("a", 2), &[]).await;
    assert_eq!(
        (late.status, &late.json()["verdict"]),
        (200, &json!("unchanged")),
        "an older state came late: {late:?}"
    );
    assert_eq!(rig.sandbox.world().leads_of("a").next().unwrap().text("name"), Some("a 3"));
    let refused = rig.push(r#"{"id":"b","at":1,"email":"no address"}"#, &[]).await;
    refused.is_problem(422, "RK0401");
    assert_eq!(refused.json()["verdict"], "rejected");
    let letters = rig.engine.state().dead_letters(Some("leads")).await.unwrap();
    assert_eq!(letters.len(), 1);
}

#[tokio::test]
async fn a_request_says_itself_whether_it_waits() {
    let rig = Rig::new(SYNC).await;
    let fast = rig.push(&lead("a", 1), &[("prefer", "respond-async")]).await;
    assert_eq!((fast.status, fast.header("preference-applied")), (202, Some("respond-async")), "{fast:?}");
    let waits = rig.push(&lead("b", 1), &[("prefer", "wait=2")]).await;
    assert_eq!((waits.status, waits.header("preference-applied")), (201, Some("wait")), "{waits:?}");
}

#[tokio::test]
async fn several_records_come_as_a_list_or_as_lines_and_all_or_none_are_accepted() {
    let rig = Rig::new(SYNC).await;
    let list = rig.push(&format!("[{},{}]", lead("a", 1), lead("b", 1)), &[]).await;
    assert_eq!(list.status, 200, "{list:?}");
    let verdicts: Vec<_> =
        list.json()["records"].as_array().unwrap().iter().map(|one| one["verdict"].clone()).collect();
    assert_eq!(verdicts, ["created", "created"]);
    let lines = format!("{}\n{}\n", lead("b", 2), lead("c", 1));
    let lines = rig.push(&lines, &[("content-type", "application/x-ndjson")]).await;
    let verdicts: Vec<_> =
        lines.json()["records"].as_array().unwrap().iter().map(|one| one["verdict"].clone()).collect();
    assert_eq!((lines.status, verdicts), (200, vec![json!("updated"), json!("created")]));
    let bad = rig.push(&format!("[{},{{\"at\":1}}]", lead("d", 1)), &[]).await;
    bad.is_problem(400, "RK0908");
    let twice = rig.push(&format!("[{},{}]", lead("e", 1), lead("e", 2)), &[]).await;
    assert_eq!(twice.status, 200, "{twice:?}");
    assert_eq!((rig.leads("d"), rig.leads("e")), (0, 1));
    assert_eq!(rig.sandbox.world().leads_of("e").next().unwrap().text("name"), Some("e 2"));
}

#[tokio::test]
async fn sync_gives_way_to_async_when_the_sink_is_slow_and_the_record_is_delivered_all_the_same() {
    let slow = FaultPlan { latency: 1.0, latency_ms: 1_500, ..FaultPlan::none() };
    let rig = Rig::with(", mode: sync, deadline: 100ms", slow).await;
    let began = Instant::now();
    let answer = rig.push(&lead("a", 1), &[]).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    rig.sandbox.world().set_faults(FaultPlan::none());
    assert_eq!(rig.verdict(answer.json()["status_url"].as_str().unwrap()).await["verdict"], "created");
    assert_eq!(rig.leads("a"), 1);
}

#[tokio::test]
async fn a_sink_that_is_down_makes_callers_wait_no_longer_than_the_first_and_loses_nothing() {
    let down = FaultPlan { error_before: 1.0, ..FaultPlan::none() };
    let rig = Rig::with(SYNC, down).await;
    let first = rig.push(&lead("a", 1), &[]).await;
    assert_eq!(first.status, 202, "{first:?}");
    let stuck = async {
        while !rig.engine.state().is_stuck(&renkei::engine::pushed_stream(&rig.engine.plan().pipelines["leads"])) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), stuck).await.unwrap();
    let began = Instant::now();
    for id in ["b", "c", "d"] {
        let next = rig.push(&lead(id, 1), &[]).await;
        assert_eq!(next.status, 202, "{next:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(2), "they waited for a sink that is down: {:?}", began.elapsed());
    rig.sandbox.world().set_faults(FaultPlan::none());
    assert_eq!(rig.verdict(first.json()["status_url"].as_str().unwrap()).await["verdict"], "created");
    let healthy = rig.push(&lead("e", 1), &[]).await;
    for id in ["a", "b", "c", "d"] {
        assert!(rig.leads(id) <= 1);
    }
    assert!([201, 202].contains(&healthy.status), "{healthy:?}");
}

#[tokio::test]
async fn what_is_accepted_outlives_the_process_and_answers_that_get_lost_double_nothing() {
    let lossy = FaultPlan { reset_after: 0.1, error_after: 0.1, ..FaultPlan::none() };
    let mut rig = Rig::with("", lossy).await;
    let mut places = Vec::new();
    for round in 0..3 {
        for n in 0..20 {
            let answer = rig.push(&lead(&format!("r{round}n{n}"), 1), &[]).await;
            assert_eq!(answer.status, 202, "{answer:?}");
            places.push(answer.json()["status_url"].as_str().unwrap().to_owned());
        }
        rig = rig.again().await;
    }
    rig.sandbox.world().set_faults(FaultPlan::none());
    for place in &places {
        let told = rig.verdict(place).await;
        assert!(["created", "unchanged", "updated"].contains(&told["verdict"].as_str().unwrap()), "{told}");
    }
    for round in 0..3 {
        for n in 0..20 {
            assert_eq!(rig.leads(&format!("r{round}n{n}")), 1, "r{round}n{n}");
        }
    }
    let cut = rig.sandbox.world().counters().faults.get(&FaultKind::ResetAfter).copied().unwrap_or_default();
    assert!(cut > 0, "no answer was lost");
}

#[tokio::test]
async fn changed_files_are_followed_and_a_port_in_use_leaves_the_old_door_open() {
    let mut rig = Rig::new("").await;
    let before = rig.address();
    assert_eq!(rig.push(&lead("a", 1), &[]).await.status, 202);
    write(rig.folder.path(), "pipelines/leads.yaml", &pipeline(SYNC));
    rig.reload().await.unwrap();
    assert_eq!(rig.address(), before, "the door did not move");
    assert_eq!(rig.push(&lead("b", 1), &[]).await.status, 201);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let workspace = std::fs::read_to_string(rig.folder.path().join("renkei.yaml")).unwrap();
    let moved = workspace.replace("127.0.0.1:0", &taken.local_addr().unwrap().to_string());
    write(rig.folder.path(), "renkei.yaml", &moved);
    let fault = rig.reload().await.unwrap_err();
    assert_eq!(fault.code, renkei::model::Code::ListenRefused);
    assert_eq!(rig.address(), before);
    assert_eq!(rig.push(&lead("c", 1), &[]).await.status, 201);
}
